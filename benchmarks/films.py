# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Films for the scaling curves: many faces, and frames of many sizes.

Each is an .npy file, uint8 BGR (N, H, W, 3), of a second at 30 Hz. Played forwards and backwards in
turns it has no jumps. The faces are those of the demo clip.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.image.demo_clip import demo_frames

Frame = NDArray[np.uint8]

RATE_HZ = 30.0
FRAMES = 30
CROWD_SIZE = (1280, 720)
_PORTRAITS_S = (1.6, 9.4)  # when the demo clip shows each portrait from near
_WALL_S = 6.0  # and when nobody
_COLUMNS, _ROWS = 5, 2
_TILE = 180  # pixels; the face is about half of it
_SLIDE = (12, 8)  # pixels to each side, in x and y
# Neighbours come late, so that a few faces are spread over the frame.
_ORDER = (7, 0, 4, 2, 5, 9, 1, 8, 3, 6)


def write_crowd(path: Path, faces: int, count: int = FRAMES) -> None:
    """Write a film of 1280x720 in which 1 to 10 faces before a wall move by some pixels."""
    demo = {seconds: _demo_frame(seconds) for seconds in (*_PORTRAITS_S, _WALL_S)}
    tiles = [_tile(demo[seconds]) for seconds in _PORTRAITS_S]
    wall = fitted(demo[_WALL_S], *CROWD_SIZE, fill=True)
    width, height = CROWD_SIZE[0] // _COLUMNS, CROWD_SIZE[1] // _ROWS

    def frames() -> Iterator[Frame]:
        noise = np.random.default_rng(0)
        for number in range(count):
            frame = wall.astype(np.int16)
            for index, cell in enumerate(_ORDER[:faces]):
                angle = 2 * math.pi * (number / FRAMES + index / len(_ORDER))
                x = (cell % _COLUMNS) * width + (width - _TILE) // 2
                y = (cell // _COLUMNS) * height + (height - _TILE) // 2
                x += round(_SLIDE[0] * math.sin(angle))
                y += round(_SLIDE[1] * math.cos(angle))
                frame[y : y + _TILE, x : x + _TILE] = tiles[index % len(tiles)]
            frame += np.rint(noise.normal(0, 2, (*frame.shape[:2], 1))).astype(np.int16)
            yield np.clip(frame, 0, 255).astype(np.uint8)

    _write(path, frames(), count)


def write_size(path: Path, width: int, height: int, count: int = FRAMES) -> None:
    """Write the start of the demo clip in a size; its face is the same share of the height."""
    demo = itertools.islice(demo_frames(RATE_HZ), count)
    _write(path, (fitted(frame, width, height) for frame in demo), count)


def fitted(frame: Frame, width: int, height: int, *, fill: bool = False) -> Frame:
    """Scale a frame to a height; its edges go on to the sides where the width asks for more.

    Args:
        frame: uint8 BGR (H, W, 3).
        width: of the result, pixels.
        height: of the result, pixels.
        fill: scale it to the width instead and cut it above and below.
    """
    scale = width / frame.shape[1] if fill else height / frame.shape[0]
    size = (round(frame.shape[1] * scale), round(frame.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(frame, size, interpolation=way) if scale != 1 else frame
    top, left = (size[1] - height) // 2, (width - size[0]) // 2
    scaled = scaled[top : top + height]
    sides = (left, width - size[0] - left)
    padded = cv2.copyMakeBorder(scaled, 0, 0, *sides, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def _demo_frame(seconds: float) -> Frame:
    rate = 10.0
    return next(itertools.islice(demo_frames(rate), round(seconds * rate), None))


def _tile(frame: Frame) -> Frame:
    """Cut the face out, with half its side around it."""
    x1, y1, x2, y2 = MtcnnDetector().detect(frame)[0].box
    half = float(max(x2 - x1, y2 - y1))
    middle = (float(x1 + x2) / 2, float(y1 + y2) / 2)
    half = min(half, *middle, frame.shape[1] - middle[0], frame.shape[0] - middle[1])
    corner = [round(value - half) for value in middle]
    side = int(2 * half)
    square = frame[corner[1] : corner[1] + side, corner[0] : corner[0] + side]
    return np.asarray(cv2.resize(square, (_TILE, _TILE), interpolation=cv2.INTER_AREA), np.uint8)


def _write(path: Path, frames: Iterator[Frame], count: int) -> None:
    first = next(frames)
    stack = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *first.shape))
    for index, frame in enumerate(itertools.chain([first], frames)):
        stack[index] = frame
    stack.flush()
