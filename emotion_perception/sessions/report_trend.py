# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A patient over weeks: what each session says, and whether the later ones differ."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from emotion_perception.reaction.observation import t_quantile
from emotion_perception.sessions.csv_files import date_and_time
from emotion_perception.sessions.report_actions import Answer, count_of
from emotion_perception.sessions.report_data import Estimate, Summary
from emotion_perception.sessions.report_intervals import NOT_KNOWN, Bounds
from emotion_perception.sessions.table import SessionInfo

LEAST_EACH: Final = 2
"""Sessions in each half, with enough seen, that a comparison needs."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Entry:
    """What a session tells of its patient; its rows are not kept."""

    info: SessionInfo
    total: float
    seen: float
    answered: float
    enough: bool
    states: dict[str, Estimate]
    answers: dict[str, Estimate]
    valence: Estimate
    causes: dict[str, Estimate]
    several: float
    events: int
    actions: list[Answer]

    @classmethod
    def of(cls, summary: Summary) -> Entry:
        """Take it from the report of a session."""
        return cls(
            info=summary.session.info, total=summary.total, seen=summary.seen,
            answered=summary.answered, enough=summary.enough, states=summary.states,
            answers=summary.answers, valence=summary.valence, causes=summary.causes,
            several=summary.several, events=len(summary.events), actions=summary.actions,
        )  # fmt: skip

    @property
    def received(self) -> Estimate:
        """Share of the clear answers to actions that were positive."""
        found = count_of("", self.actions)
        if not found.clear:
            return Estimate(math.nan)
        return Estimate(found.share("positive"), found.bounds["positive"])


@dataclass(frozen=True)
class Measure:
    """What is followed over the sessions.

    Attributes:
        key: short name.
        title: in words.
        of: its figure in a session; NaN where that session says nothing of it.
        is_share: a share of 0 to 1; else a valence of -1 to 1.
    """

    key: str
    title: str
    of: Callable[[Entry], Estimate]
    is_share: bool = True


def _if_enough(entry: Entry, found: Estimate) -> Estimate:
    return found if entry.enough else Estimate(math.nan)


MEASURES: Final = (
    Measure("positive", "share of the time with an answer in which the face looked positive",
            lambda entry: _if_enough(entry, entry.answers["positive"])),
    Measure("negative", "share of the time with an answer in which the face looked negative",
            lambda entry: _if_enough(entry, entry.answers["negative"])),
    Measure("valence", "mean valence",
            lambda entry: _if_enough(entry, entry.valence), is_share=False),
    Measure("received", "share of the clear answers to the robot's actions that were positive",
            lambda entry: entry.received),
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """How the second half of the sessions differs from the first in one measure.

    Attributes:
        measure: which.
        first: mean of the sessions of the first half; NaN without any.
        second: of the second half.
        counts: sessions of each half that say something of it.
        value: second less first.
        bounds: 95 % interval of it; NaN if there are too few sessions, or no scatter at all.
    """

    measure: Measure
    first: float
    second: float
    counts: tuple[int, int]
    value: float
    bounds: Bounds

    @property
    def verdict(self) -> int:
        """1 or -1 if it rose or fell by more than chance usually makes, else 0."""
        if not all(map(math.isfinite, self.bounds)):
            return 0
        return int(self.bounds[0] > 0) - int(self.bounds[1] < 0)


def in_order(entries: Sequence[Entry]) -> tuple[list[Entry], bool]:
    """Return sessions by when they were recorded, and whether all of them say when.

    Where one does not say it, all stay in the order in which they were given.
    """
    times = [_started(entry.info.started) for entry in entries]
    if any(time is None for time in times):
        return list(entries), False
    keyed = [(time, at) for at, time in enumerate(times) if time is not None]
    return [entries[at] for _, at in sorted(keyed)], True


def compare_halves(entries: Sequence[Entry]) -> list[Change]:
    """Compare the first half of the sessions (N // 2) with the rest, in each measure.

    Sessions are what is counted: each has the same weight, and the interval is that of Welch (1947)
    for the difference of two means. The scatter of a half is no less than what chance within its
    sessions alone would make.
    """
    middle = len(entries) // 2
    return [_change(measure, entries[:middle], entries[middle:]) for measure in MEASURES]


def _change(measure: Measure, early: Sequence[Entry], late: Sequence[Entry]) -> Change:
    sides = [[measure.of(entry) for entry in half] for half in (early, late)]
    known = [[found for found in side if math.isfinite(found.value)] for side in sides]
    means = [
        statistics.fmean(found.value for found in side) if side else math.nan for side in known
    ]
    counts = (len(known[0]), len(known[1]))
    value = means[1] - means[0]
    bounds = NOT_KNOWN
    if min(counts) >= LEAST_EACH:
        parts = [_variance(side) / len(side) for side in known]
        total = sum(parts)
        if total > 0:  # without any scatter nothing is known of chance
            squares = sum(p**2 / (n - 1) for p, n in zip(parts, counts, strict=True))
            reach = t_quantile(0.975, max(total**2 / squares, 1.5)) * math.sqrt(total)
            most = 1.0 if measure.is_share else 2.0
            bounds = (max(value - reach, -most), min(value + reach, most))
    return Change(measure, means[0], means[1], counts, value, bounds)


def _variance(found: Sequence[Estimate]) -> float:
    """Return the variance of one session of a half."""
    between = statistics.variance(each.value for each in found)
    within = [
        ((each.bounds[1] - each.bounds[0]) / 3.92) ** 2
        for each in found
        if all(map(math.isfinite, each.bounds))
    ]
    return max(between, statistics.fmean(within) if within else 0.0)


def _started(text: str) -> datetime | None:
    """Return when a session was recorded; one without a time zone counts as UTC."""
    try:
        time = date_and_time(text)
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
