# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sets of valence classes: one folder a class, or a labels.csv beside the images."""

from __future__ import annotations

import re
from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.training.listing import (
    Entry,
    emotion_of,
    image_files,
    inside,
    read_columns,
    read_rows,
    split_folders,
    subfolder,
    valence_of,
    warn_of,
)
from emotion_perception.valence.labels import CLASSES

LAYOUT = (
    "the folders negative/, neutral/ and positive/ (or these under train/ and test/), or "
    "labels.csv with the columns file and valence"
)
GROUPS = ("group", "age", "gender", "ethnicity", "pose", "illum", "eyes")

_PERSON_FILE = re.compile(r"(?P<person>.+)_idx(?P<number>\d+)$")


def is_imfdb(root: Path) -> bool:
    """Whether a folder holds a labels.csv that names person, movie and valence."""
    return _columns(root) >= {"file", "person", "movie", "valence"} and (root / "images").is_dir()


def is_folders(root: Path) -> bool:
    """Whether a folder holds class folders, fold folders of them, or a labels.csv of valence."""
    listed = _columns(root) >= {"file", "valence"}
    return listed or bool(split_folders(root, _classed)) or _classed(root)


def imfdb_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of an IMFDB-style set: none but all of it, to be split by recording."""
    return ("all", "train")


def folder_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a set: the fold folders that are there, or all of it."""
    found = () if _columns(root) else tuple(split_folders(root, _classed))
    return found or ("all", "train")


def fold_folders(root: Path) -> list[Path]:
    """Return the folders of a cross-validation on disk, each with train/ and test/; or none."""
    if not root.is_dir():
        return []
    return [
        path
        for path in sorted(root.iterdir())
        if path.is_dir() and {"train", "test"} <= set(split_folders(path, _classed))
    ]


def folder_entries(root: Path, split: str) -> list[Entry]:
    """List the images of a set of class folders or of a labels.csv.

    The images of class folders are named ``person_idxNUM.jpg``; those of other names show nobody
    in particular and are counted in the log.

    Raises:
        DataError: if the layout is another one, or a label is none of the classes.
    """
    if _columns(root):
        return table_entries(root)
    folders = split_folders(root, _classed)
    if folders:
        if split not in folders:
            raise DataError(f"{root}: no folder {split}/; there are {', '.join(folders)}")
        return _class_entries(folders[split])
    if _classed(root):
        return _class_entries(root)
    folds = fold_folders(root)
    if folds:
        names = ", ".join(path.name for path in folds)
        raise DataError(f"{root}: holds the folds {names}; name one of these folders")
    raise DataError(f"{root}: expected {LAYOUT}")


def table_entries(root: Path) -> list[Entry]:
    """List the images that ``labels.csv`` names.

    Its columns are file and valence, and, where known, person, recording (or movie) and emotion;
    the columns of GROUPS become groupings. Files lie under ``images/`` or beside the table.

    Raises:
        DataError: naming file, row and value, if one of them is wrong.
    """
    table = root / "labels.csv"
    images = root / "images" if (root / "images").is_dir() else root
    # Whoever corrects labels may move an image to the folder of another class, or add one.
    moved = {} if split_folders(root, _classed) else _by_name(root)
    entries, odd = [], set()
    for where, row in read_rows(table, ("file", "valence")):
        path, valence = inside(images, row["file"], where), valence_of(row["valence"], where)
        listed = moved.pop(path.name, None)
        if listed is not None and not path.is_file():
            path, valence = listed.path, listed.valence
        emotion = emotion_of(row.get("emotion", "")) or ""
        if row.get("emotion") and not emotion:
            odd.add(row["emotion"])
        person = row.get("person", "")
        recording = row.get("recording") or row.get("movie") or ""
        entries.append(
            Entry(
                path=path,
                valence=valence,
                emotion=emotion,
                person=person,
                # Two people's recordings are two recordings, whatever their names.
                recording=f"{person}/{recording}" if recording else "",
                groups={name: row[name] for name in GROUPS if name in row},
            )
        )
    warn_of(sorted(odd), f"{table}: emotions that are not known were passed over")
    warn_of(moved, f"{table}: images of class folders that it does not name")
    return entries + list(moved.values())


def _by_name(root: Path) -> dict[str, Entry]:
    """Return the images of class folders by their names; none where two have the same."""
    entries = _class_entries(root) if _classed(root) else []
    found = {entry.path.name: entry for entry in entries}
    return found if len(found) == len(entries) else {}


def _class_entries(root: Path) -> list[Entry]:
    entries, nameless = [], []
    for label, name in enumerate(CLASSES):
        folder = subfolder(root, name)
        for path in image_files(folder) if folder is not None else []:
            match = _PERSON_FILE.match(path.stem)
            if match is None:
                nameless.append(path.name)
            entries.append(Entry(path=path, valence=label, person=match["person"] if match else ""))
    warn_of(
        nameless, f"{root}: names other than person_idxNUM; it is not known whom these images show"
    )
    return entries


def _classed(root: Path) -> bool:
    return any(subfolder(root, name) is not None for name in CLASSES)


def _columns(root: Path) -> set[str]:
    return read_columns(root / "labels.csv")
