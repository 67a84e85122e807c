# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What there is to review in a session, and in which order.

Frames: the most useful first. Neighbouring ones are near-copies, so frames of one person are taken
in rounds: first only such as are at least 8 s apart, then 4, 2, 1 and half a second. A round takes
the persons in turn, and of each the frame next on which the models disagree, or else of which the
model is least sure: the smallest margin between its two likeliest classes (Scheffer et al. 2001).
Ties go to the earlier frame: the order is the same each time.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.event_summary import (
    EVERYBODY,
    PARTNER,
    check_person,
    choose_person,
)
from emotion_perception.sessions.events import Event, events_of
from emotion_perception.sessions.ratings import Key, key_of
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    PROBABILITIES,
    JudgedBy,
    Session,
    column,
)
from emotion_perception.valence.labels import CLASSES

if TYPE_CHECKING:
    import pandas

ROUNDS: Final = (8.0, 4.0, 2.0, 1.0, 0.5)
"""Least seconds between two frames of one person, round after round."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model said of an item.

    Attributes:
        model: its name.
        model_id: name, version and start of the weights' hash.
        answer: a class, or empty where it did not judge.
        probabilities: negative, neutral, positive; None where it did not judge.
        sure: whether it counted as an answer; else the robot would have said that it does not know.
    """

    model: str
    model_id: str
    answer: str
    probabilities: tuple[float, float, float] | None
    sure: bool

    @property
    def margin(self) -> float:
        """How much likelier its answer is than any other; 0 where nothing was judged."""
        if self.probabilities is None:
            return 0.0
        known = dict(zip(CLASSES, self.probabilities, strict=True))
        return known.pop(self.answer) - max(known.values())


@dataclass(frozen=True, kw_only=True)
class Item:
    """Something to review.

    Attributes:
        kind: event or frame.
        face_id: whose face.
        frame: number of the frame; of an event, the one nearest to its middle.
        time: of that frame, seconds since the first.
        onset: of an event; the time of a frame.
        offset: the same for the end.
        said: what the models said, the first decided.
    """

    kind: str
    face_id: str
    frame: int
    time: float
    onset: float
    offset: float
    said: tuple[Said, ...]

    @property
    def key(self) -> Key:
        """Tells it from others, also in the files of ratings."""
        return key_of(self.kind, self.face_id, self.frame, self.onset, self.offset)

    @property
    def disputed(self) -> bool:
        """Whether the models gave different answers."""
        return len({said.answer for said in self.said if said.probabilities is not None}) > 1


def rows_of(session: Session, person: str) -> pandas.DataFrame:
    """Return the rows with a face of one person, or of all.

    Args:
        session: what was read.
        person: ``partner``, ``all`` or a face_id.

    Raises:
        SessionError: nobody has this face_id.
    """
    check_person(session, person)
    rows = session.rows
    rows = rows[rows.face_id.fillna("").ne("") & rows.x1.notna()]
    if person == EVERYBODY:
        return rows
    if person == PARTNER:
        return rows[rows.is_partner.eq(True)]
    return rows[rows.face_id == person]


def frame_items(session: Session, person: str = PARTNER) -> list[Item]:
    """Return the frames worth reviewing, the most useful first, as the module describes.

    Args:
        session: what was read.
        person: ``partner``, ``all`` or a face_id.

    Raises:
        SessionError: nobody has this face_id.
    """
    rows = rows_of(session, person).sort_values(["time", "face_id"], kind="stable")
    models = session.info.models
    judged = [_probabilities(rows, FRAME_PROBABILITIES, model, models) for model in models]
    items = []
    for index, (face_id, frame, time) in enumerate(
        zip(rows.face_id.tolist(), rows.frame.tolist(), rows.time.tolist(), strict=True)
    ):
        if not np.isfinite(judged[0][index]).all() or not math.isfinite(time):
            continue
        said = tuple(_said(model, own[index]) for model, own in zip(models, judged, strict=True))
        items.append(
            Item(kind="frame", face_id=face_id, frame=int(frame), time=float(time),
                 onset=float(time), offset=float(time), said=said)
        )  # fmt: skip
    return in_rounds(items)


def event_items(session: Session, person: str = PARTNER) -> list[Item]:
    """Return the events of a session in order of time; the first model's.

    They are read from ``NAME.events.csv`` beside the table, or found anew where that is missing.

    Args:
        session: what was read.
        person: ``partner`` (it was the partner for half of the time or more), ``all`` or a face_id.

    Raises:
        SessionError: nobody has this face_id, or the file of events is of another table or model,
            or no such file.
    """
    items = [
        _event_item(session, event) for event in choose_person(session, events_of(session), person)
    ]
    return list({item.key: item for item in items}.values())


def _event_item(session: Session, event: Event) -> Item:
    rows = session.rows
    mine = rows[rows.face_id == event.face_id]
    mine = mine[(mine.time >= event.onset - 1e-6) & (mine.time < event.offset - 1e-6)]
    models = session.info.models
    said = []
    for model in models:
        values = _probabilities(mine, PROBABILITIES, model, models)
        values = values[np.isfinite(values).all(axis=1)]
        mean = values.mean(axis=0) if len(values) else np.full(len(CLASSES), np.nan)
        said.append(_said(model, mean))
    said[0] = replace(said[0], answer=event.reaction, sure=True)
    middle = (event.onset + event.offset) / 2
    shown = mine if len(mine) else rows
    nearest = shown.iloc[int(np.abs(shown.time.to_numpy() - middle).argmin())]
    return Item(kind="event", face_id=event.face_id, frame=int(nearest.frame),
                time=float(nearest.time), onset=event.onset, offset=event.offset,
                said=tuple(said))  # fmt: skip


def _said(model: JudgedBy, probabilities: NDArray[np.float64]) -> Said:
    """Say what probabilities, float (3,), mean."""
    if not np.isfinite(probabilities).all():
        return Said(model=model.name, model_id=model.model_id, answer="", probabilities=None,
                    sure=False)  # fmt: skip
    negative, neutral, positive = (float(value) for value in probabilities)
    return Said(
        model=model.name, model_id=model.model_id, answer=CLASSES[int(probabilities.argmax())],
        probabilities=(negative, neutral, positive),
        sure=float(probabilities.max()) >= model.threshold,
    )  # fmt: skip


def in_rounds(items: Sequence[Item]) -> list[Item]:
    """Order frames as the module describes; those too near to others are left out."""
    waiting: dict[str, list[Item]] = {}
    for item in sorted(items, key=_urgency):
        waiting.setdefault(item.face_id, []).append(item)
    taken: dict[str, list[float]] = {face_id: [] for face_id in waiting}
    ordered: list[Item] = []
    for gap in ROUNDS:
        chosen: list[list[Item]] = []
        for face_id in sorted(waiting):
            mine: list[Item] = []
            left: list[Item] = []
            for item in waiting[face_id]:
                far = _is_far(taken[face_id], item.time, gap)
                (mine if far else left).append(item)
                if far:
                    bisect.insort(taken[face_id], item.time)
            waiting[face_id] = left
            chosen.append(mine)
        turns = itertools.zip_longest(*chosen)
        ordered += [item for turn in turns for item in sorted(filter(None, turn), key=_urgency)]
    return ordered


def least_sure_first(items: Sequence[Item]) -> list[Item]:
    """Order events: disputed ones first, then by the margin; ties in order of time."""
    return sorted(items, key=_urgency)


def _urgency(item: Item) -> tuple[bool, float, float, str]:
    return not item.disputed, item.said[0].margin, item.time, item.face_id


def _is_far(times: Sequence[float], time: float, gap: float) -> bool:
    """Whether a time is at least ``gap`` seconds from all of some, which are in order."""
    at = bisect.bisect(times, time)
    return all(abs(time - other) >= gap for other in times[max(0, at - 1) : at + 1])


def _probabilities(
    rows: pandas.DataFrame, names: Sequence[str], model: JudgedBy, models: Sequence[JudgedBy]
) -> NDArray[np.float64]:
    columns = [column(name, model, models) for name in names]
    return np.asarray(rows[columns].to_numpy(dtype=np.float64, na_value=np.nan), np.float64)
