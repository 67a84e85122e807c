# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Splits for cross-validation: by person or recording, never by frame.

Neighbouring frames are near-copies. Parted between training and test they make any model look
good, so a recording, and where it can be a person, stays on one side.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.faces import DataError, FaceSet, concatenate, natural_key
from emotion_perception.training.intervals import recording_names
from emotion_perception.training.sources import Source, load_source
from emotion_perception.training.sources_folders import fold_folders, folder_splits
from emotion_perception.valence.labels import CLASSES, DROPPED

logger = logging.getLogger(__name__)

UNITS = ("recording", "person")


@dataclass(frozen=True, eq=False)
class Fold:
    """One round of a cross-validation.

    Attributes:
        name: of the fold, or of what is left out.
        train: int64, sorted indices of the images to learn from.
        test: int64, sorted indices of the images to score.
    """

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def k_fold(
    faces: FaceSet, folds: int, *, by: str = "recording", seed: int = 0, partial: bool = False
) -> list[Fold]:
    """Part a set into folds of whole recordings or persons, classes spread as evenly as they can.

    Args:
        faces: images without a valence are in no fold.
        folds: how many.
        by: ``recording`` or ``person``: what stays whole. Where the recording is not known the
            person stays whole; where neither is, an image stands alone.
        seed: of the order in which equally sized units are dealt out.
        partial: allow a test fold that lacks a class (its answers are then pooled with those of
            the others).

    Raises:
        DataError: if there are fewer units than folds, or a class is missing in a fold.
    """
    units = _units(faces, by)
    usable = np.flatnonzero(faces.labels != DROPPED)
    names, number = np.unique(units[usable], return_inverse=True)
    if folds < 2:
        raise DataError(f"folds: expected at least 2, got {folds}")
    if len(names) < folds:
        raise DataError(
            f"expected at least as many {by}s as folds ({folds}), got {len(names)} "
            f"({_listed(names.tolist())}); ask for fewer folds, or for blocks of neighbouring "
            f"frames, which say less"
        )
    counts = np.zeros((len(names), len(CLASSES)))
    np.add.at(counts, (number, faces.labels[usable]), 1)
    place = _deal(counts, folds, np.random.default_rng(seed))
    made = [
        Fold(f"fold {fold + 1} of {folds}", usable[place[number] != fold],
             usable[place[number] == fold])
        for fold in range(folds)
    ]  # fmt: skip
    return [_checked(faces, fold, partial) for fold in made]


def leave_one_out(faces: FaceSet, *, by: str = "recording", partial: bool = False) -> list[Fold]:
    """Test on each recording (or person) in turn and learn from all others.

    Args:
        faces: images without a valence, or of an unknown recording, are in no fold.
        by: ``recording`` or ``person``.
        partial: allow a recording that lacks a class.

    Raises:
        DataError: if there are fewer than two, or a class is missing in a fold.
    """
    units = _names(faces, by)
    usable = np.flatnonzero((faces.labels != DROPPED) & (units != ""))
    names = np.unique(units[usable])
    if len(names) < 2:
        raise DataError(
            f"leave one {by} out: expected at least 2 {by}s, got {len(names)} "
            f"({_listed(names.tolist())})"
        )
    made = [
        Fold(str(name), usable[units[usable] != name], usable[units[usable] == name])
        for name in names
    ]
    return [_checked(faces, fold, partial) for fold in made]


def blocks(faces: FaceSet, folds: int, *, gap: int = 10) -> list[Fold]:
    """Part each recording into blocks of neighbouring frames; only where k_fold cannot part it.

    The frames of a block lie in one place of a recording, and frames near the test block are left
    out of training. It is still one recording, the same light and clothes, so the figures are
    too good; the folds' names say so.

    Args:
        faces: their order within a recording is that of the numbers in the file names.
        folds: blocks a recording and class.
        gap: frames on either side of a test block that are not learned from.

    Raises:
        DataError: if a class has fewer images than folds, or the gap leaves nothing to learn from.
    """
    if folds < 2 or gap < 0:
        raise DataError(f"blocks: expected folds >= 2 and gap >= 0, got {folds} and {gap}")
    recordings = _names(faces, "recording")
    position = np.full(len(faces), -1)
    place = np.full(len(faces), -1)
    for name in np.unique(recordings):
        here = np.flatnonzero(recordings == name)
        ordered = np.array(sorted(here.tolist(), key=lambda i: natural_key(str(faces.files[i]))))
        position[ordered] = np.arange(len(ordered))
        for label in range(len(CLASSES)):
            of_class = ordered[faces.labels[ordered] == label]
            for fold, part in enumerate(np.array_split(of_class, folds)):
                place[part] = fold
    made = []
    for fold in range(folds):
        test = np.flatnonzero(place == fold)
        train = np.flatnonzero((place >= 0) & (place != fold))
        near = np.zeros(len(train), bool)
        for name in np.unique(recordings[test]):
            tested = np.sort(position[test[recordings[test] == name]])
            mine = recordings[train] == name
            at = position[train[mine]]
            right = np.searchsorted(tested, at)
            after = tested[np.minimum(right, len(tested) - 1)]
            before = tested[np.maximum(right - 1, 0)]
            near[mine] = np.minimum(abs(after - at), abs(at - before)) <= gap
        name = f"block {fold + 1} of {folds} of the same recordings"
        train = train[~near]
        fold_made = without_copies(faces, Fold(name, train, test))
        check_fold(faces.subset(fold_made.train), faces.subset(test), name, by=())
        made.append(fold_made)
    return made


def load_fold_folders(
    directory: Path, preprocessing: FacePreprocessing, *, by: str | None = None
) -> list[tuple[str, FaceSet, FaceSet]]:
    """Load folds that lie on disk: ``train/`` and ``test/`` of class folders, as they are.

    Args:
        directory: holds ``train/`` and ``test/``, or one folder a fold with these in it.
        preprocessing: how the faces are framed.
        by: ``person`` or ``recording``: what may not be on both sides. None: the person, unless
            all of it is of one person.

    Returns:
        Name, training set and test set of each fold.

    Raises:
        DataError: if there is no fold, a class is missing, or somebody is on both sides.
    """
    found = [directory] if {"train", "test"} <= set(folder_splits(directory)) else []
    found = found or fold_folders(directory)
    if not found:
        raise DataError(
            f"{directory}: expected train/ and test/ with the folders {', '.join(CLASSES)}, or one "
            f"folder a fold with these in it"
        )
    made = []
    for path in found:
        source = Source("folders", path)
        train, test = (load_source(source, split, preprocessing) for split in ("train", "test"))
        people = set(train.persons.tolist()) | set(test.persons.tolist())
        unit = by or ("person" if len(people - {""}) > 1 else "recording")
        check_fold(train, test, str(path), by=(unit,))
        both = concatenate([train, test])
        fold = Fold(str(path), np.arange(len(train)), np.arange(len(train), len(both)))
        made.append((path.name, both.subset(without_copies(both, fold).train), test))
    return made


def check_fold(
    train: FaceSet,
    test: FaceSet,
    name: str,
    *,
    by: Sequence[str] = ("recording",),
    partial: bool = False,
) -> None:
    """Refuse a fold whose figures would mean nothing.

    Args:
        train: images to learn from.
        test: images to score.
        name: of the fold, for the error.
        by: units that may not be on both sides.
        partial: allow a class that is missing in the test.

    Raises:
        DataError: if a unit is on both sides, or a class is empty.
    """
    for unit in by:
        shared = (set(_names(train, unit).tolist()) & set(_names(test, unit).tolist())) - {""}
        if shared:
            raise DataError(f"{name}: the same {unit} in train and test: {_listed(sorted(shared))}")
    for side, part in (("train", train), ("test", test)):
        empty = [label for label, count in part.counts().items() if not count]
        if empty and not (partial and side == "test"):
            raise DataError(f"{name}: no image of the class {' or '.join(empty)} in {side}")
    if not len(test.labelled()):
        raise DataError(f"{name}: no labelled image in test")


def without_copies(faces: FaceSet, fold: Fold) -> Fold:
    """Take pictures out of the training part that are, pixel for pixel, in the test part too."""
    tested = {image.tobytes() for image in faces.images[fold.test]}
    copies = np.array([image.tobytes() in tested for image in faces.images[fold.train]], bool)
    if copies.any():
        logger.warning("%s: %d training images are copies of test images and were left out",
                       fold.name, copies.sum())  # fmt: skip
    return replace(fold, train=fold.train[~copies])


def _deal(
    counts: NDArray[np.float64], folds: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Give each unit (U, C of counts) a fold, the most uneven first, each where it evens out most.

    The greedy rule of scikit-learn's StratifiedGroupKFold, and: no fold stays without a unit.
    """
    shuffled = generator.permutation(len(counts))
    order = shuffled[np.argsort(-counts[shuffled].std(axis=1), kind="stable")]
    share = counts / np.maximum(counts.sum(axis=0), 1)
    held = np.zeros((folds, counts.shape[1]))
    units = np.zeros(folds, np.int64)
    place = np.empty(len(counts), np.int64)
    for done, unit in enumerate(order):
        spread = []
        for fold in range(folds):
            held[fold] += share[unit]
            spread.append((round(float(held.std(axis=0).mean()), 12), float(held[fold].sum())))
            held[fold] -= share[unit]
        empty = np.flatnonzero(units == 0)
        # As many units left as folds without one: each of these gets one.
        allowed = empty if len(empty) >= len(order) - done else np.arange(folds)
        best = min(allowed.tolist(), key=lambda fold: spread[fold])
        place[unit] = best
        held[best] += share[unit]
        units[best] += 1
    return place


def _checked(faces: FaceSet, fold: Fold, partial: bool) -> Fold:
    made = without_copies(faces, fold)
    check_fold(faces.subset(made.train), faces.subset(made.test), made.name, partial=partial)
    return made


def _names(faces: FaceSet, by: str) -> NDArray[np.str_]:
    """Return the unit of each image, empty where it stands alone."""
    if by not in UNITS:
        raise DataError(f"by: expected {' or '.join(UNITS)}, got {by!r}")
    if by == "person":
        return faces.persons
    recordings = recording_names(faces)
    # All that a person has of unknown recordings may be one recording.
    return np.where(recordings == "", faces.persons, recordings)


def _units(faces: FaceSet, by: str) -> NDArray[np.str_]:
    """Return the unit of each image; those that stand alone get names of their own."""
    names = _names(faces, by)
    if len(names) and (names == "").all():
        logger.warning("no %s is known: each image is taken to stand alone", by)
    alone = np.array([f"\0{index:09d}" for index in range(len(faces))], np.str_)
    return np.where(names == "", alone, names)


def _listed(names: Sequence[str]) -> str:
    shown = [name.lstrip("\0") for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
