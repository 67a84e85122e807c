# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Events: from when to when a person reacted, found with the whole recording at hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.smoothing import SmoothingOptions
from emotion_perception.sessions.event_file import (
    EVENTS_SUFFIX,
    Event,
    events_path,
    read_events,
    write_events,
)
from emotion_perception.sessions.smoothing import look_weights, parts, smooth
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    JudgedBy,
    Session,
    SessionError,
    column,
)
from emotion_perception.valence.labels import CLASSES, NEGATIVE, NEUTRAL, POSITIVE

if TYPE_CHECKING:
    import pandas

__all__ = [
    "EVENTS_SUFFIX", "Event", "EventOptions", "events_of", "events_path", "find_events",
    "frame_seconds", "read_events", "row_times", "write_events",
]  # fmt: skip

_PEAK_S: Final = 0.5
"""Over so long the valence is averaged to find its peak: a single frame may be misread."""

_EDGE_S: Final = 0.25
"""So soon after the recording's start, or before its end, a face may not be found yet or again."""

_LONGEST_STEP: Final = 5.0
"""A frame stands until the next one, but for no more than so many usual steps: where frames are
missing nothing is known."""


@dataclass(frozen=True, kw_only=True)
class EventOptions:
    """What counts as an event; times in seconds.

    Attributes:
        smoothing: of the frames' probabilities, as while a robot watches.
        threshold: probability that an event must reach; None for that of the model in the table.
        release: before and after that, the event lasts while its reaction is the likeliest and not
            below this share of the threshold.
        min_duration: shorter ones are left out, unless the recording cuts them.
        merge_gap: of two of one kind with no more between, and no other, one is made.
        max_gap: an event ends where the face was not judged for longer.
        neutral: tell neutral stretches too.
    """

    smoothing: SmoothingOptions = field(default_factory=SmoothingOptions)
    threshold: float | None = None
    release: float = 0.7
    min_duration: float = 0.3
    merge_gap: float = 0.3
    max_gap: float = 1.0
    neutral: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0 < self.threshold <= 1:
            raise ValueError(f"threshold: expected more than 0, 1 at most, got {self.threshold:g}")
        if not 0 <= self.release <= 1:
            raise ValueError(f"release: expected 0 to 1, got {self.release:g}")
        for name in ("min_duration", "merge_gap"):
            value = getattr(self, name)
            if not 0 <= value < np.inf:
                raise ValueError(f"{name}: expected 0 seconds or more, got {value:g}")
        if not 0 < self.max_gap < np.inf:
            raise ValueError(f"max_gap: expected more than 0 seconds, got {self.max_gap:g}")


def find_events(
    session: Session, options: EventOptions | None = None, model: str | None = None
) -> list[Event]:
    """Find the reactions in a recording.

    Args:
        session: the table of the recording.
        options: what counts as one.
        model: whose probabilities; the first model by default.

    Returns:
        In order of onset.

    Raises:
        SessionError: the table has no such model, or a row without a time.
    """
    options = options or EventOptions()
    judged_by = session.model(model)
    clock = np.unique(row_times(session))
    found: list[Event] = []
    for face_id, rows in session.rows.groupby("face_id", sort=False):
        if face_id:
            face = _Face.of(rows.sort_values("time", kind="stable"), judged_by, session, options)
            found += face.events(session.info.session, judged_by, clock, options)
    return sorted(found, key=lambda event: (event.onset, event.face_id))


def events_of(session: Session) -> list[Event]:
    """Return the events of the file beside a table, or find them anew where there is none.

    Returns:
        Those that the first model judged, in order of onset.

    Raises:
        SessionError: the file is of another table or model, or no file of events.
    """
    path = events_path(session.path)
    if not path.exists():
        return find_events(session)
    first = session.model().name
    every = read_events(path, session.info.job)
    own = [event for event in every if event.model == first]
    if every and not own:
        raise SessionError(
            f"{path}: model: expected {first}, got {every[0].model}; make it anew from the table"
        )
    return sorted(own, key=lambda event: (event.onset, event.face_id))


def frame_seconds(times: NDArray[np.float64], session: Session) -> NDArray[np.float64]:
    """Return for how long each frame of a session at ``times`` (F,) stands, seconds (F,)."""
    if not len(times):
        return times
    info = session.info
    steps = np.diff(times)
    usual = info.every / info.rate if info.rate > 0 else 0.04
    if len(steps):
        usual = float(np.median(steps))
    return np.asarray(np.minimum(np.append(steps, usual), _LONGEST_STEP * usual), np.float64)


def row_times(session: Session) -> NDArray[np.float64]:
    """Return the time of each row, seconds since the first frame.

    Raises:
        SessionError: a row has none.
    """
    times = session.rows["time"].to_numpy(np.float64, na_value=np.nan)
    if not np.isfinite(times).all():
        raise SessionError(f"{session.path}: time: expected a number in every row")
    return np.asarray(times)


@dataclass(frozen=True, eq=False)
class _Face:
    """The looks at one face.

    Attributes:
        face_id: whose.
        times: (N,) seconds, of the frames in which it was judged.
        waiting: (M,) seconds, of those in which others were judged instead.
        own: (N, 3) probabilities of those frames alone.
        told: (N, 3) the smoothed ones.
        partner: (N,) whether it was the partner.
        weights: (N,) seconds that each look stands for, more or less.
    """

    face_id: str
    times: NDArray[np.float64]
    waiting: NDArray[np.float64]
    own: NDArray[np.float64]
    told: NDArray[np.float64]
    partner: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @classmethod
    def of(
        cls, rows: pandas.DataFrame, model: JudgedBy, session: Session, options: EventOptions
    ) -> _Face:
        models = session.info.models
        names = [column(name, model, models) for name in FRAME_PROBABILITIES]
        own = rows[names].to_numpy(np.float64, na_value=np.nan)
        times = rows["time"].to_numpy(np.float64)
        good = rows["problem"].fillna("").to_numpy() == ""
        with np.errstate(invalid="ignore"):
            judged = good & np.isfinite(own).all(axis=1) & (own >= 0).all(axis=1)
            judged &= own.sum(axis=1) > 0
        waiting = times[good & ~judged]
        times, own = times[judged], own[judged]
        own /= own.sum(axis=1, keepdims=True)
        weights = np.empty(len(times))
        for part in parts(times, options.smoothing.max_gap):
            weights[part] = look_weights(times[part], options.smoothing)
        partner = rows["is_partner"].eq(True).to_numpy(bool)[judged]
        told = smooth(times, own, options.smoothing)
        return cls(str(rows["face_id"].iloc[0]), times, waiting, own, told, partner, weights)

    def events(
        self, session: str, model: JudgedBy, clock: NDArray[np.float64], options: EventOptions
    ) -> list[Event]:
        """Return the events, of a recording whose frames are at ``clock`` (F,) seconds."""
        if not len(self.times):
            return []
        threshold = model.threshold if options.threshold is None else options.threshold
        # The face's next frame may be one in which it had to wait for others.
        ends = np.setdiff1d(clock, self.waiting)
        after = np.searchsorted(ends, self.times, side="right")
        until = np.append(ends, clock[-1])[after]
        stretches = _stretches(self.told, self.times, threshold, options)
        if not options.neutral:
            stretches = [stretch for stretch in stretches if stretch.label != NEUTRAL]
        stretches = _merged(stretches, self.times, until, options.merge_gap)
        cut_start, cut_end = clock[0] + _EDGE_S, clock[-1] - _EDGE_S
        stretches = [
            stretch
            for stretch in stretches
            if until[stretch.last] - self.times[stretch.first] >= options.min_duration - 1e-6
            or self.times[stretch.first] <= cut_start
            or self.times[stretch.last] >= cut_end
        ]
        # What was too short stands no longer between two of one kind.
        stretches = _merged(stretches, self.times, until, options.merge_gap)
        return [self._event(session, model, clock, until, stretch) for stretch in stretches]

    def _event(
        self, session: str, model: JudgedBy, clock: NDArray[np.float64],
        until: NDArray[np.float64], stretch: _Stretch,
    ) -> Event:  # fmt: skip
        inside = slice(stretch.first, stretch.last + 1)
        times, weights = self.times[inside], self.weights[inside]
        valence = self.own[inside, POSITIVE] - self.own[inside, NEGATIVE]
        side = {NEGATIVE: -valence, NEUTRAL: np.abs(valence), POSITIVE: valence}[stretch.label]
        smooth_valence = _mean_about(times, valence, weights)
        height = {
            NEGATIVE: -smooth_valence, NEUTRAL: -np.abs(smooth_valence), POSITIVE: smooth_valence
        }[stretch.label]  # fmt: skip
        # Rounded, so that of equal ones the first is the peak.
        peak = int(np.round(height, 6).argmax())
        onset, offset = times[0], until[stretch.last]
        # The last frame of the recording has none after it.
        frames = int(np.searchsorted(clock, offset) - np.searchsorted(clock, onset))
        frames += int(offset == times[-1])
        return Event(
            session=session,
            model=model.name,
            face_id=self.face_id,
            partner_share=_mean(self.partner[inside], weights),
            reaction=CLASSES[stretch.label],
            onset=_down(onset),
            peak=_down(times[peak]),
            offset=_down(offset),
            peak_valence=round(float(smooth_valence[peak]), 4),
            strength=_mean(side, weights),
            confidence=_mean(self.told[inside, stretch.label], weights),
            frames=frames,
            coverage=round(len(np.unique(times)) / frames, 4),
            cut_start=bool(onset <= clock[0] + _EDGE_S),
            cut_end=bool(times[-1] >= clock[-1] - _EDGE_S),
        )


@dataclass(frozen=True)
class _Stretch:
    """Looks, the first and the last of them, that show the same."""

    label: int
    first: int
    last: int


def _stretches(
    told: NDArray[np.float64], times: NDArray[np.float64], threshold: float, options: EventOptions
) -> list[_Stretch]:
    """Find where the smoothed probabilities (N, 3) stay with a class that reaches the threshold."""
    best = told.argmax(axis=1)
    high = told.max(axis=1)
    shown = np.where(high >= options.release * threshold, best, -1)
    changes = (np.diff(shown) != 0) | (np.diff(times) > options.max_gap)
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(times)]
    return [
        _Stretch(int(shown[first]), first, stop - 1)
        for first, stop in itertools.pairwise(edges)
        if shown[first] >= 0 and high[first:stop].max() >= threshold
    ]


def _merged(
    stretches: Sequence[_Stretch], times: NDArray[np.float64], until: NDArray[np.float64],
    gap: float,
) -> list[_Stretch]:  # fmt: skip
    result: list[_Stretch] = []
    for stretch in stretches:
        last = result[-1] if result else None
        if last and last.label == stretch.label and (
            times[stretch.first] - until[last.last] <= gap
        ):  # fmt: skip
            result[-1] = _Stretch(last.label, last.first, stretch.last)
        else:
            result.append(stretch)
    return result


def _down(time: float) -> float:
    """Round a time down to a microsecond, so that its frame is not before it."""
    result = math.floor(time * 1e6) / 1e6
    return result if result <= time else (math.floor(time * 1e6) - 1) / 1e6


def _mean(values: NDArray[np.float64] | NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    return round(float((values * weights).sum() / weights.sum()), 4)


def _mean_about(
    times: NDArray[np.float64], values: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of the values (N,) about each of the times."""
    first = np.searchsorted(times, times - _PEAK_S / 2 - 1e-6)
    stop = np.searchsorted(times, times + _PEAK_S / 2 + 1e-6)
    sums = np.concatenate([[0.0], np.cumsum(values * weights)])
    total = np.concatenate([[0.0], np.cumsum(weights)])
    return np.asarray((sums[stop] - sums[first]) / (total[stop] - total[first]))
