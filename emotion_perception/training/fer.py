"""FER2013 faces with the crowd votes of FER+ (Barsoum et al. 2016)."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from emotion_perception.training.faces import DataError, FaceSet, from_emotions
from emotion_perception.training.fer_csv import (
    IMAGE_TABLES,
    SPLITS,
    TILE,
    VOTE_COLUMNS,
    VOTE_TABLE,
    image_table,
    load_fer_csv,
)

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
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        missing = {"index", "row", "usage", "unique_keep", *VOTE_COLUMNS} - set(
            reader.fieldnames or ()
        )
        if missing:
            raise DataError(f"{table}: the columns {sorted(missing)} are missing")
        rows = [
            row for row in reader if row["usage"] == SPLITS[split] and row["unique_keep"] == "1"
        ]
    if not rows:
        raise DataError(f"{table}: no row with usage {SPLITS[split]} and unique_keep 1")
    index = np.array([int(row["index"]) for row in rows])
    images = np.empty((len(rows), TILE, TILE), np.uint8)
    for number in np.unique(index // TILES_A_ROW**2):
        path = directory / "sheets" / f"sheet_{number:03d}.png"
        sheet = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
        side = TILE * TILES_A_ROW
        if sheet is None or sheet.shape != (side, side):
            raise DataError(f"{path}: expected a grey PNG of {side}x{side} pixels")
        tiles = sheet.reshape(TILES_A_ROW, TILE, TILES_A_ROW, TILE).swapaxes(1, 2)
        here = index // TILES_A_ROW**2 == number
        images[here] = tiles.reshape(-1, TILE, TILE)[index[here] % TILES_A_ROW**2]
    return from_emotions(
        images,
        np.array([[float(row[c]) for c in VOTE_COLUMNS] for row in rows], np.float32),
        files=[f"row {row['row']}" for row in rows],
    )
