"""Finding faces in a film for a fraction of what finding them in each frame costs.

Between two frames a face hardly moves: the last stage of the detector alone puts the box back on it
(`refine`). Meanwhile the rest of the frame is searched a part at a time, so that somebody new is
noticed within a quarter of a second and no frame pays for the whole search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face, FaceDetector

_SAME: Final = 0.45
"""Overlap from which on two boxes are one face; people side by side overlap less."""


@runtime_checkable
class FollowingDetector(FaceDetector, Protocol):
    """A detector that can look again at known faces, and search a frame part by part."""

    def refine(self, frame_bgr: NDArray[np.uint8], boxes: NDArray[np.float32]) -> list[Face | None]:
        """Return the face in or near each box (N, 4), None where there is none."""
        ...

    def costs(self, height: int, width: int) -> list[float]:
        """Return what searching each part of a frame costs, as shares that sum to 1."""
        ...

    def search(
        self, frame_bgr: NDArray[np.uint8], parts: Sequence[int], known: NDArray[np.float32]
    ) -> list[Face]:
        """Return the faces in some parts of the search that lie outside known boxes (N, 4)."""
        ...


@dataclass(frozen=True, kw_only=True)
class FollowingOptions:
    """How faces are found in a film; times in seconds.

    Attributes:
        search_period: within this time the whole frame is searched once.
        least_score: a followed face below it is looked for anew in the whole frame.
        most_age: of the last frame; after a longer gap the whole frame is searched.
    """

    search_period: float = 0.25
    least_score: float = 0.85
    most_age: float = 0.5


class FaceFollower:
    """Finds the faces of the frames of one camera.

    Not thread-safe.

    Args:
        options: how.
    """

    def __init__(self, options: FollowingOptions | None = None) -> None:
        self.options = options or FollowingOptions()
        self.reset()

    def reset(self) -> None:
        """Search the next frame as a whole."""
        self._boxes: NDArray[np.float32] = np.empty((0, 4), np.float32)
        self._velocity: NDArray[np.float32] = np.empty((0, 4), np.float32)
        self._detector: FaceDetector | None = None
        self._stamp = -math.inf
        self._shape: tuple[int, ...] = ()
        self._next = 0
        self._credit = 0.0

    def find(
        self, detector: FaceDetector, frame_bgr: NDArray[np.uint8], stamp: float
    ) -> list[Face]:
        """Find the faces of the next frame, best score first.

        Args:
            detector: if it is no FollowingDetector, each frame is searched as a whole.
            frame_bgr: uint8 BGR (H, W, 3).
            stamp: its time, seconds.
        """
        gap = stamp - self._stamp
        faces: list[Face] | None = None
        if (
            isinstance(detector, FollowingDetector)
            and detector is self._detector  # another one may look for other faces
            and len(self._boxes)
            and 0 < gap <= self.options.most_age
            and frame_bgr.shape == self._shape
        ):
            faces = self._follow(detector, frame_bgr, gap)
        if faces is None:
            faces = detector.detect(frame_bgr)
            self._next, self._credit = 0, 0.0
        self._remember(faces, gap)
        self._detector, self._stamp, self._shape = detector, stamp, frame_bgr.shape
        return faces

    def _follow(
        self, detector: FollowingDetector, frame_bgr: NDArray[np.uint8], gap: float
    ) -> list[Face] | None:
        """Return the faces, or None where a face got lost and the whole frame must be searched."""
        found = detector.refine(frame_bgr, self._boxes + self._velocity * np.float32(gap))
        faces: list[Face] = []
        for face in sorted((f for f in found if f is not None), key=lambda f: -f.score):
            if not _covered(face, faces):
                faces.append(face)
        if len(faces) < len(found) or min(f.score for f in faces) < self.options.least_score:
            return None
        height, width = frame_bgr.shape[:2]
        costs = detector.costs(height, width)
        if not costs:
            return faces
        self._credit = min(self._credit + gap / self.options.search_period, 1.0)
        parts: list[int] = []
        while len(parts) < len(costs) and costs[self._next] <= self._credit + 1e-9:
            self._credit -= costs[self._next]
            parts.append(self._next)
            self._next = (self._next + 1) % len(costs)
        if parts:
            known = np.stack([face.box for face in faces])
            new = detector.search(frame_bgr, parts, known)
            faces += [face for face in new if not _covered(face, faces)]
        return faces

    def _remember(self, faces: list[Face], gap: float) -> None:
        boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
        velocity = np.zeros_like(boxes)
        if len(self._boxes) and len(boxes) and 0 < gap <= self.options.most_age:
            overlaps = _overlaps(boxes, self._boxes + self._velocity * np.float32(gap))
            for row, column in enumerate(overlaps.argmax(axis=1)):
                if overlaps[row, column] >= _SAME:
                    moved = (boxes[row] - self._boxes[column]) / np.float32(gap)
                    # Half of it is the detector's jitter.
                    velocity[row] = (self._velocity[column] + moved) / 2
        self._boxes, self._velocity = boxes, velocity


def _covered(face: Face, others: Sequence[Face]) -> bool:
    if not others:
        return False
    boxes = np.stack([other.box for other in others])
    return bool(_overlaps(face.box[None], boxes).max() >= _SAME)


def _overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return intersection over the smaller area, (N, M), of boxes (N, 4) and (M, 4)."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    inside = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(axis=2)
    areas = [np.clip(x[:, 2:] - x[:, :2], 0, None).prod(axis=1) for x in (a, b)]
    smaller = np.minimum(areas[0][:, None], areas[1][None])
    return np.asarray(inside / np.maximum(smaller, 1e-6), np.float32)
