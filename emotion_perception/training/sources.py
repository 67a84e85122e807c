# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Where labelled faces come from: one loader for every data set that is understood.

Example:
    >>> faces = load_source("raf-db:/data/RAF-DB", "train", FacePreprocessing())
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.align import Outcome, align_files
from emotion_perception.training.crop_cache import cache_file, read_crops, write_crops
from emotion_perception.training.faces import (
    EMOTIONS,
    DataError,
    FaceSet,
    concatenate,
    from_labels,
)
from emotion_perception.training.fer import load_fer
from emotion_perception.training.listing import Entry, warn_of
from emotion_perception.training.source_kinds import (
    ADAPTERS,
    Source,
    parse_source,
    source_splits,
)

logger = logging.getLogger(__name__)

__all__ = [
    "Source",
    "load_source",
    "load_sources",
    "parse_source",
    "require_classes",
    "source_splits",
]


def load_source(
    source: str | Source, split: str, preprocessing: FacePreprocessing, *, cache: bool = True
) -> FaceSet:
    """Load one split of a data set, its faces framed like the network's input.

    Args:
        source: ``KIND:PATH@WEIGHT`` or what parse_source made of it.
        split: ``train``, ``validation`` or ``test``, as far as the set has it, or ``all``.
        preprocessing: the framing.
        cache: keep aligned crops in the user's cache; those of ``folders`` never are.

    Returns:
        The faces, without those whose file is unreadable or whose image shows no face; how many
        those are is logged. Images without valence are in it, with the label DROPPED.

    Raises:
        DataError: if the set has no such split, a label is wrong, or no face is left.
    """
    at = parse_source(source) if isinstance(source, str) else source
    splits = source_splits(at)
    if split not in splits and split != "all":
        names = ", ".join(dict.fromkeys((*splits, "all")))
        raise DataError(f"{at.path}: {at.kind} has no split {split!r}; it has: {names}")
    wanted = tuple(splits) if split == "all" and "all" not in splits else (split,)
    if at.kind == "fer-plus":
        sets = [load_fer(at.path, name) for name in wanted]
        faces = _resized(concatenate(sets), preprocessing)
    else:
        entries = [e for name in wanted for e in ADAPTERS[at.kind].entries(at.path, name)]
        if not entries:
            raise DataError(f"{at.path}: no image in the split {split!r}")
        faces = _load_entries(at, entries, preprocessing, cache)
    return replace(faces, weight=(faces.weight * at.weight).astype(np.float32))


def load_sources(
    sources: Sequence[str | Source], split: str, preprocessing: FacePreprocessing
) -> FaceSet:
    """Load one split of several data sets as one.

    Raises:
        DataError: as load_source, and if a class has no image in any of them.
    """
    faces = concatenate([load_source(source, split, preprocessing) for source in sources])
    names = [s if isinstance(s, str) else str(s.path) for s in sources]
    require_classes(faces, f"{', '.join(names)} ({split})")
    return faces


def require_classes(faces: FaceSet, name: str) -> None:
    """Refuse to train on a set that lacks a class.

    Raises:
        DataError: naming the classes without an image.
    """
    empty = [label for label, count in faces.counts().items() if not count]
    if empty:
        there = ", ".join(f"{label} {count}" for label, count in faces.counts().items())
        raise DataError(f"{name}: no image of the class {' or '.join(empty)} (images: {there})")


def _load_entries(
    source: Source, entries: Sequence[Entry], preprocessing: FacePreprocessing, cache: bool
) -> FaceSet:
    adapter = ADAPTERS[source.kind]
    files, boxes = [entry.path for entry in entries], [entry.box for entry in entries]
    crops: NDArray[np.uint8] | None = None
    store = None
    if cache and adapter.cached:
        store = cache_file(source.path, files, boxes, adapter.tight, preprocessing)
        stored = read_crops(store, len(files), preprocessing.size)
        if stored is not None:
            crops, outcomes = stored
    if crops is None:
        logger.info("%s: looking for the faces in %d images", source.path, len(files))
        crops, outcomes = align_files(files, preprocessing, boxes=boxes, tight=adapter.tight)
        if store is not None:
            write_crops(store, crops, outcomes)
    names = [_relative(path, source.path) for path in files]
    _report(source, names, outcomes)
    kept = np.flatnonzero((outcomes != Outcome.UNREADABLE) & (outcomes != Outcome.NO_FACE))
    if not len(kept):
        raise DataError(f"{source.path}: none of {len(files)} images can be read and shows a face")
    return _face_set([entries[int(i)] for i in kept], [names[int(i)] for i in kept], crops[kept])


def _face_set(entries: Sequence[Entry], files: list[str], crops: NDArray[np.uint8]) -> FaceSet:
    groups = sorted({name for entry in entries for name in entry.groups})
    faces = from_labels(
        crops,
        [entry.valence for entry in entries],
        files=files,
        persons=[entry.person for entry in entries],
        recordings=[entry.recording for entry in entries],
        groups={name: [entry.groups.get(name, "") for entry in entries] for name in groups},
    )
    emotions = np.zeros((len(entries), len(EMOTIONS)), np.float32)
    for row, entry in enumerate(entries):
        if entry.emotion:
            emotions[row, EMOTIONS.index(entry.emotion)] = 1
    return replace(faces, emotions=emotions)


def _report(source: Source, names: Sequence[str], outcomes: NDArray[np.int8]) -> None:
    """Log what became of the images, so that none is left out in silence."""

    def those(outcome: Outcome) -> list[str]:
        return [names[int(i)] for i in np.flatnonzero(outcomes == outcome)]

    warn_of(
        those(Outcome.UNREADABLE),
        f"{source.path}: missing, unreadable or tiny images were left out",
    )
    warn_of(those(Outcome.NO_FACE), f"{source.path}: images without a face were left out")
    fallback = int((outcomes == Outcome.FALLBACK).sum())
    if fallback:
        logger.info(
            "%s: in %d of %d crops no face was found; it was taken to be at its usual place",
            source.path, fallback, len(outcomes),
        )  # fmt: skip


def _resized(faces: FaceSet, preprocessing: FacePreprocessing) -> FaceSet:
    if faces.images.shape[1:] == (preprocessing.size, preprocessing.size):
        return faces
    return replace(faces, images=np.stack([preprocessing.resize(crop) for crop in faces.images]))


def _relative(path: Path, root: Path) -> str:
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)
