# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Labelled face crops in memory: what data sources yield and the tools of this folder take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from emotion_perception.limited_files import BriefError
from emotion_perception.valence.labels import CLASSES, DROPPED, EMOTION_TO_VALENCE

EMOTIONS = (
    "neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
    "unknown", "no-face",
)  # fmt: skip
"""Order of the discrete emotions in a FaceSet (that of the FER+ votes)."""


class DataError(BriefError):
    """A data set that is missing, incomplete or wrong; the message names the file and the field."""


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceSet:
    """Face crops with what is known of each.

    Attributes:
        images: uint8 (N, S, S), grey, framed as FacePreprocessing frames them.
        emotions: float32 (N, 10), votes or a single 1 in the order of EMOTIONS; a row of zeros
            where only the valence is known.
        valence: float32 (N, 3), votes or a single 1 in the order of CLASSES; a row of zeros where
            the face has no valence (surprise, unknown).
        labels: int64 (N,), the class with most votes, or DROPPED.
        files: str (N,), where each image came from, for reports.
        persons: str (N,), who it shows; empty where unknown.
        recordings: str (N,), what it was recorded in (a movie, a session); frames of one recording
            are near-copies, so splits never part them. Empty where each image stands alone.
        weight: float32 (N,), how much an image counts in training.
        groups: name of a grouping (age, gender, ...) to str (N,), for fairness tables.
    """

    images: NDArray[np.uint8]
    emotions: NDArray[np.float32]
    valence: NDArray[np.float32]
    labels: NDArray[np.int64]
    files: NDArray[np.str_]
    persons: NDArray[np.str_]
    recordings: NDArray[np.str_]
    weight: NDArray[np.float32]
    groups: dict[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.images)
        if self.images.ndim != 3 or self.images.dtype != np.uint8:
            raise DataError(
                f"images: expected uint8 (N, S, S), got {self.images.dtype} {self.images.shape}"
            )
        for name in ("emotions", "valence", "labels", "files", "persons", "recordings", "weight"):
            if len(getattr(self, name)) != count:
                raise DataError(f"{name}: expected {count} entries, as many as images")
        for name, values in self.groups.items():
            if len(values) != count:
                raise DataError(f"groups.{name}: expected {count} entries, as many as images")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def soft_targets(self) -> NDArray[np.float32]:
        """Float32 (N, 3): share of the votes for each class; zeros where there is no valence."""
        total = self.valence.sum(axis=1, keepdims=True)
        shares = np.zeros_like(self.valence)
        np.divide(self.valence, total, out=shares, where=total > 0)
        return shares

    def subset(self, keep: NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]) -> FaceSet:
        """Return the images of a mask or of indices, in that order."""
        at = np.asarray(keep)
        if at.size == 0 and at.dtype != np.bool_:
            at = at.astype(np.int64)
        return replace(
            self,
            **{
                name: getattr(self, name)[at]
                for name in (
                    "images", "emotions", "valence", "labels", "files", "persons", "recordings",
                    "weight",
                )
            },
            groups={name: values[at] for name, values in self.groups.items()},
        )  # fmt: skip

    def labelled(self) -> FaceSet:
        """Return the images whose majority names one valence class."""
        return self.subset(self.labels != DROPPED)

    def counts(self) -> dict[str, int]:
        """Return how many labelled images each class has."""
        return {name: int((self.labels == index).sum()) for index, name in enumerate(CLASSES)}


def from_emotions(
    images: NDArray[np.uint8], emotions: NDArray[np.float32], *, files: Sequence[str],
    persons: Sequence[str] | None = None, recordings: Sequence[str] | None = None,
    groups: dict[str, Sequence[str]] | None = None,
) -> FaceSet:  # fmt: skip
    """Build a set from votes for discrete emotions (N, 10), collapsed by EMOTION_TO_VALENCE.

    The weight of an image is the share of its votes that have a valence.
    """
    valence = np.zeros((len(emotions), len(CLASSES)), np.float32)
    for column, emotion in enumerate(EMOTIONS):
        target = EMOTION_TO_VALENCE[emotion]
        if target != DROPPED:
            valence[:, target] += emotions[:, column]
    total, with_valence = emotions.sum(axis=1), valence.sum(axis=1)
    # The emotions without valence stand together against each class.
    every = np.column_stack([valence, total - with_valence])
    unique = (every == every.max(axis=1, keepdims=True)).sum(axis=1) == 1
    winner = every.argmax(axis=1)
    labels = np.where(unique & (winner < len(CLASSES)), winner, DROPPED).astype(np.int64)
    weight = np.divide(with_valence, total, out=np.zeros_like(total), where=total > 0)
    return FaceSet(
        images=images, emotions=emotions.astype(np.float32), valence=valence, labels=labels,
        files=np.asarray(files, np.str_), persons=_names(persons, len(images)),
        recordings=_names(recordings, len(images)), weight=weight.astype(np.float32),
        groups={name: np.asarray(values, np.str_) for name, values in (groups or {}).items()},
    )  # fmt: skip


def from_labels(
    images: NDArray[np.uint8], labels: Sequence[int] | NDArray[np.int64], *, files: Sequence[str],
    persons: Sequence[str] | None = None, recordings: Sequence[str] | None = None,
    groups: dict[str, Sequence[str]] | None = None,
) -> FaceSet:  # fmt: skip
    """Build a set from valence classes (N,), DROPPED included; the emotions stay unknown."""
    at = np.asarray(labels, np.int64)
    valence = np.zeros((len(at), len(CLASSES)), np.float32)
    known = at != DROPPED
    valence[known, at[known]] = 1
    return FaceSet(
        images=images, emotions=np.zeros((len(at), len(EMOTIONS)), np.float32), valence=valence,
        labels=at, files=np.asarray(files, np.str_), persons=_names(persons, len(at)),
        recordings=_names(recordings, len(at)), weight=known.astype(np.float32),
        groups={name: np.asarray(values, np.str_) for name, values in (groups or {}).items()},
    )  # fmt: skip


def concatenate(sets: Sequence[FaceSet]) -> FaceSet:
    """Join sets of one crop size; groupings that one of them lacks are empty there."""
    if not sets:
        raise DataError("expected at least one set of faces")
    sizes = {faces.images.shape[1:] for faces in sets}
    if len(sizes) > 1:
        raise DataError(f"images: sets of different crop sizes cannot be joined: {sorted(sizes)}")
    names = {name for faces in sets for name in faces.groups}
    fields = ("images", "emotions", "valence", "labels", "files", "persons", "recordings", "weight")
    return FaceSet(
        **{name: np.concatenate([getattr(faces, name) for faces in sets]) for name in fields},
        groups={
            name: np.concatenate(
                [faces.groups.get(name, np.full(len(faces), "", np.str_)) for faces in sets]
            )
            for name in sorted(names)
        },
    )


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return what to sort names by, so that ``frame10`` comes after ``frame9``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _names(values: Sequence[str] | None, count: int) -> NDArray[np.str_]:
    return np.full(count, "", np.str_) if values is None else np.asarray(values, np.str_)
