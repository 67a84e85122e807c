# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Following faces from frame to frame, so that each person keeps one name.

A track has a place, a size and how fast they change, all in time and not in frames, and the look
of the face. A detection goes to the track that it is likeliest to continue, all detections of a
frame taken together (SORT, Bewley et al. 2016, with a constant velocity that fades while nothing is
seen, as in OC-SORT, Cao et al. 2023, and with the look of the face where places do not decide).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face

Look = NDArray[np.float32]
"""What tells one face from another, unit length (D,); their product is their likeness."""

_PLACE_DECIDES: Final = ((0.4, 1 / 4), (1.2, 1 / 2))
"""Up to these gaps, in seconds, looks may cost no more than this share of the gate."""

_EXACT: Final = 4
"""So many tracks and faces that compete are assigned by trying everything; more, greedily."""


@dataclass(frozen=True, kw_only=True)
class TrackingOptions:
    """How faces are followed; lengths are in sides of the face, times in seconds.

    Attributes:
        max_gap: a face unseen for longer is gone; who comes back later has a new id.
        jitter: standard deviation of a detector's place.
        drift: how fast the place of an unseen face becomes uncertain, sides a second.
        size_jitter: standard deviation of a detector's size, logarithm.
        fade: time constant with which the velocity of an unseen face falls to zero.
        look_spread: standard deviation of 1 - likeness among images of one face (0.02 to 0.05
            measured on neighbouring frames; other people 0.31 in the median).
        look_memory: time constant of the remembered look.
        gate: largest distance that still continues a track, in standard deviations.
    """

    max_gap: float = 3.0
    jitter: float = 0.15
    drift: float = 1.2
    size_jitter: float = 0.12
    fade: float = 0.5
    look_spread: float = 0.08
    look_memory: float = 2.0
    gate: float = 4.0


@dataclass(eq=False)
class Track:
    """One person's face, followed.

    Attributes:
        face_id: ``f`` and a number, never given twice by one tracker.
        face: as last seen.
        last_seen: time, seconds.
    """

    face_id: str
    face: Face
    last_seen: float
    _velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    _known: float = 0.0  # seconds of motion that the velocity rests on
    _look: Look | None = None

    def _predicted(self, stamp: float, fade: float) -> NDArray[np.float64]:
        """Return centre x, centre y and logarithm of the side at a time."""
        # The velocity fades: the way it still carries is that of a decaying exponential.
        way = fade * (1 - math.exp(-(stamp - self.last_seen) / fade))
        return _place(self.face) + self._velocity * way


class FaceTracker:
    """Gives the faces of each frame the names of the persons they belong to.

    Not thread-safe.

    Args:
        options: how.
        numbers: of the ids, to share among trackers; None counts from 1.

    Attributes:
        tracks: all that are followed, those unseen for a moment too.
    """

    def __init__(
        self, options: TrackingOptions | None = None, numbers: Iterator[int] | None = None
    ) -> None:
        self.options = options or TrackingOptions()
        self.tracks: list[Track] = []
        self._stamp = -math.inf
        self._numbers = numbers or itertools.count(1)

    def update(
        self, faces: Sequence[Face], stamp: float, looks: Sequence[Look | None] | None = None
    ) -> list[Track]:
        """Continue the tracks with the faces of the next frame.

        Args:
            faces: found in the frame.
            stamp: time of the frame, seconds. A time before that of the last frame (a bag that
                starts over) ends all tracks.
            looks: of the faces, see look_of; None goes by the place alone.

        Returns:
            The track of each face, in the order of the faces.
        """
        if stamp < self._stamp:
            self.tracks.clear()
        self._stamp = stamp
        self.tracks = [t for t in self.tracks if stamp - t.last_seen <= self.options.max_gap]
        seen_as: Sequence[Look | None] = looks if looks is not None else [None] * len(faces)
        cost = np.full((len(self.tracks), len(faces)), math.inf)
        found = [_place(face).tolist() for face in faces]
        for row, known in enumerate(self.tracks):
            expected = known._predicted(stamp, self.options.fade).tolist()
            for column, place in enumerate(found):
                cost[row, column] = self._cost(known, expected, place, seen_as[column], stamp)
        result: list[Track | None] = [None] * len(faces)
        for row, column in assign(cost, self.options.gate**2):
            self._continue(self.tracks[row], faces[column], seen_as[column], stamp)
            result[column] = self.tracks[row]
        done = []
        for track, face, seen in zip(result, faces, seen_as, strict=True):
            if track is None:
                track = Track(f"f{next(self._numbers)}", face, stamp, _look=seen)
                self.tracks.append(track)
            done.append(track)
        return done

    def reset(self) -> None:
        """Forget everybody; ids go on from where they were."""
        self.tracks.clear()
        self._stamp = -math.inf

    def _cost(
        self, track: Track, expected: Sequence[float], found: Sequence[float], look: Look | None,
        stamp: float,
    ) -> float:  # fmt: skip
        """Return how unlikely a face continues a track: a squared distance, infinite for never."""
        options = self.options
        gap = stamp - track.last_seen
        side = math.exp((expected[2] + found[2]) / 2)
        spread = options.jitter + options.drift * gap
        if abs(expected[0] - found[0]) > 2 * options.gate * spread * side:
            return math.inf
        away = math.hypot(expected[0] - found[0], expected[1] - found[1]) / side
        resized = abs(expected[2] - found[2]) / (options.size_jitter + 0.2 * gap)
        # The logarithm: of two tracks that fit, the one whose place is better known fits better.
        known = 2 * math.log(spread / options.jitter)
        place = (away / spread) ** 2 + resized**2
        if place > options.gate**2 * 2:
            return math.inf
        unlike = 0.0
        if look is not None and track._look is not None:
            unlike = ((1 - float(look @ track._look)) / options.look_spread) ** 2
            # Whoever is in the same place soon after is the same, however the light fell and
            # whatever was before the face: who comes out from behind somebody is half covered.
            for most, share in _PLACE_DECIDES:
                if gap < most:
                    unlike = min(unlike, options.gate**2 * share)
        return min(place, options.gate**2) + unlike + known

    def _continue(self, track: Track, face: Face, look: Look | None, stamp: float) -> None:
        gap = stamp - track.last_seen
        if gap > 0:
            moved = (_place(face) - _place(track.face)) / gap
            moved[2] = 0.0  # a size that seems to grow is mostly a face that is half covered
            # A velocity over a short time is mostly the detector's jitter.
            weight = gap / (gap + max(min(track._known, 0.3), 0.05))
            track._velocity += weight * (moved - track._velocity)
            track._known += gap
        if look is not None:
            if track._look is None:
                track._look = look
            else:
                share = 1 - math.exp(-max(gap, 0.02) / self.options.look_memory)
                mixed = track._look + share * (look - track._look)
                norm = float(np.linalg.norm(mixed))
                track._look = np.asarray(mixed / max(norm, 1e-6), np.float32)
        track.face, track.last_seen = face, stamp


def apart(faces: Sequence[Face], sides: float) -> bool:
    """Whether all faces are further from each other than so many sides of the larger one."""
    if len(faces) < 2:
        return True
    boxes = np.stack([face.box for face in faces])
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    away = np.abs(middles[:, None] - middles[None]).max(axis=2)
    near = away < sides * np.maximum(size[:, None], size[None])
    return int(near.sum()) == len(faces)


def look_of(frame_bgr: NDArray[np.uint8], face: Face, crop: NDArray[np.uint8]) -> Look:
    """Return what a face looks like, coarsely: enough to tell two people in one room apart.

    Half of it is the aligned face, half the colours of head and shoulders; the overall brightness
    is left out.

    Args:
        frame_bgr: uint8 BGR (H, W, 3).
        face: where it is.
        crop: uint8 grey aligned crop of it (S, S).
    """
    height, width = frame_bgr.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in face.box)
    side = y2 - y1
    left, right = max(int(x1), 0), min(int(x2) + 1, width)
    top, bottom = max(int(y1 - 0.3 * side), 0), min(int(y2 + 0.4 * side) + 1, height)
    parts = [cv2.resize(crop, (12, 12), interpolation=cv2.INTER_AREA)]
    if right - left >= 2 and bottom - top >= 2:
        # Every n-th pixel: of so coarse a look, all of them tell no more.
        step = max(1, min(right - left, bottom - top) // 32)
        region = frame_bgr[top:bottom:step, left:right:step]
        parts.append(cv2.resize(region, (8, 8), interpolation=cv2.INTER_AREA))
    units = []
    for part in parts:
        flat = part.astype(np.float32).ravel()
        flat -= flat.mean()
        units.append(flat / max(float(np.linalg.norm(flat)), 1e-6))
    if len(units) == 1:  # almost outside the frame
        units.append(np.zeros(8 * 8 * 3, np.float32))
    look = np.concatenate(units)
    return np.asarray(look / max(float(np.linalg.norm(look)), 1e-6), np.float32)


def assign(cost: NDArray[np.float64], limit: float) -> list[tuple[int, int]]:
    """Pair rows with columns so that as many as may be are paired, as cheaply as may be.

    Args:
        cost: (rows, columns).
        limit: pairs that cost more are never made.

    Returns:
        Pairs of row and column.
    """
    allowed = cost <= limit
    if 1 in cost.shape and cost.size:
        best = int(np.argmin(cost))
        row, column = divmod(best, cost.shape[1])
        return [(row, column)] if allowed[row, column] else []
    pairs: list[tuple[int, int]] = []
    for rows, columns in _groups(allowed):
        pairs += _best(cost, allowed, rows, columns)
    return pairs


def _groups(allowed: NDArray[np.bool_]) -> list[tuple[list[int], list[int]]]:
    """Return rows and columns that compete with each other."""
    left = set(np.flatnonzero(allowed.any(axis=1)).tolist())
    groups = []
    while left:
        rows, columns = {left.pop()}, set[int]()
        while True:
            more = set(np.flatnonzero(allowed[sorted(rows)].any(axis=0)).tolist())
            reached = set(np.flatnonzero(allowed[:, sorted(more)].any(axis=1)).tolist())
            if more == columns and reached == rows:
                break
            rows, columns = reached, more
        left -= rows
        groups.append((sorted(rows), sorted(columns)))
    return groups


def _best(
    cost: NDArray[np.float64], allowed: NDArray[np.bool_], rows: list[int], columns: list[int]
) -> list[tuple[int, int]]:
    if max(len(rows), len(columns)) > _EXACT:
        pairs: list[tuple[int, int]] = []
        order = sorted((cost[r, c], r, c) for r in rows for c in columns if allowed[r, c])
        for _, row, column in order:
            if all(row != r and column != c for r, c in pairs):
                pairs.append((row, column))
        return pairs
    # None stands for a row that stays alone.
    options: list[int | None] = [*columns, *[None] * len(rows)]
    best: tuple[float, list[tuple[int, int]]] = (math.inf, [])
    for chosen in set(itertools.permutations(options, len(rows))):
        made = [(r, c) for r, c in zip(rows, chosen, strict=True) if c is not None]
        if all(allowed[r, c] for r, c in made):
            alone = (min(len(rows), len(columns)) - len(made)) * 1e6
            total = alone + float(sum(cost[r, c] for r, c in made))
            if total < best[0]:
                best = (total, made)
    return best[1]


def _place(face: Face) -> NDArray[np.float64]:
    x1, y1, x2, y2 = (float(value) for value in face.box)
    side = max(math.sqrt(max(x2 - x1, 1.0) * max(y2 - y1, 1.0)), 1.0)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, math.log(side)])
