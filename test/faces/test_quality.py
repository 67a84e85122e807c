# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest

from emotion_perception.faces.face import Face
from emotion_perception.faces.quality import QualityLimits, measure, turn_of
from emotion_perception.faces.stillness import Stillness
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.pipeline import ReactionPipeline


@pytest.fixture(scope="module")
def seen():
    """A real face: where it is, and its aligned crop."""
    pytest.importorskip("matplotlib")
    start, end = DEMO_SPANS[0][:2]
    frame = list(demo_frames(5.0))[int((start + end) / 2 * 5)]
    pipeline = ReactionPipeline(threads=1)
    face = pipeline.run(frame)[0].face
    return face, pipeline.model.preprocessing.align(frame, face.landmarks)


def smaller(face, scale):
    return Face(face.box * scale, face.score, face.landmarks * scale)


def test_a_good_face_has_no_problem(seen):
    face, crop = seen
    quality = measure(face, crop)
    assert quality.problem(QualityLimits()) == ""
    assert abs(quality.turn) < 25


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda face, crop: (smaller(face, 0.1), crop), "small"),
        (lambda face, crop: (face, (crop * 0.02).astype(np.uint8)), "dark"),
        (lambda face, crop: (face, cv2.GaussianBlur(crop, (0, 0), 9)), "blurred"),
        (lambda face, crop: (face, np.full_like(crop, 120)), "blurred"),
    ],
)
def test_what_cannot_be_judged_says_why(seen, change, problem):
    assert measure(*change(*seen)).problem(QualityLimits()) == problem


def test_ordinary_evening_light_and_motion_are_still_judged(seen):
    face, crop = seen
    rng = np.random.default_rng(0)
    dim = np.clip(crop * 0.18 + rng.normal(0, 7, crop.shape), 0, 255).astype(np.uint8)
    moved = cv2.blur(crop, (7, 1))
    for view in (dim, moved):
        assert measure(face, view).problem(QualityLimits()) == ""


@pytest.mark.parametrize("degrees", [-60, -30, 0, 30, 60])
def test_turn_of_a_head_seen_by_a_camera(degrees):
    # Eyes, nose and mouth of a head of usual proportions, in eye distances, x y z.
    head = np.array([[-0.5, 0, 0], [0.5, 0, 0], [0, 0.55, -0.6], [-0.4, 1, 0], [0.4, 1, 0]])
    angle = np.deg2rad(degrees)
    x = head[:, 0] * np.cos(angle) - head[:, 2] * np.sin(angle)
    points = np.column_stack([x, head[:, 1]]).astype(np.float32) * 60 + 200
    assert turn_of(points) == pytest.approx(degrees, abs=8)


def test_unknown_landmarks_are_no_reason(seen):
    assert np.isnan(turn_of(np.full((5, 2), np.nan, np.float32)))


def test_a_photograph_is_a_picture_after_half_a_minute_and_a_person_is_not(seen):
    _, crop = seen
    rng = np.random.default_rng(0)

    def noisy(image):
        return np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)

    photograph, person = Stillness(), Stillness()
    turned = cv2.warpAffine(crop, np.float32([[1, 0, 5], [0, 1, 2]]), crop.shape[::-1],
                            borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    for step in range(400):
        stamp = step / 10
        still = photograph.update(noisy(crop), stamp)
        # Every ten seconds the head moves for a moment.
        alive = person.update(noisy(turned if step % 100 < 5 else crop), stamp)
        assert still == (stamp > 30)
        assert not alive
