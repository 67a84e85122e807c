# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which face of which frame is worth keeping.

The sharpness of a crop is the variance of its Laplacian, taken on the network's input: grey,
48x48, standardised. At that size what is blurred for the network counts as blurred, whatever the
camera's resolution; standardised, a dim room is not taken for blur. Two crops are near-duplicates
when their standardised inputs differ by little on average, whenever they were taken: a frame that
was recorded twice teaches nothing, and would end up in training and test at once.

The defaults were chosen on seven clips (faces of 18 to 160 pixels): crops had a sharpness of 0.08
to 0.7, and 0.01 to 0.06 after a blur that spans two pixels of the input (0.03 to 0.15 for one).
Neighbouring frames differed by 0.05 to 0.2; at 0.15, a fifth to two fifths of a clip's frames are
left, and all stages of a smile among them. Noise alone makes a difference of up to 0.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.image.preprocess import standardise
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.capture_crop import cut_crop, encode_crop
from emotion_perception.training.faces import DataError

FACE_CHOICES = ("largest", "centre")


class Verdict(str, Enum):
    """What became of a frame; the values are what people read."""

    KEPT = "kept"
    NO_FACE = "no face"
    UNCERTAIN = "uncertain face"
    SMALL = "too small"
    DARK = "too dark"
    BLURRED = "blurred"
    DUPLICATE = "nearly the same as another"


@dataclass(frozen=True, kw_only=True)
class SelectionOptions:
    """What a face must be like.

    Attributes:
        face: which one is taken when several are in view: largest or centre.
        min_face: shorter side of its box, pixels.
        min_score: the detector's confidence.
        min_brightness: mean grey level of the crop, 0 to 255.
        min_sharpness: variance of the Laplacian, as described above.
        min_difference: mean absolute difference from every crop kept, as described above.
    """

    face: str = "largest"
    min_face: int = 48
    min_score: float = 0.9
    min_brightness: float = 30.0
    min_sharpness: float = 0.05
    min_difference: float = 0.15

    def __post_init__(self) -> None:
        if self.face not in FACE_CHOICES:
            raise DataError(f"face: expected {' or '.join(FACE_CHOICES)}, got {self.face!r}")
        if self.min_face < 20:
            raise DataError(f"min_face: expected at least 20 pixels, got {self.min_face}")
        for name in ("min_score", "min_brightness", "min_sharpness", "min_difference"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise DataError(f"{name}: expected 0 or more, got {value}")


@dataclass(frozen=True)
class Quality:
    """Figures of one crop; see SelectionOptions for their meaning."""

    face_px: float
    score: float
    brightness: float
    sharpness: float


@dataclass(frozen=True, eq=False)
class Crop:
    """A face that was kept.

    Attributes:
        jpeg: the stored image, as encode_crop makes it.
        quality: its figures.
    """

    jpeg: bytes
    quality: Quality


class FaceSelector:
    """Finds the person's face in a frame by the robot's own pipeline and judges its quality.

    Args:
        pipeline: finds faces and knows the framing.
        options: what a face must be like.

    Attributes:
        face: the face that was chosen in the last frame, or None.
        several: how many frames showed more than one face.
    """

    def __init__(self, pipeline: ReactionPipeline, options: SelectionOptions) -> None:
        self._pipeline = pipeline
        self._options = options
        self._preprocessing = pipeline.checkpoint.preprocessing
        size = self._preprocessing.size
        self._known = np.empty((64, size * size), np.float32)
        self._count = 0
        self.face: Face | None = None
        self.several = 0

    @property
    def remembered(self) -> int:
        """How many crops new ones are compared with."""
        return self._count

    def remember(self, crops: Sequence[NDArray[np.uint8]]) -> None:
        """Compare what comes with stored crops too, each uint8 BGR (S, S, 3) or grey."""
        for crop in crops:
            self._add(self._standardised(self._preprocessing.resize(crop)))

    def forget_after(self, count: int) -> None:
        """Compare no longer with what was kept when ``remembered`` was beyond ``count``."""
        self._count = min(self._count, count)

    def select(self, frame_bgr: NDArray[np.uint8]) -> tuple[Crop | None, Verdict]:
        """Return the crop of a uint8 BGR frame (H, W, 3) if it is worth keeping, and a verdict."""
        options = self._options
        faces = [reaction.face for reaction in self._pipeline.run(frame_bgr)]
        self.several += len(faces) > 1
        self.face = _chosen(faces, frame_bgr, options.face)
        if self.face is None:
            return None, Verdict.NO_FACE
        grey = self._preprocessing.align(frame_bgr, self.face.landmarks)
        standardised = self._standardised(grey)
        x1, y1, x2, y2 = (float(value) for value in self.face.box)
        quality = Quality(
            face_px=round(min(x2 - x1, y2 - y1), 1),
            score=round(self.face.score, 4),
            brightness=round(float(grey.mean()), 1),
            sharpness=round(float(cv2.Laplacian(standardised, cv2.CV_32F).var()), 4),
        )
        if quality.score < options.min_score:
            return None, Verdict.UNCERTAIN
        if quality.face_px < options.min_face:
            return None, Verdict.SMALL
        if quality.brightness < options.min_brightness:
            return None, Verdict.DARK
        if quality.sharpness < options.min_sharpness:
            return None, Verdict.BLURRED
        if self._is_known(standardised):
            return None, Verdict.DUPLICATE
        crop = cut_crop(frame_bgr, self.face.landmarks, self._preprocessing)
        jpeg = encode_crop(crop, self._preprocessing)
        # As it was stored: a later run, which reads it from disk, must decide alike.
        stored = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        self.remember([np.asarray(stored, np.uint8)])
        return Crop(jpeg, quality), Verdict.KEPT

    def _standardised(self, grey: NDArray[np.uint8]) -> NDArray[np.float32]:
        stack = grey[None].astype(np.float32)
        return np.asarray(standardise(stack, self._preprocessing.min_std)[0], np.float32)

    def _is_known(self, standardised: NDArray[np.float32]) -> bool:
        if not self._count or not self._options.min_difference:
            return False
        difference = np.abs(self._known[: self._count] - standardised.reshape(-1)).mean(axis=1)
        return bool(difference.min() < self._options.min_difference)

    def _add(self, standardised: NDArray[np.float32]) -> None:
        if self._count == len(self._known):
            self._known = np.concatenate([self._known, np.empty_like(self._known)])
        self._known[self._count] = standardised.reshape(-1)
        self._count += 1


def _chosen(faces: Sequence[Face], frame: NDArray[np.uint8], choice: str) -> Face | None:
    if not faces or choice == "largest":
        return faces[0] if faces else None  # the pipeline puts the largest first
    middle = np.array([frame.shape[1], frame.shape[0]]) / 2
    return min(
        faces, key=lambda face: float(np.hypot(*((face.box[:2] + face.box[2:]) / 2 - middle)))
    )
