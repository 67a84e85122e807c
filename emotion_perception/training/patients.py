# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Where a patient's data lies: one folder under a pseudonym, readable by its owner alone."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from emotion_perception.training.faces import DataError
from emotion_perception.valence.labels import CLASSES

IMAGE_NAME = re.compile(r"(?P<person>[A-Za-z0-9-]+)_idx(?P<number>\d+)\.jpg")
"""``person_idxNUM.jpg``: why a pseudonym has no underscore."""

_FORM = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
# Names of folders inside data sets, runs and registries: a person called like one of them could
# not be told from it, least of all when everything of that person is to be deleted.
_RESERVED = frozenset(
    {*CLASSES, "drop", "overview", "train", "test", "validation", "folds", "models", "patients",
     "finetune", "base", "current", "versions", "runs", "data"}
)  # fmt: skip


class DiskFullError(DataError):
    """Nothing more can be written; what was there is kept."""


def check_pseudonym(person: str) -> str:
    """Return a pseudonym that is fit for folder and file names.

    Raises:
        DataError: if it has other characters than letters, digits and inner dashes, is longer
            than 64, or is the name of a folder that data sets have.

    Example:
        >>> check_pseudonym("P-017")
        'P-017'
    """
    if not _FORM.fullmatch(person):
        raise DataError(
            f"person: expected a pseudonym of letters, digits and dashes such as P-017,"
            f" got {person!r} (never use a name)"
        )
    if person.lower() in _RESERVED:
        raise DataError(f"person: {person!r} is the name of a folder that data sets have")
    return person


def patient_folder(data: Path, person: str) -> Path:
    """Return the folder of a person, which need not exist, inside a data folder.

    Raises:
        DataError: for a bad pseudonym, or if a link or a file is in its place.
    """
    folder = data / check_pseudonym(person)
    if folder.is_symlink():
        raise DataError(f"{folder}: a symbolic link; a patient's folder must lie in {data} itself")
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: a file, expected the folder of {person}")
    return folder


def make_private(folder: Path) -> Path:
    """Make a folder, with its parents, that only its owner can enter (mode 0700)."""
    if folder.exists() and not folder.is_dir():
        raise DataError(f"{folder}: a file, expected a folder")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def write_private(path: Path, data: bytes | str) -> None:
    """Write a file that only its owner can read (mode 0600), so that nobody sees half of it.

    Raises:
        DiskFullError: no space is left; the file is as it was before.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    raw = data.encode() if isinstance(data, str) else data
    try:
        with open(beside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(raw)
        beside.replace(path)
    except OSError as error:
        if is_disk_full(error):
            raise DiskFullError(f"{path}: not written, the disk is full") from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def is_disk_full(error: OSError) -> bool:
    """Whether the disk, or what this user may take of it, is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
