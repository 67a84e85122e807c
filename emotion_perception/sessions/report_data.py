# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The figures of one session's report."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.agreement import kappa_of
from emotion_perception.sessions.events import Event, events_of
from emotion_perception.sessions.report_actions import Answer, Responses, read_answers, responses_of
from emotion_perception.sessions.report_frames import (
    CAUSES,
    NO_FACE,
    STATES,
    Frames,
    frames_of,
    reactions_of,
)
from emotion_perception.sessions.report_intervals import NOT_KNOWN, Bounds, draw_blocks
from emotion_perception.sessions.table import Session
from emotion_perception.valence.labels import CLASSES

LEAST_S: Final = 60.0
"""With less time answered nothing is said of how a person was."""


@dataclass(frozen=True)
class Estimate:
    """A figure and how far it could be off by chance.

    Attributes:
        value: NaN if nothing is known.
        bounds: its 95 % interval; NaN where it is counted, or the recording is too short.
        seconds: of the time that it is a share of, those in which it holds.
    """

    value: float
    bounds: Bounds = NOT_KNOWN
    seconds: float = 0.0


@dataclass(frozen=True)
class Pair:
    """How far two models agree where both have an answer.

    Attributes:
        first: name of a model.
        second: of another.
        agreement: share of that time.
        kappa: Cohen's, as value and interval.
        seconds: in which both have an answer.
    """

    first: str
    second: str
    agreement: Estimate
    kappa: Estimate
    seconds: float


@dataclass(frozen=True, eq=False, kw_only=True)
class Summary:
    """What the report of one session tells.

    Attributes:
        session: its table.
        frames: its frames.
        states: of each of STATES its share of all the time.
        answers: of each class its share of the time that has an answer.
        valence: the mean of the time in which the face was judged.
        causes: of each of CAUSES its share of all the time.
        longest_gap: seconds of the longest time without the person's face.
        several: share of the time with several faces in view.
        people: how many the partner was, as far as the faces were told apart.
        events: of the partner, in order.
        others: how many events are of other people.
        responses: for each action of the robot how it was received; None if no actions are known.
        actions: each of them, in order.
        refused: how many more are in their list that could not be looked at at all.
        pairs: agreement of the models.
        block: seconds that were drawn together for the intervals.
    """

    session: Session
    frames: Frames
    states: dict[str, Estimate]
    answers: dict[str, Estimate]
    valence: Estimate
    causes: dict[str, Estimate]
    longest_gap: float
    several: float
    people: int
    events: list[Event]
    others: int
    responses: list[Responses] | None
    actions: list[Answer] = field(default_factory=list)
    refused: int = 0
    pairs: list[Pair] = field(default_factory=list)
    block: float = math.nan

    @property
    def total(self) -> float:
        """Seconds recorded."""
        return self.frames.total

    @property
    def seen(self) -> float:
        """Share of the time in which the person's face was in view."""
        return 1 - self.states["no_face"].value

    @property
    def answered(self) -> float:
        """Share of the time that has an answer."""
        return sum(self.states[name].value for name in CLASSES)

    @property
    def enough(self) -> bool:
        """Whether enough was seen to say how the person was."""
        return self.total > 0 and self.answered * self.total >= LEAST_S


def summarise(session: Session) -> Summary:
    """Work out what the report of a session tells.

    Its events and the robot's actions are read from the files beside the table; events that are not
    there are found anew.

    Raises:
        SessionError: the table, the events or the actions are of another kind.
    """
    frames = frames_of(session)
    events = events_of(session)
    own = [event for event in events if event.of_partner]
    listed = read_answers(session)
    actions = None if listed is None else listed[0]
    shares = {name: _counted(frames, frames.states == index) for index, name in enumerate(STATES)}
    answers, valence, block = _estimates(frames)
    return Summary(
        session=session,
        frames=frames,
        states=shares,
        answers=answers,
        valence=valence,
        causes={name: _counted(frames, frames.causes == name) for name in CAUSES},
        longest_gap=_longest(frames, frames.states == NO_FACE),
        several=frames.share(frames.faces > 1),
        people=len(set(frames.face_ids.tolist()) - {""}),
        events=own,
        others=len(events) - len(own),
        responses=None if actions is None else responses_of(actions),
        actions=actions or [],
        refused=listed[1] if listed else 0,
        pairs=_pairs(session, frames),
        block=block,
    )


def _counted(frames: Frames, where: NDArray[np.bool_]) -> Estimate:
    return Estimate(frames.share(where), NOT_KNOWN, float(frames.seconds[where].sum()))


def _estimates(frames: Frames) -> tuple[dict[str, Estimate], Estimate, float]:
    """Return the shares of the answered time, the mean valence and the length of a block."""
    weight, answered, judged = frames.seconds, frames.answered, frames.judged
    columns = [weight * (frames.states == index) for index in range(len(CLASSES))]
    columns += [weight * answered, weight * np.nan_to_num(frames.valence), weight * judged]
    blocks = draw_blocks(frames.times, np.stack(columns, axis=1))
    whole = blocks.whole
    count = len(CLASSES)
    answers = {}
    for index, name in enumerate(CLASSES):

        def share(sums: NDArray[np.float64], at: int = index) -> NDArray[np.float64]:
            return np.asarray(sums[:, at] / sums[:, count])

        value = float(whole[index] / whole[count]) if whole[count] else math.nan
        answers[name] = Estimate(value, blocks.interval(share), float(whole[index]))
    mean = float(whole[count + 1] / whole[count + 2]) if whole[count + 2] else math.nan
    bounds = blocks.interval(lambda sums: sums[:, count + 1] / sums[:, count + 2], low=-1.0)
    return answers, Estimate(mean, bounds, float(whole[count + 2])), blocks.seconds


def _longest(frames: Frames, where: NDArray[np.bool_]) -> float:
    """Return the longest time without a break in which something holds (F,)."""
    longest = now = 0.0
    for holds, seconds in zip(where.tolist(), frames.seconds.tolist(), strict=True):
        now = now + seconds if holds else 0.0
        longest = max(longest, now)
    return longest


def _pairs(session: Session, frames: Frames) -> list[Pair]:
    models = session.info.models
    if len(models) < 2:
        return []
    rows = session.rows
    partner = rows["is_partner"].eq(True).to_numpy(bool)
    times = rows["time"].to_numpy(np.float64)[partner]
    seconds = frames.seconds[np.searchsorted(frames.times, times)]
    told = {model.name: reactions_of(session, model.name)[partner] for model in models}
    return [
        _pair(a.name, b.name, told[a.name], told[b.name], times, seconds)
        for a, b in itertools.combinations(models, 2)
    ]


def _pair(
    first: str, second: str, a: NDArray[np.str_], b: NDArray[np.str_],
    times: NDArray[np.float64], seconds: NDArray[np.float64],
) -> Pair:  # fmt: skip
    """Compare what two models told (N,) of the partner."""
    count = len(CLASSES)
    cells = np.stack(
        [seconds * ((a == x) & (b == y)) for x in CLASSES for y in CLASSES], axis=1
    )  # (N, 9)
    blocks = draw_blocks(times, cells)

    def alike(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sums[:, :: count + 1].sum(axis=1) / sums.sum(axis=1))

    def kappa(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.array([kappa_of(row.reshape(count, count)) for row in sums])

    both = float(blocks.whole.sum())
    return Pair(
        first=first,
        second=second,
        agreement=Estimate(
            float(alike(blocks.whole[None])[0]) if both else math.nan, blocks.interval(alike)
        ),
        kappa=Estimate(float(kappa(blocks.whole[None])[0]), blocks.interval(kappa, low=-1.0)),
        seconds=both,
    )


def steps(start: float, end: float, most: int) -> float:
    """Return a round step in seconds by which a time is cut into so many parts at most."""
    for step in _ROUND:
        if (end - start) / step <= most:
            return step
    return _ROUND[-1] * math.ceil((end - start) / most / _ROUND[-1])


_ROUND: Final[Sequence[float]] = (
    0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
)  # fmt: skip
