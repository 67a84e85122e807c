"""FER2013 faces with the crowd votes of FER+ (Barsoum et al. 2016), in memory."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.valence.labels import CLASSES, DROPPED, EMOTION_TO_VALENCE

TILE = 48
TILES_A_ROW = 32
EMOTIONS = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
VOTE_COLUMNS = {**{name: name for name in EMOTIONS}, "unknown": "unknown", "NF": "no-face"}
SPLITS = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


class DataError(ValueError):
    """A data set that is missing, incomplete or wrong."""


@dataclass(frozen=True, eq=False)
class FerSplit:
    """One split of FER+.

    Attributes:
        images: uint8 (N, 48, 48), grey.
        votes: float32 (N, 10), votes in the order of VOTE_COLUMNS.
        rows: int64 (N,), row of each image in fer2013.csv.
    """

    images: NDArray[np.uint8]
    votes: NDArray[np.float32]
    rows: NDArray[np.int64]

    @property
    def valence_votes(self) -> NDArray[np.float32]:
        """Float32 (N, 3): votes for each valence class; the emotions without valence left out."""
        sums = np.zeros((len(self.votes), len(CLASSES)), np.float32)
        for column, emotion in enumerate(VOTE_COLUMNS.values()):
            target = EMOTION_TO_VALENCE[emotion]
            if target != DROPPED:
                sums[:, target] += self.votes[:, column]
        return sums

    @property
    def valence(self) -> NDArray[np.int64]:
        """Int64 (N,): the class with most votes; DROPPED where it ties or has no valence."""
        sums = self.valence_votes
        dropped = self.votes.sum(axis=1) - sums.sum(axis=1)
        every = np.column_stack([sums, dropped])
        best = every.max(axis=1)
        unique = (every == best[:, None]).sum(axis=1) == 1
        winner = every.argmax(axis=1)
        return np.where(unique & (winner < len(CLASSES)), winner, DROPPED).astype(np.int64)

    def labelled(self) -> FerSplit:
        """Return the images whose majority names one valence class."""
        keep = self.valence != DROPPED
        return FerSplit(self.images[keep], self.votes[keep], self.rows[keep])


def load_fer(directory: Path, split: str) -> FerSplit:
    """Read one split of FER+ from PNG sheets, one copy of each pixel-identical image.

    Args:
        directory: folder with ``labels.csv`` and ``sheets/sheet_NNN.png`` (32x32 tiles of 48x48).
        split: ``train``, ``validation`` or ``test``.

    Raises:
        DataError: if a file or a column is missing, or a sheet has the wrong size.
    """
    if split not in SPLITS:
        raise DataError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}")
    table = directory / "labels.csv"
    if not table.is_file():
        raise DataError(f"{table}: not found; expected FER+ as sheets/ and labels.csv")
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
    return FerSplit(
        images=images,
        votes=np.array([[float(row[c]) for c in VOTE_COLUMNS] for row in rows], np.float32),
        rows=np.array([int(row["row"]) for row in rows]),
    )
