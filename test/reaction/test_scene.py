# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The scene behind the pipeline, on frames with real faces."""

import numpy as np
import pytest

from emotion_perception.faces.face import Face
from emotion_perception.faces.stillness import StillnessOptions
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.reaction.partner import PartnerOptions
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.reaction.scene import Enrolled, Scene, SceneOptions


@pytest.fixture
def pipeline():
    return ReactionPipeline(threads=1)


@pytest.fixture(scope="module")
def frame():
    pytest.importorskip("matplotlib")
    start, end = DEMO_SPANS[0][:2]
    return list(demo_frames(5.0))[int((start + end) / 2 * 5)]


def test_a_film_has_ids_and_an_image_has_none(pipeline, frame):
    assert pipeline.run(frame)[0].face_id == ""
    assert [pipeline.run(frame, t / 10)[0].face_id for t in range(3)] == ["f1"] * 3
    pipeline.reset()
    assert pipeline.run(frame, 0.5)[0].face_id == "f2"


def test_each_camera_has_a_scene_of_its_own_and_no_id_twice(pipeline, frame):
    mirrored = np.ascontiguousarray(frame[:, ::-1])
    for t in range(4):
        left = pipeline.run(frame, 10 + t / 10, "left")[0].face_id
        # Another clock: frames that alternate must not start the other's scene anew.
        right = pipeline.run(mirrored, 5 + t / 10, "right")[0].face_id
        assert (left, right) == ("f1", "f2")
    for number in range(20):  # not more scenes than cameras a robot has
        pipeline.run(frame, 0.0, f"camera {number}")
    assert len(pipeline._scenes) <= 8


def test_a_late_frame_is_no_jump_and_a_bag_that_starts_over_is_one(pipeline, frame):
    assert pipeline.run(frame, 10.0)[0].face_id == "f1"
    late = pipeline.run(frame, 9.9)[0]
    assert (late.face_id, late.stamp) == ("f1", 9.9)
    assert pipeline.run(frame, 3.0)[0].face_id == "f2"


def test_low_quality_is_told_and_not_judged(pipeline, frame):
    black = (frame * 0.03).astype(np.uint8)
    face = pipeline.run(frame)[0].face
    pipeline.detector = type("Found", (), {"detect": staticmethod(lambda _: [face])})()
    found = pipeline.run(black, 0.0)[0]
    assert (found.reaction, found.reason) == (Reaction.UNKNOWN, Reason.LOW_QUALITY)
    assert found.problem == "dark"
    assert found.frame_probabilities is None
    assert not found.probabilities.any()
    assert found.is_partner


def test_a_photograph_is_not_judged_after_a_while(pipeline, frame):
    pipeline.configure(SceneOptions(stillness=StillnessOptions(after=1.0)))
    stamps = np.arange(0, 3, 0.25)
    problems = [pipeline.run(frame, float(t))[0].problem for t in stamps]
    assert problems == ["picture" if t > 1.0 else "" for t in stamps]
    pipeline.configure(SceneOptions(stillness=None))
    assert pipeline.run(frame, 3.0)[0].problem == ""


def test_other_options_keep_who_is_there(pipeline, frame):
    assert pipeline.run(frame, 0.0)[0].is_partner
    named = PartnerOptions(strategy="face_id", face_id="f7")
    pipeline.configure(SceneOptions(partner=named))
    found = pipeline.run(frame, 0.1)[0]
    assert (found.face_id, found.is_partner) == ("f1", False)


def test_the_patient_is_found_by_likeness_and_looked_at_now_and_then(pipeline, frame):
    pipeline.configure(SceneOptions(partner=PartnerOptions(strategy="enrolled")))
    asked = []

    def recognise(crop):
        asked.append(crop.shape)
        return 0.8

    assert not pipeline.run(frame, 0.0)[0].is_partner  # nobody is enrolled
    pipeline.enrolled = Enrolled(recognise=recognise, threshold=0.5)
    for t in range(1, 30):
        assert pipeline.run(frame, t / 10)[0].is_partner
    assert 4 <= len(asked) <= 7
    pipeline.enrolled = Enrolled(recognise=lambda _: 0.1, threshold=0.5)
    for t in range(30, 130, 11):
        stranger = pipeline.run(frame, t / 10)[0]
    assert not stranger.is_partner


def test_the_model_may_change_between_frames(pipeline, frame):
    before = pipeline.run(frame, 0.0)[0]
    pipeline.model = pipeline.load(pipeline.checkpoint.directory)
    after = pipeline.run(frame, 0.1)[0]
    assert after.face_id == before.face_id
    known = {pipeline.model.key: pipeline.model}
    assert pipeline.load(pipeline.checkpoint.directory, known) is pipeline.model


def test_images_that_all_have_one_stamp_are_judged_each_by_itself(pipeline, frame):
    start, end = DEMO_SPANS[2][:2]
    other = list(demo_frames(5.0))[int((start + end) / 2 * 5)]
    alone = [pipeline.run(image)[0].probabilities for image in (frame, other, frame)]
    together = [pipeline.run(image, 7.0)[0].probabilities for image in (frame, other, frame)]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_somebody_else_in_the_same_place_has_another_id(pipeline):
    ids = {}
    for index, image in enumerate(demo_frames(15.0)):
        for found in pipeline.run(image, index / 15):
            ids.setdefault(found.face_id, []).append(index / 15)
    # A smiling woman, nobody for three seconds, and another woman.
    assert list(ids) == ["f1", "f2"]
    assert max(ids["f1"]) < 6 < min(ids["f2"])


def test_in_a_crowd_the_partner_is_judged_in_every_frame_and_the_others_take_turns():
    scene, rng = Scene(SceneOptions(stillness=None)), np.random.default_rng(0)
    frame = np.full((480, 640, 3), 128, np.uint8)
    crop = rng.integers(0, 255, (48, 48)).astype(np.uint8)
    faces = [crowd_face(60 * n, 100, 100 if n == 4 else 50) for n in range(10)]
    judged = {}
    for index in range(60):
        stamp = index / 30
        sight = scene.look(frame, faces, [crop] * 10, stamp)
        if index == 0:
            assert all(sight.judged)
        else:
            assert sum(sight.judged) <= 4
        answers = np.tile(np.float32([0.1, 0.1, 0.8]), (len(sight.crops), 1))
        for reaction, now in zip(scene.tell(sight, answers, 0.5), sight.judged, strict=True):
            assert reaction.reaction == Reaction.POSITIVE  # what was known is told meanwhile
            assert (reaction.frame_probabilities is not None) == now
            if now:
                judged.setdefault(reaction.face_id, []).append(stamp)
            if reaction.is_partner:
                assert now
    gaps = [max(np.diff(stamps)) for stamps in judged.values()]
    assert len(gaps) == 10
    assert max(gaps) < 0.14


def test_three_are_judged_in_every_frame():
    scene = Scene(SceneOptions(stillness=None))
    crop = np.random.default_rng(0).integers(0, 255, (48, 48)).astype(np.uint8)
    faces = [crowd_face(100 * n, 100, 60) for n in range(3)]
    for index in range(5):
        sight = scene.look(np.zeros((480, 640, 3), np.uint8), faces, [crop] * 3, index / 30)
        assert all(sight.judged)


def crowd_face(x, y, side):
    points = np.float32([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    box = np.float32([x, y, x + side, y + side])
    return Face(box, 0.99, points * side + box[:2])


def test_a_crowd_in_images_of_one_stamp_is_judged_whole():
    scene = Scene(SceneOptions(stillness=None))
    crop = np.random.default_rng(0).integers(0, 255, (48, 48)).astype(np.uint8)
    faces = [crowd_face(60 * n, 100, 50) for n in range(10)]
    for _ in range(3):
        sight = scene.look(np.zeros((480, 640, 3), np.uint8), faces, [crop] * 10, 5.0)
        assert all(sight.judged)
