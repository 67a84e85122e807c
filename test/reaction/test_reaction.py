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


@pytest.mark.parametrize(
    ("faces", "expected"),
    [
        ([], None),
        ([face(0, 0, 10, 10), face(0, 0, 30, 30)], 1),
        # Only what lies inside the frame counts: the second is larger, but mostly cut off.
        ([face(0, 0, 30, 30), face(90, 0, 150, 60)], 0),
    ],
)
def test_largest_face(faces, expected):
    assert largest_face(faces, 100, 100) == expected
