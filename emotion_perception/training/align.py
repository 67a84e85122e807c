# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Finding and aligning the faces of a data set by the same code as the robot does.

Sets come framed in many ways: whole photos, tight crops whose face fills the image, crops with
the chin cut off. A network that is to work behind the robot's detector must see them all framed
alike, so each face is found by MTCNN and cut out by FacePreprocessing.align.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.capture_crop import is_aligned_crop
from emotion_perception.training.face_finder import (
    MIN_SIDE,
    TIGHT_SIDE,
    FaceFinder,
    face_extent,
    read_image,
)

FRAMED_SIDE = 64
"""Square images up to this side are taken as ready-made crops (FER2013's are 48x48): MTCNN's
landmarks are too coarse there to frame them better than they are."""

_USUAL_FACES = 20

Box = tuple[float, float, float, float]


class Outcome(IntEnum):
    """What became of an image."""

    FOUND = 0
    FRAMED = 1
    FALLBACK = 2
    NO_FACE = 3
    UNREADABLE = 4


@dataclass(frozen=True)
class _Located:
    """Landmarks float32 (5, 2) in pixels of the file's image, or why there are none."""

    outcome: Outcome
    crop: NDArray[np.uint8] | None = None
    landmarks: NDArray[np.float32] | None = None
    size: tuple[int, int] = (0, 0)


def align_files(
    files: Sequence[Path],
    preprocessing: FacePreprocessing,
    *,
    boxes: Sequence[Box | None] | None = None,
    tight: bool | None = None,
    workers: int | None = None,
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Find the face of each image and cut it out, framed like the network's input.

    Where an image holds several faces the largest is taken. Where none is found and the images
    are tight crops, the face is taken to be where this set's faces usually are.

    Args:
        files: image files.
        preprocessing: the framing.
        boxes: where the set says that each face is: ``x, y, width, height``, pixels.
        tight: whether the images are face crops; None: judged by the faces that are found.
        workers: threads; None for one a core, at most 4.

    Returns:
        uint8 grey crops (N, S, S), black where there is none, and int8 (N,), an Outcome each.
    """
    at = list(boxes) if boxes is not None else [None] * len(files)
    count = workers or min(4, os.cpu_count() or 1)
    local = threading.local()

    def locate(index: int) -> _Located:
        if not hasattr(local, "finder"):
            local.finder = FaceFinder()
        return _locate(local.finder, files[index], preprocessing, at[index], tight)

    with ThreadPoolExecutor(count, thread_name_prefix="align") as pool:
        try:
            located = list(_tracked(pool.map(locate, range(len(files))), len(files)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    crops = np.zeros((len(files), preprocessing.size, preprocessing.size), np.uint8)
    outcomes = np.array([item.outcome for item in located], np.int8)
    if tight is None:
        tight = _looks_tight(located)
    usual = _usual_place(located)
    for index, item in enumerate(located):
        if item.crop is not None:
            crops[index] = item.crop
        elif item.outcome == Outcome.NO_FACE and (tight or at[index] is not None):
            crops[index] = _fallback(files[index], preprocessing, at[index], usual)
            outcomes[index] = Outcome.FALLBACK
    return crops, outcomes


def _locate(
    finder: FaceFinder, path: Path, preprocessing: FacePreprocessing, box: Box | None,
    tight: bool | None,
) -> _Located:  # fmt: skip
    image = read_image(path)
    if image is None:
        return _Located(Outcome.UNREADABLE)
    height, width = image.shape[:2]
    framed = box is None and tight is None and height == width
    if framed and (height <= FRAMED_SIDE or is_aligned_crop(path, preprocessing)):
        return _Located(Outcome.FRAMED, preprocessing.resize(image), size=(width, height))
    x, y, region = _region(image, box)
    landmarks = finder.find(region, True if box is not None else tight)
    if landmarks is None:
        return _Located(Outcome.NO_FACE, size=(width, height))
    landmarks = landmarks + np.array([x, y], np.float32)
    try:
        crop = preprocessing.align(image, landmarks)
    except ValueError:  # points that fall together
        return _Located(Outcome.NO_FACE, size=(width, height))
    return _Located(Outcome.FOUND, crop, landmarks, (width, height))


def _region(image: NDArray[np.uint8], box: Box | None) -> tuple[int, int, NDArray[np.uint8]]:
    """Return the part of an image around a face box, and where its corner lies."""
    height, width = image.shape[:2]
    if box is None:
        return 0, 0, image
    x, y, w, h = box
    x0, y0 = max(0, int(x - w / 4)), max(0, int(y - h / 4))
    x1, y1 = min(width, int(x + 1.25 * w) + 1), min(height, int(y + 1.25 * h) + 1)
    if x1 - x0 < MIN_SIDE or y1 - y0 < MIN_SIDE:
        return 0, 0, image  # the box lies outside the image
    return x0, y0, image[y0:y1, x0:x1]


def _looks_tight(located: Sequence[_Located]) -> bool:
    """Whether most of a set's images are face crops, judged by the faces found in them."""
    spans = [
        face_extent(item.landmarks)[1] / max(item.size)
        for item in located
        if item.landmarks is not None
    ]
    if spans:
        return float(np.median(spans)) >= 0.3
    sides = [max(item.size) for item in located if item.outcome == Outcome.NO_FACE]
    return bool(sides) and max(sides) <= TIGHT_SIDE


def _usual_place(located: Sequence[_Located]) -> NDArray[np.float32] | None:
    """Return the median landmarks (5, 2) of a set as shares of width and height, or None."""
    shares = [
        item.landmarks / np.array(item.size, np.float32)
        for item in located
        if item.landmarks is not None
    ]
    if len(shares) < _USUAL_FACES:
        return None
    return np.asarray(np.median(shares, axis=0), np.float32)


def _fallback(
    path: Path, preprocessing: FacePreprocessing, box: Box | None, usual: NDArray[np.float32] | None
) -> NDArray[np.uint8]:
    image = read_image(path)
    assert image is not None, "read before"
    if box is not None:
        x, y, w, h = box
        return preprocessing.align_box(image, np.array([x, y, x + w, y + h], np.float32))
    if usual is None:
        return preprocessing.resize(image)
    size = np.array([image.shape[1], image.shape[0]], np.float32)
    return preprocessing.align(image, usual * size)


def _tracked(items: Iterable[_Located], total: int) -> Iterable[_Located]:
    """Show a progress bar while a long list is worked off, on a terminal only."""
    console = Console(stderr=True)
    quiet = total < 500 or not console.is_terminal
    return track(
        items, description="aligning", total=total, console=console, transient=True, disable=quiet
    )
