# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Who reacted how often and for how long in a recording."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.event_file import MOSTLY
from emotion_perception.sessions.events import Event, frame_seconds, row_times
from emotion_perception.sessions.table import FRAME_PROBABILITIES, Session, SessionError, column

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

PARTNER: Final = "partner"
EVERYBODY: Final = "all"


@dataclass(frozen=True, kw_only=True)
class PersonSummary:
    """One person of a recording; times in seconds.

    Attributes:
        face_id: whose.
        partner_share: of the frames with this face: where it was the robot's partner.
        seen: how long the face was in view.
        judged: how long of that it was judged.
        negative: number of negative events.
        negative_seconds: how long they were together.
        positive: number of positive events.
        positive_seconds: how long they were together.
    """

    face_id: str
    partner_share: float
    seen: float
    judged: float
    negative: int
    negative_seconds: float
    positive: int
    positive_seconds: float


def choose_person(session: Session, events: Sequence[Event], person: str) -> list[Event]:
    """Return the events of the partner, of all, or of one face_id.

    Raises:
        SessionError: nobody in the recording has this face_id.
    """
    check_person(session, person)
    if person == EVERYBODY:
        return list(events)
    if person == PARTNER:
        return [event for event in events if event.of_partner]
    return [event for event in events if event.face_id == person]


def check_person(session: Session, person: str) -> None:
    """Refuse who is neither ``partner`` nor ``all`` nor a face_id of the session.

    Raises:
        SessionError: names who is there.
    """
    known = [name for name in session.rows["face_id"].fillna("").unique().tolist() if name]
    if person not in (PARTNER, EVERYBODY, *known):
        some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "") or "nobody"
        raise SessionError(
            f"{session.path}: person: expected {PARTNER}, {EVERYBODY} or a face_id ({some}), "
            f"got {person}"
        )


def summarise(
    session: Session, events: Sequence[Event], model: str | None = None
) -> list[PersonSummary]:
    """Return everybody who was seen, the one who was seen for longest first."""
    judged_by = session.model(model)
    rows = session.rows
    times = row_times(session)
    clock = np.unique(times)
    lasts = frame_seconds(clock, session)[np.searchsorted(clock, times)]
    names = [column(name, judged_by, session.info.models) for name in FRAME_PROBABILITIES]
    judged = rows[names].notna().all(axis=1).to_numpy(bool)
    partner = rows["is_partner"].eq(True).to_numpy(bool)
    face_ids, codes = np.unique(rows["face_id"].fillna("").to_numpy(str), return_inverse=True)

    def totals(values: NDArray[np.float64]) -> list[float]:
        return [float(v) for v in np.bincount(codes, values, minlength=len(face_ids))]

    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.face_id, []).append(event)
    result = []
    for face_id, frames, as_partner, seen, looked in zip(
        face_ids.tolist(), totals(np.ones(len(codes))), totals(partner.astype(np.float64)),
        totals(lasts), totals(lasts * judged), strict=True,
    ):  # fmt: skip
        if not face_id:
            continue
        told: dict[str, Any] = {}
        for reaction in ("negative", "positive"):
            own = [e.duration for e in found.get(face_id, []) if e.reaction == reaction]
            told |= {reaction: len(own), f"{reaction}_seconds": round(sum(own), 3)}
        result.append(
            PersonSummary(
                face_id=face_id, partner_share=round(as_partner / frames, 4),
                seen=round(seen, 3), judged=round(looked, 3), **told,
            )
        )  # fmt: skip
    return sorted(result, key=lambda person: -person.seen)


def summary_table(title: str, people: Sequence[PersonSummary]) -> Table | Text:
    """Return a table for the screen: those who reacted and the partner; others in one line."""
    from rich.table import Table
    from rich.text import Text

    if not people:
        return Text(f"{title}: nobody was seen")

    table = Table(title=Text(title), title_justify="left", title_style="bold")
    table.add_column("person")
    for name in ("partner", "seen", "judged", "negative", "seconds", "positive", "seconds"):
        table.add_column(name, justify="right")
    others = 0
    for person in people:
        if not (person.negative or person.positive or person.partner_share >= MOSTLY):
            others += 1
            continue
        table.add_row(
            person.face_id, f"{person.partner_share:.0%}", f"{person.seen:.1f} s",
            f"{person.judged:.1f} s", str(person.negative), f"{person.negative_seconds:.1f}",
            str(person.positive), f"{person.positive_seconds:.1f}",
        )  # fmt: skip
    if not table.rows:
        return Text(f"{title}: {others} seen, without a reaction")
    if others:
        table.caption = f"and {others} more without a reaction"
    return table
