# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whether a face can be judged at all: large, sharp, light and frontal enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face

_SIDE: Final = 48
_BRIGHT: Final = round(0.95 * (_SIDE * _SIDE - 1))


@dataclass(frozen=True, kw_only=True)
class QualityLimits:
    """Beyond these a face is not judged.

    Attributes:
        min_size: side of the face, pixels: the square root of its box's area.
        min_sharpness: see FaceQuality.
        min_light: see FaceQuality.
        max_turn: see FaceQuality, degrees.
    """

    min_size: float = 24.0
    min_sharpness: float = 0.02
    min_light: float = 8.0
    max_turn: float = 50.0


@dataclass(frozen=True, kw_only=True)
class FaceQuality:
    """How well one face is seen.

    Attributes:
        size: square root of the box's area, pixels.
        sharpness: standard deviation of the Laplacian of the crop, brought to 48 pixels, over its
            contrast; 0 is a flat crop, a portrait has 0.3 and more.
        light: 95th percentile of the grey levels, 0 to 255: what is brightest in a dark crop.
        turn: how far the face is turned to the side, degrees; NaN if the landmarks do not tell.
    """

    size: float
    sharpness: float
    light: float
    turn: float

    def problem(self, limits: QualityLimits) -> str:
        """Return why the face cannot be judged: small, dark, blurred, turned; empty if it can."""
        if not self.size >= limits.min_size:
            return "small"
        if not self.light >= limits.min_light:
            return "dark"
        if not self.sharpness >= limits.min_sharpness:
            return "blurred"
        # Unknown is no reason: a detector without landmarks has frontal faces.
        if abs(self.turn) > limits.max_turn:
            return "turned"
        return ""


def measure(face: Face, crop: NDArray[np.uint8]) -> FaceQuality:
    """Measure one face.

    Args:
        face: where it is in the frame.
        crop: uint8 grey aligned crop (S, S).
    """
    x1, y1, x2, y2 = (float(value) for value in face.box)
    small: NDArray[Any] = crop
    if crop.shape[0] != _SIDE:
        small = cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    contrast = float(cv2.meanStdDev(small)[1][0, 0])
    detail = float(cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_32F))[1][0, 0])
    return FaceQuality(
        size=math.sqrt(max(x2 - x1, 0.0) * max(y2 - y1, 0.0)),
        sharpness=detail / contrast / 4 if contrast > 1 else 0.0,
        light=float(np.partition(small.reshape(-1), _BRIGHT)[_BRIGHT]),
        turn=turn_of(face.landmarks),
    )


def turn_of(landmarks: NDArray[np.float32]) -> float:
    """Return how far a face is turned to the side, degrees, positive towards the image's right.

    The nose leaves the middle between the eyes, along the line of the eyes, by about the sine of
    the turn times 0.6 of the frontal distance of the eyes; that distance shrinks by its cosine.

    Args:
        landmarks: float (5, 2) as Face has them.
    """
    left, right, nose, mouth_left, mouth_right = landmarks.astype(np.float64)
    across = right - left
    width = float(np.hypot(*across))
    if not (np.isfinite(landmarks).all() and width > 1):
        return math.nan
    axis = across / width
    middle = ((left + right) / 2 + (mouth_left + mouth_right) / 2) / 2
    offset = float((nose - middle) @ axis)
    return math.degrees(math.atan2(offset, 0.6 * width))
