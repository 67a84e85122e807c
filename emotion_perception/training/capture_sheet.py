# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Overview sheets: a patient's images by class, with their file names, to look for wrong labels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.drawing import FONT
from emotion_perception.image.still import read_still
from emotion_perception.training.capture_store import PatientStore, image_number
from emotion_perception.training.patients import make_private, write_private
from emotion_perception.valence.labels import CLASSES

OVERVIEW = "overview"
COLUMNS, ROWS = 8, 8

_TILE = 144
_CAPTION = 20
_MARGIN = 12
_HEAD = 64


def write_overview(store: PatientStore) -> list[Path]:
    """Write ``overview/<class>-<page>.png`` anew, for every class that has images.

    Returns:
        The sheets; none where there are no images.
    """
    beside = store.folder / f".{OVERVIEW}.{os.getpid()}.part"
    make_private(beside)
    try:
        names = []
        for valence in CLASSES:
            files = sorted(
                (name for name in store.images() if name.startswith(f"{valence}/")),
                key=lambda name: image_number(store.person, name) or 0,
            )
            pages = [
                files[start : start + COLUMNS * ROWS]
                for start in range(0, len(files), COLUMNS * ROWS)
            ]
            for number, page in enumerate(pages, start=1):
                where = f"{len(files)} images, page {number} of {len(pages)}"
                sheet = draw_sheet(store.folder, page, f"{store.person}   {valence}   {where}")
                encoded = cv2.imencode(".png", sheet)[1]
                names.append(f"{valence}-{number}.png")
                write_private(beside / names[-1], encoded.tobytes())
        place = store.folder / OVERVIEW
        if place.is_symlink():
            place.unlink()
        elif place.exists():
            shutil.rmtree(place)
        if names:
            beside.rename(place)
        return [place / name for name in names]
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def draw_sheet(folder: Path, names: Sequence[str], head: str) -> NDArray[np.uint8]:
    """Return a sheet, uint8 BGR, of images with the number in their file names beneath.

    Args:
        folder: of the person.
        names: paths of the images inside it.
        head: title of the sheet.
    """
    rows = -(-len(names) // COLUMNS)
    width = COLUMNS * (_TILE + _MARGIN) + _MARGIN
    height = _HEAD + rows * (_TILE + _CAPTION + _MARGIN) + _MARGIN
    sheet = np.full((height, width, 3), 255, np.uint8)
    _write(sheet, head, (_MARGIN, 26), 0.6)
    hint = "Wrong? Move the file to another class folder or to drop/, or change labels.csv."
    _write(sheet, hint, (_MARGIN, 48), 0.42)
    for index, name in enumerate(names):
        row, column = divmod(index, COLUMNS)
        x = _MARGIN + column * (_TILE + _MARGIN)
        y = _HEAD + row * (_TILE + _CAPTION + _MARGIN)
        tile = sheet[y : y + _TILE, x : x + _TILE]
        image = read_still(folder / name)
        if image is None:
            _write(tile, "unreadable", (20, _TILE // 2), 0.5)
        else:
            tile[:] = cv2.resize(image, (_TILE, _TILE), interpolation=cv2.INTER_AREA)
        _write(sheet, Path(name).stem, (x, y + _TILE + 14), _fitting(Path(name).stem))
    return sheet


def _fitting(text: str) -> float:
    """Return the letter size at which a file name is as wide as its image at most."""
    (width, _), _ = cv2.getTextSize(text, FONT, 0.42, 1)
    return 0.42 * min(1.0, _TILE / width)


def _write(image: NDArray[np.uint8], text: str, at: tuple[int, int], size: float) -> None:
    cv2.putText(image, text, at, FONT, size, (40, 40, 40), 1, cv2.LINE_AA)
