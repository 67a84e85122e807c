# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How a patient's images are parted into those that are learned from and those held out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from emotion_perception.training.faces import DataError, FaceSet, concatenate
from emotion_perception.training.splits import Fold, blocks, check_fold, k_fold

logger = logging.getLogger(__name__)

LEAST_IMAGES: Final = 6
"""Of each class; with fewer nothing can be both learned and tested."""


@dataclass(frozen=True, eq=False)
class Round:
    """A fold: what is learned from, and what is held out."""

    name: str
    train: FaceSet
    test: FaceSet


def make_rounds(faces: FaceSet, folds: int, seed: int = 0) -> list[Round]:
    """Part a patient's images into rounds of training and held-out images.

    By person where there are several, else by recording, as many rounds as recordings at most
    (with a large ``folds`` each recording is left out once). Of a single recording blocks of
    neighbouring frames are held out, which is second best.

    Raises:
        DataError: if the images do not suffice.
    """
    labelled = faces.labelled()
    require_images(labelled)
    people = len(set(labelled.persons.tolist()) - {""})
    recordings = len(set(labelled.recordings.tolist()) - {""})
    if people > 1:
        made = k_fold(labelled, min(folds, people), by="person", seed=seed, partial=True)
    elif recordings > 1:
        made = k_fold(labelled, min(folds, recordings), seed=seed, partial=True)
    elif recordings == 1:
        logger.warning(
            "one recording only: blocks of its frames are held out, and the figures are too good"
        )
        made = _blocks(labelled, folds)
    else:
        made = blocks(labelled, folds, gap=0)
    return [Round(f.name, labelled.subset(f.train), labelled.subset(f.test)) for f in made]


def require_images(faces: FaceSet) -> None:
    """Refuse a set with too few images of a class.

    Raises:
        DataError: naming the classes.
    """
    counts = faces.counts()
    few = [name for name, count in counts.items() if count < LEAST_IMAGES]
    if few:
        there = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise DataError(
            f"too few images of the class {' and '.join(few)}: at least {LEAST_IMAGES} of each"
            f" class are needed, there are: {there}"
        )


def checked_rounds(rounds: Sequence[Round]) -> list[Round]:
    """Return rounds laid out by hand without the images that have no valence.

    Raises:
        DataError: if a recording is on both sides, or a class is missing in training.
    """
    for part in rounds:
        check_fold(part.train, part.test, part.name, partial=True)
    return [Round(part.name, part.train.labelled(), part.test.labelled()) for part in rounds]


def union(rounds: Sequence[Round]) -> FaceSet:
    """Return all images of rounds, each once."""
    faces = concatenate([part for item in rounds for part in (item.train, item.test)])
    first: dict[bytes, int] = {}
    for index, image in enumerate(faces.images):
        first.setdefault(image.tobytes() + bytes([int(faces.labels[index])]), index)
    return faces.subset(np.array(sorted(first.values()), np.int64))


def _blocks(faces: FaceSet, folds: int) -> list[Fold]:
    """Part a recording with as wide a gap between training and test as leaves enough."""
    for gap in (10, 5):
        try:
            return blocks(faces, folds, gap=gap)
        except DataError:
            continue
    return blocks(faces, folds, gap=2)
