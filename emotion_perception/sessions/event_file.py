# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""An event, and the CSV file of those of a recording."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emotion_perception.sessions import csv_files
from emotion_perception.sessions.table import SUFFIX, SessionError
from emotion_perception.valence.labels import CLASSES

EVENTS_SUFFIX: Final = ".events.csv"

MOSTLY: Final = 0.5
"""Share of the time from which somebody counts as the partner."""

CSV_FIELDS: Final = (
    "session", "model", "face_id", "partner_share", "reaction", "onset_s", "peak_s", "offset_s",
    "duration_s", "peak_valence", "strength", "confidence", "frames", "coverage", "cut_start",
    "cut_end", "job",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Event:
    """One reaction of one person; times in seconds since the recording's first frame.

    Attributes:
        session: of the recording.
        model: name of the model that judged.
        face_id: whose.
        partner_share: of the time in which that person was the robot's partner.
        reaction: negative, positive, or neutral where those were asked for.
        onset: of the first frame that shows it.
        peak: where the valence, averaged over half a second, is furthest to its side.
        offset: of the first frame that does not show it any more.
        peak_valence: at the peak, -1 to 1.
        strength: how far the frames' valence is from 0, which is neutral, to the event's side, in
            the mean of the time; up to 1. Of a neutral stretch: its mean distance from 0.
        confidence: mean smoothed probability of the reaction.
        frames: of the recording, from onset to before offset.
        coverage: share of them in which the face was judged.
        cut_start: whether the recording begins with it, so that it may have begun before.
        cut_end: whether the recording ends with it.
    """

    session: str
    model: str
    face_id: str
    partner_share: float
    reaction: str
    onset: float
    peak: float
    offset: float
    peak_valence: float
    strength: float
    confidence: float
    frames: int
    coverage: float
    cut_start: bool = False
    cut_end: bool = False

    @property
    def duration(self) -> float:
        """Seconds from onset to offset."""
        return self.offset - self.onset

    @property
    def of_partner(self) -> bool:
        """Whether that person was the robot's partner for half of the time or more."""
        return self.partner_share >= MOSTLY


def events_path(table: Path, folder: Path | None = None) -> Path:
    """Return where the events of a table are written: beside it, or in a folder."""
    return (folder or table.parent) / (table.name.removesuffix(SUFFIX) + EVENTS_SUFFIX)


def write_events(path: Path, events: Iterable[Event], job: str = "") -> None:
    """Write events as CSV, one a line; the file appears whole or not at all.

    Args:
        path: of the file.
        events: in order.
        job: of the table that they were found in, see SessionInfo.

    Raises:
        SessionError: a file of that name is there that is none of ours.
        OSError: it cannot be written.
    """
    csv_files.write_csv(
        path,
        CSV_FIELDS,
        (
            (
                event.session, event.model, event.face_id, f"{event.partner_share:.4f}",
                event.reaction, f"{event.onset:.6f}", f"{event.peak:.6f}", f"{event.offset:.6f}",
                f"{event.duration:.6f}", f"{event.peak_valence:.4f}", f"{event.strength:.4f}",
                f"{event.confidence:.4f}", str(event.frames), f"{event.coverage:.4f}",
                str(event.cut_start).lower(), str(event.cut_end).lower(), job,
            )
            for event in events
        ),
    )  # fmt: skip


def read_events(path: Path, job: str = "") -> list[Event]:
    """Read what `write_events` wrote; ``duration_s`` is made anew from onset and offset.

    Args:
        path: of the file.
        job: of the table that they should be of; empty takes those of any.

    Raises:
        SessionError: it is something else, or of another table; names the line and the column.
        OSError: it cannot be read.
    """
    found = []
    needed = [name for name in CSV_FIELDS if name not in ("duration_s", "job")]
    rows = csv_files.read_csv(path, needed)
    csv_files.refuse_other_table(path, rows, job)
    for line, cells in rows:

        def read(name: str, line: int = line, cells: dict[str, str] = cells) -> float:
            return csv_files.cell(path, line, cells, name, csv_files.number, "a number")

        def flag(name: str, line: int = line, cells: dict[str, str] = cells) -> bool:
            return csv_files.cell(path, line, cells, name, csv_files.truth, "true or false")

        if cells["reaction"] not in CLASSES:
            raise SessionError(
                f"{path}: line {line}: reaction: expected one of {', '.join(CLASSES)}, "
                f"got {cells['reaction'] or 'nothing'}"
            )
        event = Event(
            session=cells["session"],
            model=cells["model"],
            face_id=cells["face_id"],
            partner_share=read("partner_share"),
            reaction=cells["reaction"],
            onset=read("onset_s"),
            peak=read("peak_s"),
            offset=read("offset_s"),
            peak_valence=read("peak_valence"),
            strength=read("strength"),
            confidence=read("confidence"),
            frames=int(read("frames")),
            coverage=read("coverage"),
            cut_start=flag("cut_start"),
            cut_end=flag("cut_end"),
        )
        if not event.onset <= event.peak <= event.offset:
            raise SessionError(f"{path}: line {line}: expected onset_s <= peak_s <= offset_s")
        found.append(event)
    return found
