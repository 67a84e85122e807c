# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What raters answered: one CSV file a rater beside the table, to which rows are only added.

A row is on the disk before the next item is shown. A correction is a new row; of the rows of one
item the last one counts. A line that was only half written is left out with a warning.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from emotion_perception.sessions.table import SUFFIX, SessionError
from emotion_perception.valence.labels import CLASSES

KINDS: Final = ("event", "frame")
VERDICTS: Final = ("right", "wrong", "unsure")

_TRUTH: Final = {"0": False, "1": True}
_RATER: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?")

_log = logging.getLogger(__name__)

Key = tuple[str, str, int, int]
"""What is rated: kind, face_id, and for an event its ends in milliseconds, for a frame its number
and -1."""


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One answer; the fields are the columns of the file, in this order.

    Attributes:
        kind: event or frame.
        face_id: of the person who was judged.
        frame: number of the frame; of an event, the one nearest to its middle.
        onset_s: seconds since the first frame; of a frame, its time.
        offset_s: the same for the end.
        time_s: of the frame, or of the middle of the event.
        model_answer: what the model said: a class, or another word for an event of another kind.
        model_id: which model.
        verdict: right, wrong or unsure.
        label: the class that the rater chose, or empty.
        blind: whether the rater had not seen what the model said.
        seen: whether the rater has seen it by now.
        seconds: from seeing the item to the answer.
        answered: ISO 8601, UTC.
    """

    kind: str
    face_id: str
    frame: int
    onset_s: float
    offset_s: float
    time_s: float
    model_answer: str
    model_id: str
    verdict: str
    label: str
    blind: bool
    seen: bool
    seconds: float
    answered: str

    @property
    def key(self) -> Key:
        """What was rated."""
        return key_of(self.kind, self.face_id, self.frame, self.onset_s, self.offset_s)


COLUMNS: Final = tuple(field.name for field in fields(Rating))
_HEADER: Final = ",".join(COLUMNS)


def key_of(kind: str, face_id: str, frame: int, onset_s: float, offset_s: float) -> Key:
    """Return what tells an item from others, also after it was written and read."""
    if kind == "frame":
        return kind, one_line(face_id), frame, -1
    return kind, one_line(face_id), round(1000 * onset_s), round(1000 * offset_s)


def one_line(text: str) -> str:
    """Return a text without line ends and control characters: a row is one line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def now() -> str:
    """Return the time as ISO 8601, UTC, whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def check_rater(name: str) -> str:
    """Return a rater's name or pseudonym that is fit for a file name.

    Raises:
        SessionError: other characters than letters, digits and inner dashes, or more than 40.
    """
    if not _RATER.fullmatch(name):
        raise SessionError(
            f"--rater: expected up to 40 letters, digits and dashes such as R1, got {name!r}"
        )
    return name


def ratings_path(table: Path, rater: str) -> Path:
    """Return where the answers of a rater lie: ``NAME.review.RATER.csv`` beside the table."""
    return table.with_name(f"{_stem(table)}.review.{check_rater(rater)}.csv")


def raters_of(table: Path) -> list[str]:
    """Return who has rated a session, in order of the alphabet."""
    start, end = f"{_stem(table)}.review.", ".csv"
    found = []
    for path in table.parent.iterdir():
        name = path.name
        if name.startswith(start) and name.endswith(end) and path.is_file():
            rater = name[len(start) : -len(end)]
            if _RATER.fullmatch(rater):
                found.append(rater)
    return sorted(found)


def read_ratings(path: Path) -> dict[Key, Rating]:
    """Read the answers of one rater, the last of each item, in the order of the first answers.

    Lines that are damaged are left out and told by a warning.

    Raises:
        SessionError: the file cannot be read, or is no file of ratings.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SessionError(f"{path}: can't be read, {error.strerror}") from None
    lines = raw.decode("utf-8-sig", "replace").split("\n")
    half = lines.pop()  # what follows the last line end
    if lines or not _HEADER.startswith(half):
        _check_header(path, lines)
    found: dict[Key, Rating] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        rating = _parsed(line)
        if rating is None:
            _log.warning("%s, line %d: damaged, left out", path, number)
        else:
            found[rating.key] = rating
    if half:
        _log.warning("%s: the last line was only half written and is left out", path)
    return found


class RatingFile:
    """Adds answers to the file of one rater. To be used inside ``with``.

    Args:
        path: as `ratings_path` gives it; made with the first answer.

    Attributes:
        path: of the file.

    Raises:
        SessionError: somebody else is writing it, or it is another file.
        OSError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # Opened at once: who may not write here should know before the first answer is lost.
        self._file = path.open("ab", buffering=0)
        try:
            with contextlib.suppress(OSError):  # some network drives know no locks
                _lock(path, self._file.fileno())
            *lines, half = path.read_bytes().decode("utf-8-sig", "replace").split("\n")
            self._start = "\n" if half else ""  # ends a line that was half written
            self._header = not lines and _HEADER.startswith(half)
            if self._header:
                self._file.truncate(0)
                self._start = ""
            else:
                _check_header(path, lines)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RatingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, rating: Rating) -> None:
        """Add an answer; it is on the disk when this returns."""
        text = io.StringIO()
        text.write(self._start)
        writer = csv.writer(text, lineterminator="\n")
        if self._header:
            writer.writerow(COLUMNS)
        writer.writerow([_cell(value) for value in astuple(rating)])
        raw = text.getvalue().encode()
        before = os.fstat(self._file.fileno()).st_size
        if self._file.write(raw) != len(raw):
            self._file.truncate(before)
            raise OSError(f"{self.path}: the answer could not be written, the disk is full")
        os.fsync(self._file.fileno())
        self._start, self._header = "", False

    def close(self) -> None:
        """Let the file go; one without an answer is removed."""
        if self._file.closed:
            return
        with contextlib.suppress(OSError):
            if os.fstat(self._file.fileno()).st_size == 0:
                self.path.unlink()
        self._file.close()


def majority(votes: Sequence[Rating]) -> str | None:
    """Return the class that more raters chose than any other answer; None for a tie.

    Who was unsure, or said wrong without a class, has given an answer too: two who are unsure
    outvote one who is not.
    """
    counts: dict[str, int] = {}
    for vote in votes:
        counts[vote.label] = counts.get(vote.label, 0) + 1
    most = max(counts.values(), default=0)
    best = [label for label, count in counts.items() if count == most]
    return best[0] if len(best) == 1 and best[0] in CLASSES else None


def _stem(table: Path) -> str:
    return table.name.removesuffix(SUFFIX)


def _lock(path: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SessionError(f"{path}: this rater is reviewing already, in another window") from None


def _check_header(path: Path, lines: Sequence[str]) -> None:
    header = lines[0].rstrip("\r") if lines else ""
    if header != _HEADER:
        raise SessionError(f"{path}: not a file of ratings: expected columns {', '.join(COLUMNS)}")


def _cell(value: str | int | float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return one_line(str(value))


def _parsed(line: str) -> Rating | None:
    """Read one line, or return None if it is damaged."""
    try:
        cells = dict(zip(COLUMNS, next(csv.reader([line.rstrip("\r")], strict=True)), strict=True))
        rating = Rating(
            kind=cells["kind"], face_id=cells["face_id"], frame=int(cells["frame"]),
            onset_s=float(cells["onset_s"]), offset_s=float(cells["offset_s"]),
            time_s=float(cells["time_s"]), model_answer=cells["model_answer"],
            model_id=cells["model_id"], verdict=cells["verdict"], label=cells["label"],
            blind=_TRUTH[cells["blind"]], seen=_TRUTH[cells["seen"]],
            seconds=float(cells["seconds"]), answered=cells["answered"],
        )  # fmt: skip
        answered = datetime.fromisoformat(rating.answered).astimezone(timezone.utc)
    except (ValueError, KeyError, StopIteration, csv.Error):
        return None
    numbers = (rating.onset_s, rating.offset_s, rating.time_s, rating.seconds)
    good = (
        rating.kind in KINDS
        and rating.verdict in VERDICTS
        and rating.label in ("", *CLASSES)
        and rating.answered == answered.isoformat(timespec="seconds")  # the last field may be cut
        and all(math.isfinite(value) for value in numbers)
    )
    return rating if good else None
