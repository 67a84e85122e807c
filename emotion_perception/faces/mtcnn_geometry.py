# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The geometry of MTCNN: pyramid, boxes and crop windows. Arrays in, arrays out.

Follows facenet-pytorch 2.5.3 (MIT), `models/utils/detect_face.py`, step by step and in the same
float32 arithmetic, so that the boxes are the same. The method is from Zhang et al., "Joint Face
Detection and Alignment using Multi-task Cascaded Convolutional Networks", IEEE Signal Processing
Letters 2016.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float32]
"""float32 (N, 4), ``x1, y1, x2, y2`` in pixels of the frame."""

WINDOW = 12
"""Side in pixels of the window that P-Net looks at."""

STRIDE = 2
"""Step in pixels between two such windows."""


@dataclass(frozen=True)
class Level:
    """One image of the pyramid.

    Attributes:
        scale: nominal size of the image relative to the frame.
        height: height of the image in pixels.
        width: width of the image in pixels.
    """

    scale: float
    height: int
    width: int


@dataclass(frozen=True)
class Strip:
    """Some rows of one image of the pyramid, scanned in one go.

    Attributes:
        level: whose rows.
        top: first row, even.
        rows: number of rows; even, but for the last strip of an image.
    """

    level: Level
    top: int
    rows: int


_MARGIN = 10
"""Rows that P-Net needs beyond two for each row of its output."""


def strips(level: Level, most_pixels: int) -> list[Strip]:
    """Cut an image of the pyramid into strips of about the same height.

    P-Net finds the same in the strips as in the whole: they overlap by as much as it needs, and
    begin and end where its pooling does.

    Args:
        level: the image.
        most_pixels: of a strip, about.
    """
    outputs = -(-(level.height - 2) // 2) - 4  # rows of P-Net's output for the whole image
    count = max(1, min(outputs, round(level.height * level.width / most_pixels)))
    edges = [index * outputs // count for index in range(count + 1)]
    return [
        Strip(level, 2 * a, level.height - 2 * a if b == outputs else 2 * (b - a) + _MARGIN)
        for a, b in itertools.pairwise(edges)
    ]


def pyramid(height: int, width: int, min_face_size: float, factor: float) -> list[Level]:
    """Return the images that P-Net scans, largest first; none for a frame below the face size.

    Args:
        height: height of the frame in pixels.
        width: width of the frame in pixels.
        min_face_size: side in pixels of the smallest face.
        factor: scale from one image to the next.
    """
    levels = []
    scale = WINDOW / min_face_size
    shorter = min(height, width) * scale
    while shorter >= WINDOW:
        levels.append(Level(scale, int(height * scale + 1), int(width * scale + 1)))
        scale *= factor
        shorter *= factor
    return levels


def levels_may_overlap(levels: list[Level], limit: float) -> bool:
    """Tell whether windows of two images could overlap by more than a limit.

    Two squares overlap by at most the ratio of their areas, so with the usual factor no window
    suppresses one from another image, and the suppression across images can be left out.

    Args:
        levels: the pyramid, largest image first.
        limit: intersection over union.
    """
    # A window is 11 pixels wide in its image; one pixel more or less covers the rounding.
    return any(
        ((math.ceil((WINDOW - 1) / fine.scale) + 1) / (math.floor((WINDOW - 1) / coarse.scale) - 1))
        ** 2
        > limit
        for fine, coarse in itertools.pairwise(levels)
    )


def bin_edges(
    length: NDArray[np.intp] | int, bins: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Split pixels into the bins of adaptive average pooling; neighbouring bins may share a pixel.

    Args:
        length: number of pixels, one value or an array (..., 1).
        bins: number of bins, also when larger than the length.

    Returns:
        First pixel and one past the last pixel of each bin, both (..., bins).
    """
    index = np.arange(bins, dtype=np.intp)
    return index * length // bins, ((index + 1) * length + bins - 1) // bins


def window_boxes(rows: NDArray[Any], columns: NDArray[Any], scale: float) -> Boxes:
    """Return the frame area that P-Net looked at for cells of its output, in whole pixels."""
    corners = np.stack([columns, rows, columns, rows], axis=1).astype(np.float32)
    corners *= STRIDE
    corners += np.array([1, 1, WINDOW, WINDOW], np.float32)
    corners /= np.float32(scale)
    return np.floor(corners, out=corners)


def shift_by_side(boxes: Boxes, offsets: NDArray[np.float32], *, inclusive: bool) -> Boxes:
    """Move each edge by a share of the box's side, as the networks ask for.

    Args:
        boxes: float32 (N, 4).
        offsets: float32 (N, 4), shares of width, height, width, height.
        inclusive: sides count pixels inclusively (R-Net, O-Net) or not (P-Net).
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    if inclusive:
        sides += 1
    moved: Boxes = boxes + offsets * np.concatenate([sides, sides], axis=1)
    return moved


def squared(boxes: Boxes) -> Boxes:
    """Grow the shorter side of each box to the longer one, around the same centre."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + sides * np.float32(0.5) - longer * np.float32(0.5)
    return np.concatenate([corner, corner + longer], axis=1)


def crop_windows(boxes: Boxes, height: int, width: int) -> NDArray[np.intp]:
    """Return the pixels that boxes cover inside the frame, with MTCNN's one-pixel lead.

    Args:
        boxes: float32 (N, 4).
        height: height of the frame in pixels.
        width: width of the frame in pixels.

    Returns:
        (N, 4) ``x1, y1, x2, y2`` with the ends exclusive; empty (an end at or before its start)
        for a box outside the frame.
    """
    windows = np.trunc(boxes).astype(np.intp)
    np.maximum(windows[:, :2], 1, out=windows[:, :2])
    windows[:, :2] -= 1
    np.minimum(windows[:, 2:], (width, height), out=windows[:, 2:])
    return windows


def landmark_points(boxes: Boxes, relative: NDArray[np.float32]) -> NDArray[np.float32]:
    """Place O-Net's landmarks.

    Args:
        boxes: float32 (N, 4), the boxes that O-Net looked at.
        relative: float32 (N, 5, 2), ``x, y`` as shares of the box.

    Returns:
        float32 (N, 5, 2), ``x, y`` in pixels of the frame.
    """
    sides = boxes[:, None, 2:] - boxes[:, None, :2] + 1
    return sides * relative + boxes[:, None, :2] - 1
