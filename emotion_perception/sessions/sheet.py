# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Which recordings, and what they are: from the command line, folders or a sheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emotion_perception.sessions.csv_files import date_and_time
from emotion_perception.sessions.predict import About, table_of
from emotion_perception.sessions.recording import find_recordings
from emotion_perception.sessions.table import SessionError

COLUMNS = ("recording", "session", "participant", "started")


@dataclass(frozen=True)
class Entry:
    """One recording.

    Attributes:
        recording: where it is.
        table: where its table goes.
        about: what it is.
    """

    recording: Path
    table: Path
    about: About


def collect(
    recordings: Sequence[Path], sheet: Path | None, output: Path | None, about: About
) -> list[Entry]:
    """Return what is to be judged.

    Args:
        recordings: files, or folders of them.
        sheet: CSV with the columns recording (from the sheet's folder), session, participant and
            started; all but the first may be missing or empty.
        output: folder of the tables; None puts each beside its recording.
        about: of those that the sheet does not list.

    Raises:
        SessionError: nothing is there, two would have the same table, the sheet lists one twice,
            or a field is wrong; one line.
        SourceError: a folder holds nothing.
    """
    found = [(path, about) for folder in recordings for path in find_recordings(folder)]
    if about.session and len(found) > 1:
        raise SessionError("--session: names one recording, got several; use --sheet")
    _check(about, "")
    if sheet is not None:
        found += _read_sheet(sheet)
    if not found:
        raise SessionError("expected recordings: videos, folders of images or bags, or --sheet")
    entries = {path.resolve(): Entry(path, table_of(path, output), told) for path, told in found}
    tables: dict[Path, Path] = {}
    for entry in entries.values():
        other = tables.setdefault(entry.table.resolve(), entry.recording)
        if other != entry.recording:
            raise SessionError(
                f"{other} and {entry.recording} would have the same table {entry.table};"
                " rename one, or name other --output folders"
            )
    return list(entries.values())


def _read_sheet(path: Path) -> list[tuple[Path, About]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            header = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SessionError(f"{path}: not a readable CSV ({error})") from None
    if "recording" not in header or not rows:
        raise SessionError(
            f"{path}: expected a CSV, separated by commas, with a column recording, and rows"
        )
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        listed = ", ".join(COLUMNS)
        raise SessionError(f"{path}: column {unknown[0]!r}: expected some of {listed}")
    found: list[tuple[Path, About]] = []
    lines: dict[Path, int] = {}
    for number, row in rows:
        if None in row:
            raise SessionError(f"{path}: line {number}: expected {len(header)} fields, got more")
        told = {name: (value or "").strip() for name, value in row.items() if name}
        if not told["recording"]:
            raise SessionError(f"{path}: line {number}: recording is empty")
        about = About(**{name: told.get(name, "") for name in COLUMNS[1:]})
        _check(about, f"{path}: line {number}: ")
        parts = told["recording"].encode().split(b"/")
        if "\0" in told["recording"] or sum(map(len, parts)) > 2000 or max(map(len, parts)) > 255:
            raise SessionError(
                f"{path}: line {number}: recording: no file can be called"
                f" {told['recording'][:50]!r}..."
            )
        recording = path.parent / told["recording"]
        before = lines.setdefault(recording.resolve(), number)
        if before != number:
            raise SessionError(f"{path}: lines {before} and {number} are the same recording")
        found.append((recording, about))
    return found


def _check(about: About, where: str) -> None:
    for name in ("session", "participant"):
        value = getattr(about, name)
        if len(value) > 100 or re.search(r"[\x00-\x1f/\\]", value):
            raise SessionError(f"{where}{name}: expected a short name without slashes")
    if about.started:
        try:
            date_and_time(about.started)
        except ValueError:
            raise SessionError(
                f"{where}started: expected a time such as 2026-11-21T14:30, got {about.started!r}"
            ) from None
