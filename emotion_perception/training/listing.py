# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a labelled data set says of each image, before any pixel is read.

Every adapter turns its set's own layout into a list of entries; aligning, caching, relabelling
and the rest then need to know nothing of layouts.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.valence.labels import CLASSES, DROPPED, EMOTION_TO_VALENCE

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".pgm", ".tif", ".tiff"))

_SPLIT_NAMES = {
    "train": ("train",), "validation": ("validation", "valid", "val"), "test": ("test",),
}  # fmt: skip

_ALIASES = {
    "angry": "anger", "anger": "anger",
    "contempt": "contempt", "contemptuous": "contempt",
    "disgust": "disgust", "disgusted": "disgust",
    "fear": "fear", "fearful": "fear", "afraid": "fear",
    "happy": "happiness", "happiness": "happiness",
    "neutral": "neutral",
    "sad": "sadness", "sadness": "sadness",
    "surprise": "surprise", "surprised": "surprise",
    "unknown": "unknown", "uncertain": "unknown", "none": "unknown",
    "no-face": "no-face", "nf": "no-face",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One image of a data set.

    Attributes:
        path: the image file.
        valence: index in CLASSES, or DROPPED.
        emotion: one of EMOTIONS, or empty where only the valence is known.
        person: who it shows; empty where unknown.
        recording: what it was recorded in; empty where it stands alone.
        groups: name of a grouping (age, gender, ...) to the group.
        box: ``x, y, width, height`` of the face in pixels, where the set names it.
    """

    path: Path
    valence: int
    emotion: str = ""
    person: str = ""
    recording: str = ""
    groups: dict[str, str] = field(default_factory=dict)
    box: tuple[float, float, float, float] | None = None


def emotion_entry(path: Path, emotion: str, **known: object) -> Entry:
    """Return an entry whose valence follows from its emotion by EMOTION_TO_VALENCE."""
    return Entry(path=path, emotion=emotion, valence=EMOTION_TO_VALENCE[emotion], **known)  # type: ignore[arg-type]


def emotion_of(word: str) -> str | None:
    """Return the emotion of EMOTIONS that a set's own word means (``happy``, ``Angry``), or None.

    Example:
        >>> emotion_of("Happy")
        'happiness'
    """
    return _ALIASES.get(word.strip().lower())


def valence_of(word: str, where: str) -> int:
    """Return the class that a labels file names; an empty word means that there is none.

    Args:
        word: ``negative``, ``neutral``, ``positive`` or empty.
        where: file and row, for the error.

    Raises:
        DataError: for any other word.
    """
    if not word.strip():
        return DROPPED
    try:
        return CLASSES.index(word.strip().lower())
    except ValueError:
        raise DataError(
            f"{where}: valence: expected {', '.join(CLASSES)} or nothing, got {word!r}"
        ) from None


def read_rows(
    table: Path, required: Sequence[str], header: Sequence[str] | None = None
) -> Iterator[tuple[str, dict[str, str]]]:
    """Read a CSV file row by row.

    Args:
        table: the file; a byte-order mark and spaces around the column names do no harm.
        required: columns that must be there.
        header: the columns of a file that may lack its header row.

    Yields:
        ``FILE, row N`` (N counts lines, the header is line 1) and the fields of the row.

    Raises:
        DataError: if the file or a column is missing, or a row is too short.
    """
    if not table.is_file():
        raise DataError(f"{table}: not found")
    try:
        yield from _rows(table, required, header)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{table}: not a readable CSV file ({error})") from error


def _rows(
    table: Path, required: Sequence[str], header: Sequence[str] | None
) -> Iterator[tuple[str, dict[str, str]]]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        line = file.readline()
        file.seek(0)
        # Spreadsheets of some countries write semicolons.
        separator = max(",;\t", key=line.count)
        reader = csv.reader(file, delimiter=separator)
        first = [name.strip() for name in next(reader, [])]
        if header is not None and first and not set(required) <= set(first):
            file.seek(0)
            reader, first = csv.reader(file, delimiter=separator), list(header)
        missing = set(required) - set(first)
        if missing:
            raise DataError(
                f"{table}: the columns {', '.join(sorted(missing))} are missing; it has "
                f"{', '.join(first) or 'none'}"
            )
        for row in reader:
            if not row:
                continue
            where = f"{table}, row {reader.line_num}"
            if len(row) < len(first):
                raise DataError(f"{where}: expected {len(first)} fields, got {len(row)}")
            yield where, dict(zip(first, row, strict=False))


def read_lines(table: Path) -> list[str]:
    """Return the lines of a text file; a byte-order mark does no harm.

    Raises:
        DataError: if it is no text.
    """
    try:
        return table.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table}: not a readable text file ({error})") from error


def read_columns(table: Path) -> set[str]:
    """Return the columns of a CSV file; none where there is no such file."""
    if not table.is_file():
        return set()
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        line = file.readline()
    separator = max(",;\t", key=line.count)
    try:
        return {name.strip() for name in next(csv.reader([line], delimiter=separator), [])}
    except csv.Error:  # no table: whoever reads it says so
        return set()


def image_files(directory: Path) -> list[Path]:
    """Return the images of a folder, sorted; files of other kinds are counted in the log.

    Hidden files (a desktop's leavings) are passed over.
    """
    images: list[Path] = []
    others: list[Path] = []
    for path in sorted(directory.iterdir()):
        # A link whose image is gone is listed, so that it is counted as missing.
        if path.name.startswith(".") or path.is_dir():
            continue
        (images if path.suffix.lower() in IMAGE_SUFFIXES else others).append(path)
    warn_of(others, f"{directory}: files that are no images were passed over")
    return images


def subfolder(directory: Path, *names: str) -> Path | None:
    """Return the first subfolder with one of these names, whatever their case, or None."""
    if not directory.is_dir():
        return None
    here = {path.name.lower(): path for path in sorted(directory.iterdir()) if path.is_dir()}
    return next((here[name.lower()] for name in names if name.lower() in here), None)


def split_folders(root: Path, fits: Callable[[Path], bool]) -> dict[str, Path]:
    """Return the folders train/, validation/ (or valid/, val/) and test/ that are there and fit."""
    found = {split: subfolder(root, *names) for split, names in _SPLIT_NAMES.items()}
    return {split: path for split, path in found.items() if path is not None and fits(path)}


def warn_of(items: Iterable[object], what: str) -> None:
    """Log how many items there are, with the first few; nothing where there are none."""
    found = [str(item) for item in items]
    if found:
        more = ", ..." if len(found) > 5 else ""
        logger.warning("%s: %d (%s%s)", what, len(found), ", ".join(found[:5]), more)


def inside(root: Path, name: str, where: str) -> Path:
    """Return the path of a file that a labels file names, which must lie under ``root``.

    Raises:
        DataError: if the name is empty or leads out of the set's folder.
    """
    parts = Path(name).parts
    if not name.strip() or Path(name).is_absolute() or ".." in parts:
        raise DataError(f"{where}: file: expected a path inside {root}, got {name!r}")
    if "\0" in name or len(name.encode()) > 2000 or any(len(p.encode()) > 255 for p in parts):
        raise DataError(f"{where}: file: no file can be called {name[:50]!r}...")
    return root / name
