# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import itertools
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.faces.mtcnn_geometry import (
    bin_edges,
    crop_windows,
    levels_may_overlap,
    pyramid,
    window_boxes,
)
from emotion_perception.models import find_model


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector()


@pytest.mark.parametrize("min_face_size", [20, 40])
@pytest.mark.parametrize("photo", ["astronaut", "hopper"])
def test_same_faces_as_facenet(photo, min_face_size, request, facenet, assert_same_faces):
    frame = request.getfixturevalue(photo)
    faces = MtcnnDetector(min_face_size=min_face_size).detect(frame)
    assert faces
    assert_same_faces(faces, facenet(frame, min_face_size))


@pytest.mark.parametrize("min_face_size", [20, 40])
def test_same_faces_as_facenet_in_crowds(min_face_size, crowd_photos, facenet, assert_same_faces):
    detector = MtcnnDetector(min_face_size=min_face_size)
    for frame in crowd_photos[: 2 if min_face_size == 20 else None]:
        assert_same_faces(detector.detect(frame), facenet(frame, min_face_size))


def test_same_faces_as_facenet_when_levels_overlap(astronaut, assert_same_faces):
    # With so fine a pyramid the suppression across its images has work to do.
    facenet_pytorch = pytest.importorskip("facenet_pytorch")
    reference = facenet_pytorch.MTCNN(
        keep_all=True, min_face_size=60, factor=0.9, select_largest=False
    )
    boxes, scores, _ = reference.detect(astronaut[..., ::-1], landmarks=True)
    faces = MtcnnDetector(min_face_size=60, factor=0.9).detect(astronaut)
    np.testing.assert_allclose([face.box for face in faces], boxes.astype(float), atol=0.5)
    np.testing.assert_allclose([face.score for face in faces], scores.astype(float), atol=1e-3)


def test_finds_the_astronaut(detector, astronaut):
    (face,) = detector.detect(astronaut)
    assert face.score > 0.99
    np.testing.assert_allclose(face.box, [175, 65, 275, 195], atol=25)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < right_mouth[0]
    assert left_eye[1] < nose[1] < left_mouth[1]


def test_best_score_comes_first(detector, crowd_photos):
    for frame in crowd_photos:
        scores = [face.score for face in detector.detect(frame)]
        assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    "view",
    [
        lambda frame: np.flip(np.flip(frame, 1).copy(), 1),  # negative stride
        lambda frame: np.ascontiguousarray(frame[..., ::-1])[..., ::-1],  # RGB seen as BGR
        lambda frame: np.dstack([frame, frame[..., :1]])[..., :3],  # BGRA without its alpha
        lambda frame: np.repeat(frame, 2, axis=0)[::2],  # every other row
        lambda frame: np.frombuffer(frame.tobytes(), np.uint8).reshape(frame.shape),  # read-only
    ],
)
def test_any_memory_layout_will_do(detector, astronaut, view):
    (face,) = detector.detect(view(astronaut))
    (expected,) = detector.detect(astronaut)
    np.testing.assert_array_equal(face.box, expected.box)
    np.testing.assert_array_equal(face.landmarks, expected.landmarks)


def test_results_outlive_the_next_frame(detector, astronaut):
    (face,) = detector.detect(astronaut)
    box, landmarks = face.box.copy(), face.landmarks.copy()
    detector.detect(np.flip(astronaut, 1))
    np.testing.assert_array_equal(face.box, box)
    np.testing.assert_array_equal(face.landmarks, landmarks)


def test_grey_frame(detector, astronaut):
    grey = astronaut.mean(axis=2).astype(np.uint8)
    assert len(detector.detect(np.dstack([grey] * 3))) == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (11, 11), (12, 12), (39, 640), (40, 40)])
@pytest.mark.parametrize("fill", [0, 255, "noise"])
def test_tiny_and_empty_frames_hold_no_face(shape, fill):
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    if fill != "noise":
        frame[:] = fill
    assert MtcnnDetector(min_face_size=12).detect(frame) == []
    assert MtcnnDetector().detect(frame) == []


def test_frame_sizes_may_change(detector, astronaut):
    before = detector.detect(astronaut)
    detector.detect(np.zeros((100, 3000, 3), np.uint8))
    after = detector.detect(astronaut)
    np.testing.assert_array_equal(before[0].box, after[0].box)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([[1]], "NumPy array, got list"),
        (np.zeros((48, 48, 3), np.float32), "uint8, got float32"),
        (np.zeros((48, 48), np.uint8), r"\(H, W, 3\) in BGR, got \(48, 48\)"),
        (np.zeros((48, 48, 4), np.uint8), r"got \(48, 48, 4\)"),
        (np.zeros((2, 48, 48, 3), np.uint8), r"got \(2, 48, 48, 3\)"),
        (np.zeros((0, 48, 3), np.uint8), r"got \(0, 48, 3\)"),
    ],
)
def test_wrong_frames_are_refused(detector, frame, message):
    with pytest.raises(ValueError, match=message):
        detector.detect(frame)
    with pytest.raises(ValueError, match=message):
        detector.refine_many([frame], [np.zeros((1, 4), np.float32)])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_face_size": 11}, "min_face_size: expected at least 12 pixels, got 11"),
        ({"thresholds": (0.6, 0.7)}, "thresholds: expected three"),
        ({"thresholds": (0.6, 0.7, 1.0)}, "thresholds: expected three"),
        ({"factor": 1.0}, "factor: expected a value in"),
        ({"threads": 0}, "threads: expected at least 1, got 0"),
        ({"device": "cuda"}, "device: expected 'cpu', got 'cuda'"),
    ],
)
def test_wrong_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        MtcnnDetector(**parameters)


def test_refine_follows_a_face_that_moved(detector, astronaut):
    (face,) = detector.detect(astronaut)
    for dx, dy in itertools.product((-15, 0, 15), repeat=2):
        shifted = face.box + np.array([dx, dy, dx, dy], np.float32)
        ((found,),) = detector.refine_many([astronaut], [shifted[None]])
        assert np.abs(found.box - face.box).max() < 15
        assert np.abs(found.landmarks - face.landmarks).max() < 6


def test_refine_reports_lost_faces_in_their_place(detector, astronaut):
    (face,) = detector.detect(astronaut)
    boxes = np.array(
        [
            [400, 350, 500, 450],  # no face there
            face.box,
            [-300, -300, -200, -200],  # outside the frame
            [50, 50, 50, 50],  # no area
            [600, 600, 700, 700],
        ],
        np.float32,
    )
    (found,) = detector.refine_many([astronaut], [boxes])
    assert [item is not None for item in found] == [False, True, False, False, False]
    ((alone,),) = detector.refine_many([astronaut], [boxes[1:2]])
    # Only the part of the frame around the boxes is read; the result must not depend on it.
    np.testing.assert_allclose(found[1].box, alone.box, atol=0.2)
    assert detector.refine_many([astronaut], [np.empty((0, 4), np.float32)]) == [[]]


@pytest.mark.parametrize("boxes", [np.zeros(4), np.zeros((1, 5)), np.full((1, 4), np.nan)])
def test_refine_refuses_wrong_boxes(detector, astronaut, boxes):
    with pytest.raises(ValueError, match=r"boxes: expected finite values of shape \(N, 4\)"):
        detector.refine_many([astronaut], [boxes])


@pytest.mark.parametrize("size", [(480, 640), (1, 1)])
def test_warm_up(detector, size):
    detector.warm_up(*size)


def test_does_not_import_torch():
    program = (
        "import sys, numpy as np\n"
        "from emotion_perception.faces.mtcnn import MtcnnDetector\n"
        "MtcnnDetector().detect(np.zeros((100, 100, 3), np.uint8))\n"
        "heavy = {'torch', 'torchvision', 'facenet_pytorch', 'safetensors'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_damaged_model_is_refused(tmp_path):
    folder = tmp_path / "face-mtcnn"
    shutil.copytree(find_model("face-mtcnn"), folder)
    content = (folder / "rnet.onnx").read_bytes()
    (folder / "rnet.onnx").write_bytes(content[:-100])
    with pytest.raises(ModelError, match=r"rnet\.onnx: sha256 is .* restore the model folder"):
        MtcnnDetector(folder)


def test_model_that_onnx_runtime_cannot_read_is_refused(tmp_path):
    folder = tmp_path / "face-mtcnn"
    shutil.copytree(find_model("face-mtcnn"), folder)
    (folder / "pnet.onnx").write_bytes(b"not a network")
    card = json.loads((folder / "card.json").read_text())
    del card["files"]["pnet.onnx"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match=r"pnet\.onnx: not an ONNX network"):
        MtcnnDetector(folder)


def test_pyramid_stops_at_the_window_of_pnet():
    levels = pyramid(480, 640, 40, 0.709)
    assert (levels[0].scale, levels[0].height, levels[0].width) == (0.3, 145, 193)
    assert len(levels) == 8
    assert min(levels[-1].height, levels[-1].width) >= 12
    assert pyramid(39, 640, 40, 0.709) == []


def test_usual_pyramid_needs_no_suppression_across_images():
    assert not levels_may_overlap(pyramid(480, 640, 20, 0.709), 0.7)
    assert levels_may_overlap(pyramid(480, 640, 20, 0.9), 0.7)
    assert not levels_may_overlap(pyramid(480, 640, 400, 0.709), 0.7)


@pytest.mark.parametrize(("length", "bins"), [(7, 3), (3, 7), (12, 12), (100, 24), (1, 48)])
def test_bins_cover_all_pixels(length, bins):
    start, end = bin_edges(length, bins)
    assert (start[0], end[-1]) == (0, length)
    assert (end > start).all()
    assert (start[1:] <= end[:-1]).all()


def test_windows_of_pnet_are_rounded_down():
    boxes = window_boxes(np.array([0, 4]), np.array([0, 5]), 0.31)
    np.testing.assert_array_equal(boxes, [[3, 3, 38, 38], [35, 29, 70, 64]])


def test_crop_windows_are_clipped_to_the_frame():
    boxes = np.array(
        [[10.9, 20.9, 30.9, 40.9], [-5, -5, 700, 500], [-50, -50, -10, -10], [641, 5, 650, 9]],
        np.float32,
    )
    windows = crop_windows(boxes, 480, 640)
    np.testing.assert_array_equal(windows[:2], [[9, 19, 30, 40], [0, 0, 640, 480]])
    assert (windows[2:, 2] <= windows[2:, 0]).all()  # outside: empty
