# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""RAF-DB, the basic emotions (Li et al. 2017), in its authors' layout or the usual Kaggle one."""

from __future__ import annotations

from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.training.listing import (
    Entry,
    emotion_entry,
    image_files,
    inside,
    read_lines,
    read_rows,
)

RAF_EMOTIONS = {
    "1": "surprise", "2": "fear", "3": "disgust", "4": "happiness", "5": "sadness", "6": "anger",
    "7": "neutral",
}  # fmt: skip

LAYOUT = (
    "basic/Image/aligned/*.jpg with basic/EmoLabel/list_patition_label.txt, or train/1..7/, "
    "test/1..7/, usually with train_labels.csv and test_labels.csv"
)
_LIST = Path("EmoLabel") / "list_patition_label.txt"


def is_raf_db(root: Path) -> bool:
    """Whether a folder looks like RAF-DB."""
    return _authors_root(root) is not None or _kaggle_root(root) is not None


def raf_splits(root: Path) -> tuple[str, ...]:
    """Return the splits that RAF-DB names."""
    return ("train", "test")


def raf_entries(root: Path, split: str) -> list[Entry]:
    """List the images of a split.

    Raises:
        DataError: if the folder has neither layout, or a label is not 1 to 7.
    """
    authors, kaggle = _authors_root(root), _kaggle_root(root)
    if authors is not None:
        return _authors(authors, split)
    if kaggle is not None:
        return _kaggle(kaggle, split)
    raise DataError(f"{root}: expected RAF-DB as {LAYOUT}")


def _authors_root(root: Path) -> Path | None:
    return next((at for at in (root, root / "basic") if (at / _LIST).is_file()), None)


def _kaggle_root(root: Path) -> Path | None:
    for at in (root, root / "DATASET"):
        if any((at / f"{name}_labels.csv").is_file() for name in ("train", "test")):
            return at
        if all((at / name / number).is_dir() for name in ("train", "test") for number in "17"):
            return at
    return None


def _authors(root: Path, split: str) -> list[Entry]:
    """Read lines such as ``train_00001.jpg 5``; the aligned image is train_00001_aligned.jpg."""
    images = root / "Image" / "aligned"
    if not images.is_dir():
        raise DataError(f"{images}: not found; expected RAF-DB's aligned images there")
    entries = []
    table = root / _LIST
    for number, line in enumerate(read_lines(table), 1):
        words = line.split()
        if not words:
            continue
        where = f"{table}, row {number}"
        if len(words) != 2:
            raise DataError(f"{where}: expected 'NAME.jpg LABEL', got {line!r}")
        emotion = _emotion(words[1], where)
        name = Path(words[0])
        if name.name.startswith(f"{split}_"):
            path = inside(images, f"{name.stem}_aligned{name.suffix}", where)
            entries.append(emotion_entry(path, emotion))
    return entries


def _kaggle(root: Path, split: str) -> list[Entry]:
    table = root / f"{split}_labels.csv"
    if not table.is_file():
        return [
            emotion_entry(path, emotion)
            for number, emotion in RAF_EMOTIONS.items()
            for path in image_files(_existing(root / split / number))
        ]
    entries = []
    for where, row in read_rows(table, ("image", "label")):
        emotion = _emotion(row["label"], where)
        name = Path(row["image"]).name
        path = inside(root / split / row["label"].strip(), name, where)
        entries.append(emotion_entry(path, emotion))
    return entries


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder}: not found; expected RAF-DB as {LAYOUT}")
    return folder


def _emotion(label: str, where: str) -> str:
    if label.strip() not in RAF_EMOTIONS:
        raise DataError(f"{where}: label: expected 1 to 7, got {label!r}")
    return RAF_EMOTIONS[label.strip()]
