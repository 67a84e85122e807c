# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the pipeline says of each face, and how probabilities become it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.faces.quality import FaceQuality
from emotion_perception.valence.labels import CLASSES, NEGATIVE, POSITIVE


class Reaction(IntEnum):
    """The verdict; the values are those of UserReaction.msg."""

    UNKNOWN = 0
    NEGATIVE = 1
    NEUTRAL = 2
    POSITIVE = 3


class Reason(IntEnum):
    """Why the verdict is UNKNOWN; the values are those of UserReaction.msg."""

    NONE = 0
    NO_FACE = 1
    LOW_CONFIDENCE = 2
    LOW_QUALITY = 3
    NOT_LOOKED = 4


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceReaction:
    """One face of one frame and how it reacts.

    Attributes:
        face: where it is.
        probabilities: float32 (3,), calibrated and smoothed: negative, neutral, positive; sums to
            1, or all zero for a face that was not judged.
        reaction: the verdict.
        reason: why the verdict is UNKNOWN, else NONE.
        stamp: time of the frame, seconds.
        face_id: name of the track; empty where a single image was judged.
        is_partner: whether this is the person that the robot interacts with.
        frame_probabilities: float32 (3,), of this frame alone; None if the face was not judged:
            for its `problem`, or because in a crowd only the partner is judged in every frame.
        problem: why the face could not be judged in this frame: ``small``, ``dark``, ``blurred``,
            ``turned`` or ``picture``; empty if it was.
        quality: of the face in this frame; None where it was not measured.
        also: what further models say of this frame alone, each float32 (3,), in their order; empty
            if there are none or the face was not judged.
        emotions: probabilities of discrete emotions in this frame alone; empty if the model tells
            valence only or the face was not judged.
        also_emotions: those of further models, in their order.
    """

    face: Face
    probabilities: NDArray[np.float32]
    reaction: Reaction
    reason: Reason
    stamp: float
    face_id: str = ""
    is_partner: bool = False
    frame_probabilities: NDArray[np.float32] | None = None
    problem: str = ""
    quality: FaceQuality | None = None
    also: tuple[NDArray[np.float32], ...] = ()
    emotions: Mapping[str, float] = field(default_factory=dict)
    also_emotions: tuple[Mapping[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(CLASSES),):
            raise ValueError(
                f"FaceReaction.probabilities: expected 3 values, got {self.probabilities.shape}"
            )
        if (self.reaction == Reaction.UNKNOWN) == (self.reason == Reason.NONE):
            raise ValueError(
                f"FaceReaction: reaction {self.reaction.name} does not go with reason "
                f"{self.reason.name}"
            )

    @property
    def confidence(self) -> float:
        """Probability of the likeliest class."""
        return float(self.probabilities.max())

    @property
    def valence(self) -> float:
        """Probability of positive less probability of negative, in [-1, 1]."""
        return float(self.probabilities[POSITIVE] - self.probabilities[NEGATIVE])


def decide(probabilities: NDArray[np.float32], threshold: float) -> tuple[Reaction, Reason]:
    """Turn calibrated probabilities (3,) into a verdict.

    Args:
        probabilities: negative, neutral, positive.
        threshold: the least probability of the likeliest class that counts as an answer.
    """
    best = int(probabilities.argmax())
    # Not `<`: a comparison with NaN must end in "I don't know".
    if not probabilities[best] >= threshold:
        return Reaction.UNKNOWN, Reason.LOW_CONFIDENCE
    return Reaction(best + 1), Reason.NONE


def largest_face(faces: Sequence[Face], width: int, height: int) -> int | None:
    """Return the index of the face with the largest area inside a frame, or None."""
    if not faces:
        return None
    boxes = np.stack([face.box for face in faces])
    sides = np.clip(boxes[:, 2:], 0, [width, height]) - np.clip(boxes[:, :2], 0, [width, height])
    return int(sides.prod(axis=1).argmax())
