# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Finding faces in a film for a fraction of what finding them in each frame costs.

Between two frames a face hardly moves: the last stage of the detector alone puts the box back on it
(`refine_many`). Between the frames a helper searches the rest of the picture a part at a time, so
that somebody new is noticed within 300 ms and no camera's frame waits for the search. A face that
gets lost is looked for around its place first, then once in the whole frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face, FaceDetector
from emotion_perception.team import Pending, Team, team

_SAME: Final = 0.45
"""Overlap from which on two boxes are one face; people side by side overlap less."""

_LOOK_EVERY_S: Final = 0.1

_SLOW_S: Final = 0.05
"""Frames further apart wait for what was searched between them; faster ones take it up one frame
later, so that the search may go on beside the next frame."""


@runtime_checkable
class FollowingDetector(FaceDetector, Protocol):
    """A detector that can look again at known faces, and search a frame part by part.

    Two threads may use it at once.
    """

    def refine_many(
        self, frames_bgr: Sequence[NDArray[np.uint8]], boxes: Sequence[NDArray[np.float32]]
    ) -> list[list[Face | None]]:
        """Return, for each frame, the face in or near each box (N, 4), None where there is none."""
        ...

    def find_near(self, frame_bgr: NDArray[np.uint8], box: NDArray[np.float32]) -> list[Face]:
        """Return the faces about as large as a box (4,) in or near it, best score first."""
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
        least_score: a followed face below it is looked for anew around where it was.
        patience: a face that got lost is looked for there for so long.
        most_age: of the last frame; after a longer gap the whole frame is searched.
    """

    search_period: float = 0.22
    least_score: float = 0.85
    patience: float = 0.5
    most_age: float = 0.5


@dataclass(frozen=True)
class _Missing:
    """Where a face got lost, and when."""

    box: NDArray[np.float32]
    since: float


@dataclass(frozen=True)
class _Step:
    """A frame on its way.

    Attributes:
        frame_bgr: uint8 BGR (H, W, 3).
        stamp: its time, seconds.
        gap: time since the last one.
        known: float32 (N, 4), where the known faces should be.
        boxes: these, and where a helper found new ones.
        film: whether it continues a film.
    """

    frame_bgr: NDArray[np.uint8]
    stamp: float
    gap: float
    known: NDArray[np.float32]
    boxes: NDArray[np.float32]
    film: bool = True


class FaceFollower:
    """Finds the faces of the frames of one camera.

    Not thread-safe.

    Args:
        helpers: search for new faces between the frames; what they find is told with the next
            frame, or where these come fast with the next but one.
        options: how.
    """

    def __init__(
        self, helpers: Team | None = None, options: FollowingOptions | None = None
    ) -> None:
        self.options = options or FollowingOptions()
        self._helpers = helpers or team(1)
        self.reset()

    def reset(self) -> None:
        """Search the next frame as a whole."""
        self._boxes: NDArray[np.float32] = np.empty((0, 4), np.float32)
        self._velocity: NDArray[np.float32] = np.empty((0, 4), np.float32)
        self._missing: list[_Missing] = []
        self._looked_at = -math.inf
        self._search: Pending[list[Face]] | None = None
        self._found: list[Face] = []
        self._parts: list[int] = []
        self._detector: FaceDetector | None = None
        self._follows = False
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
            frame_bgr: uint8 BGR (H, W, 3); it may change afterwards.
            stamp: its time, seconds.
        """
        faces = find_many(detector, [(self, frame_bgr, stamp)])[0]
        self.search_on(frame_bgr)
        return faces

    def _begin(self, detector: FaceDetector, frame_bgr: NDArray[np.uint8], stamp: float) -> _Step:
        """Return what to look at again in the next frame."""
        gap = stamp - self._stamp
        step = _Step(frame_bgr, stamp, gap, self._boxes, self._boxes)
        if not (
            detector is self._detector  # another one may look for other faces
            and 0 < gap <= self.options.most_age
            and frame_bgr.shape == self._shape
            and self._follows
        ):
            self._missing = []
            return replace(step, film=False)
        if gap >= _SLOW_S:
            self._gather()  # it is done by now, or the camera is so slow that there is time
        found, self._found = self._found, []
        known = self._boxes + self._velocity * np.float32(gap)
        new = [face.box[None] for face in found if not _covered(face.box, known)]
        return replace(step, known=known, boxes=np.concatenate([known, *new]))

    def _finish(
        self, detector: FaceDetector, step: _Step, looked_at: list[Face | None]
    ) -> list[Face]:
        """Return the faces of the frame that was begun."""
        known = cast(FollowingDetector, detector)
        faces = self._follow(known, step, looked_at) if step.film else None
        if faces is not None:
            self._parts = self._due(known, step.frame_bgr.shape[:2], step.gap)
        else:
            frame_bgr = step.frame_bgr
            # What begins here may be an image of its own, which is searched as those are.
            faces = _search_all(known, frame_bgr) if step.film else detector.detect(frame_bgr)
            self._next, self._credit, self._parts = 0, 0.0, []
            self._search, self._found = None, []
        self._remember(faces, step.gap)
        if detector is not self._detector:
            self._follows = isinstance(detector, FollowingDetector)  # slow, so not in every frame
        self._detector, self._stamp, self._shape = detector, step.stamp, step.frame_bgr.shape
        return faces

    def search_on(self, frame_bgr: NDArray[np.uint8]) -> None:
        """Let a helper search the parts of the last frame whose turn it is, for new faces.

        To be called when the frame has been judged: helpers at work slow down this thread.

        Args:
            frame_bgr: the frame whose faces were found last; it may change afterwards.
        """
        self._gather()
        parts, detector, known = self._parts, self._detector, self._boxes
        self._parts = []
        if parts and frame_bgr.shape == self._shape:
            # A copy: the camera may write the next frame to the same place.
            searched, search = frame_bgr.copy(), cast(FollowingDetector, detector).search
            self._search = self._helpers.start(lambda: search(searched, parts, known))

    def _gather(self) -> None:
        """Take what the helper has found; waits for it."""
        search, self._search = self._search, None  # one that fails does so once
        if search is not None:
            self._found = search.result()

    def _follow(
        self, detector: FollowingDetector, step: _Step, looked_at: list[Face | None]
    ) -> list[Face] | None:
        """Return the faces, or None where a face got lost and the whole frame must be searched."""
        frame_bgr, known = step.frame_bgr, step.known
        # Where a face had moved further than expected, a second look sees it in the middle.
        unsure = [
            i for i, face in enumerate(looked_at) if face is not None and not self._sure(face)
        ]
        if unsure:
            boxes = _boxes([face for index in unsure if (face := looked_at[index])])
            again = detector.refine_many([frame_bgr], [boxes])[0]
            for index, face in zip(unsure, again, strict=True):
                looked_at[index] = face
        sure: list[Face] = []
        lost, strayed = [], []
        for index, face in enumerate(looked_at):
            if face is not None and self._sure(face):
                sure.append(face)
            elif index < len(known):
                lost.append(known[index])
            else:
                strayed.append(step.boxes[index])
        faces = _distinct(sure)
        for box in strayed:  # somebody new who walks is elsewhere by now
            if (found := _nearest(detector.find_near(frame_bgr, box), box, faces)) is not None:
                faces.append(found)
        for box in lost:
            if _covered(box, _boxes(faces)):
                continue  # two that were one
            near = _nearest(detector.find_near(frame_bgr, box), box, faces)
            if near is None:
                self._missing = [_Missing(box, step.stamp) for box in lost]
                return None
            faces.append(near)
        self._look_for_missing(detector, frame_bgr, step.stamp, faces)
        return sorted(faces, key=lambda face: -face.score)

    def _sure(self, face: Face) -> bool:
        return face.score >= self.options.least_score

    def _due(self, detector: FollowingDetector, size: tuple[int, ...], gap: float) -> list[int]:
        """Return the parts of the frame whose turn it is."""
        costs = detector.costs(*size)
        self._credit = min(self._credit + gap / self.options.search_period, 1.0)
        parts: list[int] = []
        while len(parts) < len(costs) and costs[self._next] <= self._credit + 1e-9:
            self._credit -= costs[self._next]
            parts.append(self._next)
            self._next = (self._next + 1) % len(costs)
        return parts

    def _look_for_missing(
        self, detector: FollowingDetector, frame_bgr: NDArray[np.uint8], stamp: float,
        faces: list[Face],
    ) -> None:  # fmt: skip
        """Now and then add those that are back where they got lost."""
        if stamp - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = stamp
            for missing in self._missing:
                if not _covered(missing.box, _boxes(faces)):
                    back = _nearest(detector.find_near(frame_bgr, missing.box), missing.box, faces)
                    if back is not None:
                        faces.append(back)
        self._missing = [
            missing for missing in self._missing
            if stamp - missing.since < self.options.patience
            and not _covered(missing.box, _boxes(faces))
        ]  # fmt: skip

    def _remember(self, faces: list[Face], gap: float) -> None:
        boxes = _boxes(faces)
        velocity = np.zeros_like(boxes)
        if len(self._boxes) and len(boxes) and 0 < gap <= self.options.most_age:
            overlaps = _overlaps(boxes, self._boxes + self._velocity * np.float32(gap))
            for row, column in enumerate(overlaps.argmax(axis=1)):
                if overlaps[row, column] >= _SAME:
                    moved = (boxes[row] - self._boxes[column]) / np.float32(gap)
                    # Half of it is the detector's jitter.
                    velocity[row] = (self._velocity[column] + moved) / 2
        self._boxes, self._velocity = boxes, velocity


def find_many(
    detector: FaceDetector, frames: Sequence[tuple[FaceFollower, NDArray[np.uint8], float]]
) -> list[list[Face]]:
    """Find the faces of one frame of each of several cameras, looking at them together.

    Args:
        detector: see FaceFollower.find.
        frames: follower, uint8 BGR frame (H, W, 3) and time of each; every follower once.

    Returns:
        The faces of each frame, best score first. New ones are searched for once `search_on` of
        each follower was called.
    """
    steps = [follower._begin(detector, frame, stamp) for follower, frame, stamp in frames]
    looked_at: list[list[Face | None]] = [[] for _ in steps]
    films = [index for index, step in enumerate(steps) if step.film and len(step.boxes)]
    if films:
        found = cast(FollowingDetector, detector).refine_many(
            [steps[i].frame_bgr for i in films], [steps[i].boxes for i in films]
        )
        for index, faces in zip(films, found, strict=True):
            looked_at[index] = faces
    return [
        follower._finish(detector, step, faces)
        for (follower, _, _), step, faces in zip(frames, steps, looked_at, strict=True)
    ]


def _search_all(detector: FollowingDetector, frame_bgr: NDArray[np.uint8]) -> list[Face]:
    parts = range(len(detector.costs(*frame_bgr.shape[:2])))
    return detector.search(frame_bgr, parts, np.empty((0, 4), np.float32))


def _boxes(faces: Sequence[Face]) -> NDArray[np.float32]:
    return np.array([face.box for face in faces], np.float32).reshape(-1, 4)


def _distinct(faces: Sequence[Face]) -> list[Face]:
    """Return the faces without those that a better one covers."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if not _covered(face.box, _boxes(kept)):
            kept.append(face)
    return kept


def _nearest(
    found: Sequence[Face], box: NDArray[np.float32], others: Sequence[Face]
) -> Face | None:
    """Return the face that overlaps a box most, among those that are nobody else's."""
    free = [face for face in found if not _covered(face.box, _boxes(others))]
    if not free:
        return None
    overlaps = _overlaps(_boxes(free), box[None])[:, 0]
    return free[int(overlaps.argmax())] if overlaps.max() > 0 else None


def _covered(box: NDArray[np.float32], others: NDArray[np.float32]) -> bool:
    return bool(len(others) and _overlaps(box[None], others).max() >= _SAME)


def _overlaps(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return intersection over the smaller area, (N, M), of boxes (N, 4) and (M, 4)."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    inside = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(axis=2)
    areas = [np.clip(x[:, 2:] - x[:, :2], 0, None).prod(axis=1) for x in (a, b)]
    smaller = np.minimum(areas[0][:, None], areas[1][None])
    return np.asarray(inside / np.maximum(smaller, 1e-6), np.float32)
