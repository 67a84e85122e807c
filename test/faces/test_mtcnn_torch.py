import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.faces.mtcnn_torch import TorchMtcnnDetector
from emotion_perception.models import find_model

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    ),
]


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
    found = TorchMtcnnDetector(device=device).refine(astronaut, boxes)
    expected = MtcnnDetector().refine(astronaut, boxes)
    assert [face is None for face in found] == [False, True, True]
    assert_same_faces(found[:1], expected[:1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_is_close(astronaut):
    (face,) = TorchMtcnnDetector(half=True).detect(astronaut)
    (expected,) = TorchMtcnnDetector().detect(astronaut)
    np.testing.assert_allclose(face.box, expected.box, atol=4)


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
