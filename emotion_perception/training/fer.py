# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""FER2013 faces with the crowd votes of FER+ (Barsoum et al. 2016)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from emotion_perception.image.still import read_still
from emotion_perception.training.faces import DataError, FaceSet, from_emotions
from emotion_perception.training.fer_csv import (
    IMAGE_TABLES,
    SPLITS,
    TILE,
    VOTE_COLUMNS,
    VOTE_TABLE,
    image_table,
    load_fer_csv,
    parse_votes,
)
from emotion_perception.training.listing import read_rows

TILES_A_ROW = 32

FER_LAYOUT = f"sheets/ and labels.csv, or {' or '.join(IMAGE_TABLES)} with {VOTE_TABLE}"


def is_fer(directory: Path) -> bool:
    """Whether a folder looks like FER+."""
    sheets = (directory / "sheets").is_dir() and (directory / "labels.csv").is_file()
    return sheets or image_table(directory) is not None


def load_fer(directory: Path, split: str) -> FaceSet:
    """Read one split of FER+, one copy of each pixel-identical image.

    Args:
        directory: folder with ``labels.csv`` and ``sheets/sheet_NNN.png`` (32x32 tiles of 48x48),
            or with the original CSVs (see load_fer_csv).
        split: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: if a file or a column is missing, or a sheet has the wrong size.
    """
    if split not in SPLITS:
        raise DataError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    if not (directory / "labels.csv").is_file() and image_table(directory) is not None:
        return load_fer_csv(directory, split)
    table = directory / "labels.csv"
    if not table.is_file():
        raise DataError(f"{table}: not found; expected FER+ as {FER_LAYOUT}")
    rows = [
        (where, row)
        for where, row in read_rows(table, ("index", "row", "usage", "unique_keep", *VOTE_COLUMNS))
        if row["usage"] == SPLITS[split] and row["unique_keep"] == "1"
    ]
    if not rows:
        raise DataError(f"{table}: no row with usage {SPLITS[split]} and unique_keep 1")
    index = np.array([_index(row["index"], where) for where, row in rows])
    images = np.empty((len(rows), TILE, TILE), np.uint8)
    for number in np.unique(index // TILES_A_ROW**2):
        path = directory / "sheets" / f"sheet_{number:03d}.png"
        sheet = read_still(path, cv2.IMREAD_GRAYSCALE)
        side = TILE * TILES_A_ROW
        if sheet is None or sheet.shape != (side, side):
            raise DataError(f"{path}: expected a grey PNG of {side}x{side} pixels")
        tiles = sheet.reshape(TILES_A_ROW, TILE, TILES_A_ROW, TILE).swapaxes(1, 2)
        here = index // TILES_A_ROW**2 == number
        images[here] = tiles.reshape(-1, TILE, TILE)[index[here] % TILES_A_ROW**2]
    return from_emotions(
        images,
        np.array([parse_votes(row, where) for where, row in rows], np.float32),
        files=[f"row {row['row']}" for _, row in rows],
    )


def _index(text: str, where: str) -> int:
    """Read the number of a tile."""
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise DataError(f"{where}: index: expected a whole number from 0 up, got {text!r}")
    return int(text)
