# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""FER2013 and FER+ as their authors hand them out: a CSV of pixels and a CSV of votes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_perception.training.faces import EMOTIONS, DataError, FaceSet, from_emotions
from emotion_perception.training.listing import read_rows

TILE = 48
VOTE_COLUMNS = tuple("NF" if name == "no-face" else name for name in EMOTIONS)
SPLITS = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}

IMAGE_TABLES = ("fer2013.csv", "icml_face_data.csv")
VOTE_TABLE = "fer2013new.csv"

CODES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""FER2013's own seven labels, 0 to 6; FER+ replaces them by votes."""

_MOST_VOTES = 1_000_000

# Where the same pixels are in several splits, the copy that is measured on stays.
_RANK = {"PrivateTest": 0, "PublicTest": 1, "Training": 2}


def image_table(directory: Path) -> Path | None:
    """Return the CSV of pixels of a folder, or None."""
    return next((p for name in IMAGE_TABLES if (p := directory / name).is_file()), None)


def load_fer_csv(directory: Path, split: str) -> FaceSet:
    """Read one split of FER+ from the original CSVs, one copy of each pixel-identical image.

    Row N of one file is row N of the other; the rows that FER+ gives no name are left out, as
    its authors do.

    Args:
        directory: folder with ``fer2013.csv`` (or ``icml_face_data.csv``) and ``fer2013new.csv``.
        split: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: naming file, row and value, if something is missing or wrong.
    """
    table = image_table(directory)
    if table is None:
        raise DataError(f"{directory}: expected {' or '.join(IMAGE_TABLES)}")
    votes = _read_votes(directory / VOTE_TABLE)
    best: dict[bytes, tuple[int, int]] = {}
    images: dict[int, NDArray[np.uint8]] = {}
    count = 0
    for number, (where, row) in enumerate(read_rows(table, ("pixels", "Usage"))):
        count = number + 1
        usage = row["Usage"].strip()
        if usage not in _RANK:
            raise DataError(f"{where}: Usage: expected {', '.join(_RANK)}, got {usage!r}")
        if number >= len(votes):
            break
        named, vote_usage, _ = votes[number]
        if vote_usage != usage:
            raise DataError(
                f"{where}: Usage is {usage}, but {VOTE_TABLE} has {vote_usage} in this row;"
                " the files do not belong together"
            )
        if not named:
            continue
        pixels = parse_pixels(row["pixels"], where)
        key = pixels.tobytes()
        best[key] = min(best.get(key, (9, 0)), (_RANK[usage], number))
        if usage == SPLITS[split]:
            images[number] = pixels
    if count != len(votes):
        raise DataError(
            f"{directory / VOTE_TABLE}: expected as many rows as {table.name} has, got {len(votes)}"
            + (f" for {count}" if count < len(votes) else "")
        )
    kept = [number for number, image in images.items() if best[image.tobytes()][1] == number]
    if not kept:
        raise DataError(f"{table}: no row with Usage {SPLITS[split]}")
    return from_emotions(
        np.stack([images[number] for number in kept]),
        np.array([votes[number][2] for number in kept], np.float32),
        files=[f"row {number}" for number in kept],
    )


def parse_pixels(text: str, where: str) -> NDArray[np.uint8]:
    """Read the pixels of an image, 48 times 48 numbers from 0 to 255: uint8 (48, 48).

    Raises:
        DataError: naming the row, if there are others or another count.
    """
    try:
        pixels = bytes(map(int, text.split()))
    except ValueError:
        raise DataError(f"{where}: pixels: expected whole numbers from 0 to 255") from None
    if len(pixels) != TILE * TILE:
        raise DataError(f"{where}: pixels: expected {TILE * TILE} numbers, got {len(pixels)}")
    return np.frombuffer(pixels, np.uint8).reshape(TILE, TILE)


def _read_votes(table: Path) -> list[tuple[bool, str, list[float]]]:
    """Return for each row whether FER+ names it, its usage, and the votes, as EMOTIONS."""
    if not table.is_file():
        raise DataError(f"{table}: not found; FER+ publishes the votes under this name")
    votes = []
    for where, row in read_rows(table, ("Usage", "Image name", *VOTE_COLUMNS)):
        named = bool(row["Image name"].strip())
        votes.append((named, row["Usage"].strip(), parse_votes(row, where)))
    return votes


def parse_votes(row: Mapping[str, str], where: str) -> list[float]:
    """Read the votes of an image, in the order of EMOTIONS.

    Raises:
        DataError: naming the row, if one is no number of votes.
    """
    try:
        counts = [float(row[name]) for name in VOTE_COLUMNS]
    except ValueError as error:
        raise DataError(f"{where}: expected numbers of votes ({error})") from None
    if not all(0 <= count <= _MOST_VOTES for count in counts):
        raise DataError(f"{where}: expected numbers of votes, 0 to {_MOST_VOTES}, got {counts}")
    return counts
