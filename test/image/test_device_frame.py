# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import contextlib
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emotion_perception.image import device_frame
from emotion_perception.image.device_frame import (
    DeviceFrame,
    DeviceFrames,
    Graphs,
    align_many,
    bucket,
    download,
    upload,
)
from emotion_perception.image.preprocess import FacePreprocessing, standardise

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]

# A face of the photo below: eyes, nose, corners of the mouth.
LANDMARKS = np.array([[204, 99], [247, 104], [224, 128], [205, 139], [238, 143]], np.float32)


@pytest.fixture(scope="module")
def photo():
    spec = importlib.util.find_spec("skimage")
    if spec is None:
        pytest.skip("skimage, which carries the photo, is not installed")
    return cv2.imread(str(Path(spec.submodule_search_locations[0]) / "data/astronaut.png"))


def placed(scale, degrees, centre):
    """The landmarks of the face, as large, turned and placed as wanted."""
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = LANDMARKS.mean(axis=0)
    return ((LANDMARKS - middle) @ rotation.T * scale + centre).astype(np.float32)


@pytest.mark.parametrize("device", DEVICES)
def test_halvings(device, photo):
    frame = DeviceFrames(device).of(photo[:337, :501])
    expected = photo[:336, :500]
    np.testing.assert_array_equal(frame.planes[0].permute(1, 2, 0).flip(2).cpu(), photo[:337, :501])
    for step, (height, width) in enumerate([(168, 250), (84, 125), (42, 62)], 1):
        expected = cv2.resize(
            expected[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA
        )
        halved = frame.halved(step)[0].permute(1, 2, 0).flip(2).cpu()
        np.testing.assert_array_equal(halved, expected)
    assert DeviceFrame(torch.zeros((1, 9, 3), dtype=torch.uint8)).halved(2).shape == (1, 3, 1, 2)


@pytest.mark.parametrize("device", DEVICES)
def test_views_of_held_frames_are_found(device, photo):
    other = photo.copy()
    frames = DeviceFrames(device)
    with frames.held([photo, other]) as (first, second):
        assert frames.of(photo) is first
        assert frames.of(other) is second
        other[:] = 0  # it was uploaded before
        views = [photo[5:90, 7:200], photo[-1:, -1:], photo[:1], photo[:, 1:]]
        for view in views:
            pixels = frames.of(view).pixels
            np.testing.assert_array_equal(pixels.cpu(), view)
            assert pixels.untyped_storage().data_ptr() == (
                first.pixels.untyped_storage().data_ptr()
            )
        np.testing.assert_array_equal(frames.of(other[:9]).pixels.cpu(), second.pixels[:9].cpu())


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_no_such_view_is_uploaded(device, photo):
    frames = DeviceFrames(device)
    padded = np.zeros((64, 100, 3), np.uint8)
    held = padded[:, :64]
    beside = padded[:, 50:100]  # in the same memory, but beyond the frame
    beside[:] = 7
    with frames.held([held]) as (known,):
        for frame in (held.copy(), held[::-1], held[:, ::-1], held[..., ::-1], held[::2], beside):
            found = frames.of(frame)
            np.testing.assert_array_equal(found.pixels.cpu(), frame)
            assert found is not known
    held[:] = 9
    np.testing.assert_array_equal(frames.of(held).pixels.cpu(), held)  # no longer held


@pytest.mark.parametrize("device", DEVICES)
def test_uploads_do_not_disturb_each_other(device):
    frames = [np.full((480, 640, 3), value, np.uint8) for value in range(20)]
    uploaded = [upload(frame, torch.device(device)) for frame in frames]
    for frame, tensor in zip(frames, uploaded, strict=True):
        np.testing.assert_array_equal(download(tensor), frame)


@pytest.mark.parametrize("device", DEVICES)
def test_faces_are_aligned_as_on_the_host(device, photo):
    preprocessing = FacePreprocessing()
    faces = [
        placed(scale, degrees, centre)
        for scale in (0.3, 0.7, 1, 2, 2.9, 4)  # enlarged, and shrunk by 1 to 7
        for degrees in (0, 25, -130)
        for centre in ((224, 125), (3, 500), (700, -90))  # inside, half outside, far outside
    ]
    frame = DeviceFrames(device).of(photo)
    crops = align_many([frame] * len(faces), faces, preprocessing)
    assert crops.dtype == torch.uint8
    expected = np.stack([preprocessing.align(photo, face) for face in faces])
    apart = np.abs(download(crops).astype(int) - expected)
    assert apart.max() <= 1  # where a mean of 16 pixels is a half, OpenCV rounds either way
    assert apart.mean() < 1e-3


@pytest.mark.parametrize("device", DEVICES)
def test_faces_of_several_frames_come_in_their_order(device, photo):
    preprocessing = FacePreprocessing(size=40)
    images = [photo, photo[:300], photo[::-1], photo[5:305]]
    frames = [DeviceFrames(device).of(image) for image in images]
    numbers = [1, 0, 3, 2, 1]
    faces = [placed(1 + n / 9, 10 * n, (200, 150)) for n in range(5)]
    crops = download(align_many([frames[n] for n in numbers], faces, preprocessing))
    for crop, number, face in zip(crops, numbers, faces, strict=True):
        np.testing.assert_array_equal(crop, preprocessing.align(images[number], face))


def test_landmarks_that_fall_together_are_refused(photo):
    frame = DeviceFrames("cpu").of(photo)
    with pytest.raises(ValueError, match="fall together"):
        align_many([frame], [np.zeros((5, 2), np.float32)], FacePreprocessing())


@pytest.mark.parametrize("device", DEVICES)
def test_crops_are_standardised_as_on_the_host(device):
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48), np.uint8)
    crops[1] = 100
    crops[2] = 100 + crops[2] // 64
    found = device_frame.standardise(upload(crops, torch.device(device)), 4.0)
    np.testing.assert_allclose(
        download(found), standardise(crops.astype(np.float32), 4.0), atol=2e-5
    )


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (65, 128), (129, 256)])
def test_buckets(count, size):
    assert bucket(count) == size


@pytest.mark.parametrize("device", DEVICES)
def test_batches_are_padded_and_split(device):
    shapes = []

    def double(batch):
        shapes.append(len(batch))
        return batch * 2

    graphs = Graphs(torch.device(device))
    for count in (1, 3, 600):
        batch = torch.arange(count * 2.0, device=device).reshape(count, 2)
        found = graphs.run_batch("double", double, batch)
        np.testing.assert_array_equal(download(found), download(batch) * 2)
    assert shapes == [1, 4, 512, 128]


@needs_cuda
def test_a_result_outlives_the_next_replay():
    graphs = Graphs(torch.device("cuda"))
    network = torch.nn.Conv2d(3, 8, 3).requires_grad_(False).cuda()
    inputs = [torch.full((2, 3, 16, 16), float(value), device="cuda") for value in range(100)]
    outputs = [graphs.run("network", network, tensor) for tensor in inputs]
    assert len(graphs._graphs) == 1
    for tensor, output in zip(inputs, outputs, strict=True):
        torch.testing.assert_close(output, network(tensor))


@needs_cuda
def test_graphs_share_memory_but_not_results(monkeypatch):
    monkeypatch.setattr(device_frame, "_CAPTURE_AT", 1)
    monkeypatch.setattr(device_frame, "_MOST_GRAPHS", 3)
    graphs = Graphs(torch.device("cuda"))
    network = torch.nn.Conv2d(3, 8, 3).requires_grad_(False).cuda()
    for _ in range(3):
        inputs = [torch.rand((1, 3, 16 * n, 16), device="cuda") for n in range(1, 6)]
        outputs = [graphs.run("network", network, tensor) for tensor in inputs]
        assert len(graphs._graphs) == 3
        for tensor, output in zip(inputs, outputs, strict=True):
            torch.testing.assert_close(output, network(tensor))


class Recording:
    """Stands in for a CUDA graph: writes what the function returns to the same place."""

    def __init__(self, function, inputs, outputs):
        self.function, self.inputs, self.outputs = function, inputs, outputs
        self.replays = 0

    def replay(self):
        self.replays += 1
        self.outputs.copy_(self.function(self.inputs))


@pytest.fixture
def pretended(monkeypatch):
    """Graphs as on a GPU, without one."""
    graphs = Graphs(torch.device("cpu"))
    graphs._device = torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "device", lambda device: contextlib.nullcontext())

    def capture(function, tensor):
        inputs = tensor.clone()
        outputs = function(inputs)
        return device_frame._Graph(Recording(function, inputs, outputs), inputs, outputs)

    monkeypatch.setattr(graphs, "_capture", capture)
    return graphs


def test_usual_shapes_become_graphs(pretended):
    found = [
        pretended.run("double", lambda x: x * 2, torch.full((3,), float(n))) for n in range(30)
    ]
    (graph,) = pretended._graphs.values()
    assert graph.recording.replays == 30 - 19
    for number, output in enumerate(found):
        np.testing.assert_array_equal(output, [2 * number] * 3)


def test_the_graphs_used_last_are_kept(pretended, monkeypatch):
    monkeypatch.setattr(device_frame, "_CAPTURE_AT", 1)
    monkeypatch.setattr(device_frame, "_MOST_GRAPHS", 2)
    for size in (1, 2, 1, 3):
        pretended.run("same", lambda x: x + 0, torch.zeros(size))
    assert [len(graph.inputs) for graph in pretended._graphs.values()] == [1, 3]


def test_what_cannot_be_recorded_is_called(pretended, caplog, monkeypatch):
    def fail(function, tensor):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(device_frame, "_CAPTURE_AT", 1)
    monkeypatch.setattr(pretended, "_capture", fail)
    for _ in range(2):
        found = pretended.run("double", lambda x: x * 2, torch.ones(3))
        np.testing.assert_array_equal(found, [2, 2, 2])
    assert caplog.text.count("going on without CUDA graphs") == 1
