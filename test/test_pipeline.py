# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

import cv2
import numpy as np
import pytest

from emotion_perception.faces.model_files import ModelError
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.reaction.reaction import Reaction, Reason


@pytest.fixture(scope="module")
def pipeline():
    return ReactionPipeline()


@pytest.fixture(scope="module")
def demo():
    """One frame in five of the generated clip, with its time."""
    pytest.importorskip("matplotlib")
    fps = 15.0
    return [(i / fps, frame) for i, frame in enumerate(demo_frames(fps)) if i % 5 == 0]


def test_smiling_astronaut_is_positive_and_an_empty_scene_has_nobody(pipeline, demo):
    spans = [("first", *DEMO_SPANS[0][:2]), ("empty", *DEMO_SPANS[1][:2])]
    for name, start, end in spans:
        frames = [frame for time, frame in demo if start <= time < end]
        assert len(frames) >= 4
        for frame in frames:
            reactions = pipeline.run(frame, 1.5)
            if name == "empty":
                assert reactions == []
            else:
                assert [r.reaction for r in reactions] == [Reaction.POSITIVE]
                assert reactions[0].is_partner
                assert reactions[0].stamp == 1.5


def test_probabilities_are_a_distribution(pipeline, demo):
    reactions = pipeline.run(demo[3][1])
    assert reactions[0].probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert -1 <= reactions[0].valence <= 1


def test_a_frame_is_left_as_it_was(pipeline, demo):
    frame = demo[3][1].copy()
    before = frame.copy()
    frame.flags.writeable = False
    drawn = pipeline.draw(frame, pipeline.run(frame))
    assert (frame == before).all()
    assert (drawn != before).any()


def test_a_view_with_padded_rows_gives_the_same(pipeline, demo):
    frame = demo[3][1]
    wide = np.zeros((frame.shape[0], frame.shape[1] + 13, 3), np.uint8)
    wide[:, : frame.shape[1]] = frame
    view = wide[:, : frame.shape[1]]
    a, b = pipeline.run(frame)[0], pipeline.run(view)[0]
    np.testing.assert_array_equal(a.probabilities, b.probabilities)


def test_mirrored_and_rolled_faces_keep_their_reaction(pipeline, demo):
    frame = demo[6][1]
    height, width = frame.shape[:2]
    face = pipeline.run(frame)[0].face
    centre = tuple(float(v) for v in face.landmarks.mean(axis=0))
    for degrees in (-20, 20):
        turn = cv2.getRotationMatrix2D(centre, degrees, 1.0)
        rolled = cv2.warpAffine(frame, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        assert pipeline.run(rolled)[0].reaction == Reaction.POSITIVE
    assert pipeline.run(np.ascontiguousarray(frame[:, ::-1]))[0].reaction == Reaction.POSITIVE


def test_two_people_one_partner(pipeline, demo):
    frame = demo[6][1]
    small = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    both = np.full((frame.shape[0], frame.shape[1] + small.shape[1], 3), 90, np.uint8)
    both[: small.shape[0], : small.shape[1]] = small
    both[:, small.shape[1] :] = frame
    reactions = pipeline.run(both)
    assert len(reactions) == 2
    assert [r.is_partner for r in reactions] == [True, False]
    # The nearer person is the partner.
    assert reactions[0].face.box[0] > small.shape[1]


def test_classify_takes_grey_and_colour_crops_of_any_size(pipeline, demo):
    crop = demo[6][1][100:260, 200:360]
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    p = pipeline.classify([crop, grey, cv2.resize(crop, (48, 48))])
    assert p.shape == (3, 3)
    np.testing.assert_allclose(p[0], p[1], atol=1e-5)
    assert pipeline.classify([]).shape == (0, 3)


def test_batches_do_not_change_the_answer(pipeline, demo):
    crops = [frame[100:260, 200:360] for _, frame in demo[:7]]
    together = pipeline.classify(crops)
    alone = np.concatenate([pipeline.classify([crop]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_run_on_face(pipeline, demo):
    reaction = pipeline.run_on_face(demo[6][1][100:260, 200:360])
    assert reaction.is_partner
    assert reaction.face.box[2] == 160


def test_confidence_threshold_makes_it_say_i_do_not_know(demo):
    careful = ReactionPipeline(confidence_threshold=0.999999)
    reaction = careful.run(demo[6][1])[0]
    assert (reaction.reaction, reaction.reason) == (Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((480, 640), np.uint8),  # grey
        np.zeros((480, 640, 3), np.float32),  # not pixels
        np.zeros((0, 640, 3), np.uint8),  # empty
    ],
)
def test_what_is_no_frame_is_refused(pipeline, frame):
    with pytest.raises(ValueError, match="frame"):
        pipeline.run(frame)


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 4000, 3), (13, 13, 3)])
def test_odd_frames_have_nobody(pipeline, shape):
    assert pipeline.run(np.zeros(shape, np.uint8)) == []


def test_missing_model(tmp_path):
    with pytest.raises(ModelError, match=r"card\.json"):
        ReactionPipeline(tmp_path)


def test_device():
    with pytest.raises(ValueError, match="expected auto, cpu, cuda"):
        ReactionPipeline(device="gpu")
    pipeline = ReactionPipeline(device="cuda:97")
    assert pipeline.device == "cpu"
    assert "cuda:97 is not usable" in pipeline.device_warning


def test_cpu_path_does_not_import_torch():
    code = (
        "import sys; from emotion_perception.pipeline import ReactionPipeline;"
        "ReactionPipeline(device='auto').warm_up();"
        "import emotion_perception.cli;"
        "print([m for m in ('torch', 'rclpy', 'matplotlib', 'pandas') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


def test_shipped_weights_are_what_their_card_says(pipeline):
    checkpoint = pipeline.checkpoint
    assert checkpoint.name == "valence-base"
    assert checkpoint.figures["fer_plus_test"]["accuracy"] >= 0.87
    assert checkpoint.training["images"] > 20000


def test_frames_together_are_judged_as_one_after_another():
    pytest.importorskip("matplotlib")

    frames = list(demo_frames(10.0))[20:110:2]
    shots = [
        Shot(frame[:, ::-1] if camera else frame, index / 5, f"camera {camera}")
        for index, frame in enumerate(frames)
        for camera in range(2)
    ]
    alone, together = ReactionPipeline(), ReactionPipeline()
    expected = [alone.run(shot.frame_bgr, shot.stamp, shot.camera) for shot in shots]
    found = [
        answer
        for at in range(0, len(shots), 32)
        for answer in together.run_many(shots[at : at + 32])
    ]
    assert sum(len(reactions) for reactions in expected) > 20
    assert together.run_many([]) == []
    for one, other in zip(expected, found, strict=True):
        assert [r.reaction for r in one] == [r.reaction for r in other]
        assert [r.is_partner for r in one] == [r.is_partner for r in other]
        assert [r.stamp for r in one] == [r.stamp for r in other]
        for r, s in zip(one, other, strict=True):
            np.testing.assert_allclose(r.probabilities, s.probabilities, atol=1e-3)
            np.testing.assert_allclose(r.face.box, s.face.box, atol=0.05)
    ids = [{r.face_id for r in answer} for answer in found]
    assert set.union(*ids[::2]).isdisjoint(set.union(*ids[1::2]))  # no id in two cameras


def test_images_together_are_images_of_their_own():
    pytest.importorskip("matplotlib")

    frames = list(demo_frames(5.0))[10:60:12]
    pipeline = ReactionPipeline()
    for one, other in zip(
        [pipeline.run(frame) for frame in frames],
        pipeline.run_many([Shot(frame) for frame in frames]),
        strict=True,
    ):
        assert [r.reaction for r in one] == [r.reaction for r in other]
        assert all(r.face_id == "" for r in other)


def test_the_gpu_path_says_the_same():
    """On a CPU here: what differs on a GPU is rounding."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("torch")
    from emotion_perception.faces.mtcnn_torch import TorchMtcnnDetector

    frames = list(demo_frames(10.0))[20:110:3]
    shots = [
        Shot(frame[:, ::-1] if camera else frame, index * 0.3, f"camera {camera}")
        for index, frame in enumerate(frames)
        for camera in range(2)
    ]
    plain = ReactionPipeline()
    in_torch = ReactionPipeline(detector=TorchMtcnnDetector(device="cpu"))
    in_torch.warm_up()
    faces = 0
    for at in range(0, len(shots), 2):
        expected, found = (p.run_many(shots[at : at + 2]) for p in (plain, in_torch))
        for one, other in zip(expected, found, strict=True):
            assert [r.reaction for r in one] == [r.reaction for r in other]
            for r, s in zip(one, other, strict=True):
                faces += 1
                np.testing.assert_allclose(r.face.box, s.face.box, atol=0.5)
                np.testing.assert_allclose(r.probabilities, s.probabilities, atol=0.02)
    assert faces > 20


def test_images_are_searched_box_for_box_as_the_detector_does():
    pytest.importorskip("matplotlib")
    pipeline = ReactionPipeline()
    for frame in list(demo_frames(2.0))[1::4]:
        found = [tuple(r.face.box) for r in pipeline.run(frame)]
        assert found == [tuple(face.box) for face in pipeline.detector.detect(frame)]


def test_as_many_cameras_as_a_ward_has_keep_their_ids():
    pytest.importorskip("matplotlib")
    frame = list(demo_frames(2.0))[2]
    pipeline = ReactionPipeline(cameras=32)
    with pytest.raises(ValueError, match="cameras: 33 at once, but only 32 are kept"):
        pipeline.run_many([Shot(frame, 0.0, f"{n}") for n in range(33)])
    ids = [
        [r[0].face_id for r in pipeline.run_many([Shot(frame, t, f"{n}") for n in range(32)])]
        for t in (0.0, 0.03, 0.06)
    ]
    assert ids[0] == ids[1] == ids[2]
    assert len(set(ids[0])) == 32


def test_a_wrong_frame_is_refused_before_any_camera_moves_on(pipeline):
    blank = np.zeros((480, 640, 3), np.uint8)
    for _ in range(2):
        pipeline.run(blank, 0.0, "a")
        with pytest.raises(ValueError, match="frame: expected dtype uint8, got float32"):
            pipeline.run_many([Shot(blank, 0.1, "a"), Shot(blank.astype(np.float32), 0.1, "a")])
