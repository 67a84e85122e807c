# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ExpW, faces of web photographs with seven expressions (Zhang et al. 2018)."""

from __future__ import annotations

from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.training.listing import Entry, emotion_entry, inside, read_lines

EXPW_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")

LAYOUT = "label.lst (NAME FACE TOP LEFT RIGHT BOTTOM CONFIDENCE LABEL) with its photographs"
_LIST = "label.lst"
_FOLDERS = ("Images", "origin", "image/origin", "images")


def is_expw(root: Path) -> bool:
    """Whether a folder looks like ExpW."""
    return any((at / _LIST).is_file() for at in (root, root / "label"))


def expw_splits(root: Path) -> tuple[str, ...]:
    """Return the splits: the authors name none, all of it is for training."""
    return ("train",)


def expw_entries(root: Path, split: str) -> list[Entry]:
    """List every labelled face; a photograph may hold several.

    Raises:
        DataError: if the list or the photographs are missing, or a line is wrong.
    """
    table = next((at / _LIST for at in (root, root / "label") if (at / _LIST).is_file()), None)
    if table is None:
        raise DataError(f"{root}: expected ExpW as {LAYOUT}")
    images = next((root / name for name in _FOLDERS if (root / name).is_dir()), None)
    if images is None:
        raise DataError(f"{root}: expected the photographs in one of {', '.join(_FOLDERS)}")
    entries = []
    for number, line in enumerate(read_lines(table), 1):
        words = line.split()
        if not words:
            continue
        where = f"{table}, row {number}"
        try:
            name, _, top, left, right, bottom, _, label = words
            y0, x0, x1, y1 = (float(value) for value in (top, left, right, bottom))
        except ValueError:
            raise DataError(
                f"{where}: expected NAME FACE TOP LEFT RIGHT BOTTOM CONFIDENCE LABEL, got {line!r}"
            ) from None
        if not (label.isdigit() and int(label) < len(EXPW_EMOTIONS)):
            raise DataError(f"{where}: label: expected 0 to {len(EXPW_EMOTIONS) - 1}, got {label}")
        if x1 <= x0 or y1 <= y0:
            raise DataError(f"{where}: box: expected LEFT < RIGHT and TOP < BOTTOM, got {line!r}")
        if Path(name).name != name:
            raise DataError(f"{where}: name: expected a plain file name, got {name!r}")
        box = (x0, y0, x1 - x0, y1 - y0)
        path = inside(images, name, where)
        entries.append(emotion_entry(path, EXPW_EMOTIONS[int(label)], box=box))
    return entries
