# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Finding the one face that an image of a data set is about, by the robot's own detector."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import FaceDetector
from emotion_perception.image.still import read_still
from emotion_perception.pipeline import make_mtcnn
from emotion_perception.reaction.reaction import largest_face

MIN_SIDE = 12
"""An image with a shorter side than this, in pixels, shows no expression."""

TIGHT_SIDE = 256
"""Images up to this longer side, in pixels, are first taken for crops of a face."""


@dataclass(frozen=True)
class _Look:
    """One attempt at finding a face.

    Attributes:
        side: the image's longer side is brought to this many pixels.
        padding: share of that side that is added all around, repeating the border.
        thresholds: of MTCNN's three networks.
        min_face: least side of a face, pixels.
        enlarge: whether a smaller image is enlarged to ``side``.
    """

    side: int
    padding: float
    thresholds: tuple[float, float, float]
    min_face: int
    enlarge: bool = True


# On 150 images each of RAF-DB and IMFDB the first look found 138 and 139 faces, the second at
# lower thresholds 147 and 141; a tight crop cannot hold many things that are not faces.
_TIGHT_LOOKS = (
    _Look(100, 0.25, (0.6, 0.7, 0.7), 40),
    _Look(128, 0.25, (0.4, 0.4, 0.4), 48),
)
_WIDE_LOOK = _Look(640, 0.0, (0.6, 0.7, 0.7), 40, enlarge=False)
# A small picture that is not all face: enlarged, or its faces would be too small for MTCNN.
_SMALL_LOOK = _Look(320, 0.0, (0.6, 0.7, 0.7), 40)


def read_image(path: Path) -> NDArray[np.uint8] | None:
    """Read an image as BGR (H, W, 3), or return None where it cannot be used."""
    image = read_still(path)
    return None if image is None or min(image.shape[:2]) < MIN_SIDE else image


class FaceFinder:
    """Finds the one face that an image is about; not for two threads at once."""

    def __init__(self) -> None:
        self._detectors: dict[_Look, FaceDetector] = {}

    def find(self, image: NDArray[np.uint8], tight: bool | None) -> NDArray[np.float32] | None:
        """Return the landmarks, float32 (5, 2), of the largest face of a BGR image, or None.

        Args:
            image: uint8 BGR (H, W, 3).
            tight: whether it is known to be a face crop.
        """
        small, wide = max(image.shape[:2]) <= TIGHT_SIDE, None
        if not tight and not small:
            wide = self._look(image, _WIDE_LOOK)
            # A face that fills the image is placed better, by 4 pixels of 100, with room around.
            if wide is not None and not fills_image(wide, image.shape):
                return wide
        for look in _TIGHT_LOOKS:
            landmarks = self._look(image, look)
            if landmarks is not None and (not tight or fills_image(landmarks, image.shape)):
                return landmarks
        if tight:
            return None
        return self._look(image, _SMALL_LOOK) if small else wide

    def _look(self, image: NDArray[np.uint8], look: _Look) -> NDArray[np.float32] | None:
        height, width = image.shape[:2]
        scale = look.side / max(height, width)
        if not look.enlarge:
            scale = min(scale, 1.0)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        seen = image
        if size != (width, height):
            kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            seen = np.asarray(cv2.resize(image, size, interpolation=kind), np.uint8)
        pad = round(look.side * look.padding)
        if pad:
            seen = np.asarray(
                cv2.copyMakeBorder(seen, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8
            )
        if look not in self._detectors:
            self._detectors[look] = make_mtcnn("cpu", look.min_face, look.thresholds, 1)
        faces = [
            face
            for face in self._detectors[look].detect(seen)
            if np.isfinite(face.landmarks).all() and np.ptp(face.landmarks, axis=0).max() >= 2
        ]
        largest = largest_face(faces, seen.shape[1], seen.shape[0])
        if largest is None:
            return None
        shares = np.array([width / size[0], height / size[1]], np.float32)
        return np.asarray((faces[largest].landmarks - pad) * shares, np.float32)


def face_extent(landmarks: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Return the point between eyes and mouth, and the hypotenuse that framing goes by."""
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    across = landmarks[1] - landmarks[0]
    span = float(np.hypot(np.hypot(*across), np.hypot(*(mouth - eyes))))
    return np.asarray((eyes + mouth) / 2, np.float32), span


def fills_image(landmarks: NDArray[np.float32], shape: tuple[int, ...]) -> bool:
    """Whether these are the landmarks of the face that a tight crop is about."""
    centre, span = face_extent(landmarks)
    side = max(shape[:2])
    share = centre / np.array([shape[1], shape[0]])
    return bool(0.25 <= span / side <= 1.1 and (share > 0.15).all() and (share < 0.9).all())
