# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Turning a set labelled by emotion into the three-class folder layout.

The table is EMOTION_TO_VALENCE: surprise, and what shows no certain emotion, says nothing of
valence and is left out. Images are linked by default: that takes no space, shows where each came
from, works from one disk to another, and whoever deletes the result deletes no original. Copies
are for a result that is to be moved or edited.
"""

from __future__ import annotations

import csv
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.spreadsheet import guard
from emotion_perception.training.faces import EMOTIONS, DataError, FaceSet
from emotion_perception.training.fer import load_fer
from emotion_perception.training.fer_csv import CODES, VOTE_TABLE, image_table, parse_pixels
from emotion_perception.training.fer_csv import SPLITS as FER_SPLITS
from emotion_perception.training.listing import read_rows, warn_of
from emotion_perception.training.source_kinds import ADAPTERS, Source, source_splits
from emotion_perception.valence.labels import CLASSES, DROPPED, EMOTION_TO_VALENCE

logger = logging.getLogger(__name__)

MODES = ("link", "copy")
REPORT_FILE = "relabel.csv"
REPORT_COLUMNS = ("source", "emotion", "valence", "target")


@dataclass(frozen=True)
class Relabelled:
    """How many images there were.

    Attributes:
        counts: (split, emotion, valence) to images; valence is empty for those left out, split
            where the set has none.
        missing: images that the set names and that are not there, or empty.
    """

    counts: dict[tuple[str, str, str], int]
    missing: int


@dataclass(frozen=True)
class _Item:
    """One image: a file, or pixels (48, 48) of a set that holds them in a table."""

    split: str
    emotion: str
    valence: int
    name: str
    source: str
    path: Path | None = None
    pixels: NDArray[np.uint8] | None = None


def relabel(source: Source, output: Path, mode: str = "link") -> Relabelled:
    """Write ``negative/``, ``neutral/`` and ``positive/``, under train/, test/ if the set has them.

    ``relabel.csv`` beside them says of every image where it came from and went to. Everything is
    built beside ``output`` and moved there at the end.

    Args:
        source: a set labelled by emotion.
        output: folder to write; must not exist.
        mode: ``link`` for symbolic links, ``copy`` for copies. The images of FER+, which lie in
            sheets or tables, are written as PNG files either way.

    Raises:
        FileExistsError: if ``output`` exists.
        DataError: if the set is not labelled by emotion, or a label is wrong.
    """
    if mode not in MODES:
        raise DataError(f"mode: expected {' or '.join(MODES)}, got {mode!r}")
    if output.exists() or output.is_symlink():
        raise FileExistsError(f"{output} exists already; choose another --output")
    if output.resolve().is_relative_to(source.path.resolve()):
        raise DataError(f"{output}: lies in the data set itself; choose a folder outside")
    output.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    try:
        result = _write(_items(source), work, mode)
        # As open to others as the set itself, and never more.
        work.chmod(0o700 | source.path.stat().st_mode & 0o055)
        work.rename(output)
    except BaseException as error:
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(error, OSError) and error.filename is None:  # e.g. a full disk
            raise OSError(error.errno, f"{error.strerror}; nothing was kept", str(output)) from None
        raise
    return result


def _write(items: Iterator[_Item], work: Path, mode: str) -> Relabelled:
    counts: Counter[tuple[str, str, str]] = Counter()
    missing: list[str] = []
    taken: set[str] = set()
    with (work / REPORT_FILE).open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(REPORT_COLUMNS)
        for item in items:
            if item.path is not None and not _is_there(item.path):
                missing.append(item.source)
                continue
            valence = CLASSES[item.valence] if item.valence != DROPPED else ""
            target = ""
            if valence:
                target = _target(item, valence, taken)
                _place(item, work / target, mode)
            counts[item.split, item.emotion, valence] += 1
            table.writerow([guard(cell) for cell in (item.source, item.emotion, valence, target)])
    if not any(valence for _, _, valence in counts):
        raise DataError(
            f"no image with a valence ({sum(counts.values())} without, {len(missing)} missing)"
        )
    for split in {split for split, _, _ in counts}:
        for name in CLASSES:
            (work / split / name).mkdir(parents=True, exist_ok=True)
    warn_of(missing, "missing or empty images were passed over")
    return Relabelled(dict(counts), len(missing))


def _is_there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _target(item: _Item, valence: str, taken: set[str]) -> str:
    """Return a path for an image; names that several emotions share get the emotion before."""
    folder = f"{item.split}/{valence}" if item.split else valence
    stem, suffix = Path(item.name).stem, Path(item.name).suffix
    target, number = f"{folder}/{item.name}", 1
    while target in taken:
        again = f"-{number}" if number > 1 else ""
        target, number = f"{folder}/{item.emotion}_{stem}{again}{suffix}", number + 1
    taken.add(target)
    return target


def _place(item: _Item, target: Path, mode: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if item.pixels is not None:
        _, data = cv2.imencode(".png", item.pixels)
        target.write_bytes(data.tobytes())
    elif item.path is not None and mode == "link":
        target.symlink_to(item.path.resolve())
    elif item.path is not None:
        shutil.copyfile(item.path, target)


def _items(source: Source) -> Iterator[_Item]:
    if source.kind == "fer-plus":
        table = image_table(source.path)
        if table is not None and not (source.path / VOTE_TABLE).is_file():
            return _fer_codes(table)
        return _fer_votes(source.path)
    return _listed(source)


def _listed(source: Source) -> Iterator[_Item]:
    splits = [split for split in source_splits(source) if split != "all"]
    parted = "all" not in source_splits(source)
    seen: set[Path] = set()
    for split in splits:
        for entry in ADAPTERS[source.kind].entries(source.path, split):
            if not entry.emotion:
                raise DataError(
                    f"{source.path}: a set of {source.kind}, expected one that is labelled by"
                    f" emotion; there is none for {entry.path.name}"
                )
            if entry.path in seen:
                raise DataError(
                    f"{entry.path}: holds several labelled faces; relabel takes sets of one face"
                    " an image"
                )
            seen.add(entry.path)
            yield _Item(
                split if parted else "", entry.emotion, EMOTION_TO_VALENCE[entry.emotion],
                entry.path.name, str(entry.path), entry.path,
            )  # fmt: skip


def _fer_votes(directory: Path) -> Iterator[_Item]:
    """Take the majority of the votes, as training does."""
    for split in FER_SPLITS:
        faces = load_fer(directory, split)
        for index in range(len(faces)):
            row = faces.files[index].split()[-1]
            yield _Item(
                split, _majority(faces, index), int(faces.labels[index]), f"fer{int(row):07d}.png",
                f"{directory} row {row}", pixels=faces.images[index],
            )  # fmt: skip


def _majority(faces: FaceSet, index: int) -> str:
    """Return the emotion with most votes among those of the winning valence."""
    label = int(faces.labels[index])
    votes = [
        float(count) if EMOTION_TO_VALENCE[name] == label else -1.0
        for name, count in zip(EMOTIONS, faces.emotions[index], strict=True)
    ]
    # Two classes that share the lead: no emotion without valence won.
    without = max(votes)
    if label == DROPPED and without < float(faces.valence[index].max()):
        return "tie"
    return EMOTIONS[votes.index(without)]


def _fer_codes(table: Path) -> Iterator[_Item]:
    """Take FER2013's own labels, where there are no votes."""
    names = {usage: split for split, usage in FER_SPLITS.items()}
    rows = read_rows(table, ("emotion", "pixels", "Usage"))
    for number, (where, row) in enumerate(rows):
        code, usage = row["emotion"].strip(), row["Usage"].strip()
        if code not in {str(index) for index in range(len(CODES))}:
            raise DataError(f"{where}: emotion: expected 0 to {len(CODES) - 1}, got {code!r}")
        if usage not in names:
            raise DataError(f"{where}: Usage: expected {', '.join(names)}, got {usage!r}")
        emotion = CODES[int(code)]
        yield _Item(
            names[usage], emotion, EMOTION_TO_VALENCE[emotion], f"fer{number:07d}.png",
            f"{table} row {number}", pixels=parse_pixels(row["pixels"], where),
        )  # fmt: skip
