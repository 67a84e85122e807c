# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""CSV files of dataclasses: a header, plain UTF-8, and errors that name file, line and column."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from emotion_perception.limited_files import read_text
from emotion_perception.sessions.table import SessionError
from emotion_perception.spreadsheet import guard, unguard
from emotion_perception.valence.checkpoint import write_atomically

T = TypeVar("T")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file that spreadsheets run nothing of; it appears whole or not at all.

    Raises:
        SessionError: another file of that name is there that this did not write.
        OSError: it cannot be written.
    """
    if path.exists():
        refuse_others(path, header)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([guard(cell) for cell in row] for row in rows)
    write_atomically(path, text.getvalue())


def refuse_others(path: Path, header: Sequence[str]) -> None:
    """Refuse to overwrite what is not ours.

    Raises:
        SessionError: the file does not begin with this header.
    """
    with path.open("rb") as file:
        first = file.readline(10_000).decode("utf-8", "replace").lstrip("\ufeff").rstrip("\r\n")
    if first != ",".join(header):
        raise SessionError(f"{path}: is another file; move it away or choose --output")


def read_csv(path: Path, needed: Sequence[str] = ()) -> list[tuple[int, dict[str, str]]]:
    """Read a CSV file with a header: commas, semicolons or tabs; a byte order mark is no harm.

    Args:
        path: of the file.
        needed: columns that it must have.

    Returns:
        For each row that is not empty the number of its line and its cells by column.

    Raises:
        SessionError: it is no such file.
        OSError: it cannot be read.
    """
    try:
        text = read_text(path, encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise SessionError(f"{path}: expected a CSV file in UTF-8") from None
    except ValueError as error:
        raise SessionError(f"{path}: {error}") from None
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        if missing := [name for name in needed if name not in columns]:
            raise SessionError(
                f"{path}: expected a header with {', '.join(needed)}; missing: {', '.join(missing)}"
            )
        rows = []
        for row in reader:
            cells = {name: unguard((value or "").strip()) for name, value in row.items() if name}
            if row.get(None):
                raise SessionError(f"{path}: line {reader.line_num}: more cells than the header")
            if any(cells.values()):
                rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise SessionError(f"{path}: not a CSV file ({error})") from None
    return rows


def refuse_other_table(path: Path, rows: Iterable[tuple[int, dict[str, str]]], job: str) -> None:
    """Refuse rows that were made from another table than the one that lies there now.

    Args:
        path: of the file, for the error.
        rows: as `read_csv` gives them.
        job: of the table; where either side has none, nothing is said.

    Raises:
        SessionError: a row has another ``job``.
    """
    if job and any(cells.get("job") not in (None, "", job) for _, cells in rows):
        raise SessionError(
            f"{path}: was made from another table than the one beside it now; make it anew with "
            "emotion-perception events (actions: with --actions), or move it away"
        )


def cell(
    path: Path, line: int, cells: dict[str, str], name: str, kind: Callable[[str], T], what: str
) -> T:
    """Read one cell.

    Args:
        path: of the file, for the error.
        line: of the file, for the error.
        cells: of the row.
        name: of the column.
        kind: makes the value; raises ValueError if it cannot.
        what: was expected, in words, for the error.

    Raises:
        SessionError: it cannot be read.
    """
    try:
        return kind(cells[name])
    except (ValueError, KeyError):
        got = cells.get(name) or "nothing"
        raise SessionError(f"{path}: line {line}: {name}: expected {what}, got {got}") from None


def number(text: str) -> float:
    """Read a finite number; ValueError if it is none."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def number_or_nan(text: str) -> float:
    """Read a finite number, or NaN from nothing."""
    return number(text) if text else math.nan


def truth(text: str) -> bool:
    """Read true or false, also as spreadsheets write them; ValueError if it is neither."""
    return bool(("false", "true").index(text.lower()))


def date_and_time(text: str) -> datetime:
    """Read a date and time in ISO 8601; ValueError if it is none."""
    # Python 3.10 does not know the Z, nor fractions of any length.
    text = text.strip()
    if text.endswith(("Z", "z")):
        text = text[:-1] + "+00:00"
    head, dot, tail = text.partition(".")
    digits = len(tail) - len(tail.lstrip("0123456789"))
    if dot and digits:
        text = f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}"
    return datetime.fromisoformat(text)


def show(value: float, digits: int = 4) -> str:
    """Write a number; nothing for one that is not known."""
    return f"{value:.{digits}f}" if math.isfinite(value) else ""
