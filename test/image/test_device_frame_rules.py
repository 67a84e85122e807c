# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which shapes become graphs, how batches are padded, and where views lie; on the CPU."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emotion_perception.image import device_frame
from emotion_perception.image.device_frame import (
    DeviceFrame,
    DeviceFrames,
    Graphs,
    _geometry,
    _place,
    _sums,
    align_many,
    bucket,
    download,
    standardise,
    upload,
    warm_up_calls,
)
from emotion_perception.image.preprocess import FacePreprocessing

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("count", "size"),
    [(4, 4), (5, 8), (64, 64), (127, 128), (128, 128), (256, 256), (257, 384), (512, 512)],
)
def test_sizes_of_batches(count, size):
    assert bucket(count) == size


def test_a_shape_is_usual_when_it_came_often(monkeypatch):
    graphs = Graphs(CPU)
    assert [graphs._is_usual("a") for _ in range(21)] == [False] * 19 + [True] * 2
    assert not graphs._is_usual("b")
    graphs._capturing = False
    assert not graphs._is_usual("a")
    monkeypatch.setattr(device_frame, "_MOST_COUNTED", 3)
    graphs = Graphs(CPU)
    for key in "abcd":
        graphs._is_usual(key)
    assert set(graphs._seen) == set("abcd")
    graphs._is_usual("e")  # photos of any size must not fill the memory
    assert graphs._seen == {"e": 1}


def test_warm_up():
    assert warm_up_calls(CPU) == 1
    assert warm_up_calls(torch.device("cuda")) == 20


def test_functions_run_without_gradients():
    weight = torch.ones(3, requires_grad=True)
    found = Graphs(CPU).run("w", lambda x: x * weight, torch.ones(3))
    assert not found.requires_grad


def test_batches_are_padded_with_zeros_behind():
    taken = []

    def keep(batch):
        taken.append(batch)
        return batch + 1

    batch = torch.arange(12.0).reshape(3, 2, 2) + 1
    found = Graphs(CPU).run_batch("keep", keep, batch)
    np.testing.assert_array_equal(found, batch + 1)
    np.testing.assert_array_equal(taken[0], torch.cat([batch, torch.zeros(1, 2, 2)]))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::-1],
        np.arange(6, dtype=np.float32).reshape(3, 2).T,
        np.arange(3, dtype=np.int64),
    ],
)
def test_there_and_back(array):
    there = upload(array, CPU)
    assert tuple(there.shape) == array.shape
    back = download(there)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)
    assert not np.shares_memory(back, array)  # the camera may fill its buffer again
    assert np.shares_memory(back, there.numpy())


def test_what_is_made_of_a_frame_is_made_once():
    pixels = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
    frame = DeviceFrame(upload(pixels, CPU))
    assert frame.planes is frame.halved(0)
    assert frame.halved(1) is frame.halved(1)
    assert frame.halved(2).shape == (1, 3, 2, 3)
    assert frame.sums is frame.sums
    assert frame.planes.dtype == torch.float32
    expected = np.pad(pixels[..., ::-1].astype(int), ((1, 0), (1, 0), (0, 0))).cumsum(0).cumsum(1)
    np.testing.assert_array_equal(frame.sums, expected)
    assert frame.sums.dtype == torch.int32


def test_sums_of_several_images():
    images = torch.randint(0, 255, (2, 4, 5, 2))
    expected = np.pad(images.numpy(), ((0, 0), (1, 0), (1, 0), (0, 0))).cumsum(1).cumsum(2)
    np.testing.assert_array_equal(_sums(images), expected)


WHOLE = np.zeros((20, 30, 3), np.uint8)


@pytest.mark.parametrize(
    ("part", "place"),
    [
        (WHOLE, (0, 0)),
        (WHOLE[3:, 4:], (3, 4)),
        (WHOLE[19:, 29:], (19, 29)),
        (WHOLE[3:5, 4:5], (3, 4)),
        (WHOLE[..., :2], None),  # other channels
        (WHOLE[..., 1:], None),
        (WHOLE[::2], None),
        (WHOLE[:, ::2], None),
        (WHOLE.copy(), None),
    ],
)
def test_where_a_view_lies(part, place):
    assert _place(part, WHOLE) == place


def test_what_lies_before_or_behind_a_frame_is_no_view():
    memory = np.zeros((60, 30, 3), np.uint8)
    middle = memory[20:40]
    assert _place(memory[19:30], middle) is None
    assert _place(memory[20:41], middle) is None
    assert _place(memory[40:41], middle) is None
    assert _place(memory[39:40], middle) == (19, 0)
    turned = np.zeros((20, 30, 3), np.uint8)[::-1]
    assert _place(turned, turned) is None


def test_frames_are_held_for_a_block_even_if_it_fails():
    frames = DeviceFrames("cpu")
    assert frames.device == CPU
    one = np.full((4, 5, 3), 7, np.uint8)
    seen = []

    def fail():
        with frames.held([one]) as (known,):
            seen.extend([known, frames.of(one), frames.of(one[1:3, 2:5])])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    known, found, part = seen
    assert found is known
    assert tuple(part.pixels.shape) == (2, 3, 3)
    assert frames.of(one) is not known


def test_crops_are_standardised():
    crops = np.random.default_rng(0).normal(90, 20, (3, 8, 8))
    crops[1] = 5
    found = standardise(torch.from_numpy(crops), 4.0)
    assert found.dtype == torch.float32
    expected = (crops - crops.mean((1, 2), keepdims=True)) / np.maximum(
        crops.std((1, 2), keepdims=True), 4.0
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)


def face(x, y, side):
    return np.float32([[x - side, y], [x + side, y], [x, y + side], [x - side, y + 2 * side],
                       [x + side, y + 2 * side]])  # fmt: skip


@pytest.mark.parametrize("size", [16, 48])
@pytest.mark.parametrize(
    ("x", "y", "side"),
    [(60, 50, 10), (60, 50, 30), (5, 5, 12), (115, 95, 12), (60, -300, 10), (900, 900, 25)],
)
def test_crops_are_those_of_the_host_to_the_border(x, y, side, size):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 255, (100, 120, 3), np.uint8)
    preprocessing = FacePreprocessing(size=size)
    found = align_many([DeviceFrame(upload(frame, CPU))], [face(x, y, side)], preprocessing)
    assert (found.dtype, tuple(found.shape)) == (torch.uint8, (1, size, size))
    expected = preprocessing.align(frame, face(x, y, side))
    apart = np.abs(found[0].numpy().astype(int) - expected)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.02


def test_the_patch_of_a_face_has_a_margin_and_stays_inside():
    preprocessing = FacePreprocessing(size=16)
    inside = _geometry(preprocessing, face(60, 50, 3), 100, 120)
    matrix, side = preprocessing._crop_to_frame(face(60, 50, 3))
    assert inside[:2] == pytest.approx(np.floor(matrix[:, 2]) - 2)
    assert inside[2:4].tolist() == [max(1, int(side / 16))] * 2
    outside = _geometry(preprocessing, face(900, -900, 3), 100, 120)
    assert outside[:2].tolist() == [119, 0]
    assert outside[2:6].tolist() == [1, 1, 1, 1]
    assert len(inside) == 6 + 4 * 16
