# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The five fixed shifts: how a robot's view of a face differs from the training data.

They are for measuring, never for training. Every result depends on the seed and on the image's own
pixels alone, so that the same image is bent in the same way whatever stands beside it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.training.faces import DataError, FaceSet

Shift = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]

SIDE: Final = 48
"""Side of the crops that rows, widths of blur and so on are stated for; others are scaled."""

COVER: Final = 128
"""Grey level of what covers the lower face: mid-grey, the mean of FER2013's pixels (129)."""


def roll(image: NDArray[np.uint8], _generator: np.random.Generator) -> NDArray[np.uint8]:
    """Roll the camera by 35 degrees: turn about the centre, the border repeated."""
    side = image.shape[0]
    centre = ((side - 1) / 2, (side - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, 35, 1)
    turned = cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8)


def dark(image: NDArray[np.uint8], generator: np.random.Generator) -> NDArray[np.uint8]:
    """Take 0.18 of the light and add a sensor's Gaussian noise of 7 grey levels."""
    seen = 0.18 * image.astype(np.float64) + generator.normal(0, 7, image.shape)
    return np.asarray(np.rint(np.clip(seen, 0, 255)), np.uint8)


def small(image: NDArray[np.uint8], _generator: np.random.Generator) -> NDArray[np.uint8]:
    """See the face at 11x11 pixels: shrink by area, enlarge bilinearly."""
    seen = cv2.resize(image, (11, 11), interpolation=cv2.INTER_AREA)
    side = image.shape[0]
    return np.asarray(cv2.resize(seen, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def covered(image: NDArray[np.uint8], _generator: np.random.Generator) -> NDArray[np.uint8]:
    """Cover the lower face, from row 30 of 48, with mid-grey."""
    seen: NDArray[np.uint8] = image.copy()
    seen[30 * len(image) // SIDE :] = COVER
    return seen


def half_blurred(image: NDArray[np.uint8], _generator: np.random.Generator) -> NDArray[np.uint8]:
    """Blur the half of the face at the left of the image, sigma 6 of 48 pixels."""
    sigma = 6 * len(image) / SIDE
    half = image.shape[1] // 2
    seen: NDArray[np.uint8] = image.copy()
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    seen[:, :half] = blurred[:, :half]
    return seen


SHIFTS: Final[dict[str, Shift]] = {
    "roll": roll,
    "dark": dark,
    "small": small,
    "covered": covered,
    "half_blurred": half_blurred,
}
"""The shifts, in the order of their report: uint8 grey (S, S) and a generator to uint8 (S, S)."""


def shifted(faces: FaceSet, name: str, seed: int = 0) -> FaceSet:
    """Return the same faces under one shift; labels, persons and all else stay as they are.

    Args:
        faces: grey crops of any side; SIDE is what the shifts are stated for.
        name: one of SHIFTS.
        seed: of the noise.

    Raises:
        DataError: if there is no such shift.
    """
    if name not in SHIFTS:
        raise DataError(f"shift: expected one of {', '.join(SHIFTS)}, got {name!r}")
    images = np.empty_like(faces.images)
    for index, image in enumerate(faces.images):
        # From the pixels and not from the place in the set: a subset is bent as the whole was.
        generator = np.random.default_rng([seed, zlib.crc32(image.tobytes())])
        images[index] = SHIFTS[name](image, generator)
    return replace(faces, images=images)
