# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What has been kept for long enough: people's data, sessions and observations that are due to go.

The days come from the data themselves: from the consent on record, from when a session was
recorded, from the time of an observation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from emotion_perception.observation_log import drop_old_lines, old_lines
from emotion_perception.training.consent import CONSENT_FILE, Consent, read_consents
from emotion_perception.training.forget import find_person, forget
from emotion_perception.training.patients import check_pseudonym


@dataclass(frozen=True)
class Due:
    """Something that should go.

    Attributes:
        what: in words, with its place.
        why: in words.
        paths: files and folders that go; of a log only lines do.
        delete: deletes it; returns files that still mention the person.
    """

    what: str
    why: str
    paths: tuple[Path, ...]
    delete: Callable[[], list[Path]]


def due_people(
    data: Path, models: Path, runs: Path, today: date, days: int | None = None
) -> Iterator[Due]:
    """Yield the people whose consent no longer covers that their data are kept.

    Args:
        data: folder with one folder a person, each with its consent record.
        models: registry of the patients' models.
        runs: logs of training runs.
        today: the day it is.
        days: how long after its end the data of a consent are kept that names no last day; None
            keeps them.

    Raises:
        DataError: a consent record is damaged.
    """
    for folder in sorted(data.iterdir()) if data.is_dir() else []:
        if not (folder / CONSENT_FILE).is_file():
            continue
        person = check_pseudonym(folder.name)
        why = _over(read_consents(data, person)[-1], today, days)
        if why:
            found = find_person(person, data, models, runs)
            counts = ", ".join(f"{count} {kind}" for kind, count in found.counts().items())
            yield Due(
                f"everything of {person} ({counts})",
                why,
                (*found.folders, *found.files),
                partial(forget, found, person, data, models, runs),
            )


def due_sessions(folder: Path, today: date, days: int) -> Iterator[Due]:
    """Yield the sessions of a folder, and of those below it, that were recorded too long ago.

    Everything of a session goes that this package made beside its table: CSV files, MCAP, page,
    reviews. The recording stays, and so do clips and pages on several sessions.

    Args:
        folder: with tables, as ``predict`` makes them.
        today: the day it is.
        days: how long sessions are kept. One that does not say when it was recorded is as old as
            its file.
    """
    from emotion_perception.sessions.csv_files import date_and_time
    from emotion_perception.sessions.table import SUFFIX, SessionError, read_info

    for table in sorted(folder.rglob(f"*{SUFFIX}")):
        try:
            started = read_info(table).started
        except SessionError:
            continue  # somebody else's
        written = datetime.fromtimestamp(table.stat().st_mtime).date()
        recorded = date_and_time(started).date() if started else written
        if recorded + timedelta(days=days) < today:
            paths = tuple(_of_session(table))
            yield Due(
                f"session {table} ({len(paths)} files)",
                f"recorded on {recorded}" if started else f"undated; written on {written}",
                paths,
                partial(_unlink, paths),
            )


def due_observations(log: Path, now: datetime, days: int) -> Iterator[Due]:
    """Yield the observations of a log that are too old.

    Args:
        log: file of the parameter ``observation_log``.
        now: with a time zone.
        days: how long observations are kept.

    Raises:
        OSError: the log cannot be read.
    """
    before = now - timedelta(days=days)
    count = old_lines(log, before)
    if count:
        yield Due(
            f"{count} lines of {log}",
            f"observed before {before:%Y-%m-%d}",
            (),
            partial(_drop, log, before),
        )


def _unlink(paths: tuple[Path, ...]) -> list[Path]:
    for path in paths:
        path.unlink()
    return []


def _drop(log: Path, before: datetime) -> list[Path]:
    drop_old_lines(log, before)
    return []


def _over(consent: Consent, today: date, days: int | None) -> str:
    """Say why data may not be kept any more; empty where they may."""
    if consent.withdrawn is not None:
        return f"the consent was withdrawn on {consent.withdrawn}"
    if consent.keep_until is not None:
        late = today > consent.keep_until
        return f"may be kept until {consent.keep_until} at most" if late else ""
    if consent.expires is not None and days is not None:
        late = today > consent.expires + timedelta(days=days)
        return f"the consent expired on {consent.expires}" if late else ""
    return ""


def _of_session(table: Path) -> Iterator[Path]:
    """Yield a table and what was made of it beside it."""
    from emotion_perception.sessions.actions import ACTIONS_SUFFIX
    from emotion_perception.sessions.event_file import EVENTS_SUFFIX
    from emotion_perception.sessions.report_page import SUFFIX as PAGE_SUFFIX
    from emotion_perception.sessions.runs import made_by_predict
    from emotion_perception.sessions.table import SUFFIX

    yield table
    stem = table.name.removesuffix(SUFFIX)
    for path in sorted(table.parent.iterdir()):
        end = path.name.removeprefix(stem)
        if path == table or end == path.name or not path.is_file():
            continue
        if (
            end in (ACTIONS_SUFFIX, EVENTS_SUFFIX, PAGE_SUFFIX)
            or (end.startswith(".review.") and end.endswith(".csv"))
            or (end in (".csv", ".mcap") and made_by_predict(path))
        ):
            yield path
