# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from emotion_perception.faces import mtcnn_torch
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.faces.mtcnn_geometry import pyramid
from emotion_perception.faces.mtcnn_torch import TorchMtcnnDetector
from emotion_perception.faces.quick import QuickImage
from emotion_perception.image import device_frame
from emotion_perception.image.device_frame import DeviceFrame
from emotion_perception.models import find_model

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("min_face_size", [20, 40])
def test_same_faces_as_onnx_runtime(
    device, min_face_size, astronaut, hopper, crowd_photos, assert_same_faces
):
    detector = TorchMtcnnDetector(min_face_size=min_face_size, device=device)
    reference = MtcnnDetector(min_face_size=min_face_size)
    for frame in (astronaut, hopper, *crowd_photos[:2]):
        assert_same_faces(detector.detect(frame), reference.detect(frame))


@pytest.mark.parametrize("device", DEVICES)
def test_same_faces_as_facenet(device, astronaut, hopper, facenet, assert_same_faces):
    detector = TorchMtcnnDetector(device=device)
    for frame in (astronaut, hopper):
        assert_same_faces(detector.detect(frame), facenet(frame, 40))


@pytest.mark.parametrize("device", DEVICES)
def test_refine_equals_onnx_runtime(device, astronaut, assert_same_faces):
    boxes = np.array([[170, 60, 280, 190], [-90, -90, -9, -9], [400, 400, 450, 450]], np.float32)
    found = TorchMtcnnDetector(device=device).refine_many([astronaut], [boxes])[0]
    expected = MtcnnDetector().refine_many([astronaut], [boxes])[0]
    assert [face is None for face in found] == [False, True, True]
    assert_same_faces(found[:1], expected[:1])


@pytest.fixture(scope="module", params=DEVICES)
def both(request):
    """The detector in torch, and in ONNX Runtime."""
    return TorchMtcnnDetector(device=request.param), MtcnnDetector()


@pytest.fixture(scope="module")
def films(astronaut, hopper, crowd_photos):
    """Frames with what is known of them: boxes a little off their faces."""
    detector = MtcnnDetector()
    frames = [astronaut, hopper, *crowd_photos[:3]]
    return [
        (frame, np.array([face.box for face in detector.detect(frame)]) + np.float32(3))
        for frame in frames
    ]


def test_search_equals_onnx_runtime(both, films, assert_same_faces):
    for frame, boxes in films:
        for known in (np.empty((0, 4), np.float32), boxes[1:]):
            found, expected = (
                detector.search(frame, range(len(detector.costs(*frame.shape[:2]))), known)
                for detector in both
            )
            assert expected
            assert_same_faces(found, expected)


def test_find_near_equals_onnx_runtime(both, films, assert_same_faces):
    for frame, boxes in films:
        for box in boxes[:2]:
            found, expected = (detector.find_near(frame, box) for detector in both)
            assert expected
            assert_same_faces(found, expected)


def test_frames_are_refined_together_as_one_by_one(both, films, assert_same_faces):
    frames, boxes = zip(*films, strict=True)
    beyond = np.array([[-90, -90, -9, -9]], np.float32)
    boxes = [*boxes, np.empty((0, 4), np.float32), beyond]
    found, expected = (
        detector.refine_many([*frames, frames[0], frames[0]], boxes) for detector in both
    )
    assert found[-2:] == [[], [None]]
    for faces, others in zip(found, expected, strict=True):
        assert [face is None for face in faces] == [face is None for face in others]
        assert_same_faces([f for f in faces if f], [f for f in others if f])


def test_quick_sizes_are_those_of_opencv_to_the_bit(astronaut):
    """Where a step of it rounds otherwise, boxes move by pixels."""
    for frame in (astronaut, astronaut[:337, 1:250], astronaut[3:34, :29]):
        image = DeviceFrame(torch.from_numpy(frame.copy()))
        quick = QuickImage(frame)
        for level in pyramid(*frame.shape[:2], 20, 0.709):
            size = (level.height, level.width)
            expected = quick.resized(*size) * 128 + 127.5
            np.testing.assert_allclose(mtcnn_torch._resized(image, size), expected, atol=1e-3)
        height, width = frame.shape[:2]
        windows = np.array([[0, 0, width, height], [5, 7, 12, 20], [0, 2, 25, 31]])
        crops, order = TorchMtcnnDetector(device="cpu")._crops(
            [mtcnn_torch._Image(image, exact=False)], [windows], 24
        )
        expected = quick.crops(windows, 24)[order] * 128 + 127.5
        np.testing.assert_allclose(crops, expected, atol=1e-3)


def test_a_held_frame_is_not_uploaded_again(astronaut, monkeypatch, assert_same_faces):
    detector = TorchMtcnnDetector(device="cpu")
    (expected,) = detector.detect(astronaut)
    with detector.frames.held([astronaut]):
        monkeypatch.setattr(device_frame, "upload", None)  # mtcnn_torch has its own for windows
        faces = detector.detect(astronaut)
        assert_same_faces(faces, [expected])
        assert detector.refine_many([astronaut], [expected.box[None]])[0][0] is not None
        assert detector.find_near(astronaut, expected.box)


def test_batches_of_any_size(astronaut):
    detector = TorchMtcnnDetector(device="cpu")
    image = detector._quick(astronaut)
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 300, (600, 2))
    windows = np.concatenate([corners, corners + rng.integers(20, 200, (600, 1))], axis=1)
    whole = np.concatenate([part.reshape(600, -1) for part in detector._onet(image, windows)], 1)
    for count in (1, 3, 129):
        found = detector._onet(image, windows[:count])
        part = np.concatenate([values.reshape(count, -1) for values in found], 1)
        np.testing.assert_allclose(part, whole[:count], atol=1e-4)


@needs_cuda
def test_half_precision_is_close(astronaut):
    half, full = TorchMtcnnDetector(half=True), TorchMtcnnDetector()
    (face,), (expected,) = half.detect(astronaut), full.detect(astronaut)
    np.testing.assert_allclose(face.box, expected.box, atol=4)
    (face,), (expected,) = (
        detector.refine_many([astronaut], [expected.box[None]])[0] for detector in (half, full)
    )
    np.testing.assert_allclose(face.box, expected.box, atol=1)
    np.testing.assert_allclose(face.landmarks, expected.landmarks, atol=1)


@needs_cuda
@pytest.mark.parametrize("half", [False, True])
def test_graphs_find_what_plain_calls_find(half, astronaut, assert_same_faces):
    """Two frames in turn: what one leaves behind must not be told of the other."""
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    detector = TorchMtcnnDetector(half=half)
    parts = range(len(detector.costs(*astronaut.shape[:2])))
    nobody = np.empty((0, 4), np.float32)
    before = [detector.search(frame, parts, nobody) for frame in (astronaut, mirrored)]
    assert not detector._graphs._graphs
    detector.warm_up(*astronaut.shape[:2])
    assert detector._graphs._graphs
    for _ in range(2):
        for frame, expected in zip((astronaut, mirrored), before, strict=True):
            assert_same_faces(detector.search(frame, parts, nobody), expected)


@needs_cuda
def test_threads_share_graphs(astronaut, assert_same_faces):
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    detector = TorchMtcnnDetector()
    frames = [astronaut, mirrored] * 40  # so many that graphs are recorded on the way
    expected = [detector.detect(frame) for frame in frames[:2]]
    with ThreadPoolExecutor(4) as pool:
        for index, faces in enumerate(pool.map(detector.detect, frames)):
            assert_same_faces(faces, expected[index % 2])


@pytest.mark.parametrize("device", DEVICES)
def test_degenerate_frames(device):
    detector = TorchMtcnnDetector(device=device)
    for shape in ((1, 1), (39, 640), (40, 40), (480, 640)):
        assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []
    with pytest.raises(ValueError, match="uint8, got float32"):
        detector.detect(np.zeros((48, 48, 3), np.float32))


def test_view_of_read_only_memory(astronaut, recwarn):
    mirrored = np.frombuffer(astronaut[:, ::-1].tobytes(), np.uint8).reshape(astronaut.shape)
    detector = TorchMtcnnDetector(device="cpu")
    (face,) = detector.detect(mirrored[:, ::-1])
    (expected,) = detector.detect(astronaut)
    np.testing.assert_array_equal(face.box, expected.box)
    assert not recwarn.list


def test_warm_up():
    TorchMtcnnDetector(device="cpu").warm_up(48, 64)


def test_half_precision_needs_cuda():
    with pytest.raises(ValueError, match="half: needs a CUDA device, got 'cpu'"):
        TorchMtcnnDetector(device="cpu", half=True)


def test_damaged_weights_are_refused(tmp_path):
    folder = tmp_path / "face-mtcnn"
    shutil.copytree(find_model("face-mtcnn"), folder)
    (folder / "mtcnn.safetensors").unlink()
    with pytest.raises(ModelError, match=r"mtcnn\.safetensors: cannot read the model file"):
        TorchMtcnnDetector(folder, device="cpu")
