# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""AffectNet (Mollahosseini et al. 2017) in the forms in which it is handed out.

Its test set is not public; what papers report is measured on its validation set.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from emotion_perception.limited_arrays import read_array
from emotion_perception.training.faces import DataError
from emotion_perception.training.listing import (
    Entry,
    emotion_entry,
    emotion_of,
    inside,
    read_columns,
    read_rows,
    warn_of,
)
from emotion_perception.training.sources_emotions import (
    emotion_entries,
    emotion_splits,
    is_emotion_folders,
)

EXPRESSIONS = (
    "neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt",
    # "none", "uncertain" and "no face", in the older lists only.
    "unknown", "unknown", "no-face",
)  # fmt: skip

LAYOUT = (
    "train_set/ and val_set/ with images/ and annotations/*_exp.npy; or training.csv and "
    "validation.csv with Manually_Annotated_Images/; or emotion folders with labels.csv"
)

_SETS = {"train": "train_set", "validation": "val_set"}
_TABLES = {"train": "training.csv", "validation": "validation.csv"}
_HEADER = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height",
    "facial_landmarks", "expression", "valence", "arousal",
)  # fmt: skip
_IMAGE_FOLDERS = (
    "Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images",
    "Manually_Annotated", "images", ".",
)  # fmt: skip


def is_affectnet(root: Path) -> bool:
    """Whether a folder looks like AffectNet."""
    return bool(_annotated(root)) or bool(_tables(root)) or _is_copy(root)


def affectnet_splits(root: Path) -> tuple[str, ...]:
    """Return the splits that are there; a copy in emotion folders has its own, or only all."""
    found = tuple(_annotated(root)) or tuple(_tables(root))
    if found:
        return found
    return ("all", "train") if _is_copy(root) else emotion_splits(root)


def affectnet_entries(root: Path, split: str) -> list[Entry]:
    """List the images of a split; those that show no face or no certain emotion are left out.

    Raises:
        DataError: naming file and value, if a label is wrong or the layout is another one.
    """
    annotated, tables = _annotated(root), _tables(root)
    if annotated:
        return _from_annotations(annotated[split])
    if tables:
        return _from_table(root, tables[split])
    if _is_copy(root):
        return _from_copy(root)
    if is_emotion_folders(root):
        return emotion_entries(root, split)
    raise DataError(f"{root}: expected AffectNet as {LAYOUT}")


def _annotated(root: Path) -> dict[str, Path]:
    found = {split: root / name for split, name in _SETS.items()}
    return {split: path for split, path in found.items() if (path / "annotations").is_dir()}


def _tables(root: Path) -> dict[str, Path]:
    found = {}
    for split, name in _TABLES.items():
        for path in (root / name, root / "Manually_Annotated_file_lists" / name):
            if path.is_file():
                found[split] = path
                break
    return found


def _is_copy(root: Path) -> bool:
    return {"pth", "label"} <= read_columns(root / "labels.csv")


def _from_annotations(directory: Path) -> list[Entry]:
    """Read NUMBER_exp.npy (a number, or its digits) for each images/NUMBER.jpg."""
    images = directory / "images"
    if not images.is_dir():
        raise DataError(f"{images}: not found; expected AffectNet's images there")
    by_number = {path.stem: path for path in images.iterdir() if not path.name.startswith(".")}
    entries, alone = [], []
    for path in sorted((directory / "annotations").glob("*_exp.npy")):
        if path.name.startswith("."):
            continue
        emotion = _expression(_stored_number(path), str(path), count=8)
        image = by_number.get(path.name.removesuffix("_exp.npy"))
        if image is None:
            alone.append(path.name)
        else:
            entries.append(emotion_entry(image, emotion))
    warn_of(alone, f"{directory}: annotations whose image is missing were passed over")
    return entries


def _stored_number(path: Path) -> str:
    try:
        value = read_array(path, most=4096)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected an array with one number ({error})") from error
    if value.size != 1:
        raise DataError(f"{path}: expected an array with one number, got shape {value.shape}")
    return str(value.reshape(-1)[0])


def _from_table(root: Path, table: Path) -> list[Entry]:
    """Read the older lists, which name the face's box; validation.csv came without a header."""
    required = ("subDirectory_filePath", "expression")
    rows = list(read_rows(table, required, _HEADER))
    for where, row in rows[:100]:
        inside(root, row["subDirectory_filePath"], where)
    base = _image_folder(root, table, [row["subDirectory_filePath"] for _, row in rows[:100]])
    entries, without = [], []
    for where, row in rows:
        name = row["subDirectory_filePath"]
        emotion = _expression(row["expression"], where, count=len(EXPRESSIONS))
        if emotion in ("unknown", "no-face"):
            without.append(name)
            continue
        entries.append(emotion_entry(inside(base, name, where), emotion, box=_box(row)))
    warn_of(without, f"{table}: images without a face or a certain emotion were left out")
    return entries


def _image_folder(root: Path, table: Path, names: list[str]) -> Path:
    for folder in _IMAGE_FOLDERS:
        if any((root / folder / name).is_file() for name in names):
            return root / folder
    raise DataError(
        f"{table}: none of its first images, such as {names[0] if names else 'none'!r}, lies in "
        f"{', '.join(_IMAGE_FOLDERS)} of {root}"
    )


def _box(row: dict[str, str]) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(row[name]) for name in _HEADER[1:5])
    except (KeyError, ValueError):  # NULL where no face was found
        return None
    known = np.isfinite([x, y, width, height]).all() and width > 0 and height > 0
    return (x, y, width, height) if known else None


def _from_copy(root: Path) -> list[Entry]:
    """Read emotion folders with a table; where they disagree, the table's corrected label wins."""
    entries, corrected = [], []
    for where, row in read_rows(root / "labels.csv", ("pth", "label")):
        emotion = emotion_of(row["label"])
        if emotion is None:
            raise DataError(f"{where}: label: expected an emotion, got {row['label']!r}")
        path = inside(root, row["pth"], where)
        if emotion_of(path.parent.name) not in (None, emotion):
            corrected.append(row["pth"])
        entries.append(emotion_entry(path, emotion))
    warn_of(corrected, f"{root}: labels.csv names another emotion than the folder, and is believed")
    return entries


def _expression(value: str, where: str, count: int) -> str:
    try:
        number = int(float(value))
        exact = number == float(value)
    except (ValueError, OverflowError):  # of an infinity
        exact = False
    if not exact or not 0 <= number < count:
        raise DataError(f"{where}: expression: expected 0 to {count - 1}, got {value!r}")
    return EXPRESSIONS[number]
