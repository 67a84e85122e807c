# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The images of one patient on disk: class folders, ``labels.csv`` and ``recordings.json``.

An image is written beside its place, moved there, and only then gets its row in ``labels.csv``,
which is appended in one piece. A run that is killed therefore leaves at most one whole image
without a row; the next run takes it in, with the recording that it must belong to.
"""

from __future__ import annotations

import csv
import datetime
import errno
import fcntl
import io
import json
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from emotion_perception.limited_files import read_json
from emotion_perception.training.capture_select import Crop
from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import (
    IMAGE_NAME,
    DiskFullError,
    is_disk_full,
    make_private,
    patient_folder,
    write_private,
)
from emotion_perception.valence.labels import CLASSES

LABELS_FILE = "labels.csv"
RECORDINGS_FILE = "recordings.json"
COLUMNS = (
    "file", "person", "recording", "valence", "time", "source", "face_px", "score", "brightness",
    "sharpness",
)  # fmt: skip
UNKNOWN_RECORDING = "unknown"

Row = dict[str, str]


class PatientStore:
    """Opened inside ``with``, by one process at a time.

    Args:
        data: folder with one folder a person.
        person: pseudonym.

    Attributes:
        folder: of the person.
        rows: of ``labels.csv``, in its order.
        lines: where in the file each of the rows stood that were there at first.
        taken_in: images that a killed run had left without a row.

    Raises:
        DataError: if another process has it open, or ``labels.csv`` is damaged.
    """

    def __init__(self, data: Path, person: str) -> None:
        self.person = person
        self.folder = patient_folder(data, person)
        self.rows: list[Row] = []
        self.lines: list[int] = []
        self.taken_in: list[str] = []
        self._lock: IO[str] | None = None
        self._recordings: list[dict[str, Any]] = []
        self._next = 1

    def __enter__(self) -> PatientStore:
        make_private(self.folder)
        self._lock = (self.folder / ".lock").open("w")
        (self.folder / ".lock").chmod(0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._load()
        except BaseException as error:
            self._lock.close()
            if isinstance(error, BlockingIOError):
                raise DataError(f"{self.folder}: in use by another run") from None
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._lock is not None
        self._lock.close()

    def counts(self) -> dict[str, int]:
        """Return how many images each class has."""
        return {
            name: sum(Path(row["file"]).parts[:1] == (name,) for row in self.rows)
            for name in CLASSES
        }

    def begin(self, source: str, about: dict[str, Any]) -> str:
        """Begin a recording.

        Args:
            source: what it is taken from, to report; without the folder it lies in.
            about: settings to write down.

        Returns:
            Its name, unlike any other of this person.
        """
        taken = {entry["recording"] for entry in self._recordings}
        taken |= {row["recording"] for row in self.rows}
        number = len(self._recordings) + 1
        while f"{self.person}-r{number:03d}" in taken:
            number += 1
        name = f"{self.person}-r{number:03d}"
        self._recordings.append(
            {
                "recording": name,
                "source": source,
                "begun": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
                "first_number": self._next,
                "finished": False,
                **about,
            }
        )
        self._write_recordings()
        return name

    def add(self, crop: Crop, valence: str, time: float) -> str:
        """Store a face in the recording that was begun last.

        Args:
            crop: the face.
            valence: one of CLASSES.
            time: seconds since the start of the recording.

        Returns:
            The file's path inside the person's folder.

        Raises:
            DiskFullError: the disk is full; every image up to here is kept.
        """
        recording = self._recordings[-1]
        name = f"{valence}/{self.person}_idx{self._next}.jpg"
        path = self.folder / name
        row = {
            "file": name,
            "person": self.person,
            "recording": recording["recording"],
            "valence": valence,
            "time": f"{time:.3f}",
            "source": recording["source"],
            **{key: f"{value:g}" for key, value in vars(crop.quality).items()},
        }
        try:
            make_private(path.parent)
            write_private(path, crop.jpeg)
            try:
                _append(self.folder / LABELS_FILE, _csv_text([row]))
            except BaseException:
                path.unlink()
                raise
        except OSError as error:
            if is_disk_full(error):
                raise self._disk_full() from error
            raise
        except DiskFullError as error:
            raise self._disk_full() from error
        self.rows.append(row)
        self._next += 1
        return name

    def finish(self, about: dict[str, Any]) -> None:
        """End the recording that was begun last, with what there is to say of it."""
        self._recordings[-1].update(about, finished=True, last_number=self._next - 1)
        self._write_recordings()

    def rewrite(self, rows: Sequence[Row]) -> None:
        """Replace every row of ``labels.csv``."""
        self.rows = list(rows)
        write_private(self.folder / LABELS_FILE, _csv_text(self.rows, header=True))

    def adopt(self, names: Iterable[str]) -> list[Row]:
        """Return rows for images that have none, with the recording their number belongs to."""
        rows = []
        for name in names:
            number = image_number(self.person, name)
            recording = {"recording": UNKNOWN_RECORDING, "source": ""}
            for entry in self._recordings:
                # Of a run that was killed it is not known where it ended.
                last = entry.get("last_number", float("inf"))
                if number is not None and entry["first_number"] <= number <= last:
                    recording = entry
            row = dict.fromkeys(COLUMNS, "")
            row.update(
                file=name, person=self.person, valence=Path(name).parent.name,
                recording=recording["recording"], source=recording["source"],
            )  # fmt: skip
            rows.append(row)
        return rows

    def images(self) -> list[str]:
        """Return the path inside the person's folder of every image in a class folder."""
        return sorted(
            f"{name}/{path.name}"
            for name in CLASSES
            if (self.folder / name).is_dir()
            for path in (self.folder / name).iterdir()
            if image_number(self.person, path.name) is not None
        )

    def _load(self) -> None:
        for name in (*CLASSES, LABELS_FILE, RECORDINGS_FILE):
            if (self.folder / name).is_symlink():
                raise DataError(f"{self.folder / name}: a symbolic link; images would leave here")
        for leftover in list(self.folder.rglob(".*.part")):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()
        labels = read_labels(self.folder / LABELS_FILE)
        self.rows, self.lines = labels.rows, labels.lines
        self._recordings = _read_recordings(self.folder / RECORDINGS_FILE)
        numbers = [image_number(self.person, row["file"]) or 0 for row in self.rows]
        newest = max(numbers, default=0)
        everywhere = [image_number(self.person, p.name) or 0 for p in self.folder.rglob("*.jpg")]
        # Numbers of images that were dropped since are not given again.
        given = [entry.get("last_number", entry["first_number"] - 1) for entry in self._recordings]
        self._next = max([newest, *everywhere, *given]) + 1
        killed = bool(self._recordings) and not self._recordings[-1]["finished"]
        lost = [
            name
            for name in self.images()
            if killed and (image_number(self.person, name) or 0) > newest
        ]
        self.taken_in = lost
        if lost or not labels.tidy:
            self.rewrite([*self.rows, *self.adopt(lost)])

    def _write_recordings(self) -> None:
        text = json.dumps(self._recordings, indent=2, ensure_ascii=False) + "\n"
        write_private(self.folder / RECORDINGS_FILE, text)

    def _disk_full(self) -> DiskFullError:
        return DiskFullError(
            f"{self.folder}: the disk is full; {len(self.rows)} images are kept, free some space"
            " and go on with another run"
        )


def image_number(person: str, name: str) -> int | None:
    """Return the number in ``.../person_idxNUM.jpg``, or None for another name."""
    found = IMAGE_NAME.fullmatch(name.rsplit("/", 1)[-1])
    return int(found["number"]) if found and found["person"] == person else None


class Labels(NamedTuple):
    """What a ``labels.csv`` says.

    Attributes:
        rows: the images.
        lines: the line of each row.
        tidy: whether the file is as this program writes it, so that rows can be appended.
    """

    rows: list[Row]
    lines: list[int]
    tidy: bool


def read_labels(path: Path) -> Labels:
    """Read a ``labels.csv``, also as spreadsheets leave it (semicolons, byte-order mark).

    Raises:
        DataError: names the line that cannot be used.
    """
    if not path.exists():
        return Labels([], [], False)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a readable table ({error})") from error
    first = text.split("\n", 1)[0].strip()
    separator = max(",;\t", key=first.count)
    complete = text.endswith("\n")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header, *table = list(reader) or [[]]
    except csv.Error as error:
        raise DataError(f"{path}: not a readable table ({error})") from error
    header = [name.strip().strip('"') for name in header]
    missing = {"file", "recording", "valence"} - set(header)
    if missing:
        raise DataError(f"{path}: the columns {', '.join(sorted(missing))} are missing")
    rows: list[Row] = []
    lines: list[int] = []
    for number, fields in enumerate(table, start=2):
        if not any(field.strip() for field in fields):
            continue
        if len(fields) < len(header):
            if number == len(table) + 1 and not complete:
                break  # a run was killed while it appended this row
            raise DataError(
                f"{path}, line {number}: expected {len(header)} fields, got {len(fields)}"
            )
        given = dict(zip(header, (field.strip() for field in fields), strict=False))
        rows.append({name: given.get(name, "") for name in COLUMNS})
        lines.append(number)
    tidy = complete and first == ",".join(COLUMNS) and not re.search(r"\r(?!\n)", text)
    return Labels(rows, lines, tidy)


def _read_recordings(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        entries = read_json(path)
        for entry in entries:
            if not (isinstance(entry["recording"], str) and isinstance(entry["source"], str)):
                raise ValueError("a recording without name or source")
            entry["first_number"] = int(entry["first_number"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: not a readable list of recordings ({error})") from error
    return list(entries)


def _csv_text(rows: Sequence[Row], header: bool = False) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _append(path: Path, text: str) -> None:
    """Append to a file in one piece; where that fails the file is left as it was."""
    raw = text.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        size = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, raw) != len(raw):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)
