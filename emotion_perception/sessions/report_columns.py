# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A session brought to the columns of a drawing or the rows of a table."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.report_frames import STATES, Frames


@dataclass(frozen=True, eq=False)
class Columns:
    """What is known of equal parts of the time, C of them.

    Attributes:
        edges: float64 (C + 1,) seconds.
        shares: float64 (C, 5), of each of STATES; in sum less than 1 where frames are missing.
        low: float64 (C,), least valence; NaN where no face was judged.
        mean: float64 (C,), over time.
        high: float64 (C,), greatest.
    """

    edges: NDArray[np.float64]
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    mean: NDArray[np.float64]
    high: NDArray[np.float64]


def columns_of(frames: Frames, count: int, step: float | None = None) -> Columns:
    """Cut the time of a session into equal parts.

    Args:
        frames: of the session.
        count: how many parts.
        step: length of a part, seconds; by default what makes `count` of the whole.
    """
    start = float(frames.times[0]) if len(frames.times) else 0.0
    length = step if step else (frames.end - start) / count
    edges: NDArray[np.float64] = np.asarray(start + length * np.arange(count + 1), np.float64)
    edges[-1] = min(edges[-1], frames.end) if step else frames.end
    shares = np.stack(
        [_held(frames, frames.states == index, edges) for index in range(len(STATES))], axis=1
    )
    judged = frames.judged
    held = _held(frames, judged, edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _held(frames, np.nan_to_num(frames.valence), edges) / held
        shares = shares / np.diff(edges)[:, None]
    low, high = _extremes(frames, edges)
    empty = held <= 1e-9
    for values in (low, mean, high):
        values[empty] = np.nan
    return Columns(edges, shares, low, mean, high)


def runs(known: NDArray[np.bool_]) -> list[slice]:
    """Return the stretches of True in (N,)."""
    padded = np.concatenate([[False], known, [False]]).astype(np.int8)
    steps = np.diff(padded)
    return [
        slice(int(a), int(b))
        for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    ]


def stretches(frames: Frames) -> list[slice]:
    """Return where the face was judged in frame after frame, without a gap of time."""
    found = []
    breaks = np.flatnonzero(np.diff(frames.times) > frames.seconds[:-1] + 1e-6) + 1
    for run in runs(frames.judged):
        inside = [int(at) for at in breaks if run.start < at < run.stop]
        found += [slice(a, b) for a, b in itertools.pairwise([run.start, *inside, run.stop])]
    return found


def _held(
    frames: Frames, values: NDArray[np.bool_] | NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the integral over each part (C,) of a value that frames hold (F,)."""
    knots = np.stack([frames.times, frames.times + frames.seconds], axis=1).ravel()
    area = np.cumsum(values * frames.seconds)
    heights = np.stack([np.concatenate([[0.0], area[:-1]]), area], axis=1).ravel()
    return np.diff(np.interp(edges, knots, heights))


def _extremes(
    frames: Frames, edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the least and the greatest valence of each part (C,)."""
    count = len(edges) - 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    judged = frames.judged
    values = frames.valence[judged]
    begin, end = frames.times[judged], (frames.times + frames.seconds)[judged]
    first = np.clip(np.searchsorted(edges, begin + 1e-9, side="right") - 1, 0, count - 1)
    last = np.clip(np.searchsorted(edges, end - 1e-9, side="left") - 1, 0, count - 1)
    for place in (first, last):
        np.minimum.at(low, place, values)
        np.maximum.at(high, place, values)
    for at in np.flatnonzero(last - first > 1).tolist():  # a frame longer than a column
        inside = slice(first[at], last[at] + 1)
        low[inside] = np.minimum(low[inside], values[at])
        high[inside] = np.maximum(high[inside], values[at])
    return low, high
