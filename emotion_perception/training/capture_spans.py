# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled spans of recordings, from a CSV file.

One row a span: which file, from when to when, which class. Seconds (``start``, ``end``) or frame
numbers (``first_frame``, ``last_frame``, both included). A row whose class is empty says that the
span shows nothing of use; a row without start and end labels a whole file.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emotion_perception.image.source import Frame
from emotion_perception.training.faces import DataError
from emotion_perception.valence.labels import CLASSES, DROPPED, EMOTION_TO_VALENCE

_FILE = ("file", "video", "path", "filename", "recording")
_START = ("start", "start_s", "start_seconds", "start_time", "begin", "from")
_END = ("end", "end_s", "end_seconds", "end_time", "stop", "to")
_FIRST = ("first_frame", "start_frame")
_LAST = ("last_frame", "end_frame")
_LABEL = ("valence", "label", "class", "expression", "emotion")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of a recording with one label.

    Attributes:
        line: in the CSV file.
        file: the recording, as the CSV file writes it.
        start: first second, or first frame.
        end: second, or frame, before which it ends.
        frames: whether start and end count frames.
        valence: one of CLASSES, or None where nothing is to be kept.
    """

    line: int
    file: str
    start: float
    end: float
    frames: bool
    valence: str | None

    def holds(self, frame: Frame) -> bool:
        """Whether a frame of this recording lies in the span."""
        return self.start <= (frame.index if self.frames else frame.time) < self.end


def read_spans(table: Path) -> list[Span]:
    """Read labelled spans.

    Raises:
        DataError: names the line of a label outside the table, of a span that ends before it
            begins, or of two spans of one file that overlap.
    """
    try:
        text = table.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{table}: not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: not a readable CSV file ({error})") from error
    try:
        return _spans(table, text.splitlines())
    except csv.Error as error:
        raise DataError(f"{table}: not a readable CSV file ({error})") from error


def _spans(table: Path, lines: list[str]) -> list[Span]:
    head = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=head.count))
    header = [name.strip().lower() for name in next(reader, [])]
    file = _column(header, _FILE)
    label = _column(header, _LABEL)
    if file is None or label is None:
        raise DataError(
            f"{table}: expected the columns file, start, end (seconds; or first_frame, last_frame)"
            f" and valence, got {', '.join(header) or 'none'}"
        )
    frames = _column(header, _START) is None and _column(header, _FIRST) is not None
    start = _column(header, _FIRST if frames else _START)
    end = _column(header, _LAST if frames else _END)
    spans = []
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        where = f"{table}, line {reader.line_num}"
        if len(fields) <= max(file, label, start or 0, end or 0):
            raise DataError(f"{where}: expected {len(header)} fields, got {len(fields)}")
        if not PurePosixPath(fields[file].strip().replace("\\", "/")).parts:
            raise DataError(f"{where}: file: empty, or no name: {fields[file]!r}")
        first = _number(fields, start, 0.0, f"{where}: start")
        last = _number(fields, end, math.inf, f"{where}: end")
        if frames:
            last += 1  # the last frame belongs to it
        if not 0 <= first < last:
            raise DataError(f"{where}: expected an end after its start, got {first:g} to {last:g}")
        spans.append(
            Span(
                line=reader.line_num, file=fields[file].strip(), start=first, end=last,
                frames=frames, valence=parse_label(fields[label], where),
            )
        )  # fmt: skip
    if not spans:
        raise DataError(f"{table}: no span in it")
    _check_overlaps(table, spans)
    return spans


def parse_label(word: str, where: str) -> str | None:
    """Return the class that a word names, or None where it says to keep nothing.

    Args:
        word: a class, an emotion of EMOTION_TO_VALENCE, ``drop``, or nothing.
        where: for the error.

    Raises:
        DataError: for any other word.
    """
    name = word.strip().lower()
    if name in ("", "drop"):
        return None
    if name in CLASSES:
        return name
    if name in EMOTION_TO_VALENCE:
        index = EMOTION_TO_VALENCE[name]
        return None if index == DROPPED else CLASSES[index]
    raise DataError(
        f"{where}: valence: expected {', '.join(CLASSES)} or drop, got {word.strip()!r}"
    )


def spans_of(spans: Sequence[Span], source: Path) -> list[Span]:
    """Return the spans of one recording: their file is the end of its path, or just its name."""
    parts = source.absolute().parts
    exact, by_name = [], []
    for span in spans:
        wanted = PurePosixPath(span.file.replace("\\", "/")).parts
        if parts[-len(wanted) :] == wanted:
            exact.append(span)
        elif wanted[-1] in (source.name, source.stem) or span.file == str(source):
            by_name.append(span)
    return exact or by_name


def label_at(spans: Sequence[Span], frame: Frame) -> str | None:
    """Return the class of a frame, or None where no span labels it."""
    return next((span.valence for span in spans if span.holds(frame)), None)


def _column(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _number(fields: Sequence[str], column: int | None, default: float, where: str) -> float:
    text = fields[column].strip() if column is not None else ""
    if not text:
        return default
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: expected a number, got {text!r}")
    return value


def _check_overlaps(table: Path, spans: Sequence[Span]) -> None:
    ordered = sorted(spans, key=lambda span: (span.file, span.start))
    for before, after in itertools.pairwise(ordered):
        if before.file == after.file and after.start < before.end:
            first, second = sorted((before.line, after.line))
            raise DataError(
                f"{table}, line {second}: the span overlaps that of line {first}"
                f" ({after.file}, {after.start:g} to {after.end:g})"
            )
