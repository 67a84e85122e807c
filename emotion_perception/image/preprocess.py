# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one face preprocessing, shared by training, evaluation and the robot.

A mismatch between what a network was trained on and what the robot feeds it is the most common
defect of this field, so every pixel that reaches the network passes through this file, and the
numbers that shape it are stored in the checkpoint's card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class FacePreprocessing:
    """How a face becomes network input.

    The framing is that of FER2013, measured with MTCNN on 501 of its training images: the point
    between the eyes lies at (0.505, 0.39) of the crop, and the crop's side is 1.88 times the
    hypotenuse of the distance between the eyes and the distance from the eyes to the mouth.
    That hypotenuse hardly shrinks when a head turns (the first shortens) or nods (the second).

    Attributes:
        size: side of the square network input, pixels.
        eyes_x: horizontal position of the point between the eyes, as a share of the side.
        eyes_y: vertical position of that point, as a share of the side.
        side_ratio: side of the crop over the hypotenuse described above.
        min_std: floor of the standard deviation that a crop is divided by, in grey levels; keeps
            the noise of a flat crop from being blown up.
    """

    size: int = 48
    eyes_x: float = 0.505
    eyes_y: float = 0.39
    side_ratio: float = 1.88
    min_std: float = 4.0

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 512:
            raise ValueError(f"preprocessing.size: expected 16 to 512 pixels, got {self.size}")
        for name in ("eyes_x", "eyes_y", "side_ratio", "min_std"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"preprocessing.{name}: expected a positive number, got {value}")

    @classmethod
    def from_card(cls, fields: dict[str, Any]) -> FacePreprocessing:
        """Build from the ``preprocessing`` object of a card; unknown or missing keys are errors."""
        expected = set(asdict(cls()))
        if set(fields) != expected:
            raise ValueError(
                f"preprocessing: expected the fields {sorted(expected)}, got {sorted(fields)}"
            )
        return cls(**fields)

    def to_card(self) -> dict[str, Any]:
        """Return the fields for a card."""
        return asdict(self)

    def align(self, frame: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Cut one face out of a frame, upright, at the framing of the training data.

        Args:
            frame: uint8 frame, BGR (H, W, 3) or grey (H, W).
            landmarks: float array (5, 2), pixels: left and right eye, nose, left and right corner
                of the mouth, as the image shows them.

        Returns:
            uint8 grey crop (size, size). What lies outside the frame repeats its border.

        Raises:
            ValueError: if the landmarks are not finite or fall together.
        """
        matrix, side = self._crop_to_frame(landmarks)
        return warp(frame, matrix, self.size, max(1, int(side / self.size)))

    def align_box(self, frame: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Cut a face out by its box alone, for detectors without landmarks.

        Args:
            frame: uint8 frame, BGR (H, W, 3) or grey (H, W).
            box: float array (4,), ``x1, y1, x2, y2`` in pixels.

        Returns:
            uint8 grey crop (size, size): the square as high as the box, around its centre.
        """
        x1, y1, x2, y2 = (float(value) for value in box)
        centre_x, centre_y, side = (x1 + x2) / 2, (y1 + y2) / 2, max(y2 - y1, 1.0)
        # The landmarks that put the eyes where this square has them.
        eyes = np.array([centre_x - side / 2 + self.eyes_x * side,
                         centre_y - side / 2 + self.eyes_y * side])  # fmt: skip
        half, mouth = np.array([0.18 * side, 0.0]), np.array([0.0, 0.39 * side])
        spread = np.hypot(0.36, 0.39) * self.side_ratio
        half, mouth = half / spread, mouth / spread
        landmarks = np.stack(
            [eyes - half, eyes + half, eyes + mouth / 2, eyes + mouth - half, eyes + mouth + half]
        )
        return self.align(frame, landmarks.astype(np.float32))

    def resize(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a ready-made face crop to the input size, keeping its aspect ratio.

        Args:
            crop: uint8 image, BGR (H, W, 3) or grey (H, W) or (H, W, 1), framed like a face box.

        Returns:
            uint8 grey crop (size, size); a crop that is not square is padded with its border.

        Raises:
            ValueError: for an empty crop, or one that is not uint8 with 1 or 3 channels.
        """
        grey = to_grey(crop)
        height, width = grey.shape
        if height != width:
            side = max(height, width)
            top, left = (side - height) // 2, (side - width) // 2
            grey = np.asarray(
                cv2.copyMakeBorder(grey, top, side - height - top, left, side - width - left,
                                   cv2.BORDER_REPLICATE),
                np.uint8,
            )  # fmt: skip
        if grey.shape[0] == self.size:
            return grey
        shrinking = grey.shape[0] > self.size
        return np.asarray(
            cv2.resize(grey, (self.size, self.size),
                       interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR),
            np.uint8,
        )  # fmt: skip

    def batch(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Stack grey crops into network input.

        Args:
            crops: uint8 grey crops, each (size, size).

        Returns:
            float32 array (N, 1, size, size); each crop has mean 0 and standard deviation 1, so
            that exposure and contrast of the camera do not matter.
        """
        if not len(crops):
            return np.empty((0, 1, self.size, self.size), np.float32)
        stack = np.asarray(crops, np.float32)
        if stack.shape[1:] != (self.size, self.size):
            raise ValueError(
                f"crops: expected grey images of {self.size}x{self.size}, got {stack.shape[1:]}"
            )
        return standardise(stack, self.min_std)[:, None]

    def _crop_to_frame(self, landmarks: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        """Return the 2x3 matrix from crop to frame coordinates, and the crop's side in pixels."""
        points = np.asarray(landmarks, np.float64)
        if points.shape != (5, 2) or not np.isfinite(points).all():
            raise ValueError(f"landmarks: expected 5 finite points, got {landmarks!r}")
        eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
        across, down = points[1] - points[0], mouth - eyes
        side = self.side_ratio * float(np.hypot(np.hypot(*across), np.hypot(*down)))
        # In profile the eyes nearly coincide and their line is noise; the axis from eyes to mouth
        # then carries the roll.
        axis = across + np.array([down[1], -down[0]])
        length = float(np.hypot(*axis))
        if side < 2 or length < 1e-3 * side:
            raise ValueError("landmarks: the points fall together")
        scale = side / self.size
        cos, sin = axis / length * scale
        rotation = np.array([[cos, -sin], [sin, cos]])
        anchor = np.array([self.eyes_x, self.eyes_y]) * self.size
        return np.column_stack([rotation, eyes - rotation @ anchor]), side


def warp(
    frame: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, shrink: int, *,
    grey: bool = True,
) -> NDArray[np.uint8]:  # fmt: skip
    """Cut a square crop out of a frame by an affine map.

    Args:
        frame: uint8 frame, BGR (H, W, 3) or grey (H, W).
        matrix: float64 (2, 3), from crop to frame; a continuous coordinate c is the pixel index
            c - 0.5 in both.
        size: side of the crop, pixels.
        shrink: pixels of the frame to one of the crop, rounded down. Sampling a large face at every
            n-th pixel would alias, so it is first shrunk by area.
        grey: whether the crop is grey; else it is what the frame is.

    Returns:
        uint8 crop (size, size) or (size, size, 3). What lies outside the frame repeats its border.
    """
    corners = matrix @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]], np.float64)
    height, width = frame.shape[:2]
    x0, y0 = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, [width - 1, height - 1])
    x1, y1 = np.clip(
        np.ceil(corners.max(axis=1)).astype(int) + 2 + shrink, [x0 + 1, y0 + 1], [width, height]
    )
    patch: NDArray[Any] = frame[y0:y1, x0:x1]
    if grey:
        patch = to_grey(patch)
    scale_x = scale_y = 1.0
    if shrink > 1:
        target = (max(1, (x1 - x0) // shrink), max(1, (y1 - y0) // shrink))
        # Whole blocks of pixels, where there are any: that is exact, and far faster.
        patch = patch[: target[1] * shrink, : target[0] * shrink]
        scale_x, scale_y = target[0] / patch.shape[1], target[1] / patch.shape[0]
        patch = cv2.resize(patch, target, interpolation=cv2.INTER_AREA)
    # Pixel centres: a continuous coordinate c is the pixel index c - 0.5.
    inverse = np.empty((2, 3))
    inverse[:, :2] = matrix[:, :2] * [[scale_x], [scale_y]]
    inverse[:, 2] = (matrix @ [0.5, 0.5, 1.0] - [x0, y0]) * [scale_x, scale_y] - 0.5
    crop = cv2.warpAffine(
        patch, inverse, (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(crop, np.uint8)


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert a uint8 BGR (H, W, 3) or grey (H, W), (H, W, 1) image to grey (H, W)."""
    if image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"image: expected non-empty uint8 pixels, got {image.dtype} of shape {image.shape}"
        )
    if image.ndim == 2:
        return image
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    raise ValueError(f"image: expected (H, W), (H, W, 1) or BGR (H, W, 3), got {image.shape}")


def standardise(crops: NDArray[np.float32], min_std: float) -> NDArray[np.float32]:
    """Give each crop of a float array (N, H, W) mean 0 and standard deviation 1."""
    mean = crops.mean(axis=(1, 2), keepdims=True)
    std = crops.std(axis=(1, 2), keepdims=True)
    return np.asarray((crops - mean) / np.maximum(std, min_std), np.float32)
