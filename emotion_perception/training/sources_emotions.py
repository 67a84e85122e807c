# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sets with one folder an emotion: FER2013 as images, AffectNet's copies, and others."""

from __future__ import annotations

from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.training.listing import (
    Entry,
    emotion_entry,
    emotion_of,
    image_files,
    split_folders,
    warn_of,
)

LAYOUT = "folders named by emotion (angry/, happy/, neutral/, ...), or these under train/ and test/"


def is_emotion_folders(root: Path) -> bool:
    """Whether a folder, or its train/ or test/, holds folders named by emotion."""
    return _classed(root) or bool(split_folders(root, _classed))


def emotion_splits(root: Path) -> tuple[str, ...]:
    """Return the splits of a set: the folders that are there, or all of it."""
    return tuple(split_folders(root, _classed)) or ("all", "train")


def emotion_entries(root: Path, split: str) -> list[Entry]:
    """List the images of emotion folders.

    Raises:
        DataError: if there are none, or the split is not there.
    """
    folders = split_folders(root, _classed)
    if folders and split not in folders:
        raise DataError(f"{root}: no folder {split}/; there are {', '.join(folders)}")
    at = folders[split] if folders else root
    if not _classed(at):
        raise DataError(f"{at}: expected {LAYOUT}")
    entries, odd = [], []
    for folder in sorted(path for path in at.iterdir() if path.is_dir()):
        emotion = emotion_of(folder.name)
        if emotion is None:
            odd.append(folder.name)
            continue
        entries += [emotion_entry(path, emotion) for path in image_files(folder)]
    warn_of(odd, f"{at}: folders that are not named by an emotion were passed over")
    return entries


def _classed(root: Path) -> bool:
    """Whether a folder holds emotion folders: two at least, as ``neutral/`` is a valence too."""
    if not root.is_dir():
        return False
    return sum(path.is_dir() and emotion_of(path.name) is not None for path in root.iterdir()) >= 2
