# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Making class folders and ``labels.csv`` agree after a person has corrected either of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from emotion_perception.training.capture_store import LABELS_FILE, PatientStore, Row, image_number
from emotion_perception.training.faces import DataError
from emotion_perception.training.patients import make_private
from emotion_perception.valence.labels import CLASSES

DROP = "drop"
"""Label, and folder, of images to be deleted."""


@dataclass(frozen=True)
class Corrections:
    """What was changed.

    Attributes:
        relabelled: images that got another class.
        dropped: images that were deleted, those included that were gone already.
        taken_in: images in class folders that had no row.
    """

    relabelled: int
    dropped: int
    taken_in: int


def apply_corrections(store: PatientStore) -> Corrections:
    """Carry corrections out: moved images get the label of their folder, and the other way round.

    An image is corrected by moving it to another class folder, by another class in the column
    ``valence`` of its row, or is dropped by either, by ``drop`` as its class or by deleting it.
    Everything is checked first; where something is wrong nothing is changed.

    Raises:
        DataError: names the line of an unknown label, of a file outside the class folders or
            named twice, of an image that is in two folders, or whose folder and label were
            both changed, to different classes.
    """
    table = store.folder / LABELS_FILE
    places = _places(store)
    rows: list[Row] = []
    moves: list[tuple[str, str]] = []
    gone = 0
    seen: dict[int, int] = {}
    lines = store.lines + [0] * (len(store.rows) - len(store.lines))
    for line, row in zip(lines, store.rows, strict=True):
        where = f"{table}, line {line}"
        number, was = _checked(store, row, where)
        if number in seen:
            raise DataError(f"{where}: file: {row['file']} is in line {seen[number]} already")
        seen[number] = line
        label = _target(places.get(number, []), was, row, where)
        place = places[number][0] if number in places else None
        if place is None or label == DROP:
            gone += 1
            continue
        name = f"{label}/{PurePosixPath(place).name}"
        if name != place:
            moves.append((place, name))
        rows.append({**row, "file": name, "valence": label})
    relabelled = Counter(row["file"] for row in rows) - Counter(row["file"] for row in store.rows)
    lost = [
        place
        for number, found in places.items()
        for place in found
        if number not in seen and not place.startswith(f"{DROP}/")
    ]
    _check_free(store, moves)
    for place, name in moves:
        make_private((store.folder / name).parent)
        (store.folder / place).rename(store.folder / name)
    store.rewrite([*rows, *store.adopt(lost)])
    for number, found in _places(store).items():
        kept = {row["file"] for row in store.rows}
        for place in found:
            if place not in kept and (number in seen or place.startswith(f"{DROP}/")):
                (store.folder / place).unlink()
    if (store.folder / DROP).is_dir() and not any((store.folder / DROP).iterdir()):
        (store.folder / DROP).rmdir()
    return Corrections(relabelled.total(), gone, len(lost))


def _places(store: PatientStore) -> dict[int, list[str]]:
    """Return where each image lies, by its number."""
    places: dict[int, list[str]] = {}
    for folder in (*CLASSES, DROP):
        if not (store.folder / folder).is_dir():
            continue
        for path in sorted((store.folder / folder).iterdir()):
            number = image_number(store.person, path.name)
            if number is not None:
                places.setdefault(number, []).append(f"{folder}/{path.name}")
    return places


def _checked(store: PatientStore, row: Row, where: str) -> tuple[int, str]:
    """Return the number of a row's image and the class folder that it was in."""
    parts = PurePosixPath(row["file"].replace("\\", "/")).parts
    number = image_number(store.person, row["file"])
    if len(parts) != 2 or parts[0] not in CLASSES or number is None:
        raise DataError(
            f"{where}: file: expected CLASS/{store.person}_idxNUM.jpg, got {row['file']!r}"
        )
    return number, parts[0]


def _target(found: list[str], was: str, row: Row, where: str) -> str:
    """Return the label of an image, from where it is and what its row says."""
    label = row["valence"].lower()
    if label not in (*CLASSES, DROP):
        raise DataError(
            f"{where}: valence: expected {', '.join(CLASSES)} or {DROP}, got {row['valence']!r}"
        )
    if len(found) > 1:
        raise DataError(f"{where}: {row['file']} is in {' and '.join(found)}; delete one of them")
    now = PurePosixPath(found[0]).parent.name if found else DROP
    if now in (was, label) or not found:
        return label if found else DROP
    if label == was:
        return now
    raise DataError(
        f"{where}: {row['file']} was moved to {now}/, but its label changed to {label};"
        " undo one of them"
    )


def _check_free(store: PatientStore, moves: list[tuple[str, str]]) -> None:
    for _, name in moves:
        if Path(store.folder / name).exists():
            raise DataError(f"{store.folder / name}: exists already")
