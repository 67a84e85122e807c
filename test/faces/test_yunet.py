# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import math

import cv2
import numpy as np
import pytest

from emotion_perception.faces import yunet
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.yunet import YuNetDetector
from emotion_perception.models import find_model

SIDES = (64, 96)  # width and height in pixels of every face that the stand-in reports


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    """A network with the inputs and outputs of YuNet whose faces are bright cells of its grids.

    YuNet's own weights are not shipped. This one tests everything around them: the score is the
    brightness, the box is centred on the cell, landmark k lies k cells right of and below it.
    """
    if tuple(int(part) for part in cv2.__version__.split(".")[:2]) < (4, 8):
        pytest.skip(f"OpenCV {cv2.__version__} reads YuNet in its form of 2022")
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, outputs = [], [], []

    def constant(name, value):
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    for stride in (8, 16, 32):
        nodes.append(
            helper.make_node(
                "AveragePool",
                ["input"],
                [f"cells{stride}"],
                kernel_shape=[stride, stride],
                strides=[stride, stride],
            )
        )
        width, height = (math.log(side / stride) for side in SIDES)
        points = np.repeat(np.arange(5), 2) + 0.5
        for kind, bias in (
            ("cls", None),
            ("obj", None),
            ("bbox", [0.5, 0.5, width, height]),
            ("kps", points),
        ):
            name, size = f"{kind}_{stride}", 1 if bias is None else len(bias)
            weight = np.full((size, 3, 1, 1), 1 / 765 if bias is None else 0, np.float32)
            bias = np.asarray([0] if bias is None else bias, np.float32)
            inputs = [
                f"cells{stride}",
                constant(f"{name}_weight", weight),
                constant(f"{name}_bias", bias),
            ]
            nodes.append(helper.make_node("Conv", inputs, [f"{name}_map"], kernel_shape=[1, 1]))
            last = helper.make_node(
                "Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]
            )
            shape = constant(f"{name}_shape", np.array([1, -1, size], np.int64))
            nodes += [last, helper.make_node("Reshape", [f"{name}_last", shape], [name])]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, size]))
    graph = helper.make_graph(
        nodes,
        "yunet-stand-in",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "h", "w"])],
        outputs,
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    path = tmp_path_factory.mktemp("yunet") / "stand-in.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def detector(model_file):
    return YuNetDetector(model_file)


def frame_with(*cells, size=(240, 320)):
    """A black frame with cells of 8 pixels, given as row, column and brightness."""
    frame = np.zeros((*size, 3), np.uint8)
    for row, column, brightness in cells:
        frame[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = brightness
    return frame


def test_box_and_landmarks(detector):
    (face,) = detector.detect(frame_with((8, 12, 255)))
    centre, half = np.array([12.5, 8.5]) * 8, np.array(SIDES) / 2
    np.testing.assert_allclose(face.box, np.r_[centre - half, centre + half], atol=1e-3)
    np.testing.assert_allclose(
        face.landmarks, centre + 8 * np.arange(5)[:, None].repeat(2, 1), atol=1e-3
    )
    assert face.score == pytest.approx(1)
    assert face.box.dtype == face.landmarks.dtype == np.float32


def test_best_score_comes_first(detector):
    faces = detector.detect(frame_with((5, 5, 180), (5, 30, 250), (22, 18, 210)))
    assert [round(face.score * 255) for face in faces] == [250, 210, 180]


def test_score_threshold(model_file):
    frame = frame_with((5, 5, 180), (5, 30, 250))
    assert len(YuNetDetector(model_file, score_threshold=0.8).detect(frame)) == 1


def test_nms_threshold(model_file):
    frame = frame_with((10, 10, 255), (10, 14, 250))  # the boxes share a third of their union
    assert len(YuNetDetector(model_file, nms_threshold=0.3).detect(frame)) == 1
    assert len(YuNetDetector(model_file, nms_threshold=0.4).detect(frame)) == 2


def test_min_face_size_is_about_the_longer_side(model_file):
    frame = frame_with((8, 12, 255))
    assert len(YuNetDetector(model_file, min_face_size=96).detect(frame)) == 1
    assert YuNetDetector(model_file, min_face_size=97).detect(frame) == []


def test_frame_size_may_change(detector):
    boxes = [
        detector.detect(frame_with((8, 12, 255), size=size))[0].box
        for size in ((240, 320), (480, 640), (123, 457), (240, 320))
    ]
    for box in boxes[1:]:
        np.testing.assert_allclose(box, boxes[0], atol=1e-3)


def test_views_and_tiny_frames(detector):
    frame = frame_with((8, 12, 255))
    frame[..., 0] = 0  # blue
    for view in (np.ascontiguousarray(frame[..., ::-1])[..., ::-1], frame[:, ::-1][:, ::-1]):
        faces = detector.detect(view)
        assert [face.score for face in faces] == [face.score for face in detector.detect(frame)]
    read_only = np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape)
    assert len(detector.detect(read_only)) == len(detector.detect(frame))
    assert detector.detect(np.zeros((1, 1, 3), np.uint8)) == []


def test_wrong_frame_is_refused(detector):
    with pytest.raises(ValueError, match=r"frame: expected shape \(H, W, 3\)"):
        detector.detect(np.zeros((48, 48), np.uint8))


@pytest.mark.parametrize(
    "parameters", [{"score_threshold": 1.5}, {"nms_threshold": 0}, {"min_face_size": 0}]
)
def test_wrong_parameters_are_refused(tmp_path, parameters):
    with pytest.raises(ValueError, match=f"{next(iter(parameters))}: expected"):
        YuNetDetector(tmp_path, **parameters)


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"none\.onnx: no such YuNet model file"):
        YuNetDetector(tmp_path / "none.onnx")


def test_damaged_file(tmp_path):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes((find_model("face-mtcnn") / "onet.onnx").read_bytes()[:500])
    with pytest.raises(ModelError, match=r"damaged\.onnx: not an ONNX network, or a damaged one"):
        YuNetDetector(damaged)


def test_another_network():
    with pytest.raises(ModelError, match=r"onet\.onnx: OpenCV .* cannot run it") as caught:
        YuNetDetector(find_model("face-mtcnn") / "onet.onnx")
    assert "\n" not in str(caught.value)


def test_a_file_is_tried_in_a_process_of_its_own_until_it_changes(
    model_file, tmp_path, monkeypatch
):
    path = tmp_path / "yunet.onnx"
    path.write_bytes(model_file.read_bytes())
    YuNetDetector(path)
    tried = []
    monkeypatch.setattr(yunet, "try_apart", lambda module, file: tried.append(file))
    YuNetDetector(path, min_face_size=80)
    assert tried == []  # a change of a parameter between two frames
    path.write_bytes(model_file.read_bytes() + bytes([0x92, 0x03, 0]))  # one more empty field
    YuNetDetector(path)
    assert tried == [path]
