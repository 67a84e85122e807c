# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from emotion_perception.faces.face import Face
from emotion_perception.reaction.reaction import (
    FaceReaction,
    Reaction,
    Reason,
    decide,
    largest_face,
)


def face(x1, y1, x2, y2):
    return Face(np.array([x1, y1, x2, y2], np.float32), 0.9, np.zeros((5, 2), np.float32))


@pytest.mark.parametrize(
    ("probabilities", "threshold", "expected"),
    [
        ((0.8, 0.1, 0.1), 0.5, (Reaction.NEGATIVE, Reason.NONE)),
        ((0.1, 0.8, 0.1), 0.5, (Reaction.NEUTRAL, Reason.NONE)),
        ((0.1, 0.1, 0.8), 0.5, (Reaction.POSITIVE, Reason.NONE)),
        ((0.4, 0.3, 0.3), 0.5, (Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)),
        ((0.4, 0.3, 0.3), 0.0, (Reaction.NEGATIVE, Reason.NONE)),  # no abstention asked for
        # A broken network must never look like an answer.
        ((np.nan, np.nan, np.nan), 0.0, (Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)),
    ],
)
def test_decide(probabilities, threshold, expected):
    assert decide(np.array(probabilities, np.float32), threshold) == expected


def test_valence_and_confidence():
    reaction = FaceReaction(
        face=face(0, 0, 10, 10),
        probabilities=np.array([0.2, 0.1, 0.7], np.float32),
        reaction=Reaction.POSITIVE,
        reason=Reason.NONE,
        stamp=1.0,
    )
    assert reaction.valence == pytest.approx(0.5)
    assert reaction.confidence == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [(Reaction.UNKNOWN, Reason.NONE), (Reaction.POSITIVE, Reason.LOW_QUALITY)],
)
def test_a_verdict_goes_with_its_reason(verdict, reason):
    with pytest.raises(ValueError, match="does not go with"):
        FaceReaction(
            face=face(0, 0, 1, 1),
            probabilities=np.ones(3, np.float32) / 3,
            reaction=verdict,
            reason=reason,
            stamp=0.0,
        )


def test_the_message_says_what_does_not_go_together():
    fields = {"face": face(0, 0, 1, 1), "reaction": Reaction.POSITIVE, "stamp": 0.0}
    p = np.ones(3, np.float32) / 3
    with pytest.raises(ValueError, match="reaction POSITIVE does not go with reason LOW_QUALITY"):
        FaceReaction(probabilities=p, reason=Reason.LOW_QUALITY, **fields)
    with pytest.raises(ValueError, match=r"probabilities: expected 3 values, got \(2,\)"):
        FaceReaction(probabilities=p[:2], reason=Reason.NONE, **fields)


def test_at_the_threshold_is_an_answer():
    half = np.array([0.25, 0.25, 0.5], np.float32)
    assert decide(half, 0.5) == (Reaction.POSITIVE, Reason.NONE)
    assert decide(half, 0.5001) == (Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([], None),
        ([face(0, 0, 10, 10), face(0, 0, 30, 30)], 1),
        # Only what lies inside the frame counts: the second is larger, but mostly cut off.
        ([face(0, 0, 30, 30), face(90, 0, 150, 60)], 0),
        ([face(0, 0, 30, 30), face(-50, -50, 20, 20)], 0),
        ([face(0, 0, 30, 30), face(0, 60, 60, 120)], 1),  # the frame is less high than wide
        ([face(0, 0, 30, 30), face(0, 90, 60, 150)], 0),
        # What is not inside at all has no area, however far outside it is.
        ([face(50, 50, 56, 56), face(-90, -90, -20, -20)], 0),
        ([face(50, 50, 56, 56), face(120, 120, 190, 190)], 0),
        ([face(50, 50, 56, 56), face(-90, 0, 0, 90)], 0),
        ([face(50, 50, 59.5, 59.5), face(0, 0, 10, 10)], 1),
    ],
)
def test_largest_face(faces, expected):
    assert largest_face(faces, 100, 100) == expected


def test_the_largest_face_of_a_frame_that_is_not_square():
    low, right = face(0, 60, 50, 110), face(120, 0, 160, 40)
    assert largest_face([low, right], 200, 80) == 1
    assert largest_face([low, right], 130, 120) == 0
