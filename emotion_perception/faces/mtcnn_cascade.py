# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The cascade of MTCNN, whatever runs its three networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.faces.frame_check import check_frame
from emotion_perception.faces.model_files import verify_files
from emotion_perception.faces.mtcnn_geometry import (
    WINDOW,
    Boxes,
    Level,
    Strip,
    crop_windows,
    landmark_points,
    levels_may_overlap,
    pyramid,
    shift_by_side,
    squared,
    strips,
)
from emotion_perception.faces.nms import nms, nms_min
from emotion_perception.models import find_model

MODEL_NAME = "face-mtcnn"

_MOST_SIZES = 16  # of frames that are remembered

NMS_IN_LEVEL = 0.5
NMS = 0.7

FILM_DOUBT = 0.6
"""P-Net may be so much less in doubt where films are searched: everybody is seen many times, and
most of what R-Net looks at comes from the least certain windows."""

NEAR = 1.0
"""Sides of a face around it that `find_near` looks at."""

NEAR_SIZE = 0.6
"""Least size that it looks for, in sides of the face."""


class Candidates(NamedTuple):
    """What P-Net believes in, in a strip of the pyramid.

    Attributes:
        boxes: float32 (N, 4), the windows in whole pixels of the frame.
        scores: float32 (N,), probabilities.
        offsets: float32 (N, 4), shares of the sides by which the edges should move.
    """

    boxes: Boxes
    scores: NDArray[np.float32]
    offsets: NDArray[np.float32]


Verdicts = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Probabilities (N,) and offsets (N, 4) from R-Net."""

Details = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Probabilities (N,), offsets (N, 4) and landmarks (N, 5, 2) from O-Net."""


def checked_model(model_dir: Path | None) -> Path:
    """Find the model folder where none is given, and check its files.

    Raises:
        ModelError: not found, or a file is missing or damaged.
    """
    directory = find_model(MODEL_NAME) if model_dir is None else Path(model_dir)
    verify_files(directory)
    return directory


class MtcnnCascade(ABC):
    """Three networks, each looking closer at what the one before found.

    P-Net scans a pyramid of the frame, R-Net rejects most of what P-Net proposes, O-Net decides
    and places the landmarks. Zhang et al., IEEE Signal Processing Letters 2016; every rounding
    follows facenet-pytorch 2.5.3, whose boxes and landmarks come out. One difference: a proposal
    entirely outside the frame is dropped, where facenet-pytorch fails.

    An instance keeps buffers for each thread that uses it.

    Attributes:
        strip_pixels: P-Net scans about so much of the pyramid in one go.
    """

    strip_pixels: int

    def __init__(self, min_face_size: int, thresholds: Sequence[float], factor: float) -> None:
        if min_face_size < WINDOW:
            raise ValueError(
                f"min_face_size: expected at least {WINDOW} pixels, got {min_face_size}"
            )
        if len(thresholds) != 3 or not all(0 < threshold < 1 for threshold in thresholds):
            raise ValueError(f"thresholds: expected three values in (0, 1), got {thresholds}")
        if not 0 < factor < 1:
            raise ValueError(f"factor: expected a value in (0, 1), got {factor}")
        self.min_face_size = min_face_size
        self._parts_of: dict[tuple[int, int], list[list[Strip]]] = {}
        self.thresholds = tuple(np.float32(threshold) for threshold in thresholds)
        self.factor = factor

    def detect(self, frame_bgr: NDArray[np.uint8]) -> list[Face]:
        """Find faces.

        Args:
            frame_bgr: uint8 (H, W, 3), BGR; a read-only or strided view will do.

        Returns:
            Faces in pixels of the frame, best score first; none in a frame whose shorter side is
            below ``min_face_size``.

        Raises:
            ValueError: wrong dtype or shape.
        """
        check_frame(frame_bgr)
        height, width = frame_bgr.shape[:2]
        levels = pyramid(height, width, self.min_face_size, self.factor)
        if not levels:
            return []
        every = [strip for level in levels for strip in self._strips(level)]
        return self._search(self._load(frame_bgr), every, None, height, width)

    def refine_many(
        self, frames_bgr: Sequence[NDArray[np.uint8]], boxes: Sequence[Boxes]
    ) -> list[list[Face | None]]:
        """Look again at known faces with O-Net alone, at a fraction of the cost of `detect`.

        This is what carries a track from one frame to the next: O-Net moves the box back onto
        the face, and misses one in twenty where the box is off by a quarter of its side. The faces
        of all frames go through it in one batch.

        Args:
            frames_bgr: each uint8 (H, W, 3), BGR; a read-only or strided view will do.
            boxes: of each frame float32 (N, 4), where its faces were.

        Returns:
            For each frame and each of its boxes the face there, or None where O-Net sees none.

        Raises:
            ValueError: wrong dtype or shape.
        """
        found: list[list[Face | None]] = []
        images, windows, squares, places = [], [], [], []
        for frame_bgr, of_frame in zip(frames_bgr, boxes, strict=True):
            check_frame(frame_bgr)
            of_frame = np.asarray(of_frame, np.float32)
            if of_frame.ndim != 2 or of_frame.shape[1] != 4 or not np.isfinite(of_frame).all():
                raise ValueError(
                    f"boxes: expected finite values of shape (N, 4), got {of_frame.shape}"
                )
            found.append([None] * len(of_frame))
            of_frame = squared(of_frame)
            inside = crop_windows(of_frame, *frame_bgr.shape[:2])
            visible = np.flatnonzero((inside[:, 2:] > inside[:, :2]).all(axis=1))
            if not len(visible):
                continue
            # Only the part of the frame that holds the boxes is read.
            x1, y1 = inside[visible, :2].min(axis=0)
            x2, y2 = inside[visible, 2:].max(axis=0)
            images.append(self._quick(frame_bgr[y1:y2, x1:x2]))
            windows.append(inside[visible] - (x1, y1, x1, y1))
            squares.append(of_frame[visible])
            places += [(len(found) - 1, index) for index in visible]
        if not places:
            return found
        scores, offsets, relative = self._onet_many(images, windows)
        every = np.concatenate(squares)
        points = landmark_points(every, relative)
        moved = shift_by_side(every, offsets, inclusive=True)
        for row, (number, index) in enumerate(places):
            if scores[row] > self.thresholds[2]:
                found[number][index] = Face(moved[row], float(scores[row]), points[row])
        return found

    def find_near(self, frame_bgr: NDArray[np.uint8], box: NDArray[np.float32]) -> list[Face]:
        """Find faces about as large as a box in or near it, at a fraction of the cost of `detect`.

        Args:
            frame_bgr: uint8 BGR (H, W, 3).
            box: float32 (4,), where a face was.

        Returns:
            Faces in pixels of the frame, best score first.

        Raises:
            ValueError: wrong dtype or shape.
        """
        check_frame(frame_bgr)
        height, width = frame_bgr.shape[:2]
        side = float(np.max(box[2:] - box[:2]))
        corner = np.array([NEAR * side, NEAR * side], np.float32)
        x1, y1 = np.clip(box[:2] - corner, 0, (width, height)).astype(int)
        x2, y2 = np.clip(box[2:] + corner, 0, (width, height)).astype(int)
        smallest = max(self.min_face_size, NEAR_SIZE * side)
        levels = pyramid(y2 - y1, x2 - x1, smallest, self.factor)
        if not levels:
            return []
        region = frame_bgr[y1:y2, x1:x2]
        every = [strip for level in levels for strip in self._strips(level)]
        shift = np.array([x1, y1], np.float32)
        nobody = np.empty((0, 4), np.float32)
        return [
            Face(face.box + np.tile(shift, 2), face.score, face.landmarks + shift)
            for face in self._search(self._quick(region), every, nobody, y2 - y1, x2 - x1)
        ]

    def costs(self, height: int, width: int) -> list[float]:
        """Return what searching each part of a frame costs, as shares that sum to 1.

        The parts are strips of the pyramid, or several small ones, of about the same size.
        """
        pixels = [sum(map(_pixels, part)) for part in self._parts(height, width)]
        return [share / sum(pixels) for share in pixels]

    def search(
        self, frame_bgr: NDArray[np.uint8], parts: Sequence[int], known: Boxes
    ) -> list[Face]:
        """Find faces that are not known yet in some parts of a frame.

        What P-Net proposes where a known face is goes no further: that is most of it.

        Args:
            frame_bgr: uint8 (H, W, 3), BGR.
            parts: their numbers, see `costs`.
            known: float32 (N, 4), boxes of known faces.

        Returns:
            Faces in pixels of the frame, best score first.

        Raises:
            ValueError: wrong dtype or shape.
        """
        check_frame(frame_bgr)
        height, width = frame_bgr.shape[:2]
        every = self._parts(height, width)
        chosen = [strip for part in parts for strip in every[part]]
        if not chosen:
            return []
        return self._search(self._quick(frame_bgr), chosen, known, height, width)

    def warm_up(self, height: int, width: int) -> None:
        """Allocate and compile what frames of this size need, so that the first one is not slow.

        Args:
            height: height of the frames in pixels.
            width: width of the frames in pixels.
        """
        frame = np.zeros((height, width, 3), np.uint8)
        self.detect(frame)
        image = self._quick(frame)
        windows = np.array([[0, 0, width, height]])
        self._rnet(image, windows)
        self._onet(image, windows)

    def _strips(self, level: Level) -> list[Strip]:
        return strips(level, self.strip_pixels)

    def _parts(self, height: int, width: int) -> list[list[Strip]]:
        known = self._parts_of.get((height, width))
        if known is not None:
            return known
        parts: list[list[Strip]] = []
        size = 0
        for level in pyramid(height, width, self.min_face_size, self.factor):
            for strip in self._strips(level):
                if not parts or size + _pixels(strip) > 1.2 * self.strip_pixels:
                    parts.append([])
                    size = 0
                parts[-1].append(strip)
                size += _pixels(strip)
        if len(self._parts_of) >= _MOST_SIZES:
            self._parts_of.clear()
        self._parts_of[height, width] = parts
        return parts

    def _search(
        self, image: Any, parts: Sequence[Strip], known: Boxes | None, height: int, width: int
    ) -> list[Face]:
        """Run the cascade on some strips; what is proposed inside known boxes is dropped.

        Without known boxes it is a single image that is searched.
        """
        certain = self.thresholds[0] if known is None else 1 - FILM_DOUBT * (1 - self.thresholds[0])
        boxes = self._propose(image, parts, float(certain), height, width)
        if known is not None and len(known) and len(boxes):
            middles = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
            inside = (middles > known[None, :, :2]) & (middles < known[None, :, 2:])
            boxes = boxes[~np.any(np.all(inside, axis=2), axis=1)]
        boxes = self._reject(image, boxes, height, width)
        boxes, scores, landmarks = self._decide(image, boxes, height, width)
        kept = nms_min(boxes, scores, NMS)
        return [Face(boxes[i], float(scores[i]), landmarks[i]) for i in kept]

    def _propose(
        self, image: Any, parts: Sequence[Strip], threshold: float, height: int, width: int
    ) -> Boxes:
        """Run P-Net and return the best boxes (N, 4), moved and squared."""
        found = self._scan(image, parts, threshold)
        boxes = np.concatenate([candidates.boxes for candidates in found])
        scores = np.concatenate([candidates.scores for candidates in found])
        offsets = np.concatenate([candidates.offsets for candidates in found])
        # Suppression within each image, in one call: those of other images are out of reach.
        # Corners are whole numbers far below 2**24, so the move does not round them.
        levels = list(dict.fromkeys(part.level for part in parts))
        images = [levels.index(part.level) for part in parts]
        numbers = np.repeat(images, [len(item.scores) for item in found])
        apart = boxes.copy()
        apart[:, ::2] += (numbers * 2 * max(height, width))[:, None]
        kept = self._nms(apart, scores, NMS_IN_LEVEL)
        if levels_may_overlap(levels, NMS):
            kept = kept[self._nms(boxes[kept], scores[kept], NMS)]
        return squared(shift_by_side(boxes[kept], offsets[kept], inclusive=False))

    def _reject(self, image: Any, boxes: Boxes, height: int, width: int) -> Boxes:
        """Run R-Net on boxes (N, 4) and return the moved and squared survivors."""
        boxes, windows = _inside(boxes, height, width)
        if not len(boxes):
            return boxes
        scores, offsets = self._rnet(image, windows)
        passed = np.flatnonzero(scores > self.thresholds[1])
        kept = passed[self._nms(boxes[passed], scores[passed], NMS)]
        return squared(shift_by_side(boxes[kept], offsets[kept], inclusive=True))

    def _decide(self, image: Any, boxes: Boxes, height: int, width: int) -> Details:
        """Run O-Net on boxes (N, 4): moved boxes, their scores (N,) and landmarks (N, 5, 2)."""
        boxes, windows = _inside(boxes, height, width)
        if not len(boxes):
            return boxes, np.empty(0, np.float32), np.empty((0, 5, 2), np.float32)
        scores, offsets, relative = self._onet(image, windows)
        passed = scores > self.thresholds[2]
        boxes = boxes[passed]
        points = landmark_points(boxes, relative[passed])
        return shift_by_side(boxes, offsets[passed], inclusive=True), scores[passed], points

    def _nms(self, boxes: Boxes, scores: NDArray[np.float32], limit: float) -> NDArray[np.intp]:
        """Suppress overlapping boxes, see `nms`."""
        return nms(boxes, scores, limit)

    @abstractmethod
    def _load(self, frame_bgr: NDArray[np.uint8]) -> Any:
        """Return what the next calls need of a frame; ends this thread's last one."""

    def _quick(self, frame_bgr: NDArray[np.uint8]) -> Any:
        """Return the same for films: what is quicker may differ by a little."""
        return self._load(frame_bgr)

    @abstractmethod
    def _scan(self, image: Any, parts: Sequence[Strip], threshold: float) -> list[Candidates]:
        """Run P-Net on strips of the pyramid; what is at least so probable is returned."""

    @abstractmethod
    def _rnet(self, image: Any, windows: NDArray[np.intp]) -> Verdicts:
        """Run R-Net on windows (N, 4) of the frame, N > 0."""

    def _onet_many(self, images: Sequence[Any], windows: Sequence[NDArray[np.intp]]) -> Details:
        """Run O-Net on windows of several frames; the outputs of all, in their order."""
        every = [self._onet(image, of_it) for image, of_it in zip(images, windows, strict=True)]
        scores, offsets, points = (np.concatenate(part) for part in zip(*every, strict=True))
        return scores, offsets, points

    @abstractmethod
    def _onet(self, image: Any, windows: NDArray[np.intp]) -> Details:
        """Run O-Net on windows (N, 4) of the frame, N > 0."""


def _pixels(strip: Strip) -> int:
    return strip.rows * strip.level.width


def _inside(boxes: Boxes, height: int, width: int) -> tuple[Boxes, NDArray[np.intp]]:
    """Drop boxes that miss the frame; return the others and their windows."""
    windows = crop_windows(boxes, height, width)
    visible = (windows[:, 2:] > windows[:, :2]).all(axis=1)
    return boxes[visible], windows[visible]
