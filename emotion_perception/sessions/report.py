# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reports: one page for a session, or one for a patient over many sessions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from emotion_perception.sessions.report_data import summarise
from emotion_perception.sessions.report_page import SUFFIX, write_page
from emotion_perception.sessions.report_patient import patient_page
from emotion_perception.sessions.report_session import session_page
from emotion_perception.sessions.report_trend import Entry
from emotion_perception.sessions.table import SUFFIX as TABLE_SUFFIX
from emotion_perception.sessions.table import SessionError, read_session

_LONGEST_NAME: Final = 80


def write_session_report(
    table: Path, *, folder: Path | None = None, recording: Path | None = None
) -> Path:
    """Write the page of one session.

    Args:
        table: of the session; events and actions are read from the files beside it.
        folder: where to; beside the table by default.
        recording: put faces from it into the page; none by default. Nobody but the owner may then
            read the page.

    Returns:
        The path of the page.

    Raises:
        SessionError: the table, or a file beside it, is missing, damaged or of another kind.
        SourceError: the recording cannot be read.
        OSError: the page cannot be written.
    """
    summary = summarise(read_session(table))
    pictures = None
    if recording is not None:
        from emotion_perception.sessions.report_pictures import event_pictures

        pictures = event_pictures(recording, summary.session, summary.events)
    path = (folder or table.parent) / (table.name.removesuffix(TABLE_SUFFIX) + SUFFIX)
    write_page(path, session_page(summary, pictures), private=recording is not None)
    return path


def read_entry(table: Path, participant: str | None = None) -> Entry:
    """Read what a patient's page needs of one session.

    Args:
        table: of the session.
        participant: whose it must be, if it says whose it is; None takes anybody's.

    Raises:
        SessionError: the table is of somebody else, missing, damaged or of another kind.
    """
    session = read_session(table)
    told = session.info.participant
    if participant is not None and told not in ("", participant):
        raise SessionError(f"{table}: participant: expected {participant}, got {told}")
    return Entry.of(summarise(session))


def write_patient_report(participant: str, entries: Sequence[Entry], folder: Path) -> Path:
    """Write the page of one patient.

    Args:
        participant: the pseudonym.
        entries: sessions, in the order in which they were given.
        folder: where to.

    Returns:
        The path of the page.

    Raises:
        SessionError: another file of that name is there.
        OSError: it cannot be written.
    """
    path = folder / (file_name(participant) + SUFFIX)
    write_page(path, patient_page(participant, entries))
    return path


def file_name(participant: str) -> str:
    """Return a pseudonym as the name of a file; different ones stay different."""
    safe = re.sub(r"[^\w.-]+", "-", participant).strip(".-")[:_LONGEST_NAME]
    if safe == participant:
        return safe
    mark = hashlib.sha256(participant.encode("utf-8", "surrogateescape")).hexdigest()[:8]
    return f"{safe or 'patient'}-{mark}"
