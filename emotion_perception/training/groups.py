# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The same figures for parts of a set: persons, recordings, and groups of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion_perception.training.faces import FaceSet
from emotion_perception.training.intervals import (
    accuracy_of,
    bootstrap,
    clusters_of,
    confusion_columns,
    interval,
    macro_recall_of,
    recording_names,
    wilson,
)
from emotion_perception.valence.labels import CLASSES

SMALL = 20
"""Fewer independent images or persons than this say little; such a part is marked."""

_SHUFFLES = 1000
_PART_DRAWS = 500
_BAND = 10


@dataclass(frozen=True)
class Part:
    """One part of a set and how a model fares on it.

    Attributes:
        name: of the part.
        images: in it.
        units: persons, recordings or images of which it consists, whichever stand alone.
        counts: images of each class.
        accuracy: share of right answers.
        accuracy_interval: 95 % of it.
        macro_recall: mean recall of the classes that are there.
        macro_recall_interval: 95 % of it; NaN where the draws show no spread.
        coverage: share of images answered at the model's threshold.
        accuracy_covered: accuracy on those; NaN if there are none.
        small: whether it has fewer than SMALL units.
    """

    name: str
    images: int
    units: int
    counts: dict[str, int]
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_recall: float
    macro_recall_interval: tuple[float, float]
    coverage: float
    accuracy_covered: float
    small: bool


@dataclass(frozen=True)
class Fairness:
    """How a model fares on the groups of one grouping.

    Groups with other shares of the classes would differ in accuracy even if each class were judged
    alike in all of them. So what is compared is the mean recall of the classes that every group
    has; small groups are left out.

    Attributes:
        grouping: its name, such as age.
        parts: the groups, largest first.
        classes: those that every compared group has.
        recalls: mean recall of these classes, of each compared group; empty if there are fewer
            than two groups or no such class.
        best: the group with the highest; empty likewise.
        worst: the group with the lowest.
        gap: their difference; NaN if nothing can be compared.
        chance: share of random assignments of people to groups with a gap at least as large; NaN
            likewise. A gap is found in any data: a small value says that this one is no accident.
    """

    grouping: str
    parts: list[Part]
    classes: tuple[str, ...]
    recalls: dict[str, float]
    best: str
    worst: str
    gap: float
    chance: float


def parts_of(
    names: NDArray[np.str_], probabilities: NDArray[np.float32], faces: FaceSet, threshold: float
) -> list[Part]:
    """Score each part of a labelled set; images whose name is empty are in none.

    Args:
        names: str (N,), the part of each image.
        probabilities: float (N, 3).
        faces: labelled faces (N).
        threshold: of the model.
    """
    return [
        _part(str(name), np.flatnonzero(names == name), probabilities, faces, threshold)
        for name in np.unique(names[names != ""])
    ]


def by_person(
    probabilities: NDArray[np.float32], faces: FaceSet, threshold: float
) -> list[Part]:  # fmt: skip
    """Score each person, the worst first; empty where nobody is known."""
    return _worst_first(parts_of(faces.persons, probabilities, faces, threshold))


def by_recording(
    probabilities: NDArray[np.float32], faces: FaceSet, threshold: float
) -> list[Part]:  # fmt: skip
    """Score each recording, the worst first; empty where none is known."""
    return _worst_first(parts_of(recording_names(faces), probabilities, faces, threshold))


def fairness(
    probabilities: NDArray[np.float32], faces: FaceSet, threshold: float, *, seed: int = 0
) -> list[Fairness]:
    """Compare the groups of every grouping of a labelled set that has at least two.

    Args:
        probabilities: float (N, 3).
        faces: labelled faces (N); numbers with many values, such as ages, are put in bands of ten.
        threshold: of the model.
        seed: of the random assignments.
    """
    made = []
    for grouping, values in faces.groups.items():
        names = in_bands(values)
        if len(set(names.tolist()) - {""}) < 2:
            continue
        parts = sorted(
            parts_of(names, probabilities, faces, threshold), key=lambda part: -part.images
        )
        made.append(_compare_groups(grouping, names, parts, probabilities, faces, seed))
    return made


def in_bands(values: NDArray[np.str_]) -> NDArray[np.str_]:
    """Put numbers with more than ten different values in bands of ten (``20 to 29``)."""
    known = sorted(set(values.tolist()) - {""})
    try:
        numbers = {value: float(value) for value in known}
    except ValueError:
        return values
    if len(known) <= _BAND or not np.isfinite(list(numbers.values())).all():
        return values
    # The widths of the numbers differ, and sorting by name must sort by number.
    bands = {value: int(number // _BAND) * _BAND for value, number in numbers.items()}
    return np.array(
        [f"{bands[v]} to {bands[v] + _BAND - 1}" if v else "" for v in values.tolist()], np.str_
    )


def _part(
    name: str,
    at: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    faces: FaceSet,
    threshold: float,
) -> Part:
    part, p = faces.subset(at), probabilities[at]
    answers = p.argmax(axis=1)
    right = answers == part.labels
    clusters, _ = clusters_of(part)
    units = len(np.unique(clusters))
    cells = confusion_columns(part.labels, answers)
    figures = {"accuracy": accuracy_of, "macro_recall": macro_recall_of}
    drawn = bootstrap(cells, figures, clusters=clusters, draws=_PART_DRAWS)
    accuracy = float(right.mean())
    low, high = interval(drawn["accuracy"])
    if low == high:
        # All right or all wrong: drawing again cannot show how little a few images say.
        low, high = wilson(accuracy * units, units)
    recall_bounds = interval(drawn["macro_recall"])
    if recall_bounds[0] == recall_bounds[1]:
        recall_bounds = float("nan"), float("nan")
    covered = p.max(axis=1) >= threshold
    with np.errstate(invalid="ignore", divide="ignore"):
        macro_recall = float(macro_recall_of(cells.sum(axis=0)[None])[0])
    return Part(
        name=name,
        images=len(at),
        units=units,
        counts={label: int((part.labels == i).sum()) for i, label in enumerate(CLASSES)},
        accuracy=accuracy,
        accuracy_interval=(low, high),
        macro_recall=macro_recall,
        macro_recall_interval=recall_bounds,
        coverage=float(covered.mean()),
        accuracy_covered=float(right[covered].mean()) if covered.any() else float("nan"),
        small=units < SMALL,
    )


def _compare_groups(
    grouping: str,
    names: NDArray[np.str_],
    parts: list[Part],
    probabilities: NDArray[np.float32],
    faces: FaceSet,
    seed: int,
) -> Fairness:
    large = [part for part in parts if not part.small]
    classes = [c for c in CLASSES if all(part.counts[c] for part in large)]
    if len(large) < 2 or not classes:
        nan = float("nan")
        return Fairness(grouping, parts, tuple(classes), {}, "", "", nan, nan)
    which = [CLASSES.index(c) for c in classes]
    kept = np.isin(names, [part.name for part in large]) & np.isin(faces.labels, which)
    labels = faces.labels[kept]
    right = probabilities[kept].argmax(axis=1) == labels
    # Columns: right answers of each class, then images of each class.
    there = (labels[:, None] == which).astype(np.float64)
    columns = np.hstack([there * right[:, None], there])
    _, number = np.unique(clusters_of(faces)[0][kept], return_inverse=True)
    known, group = np.unique(names[kept], return_inverse=True)
    recalls = dict(zip(known.tolist(), _recalls(columns, group, len(known)).tolist(), strict=True))
    best, worst = max(recalls, key=recalls.__getitem__), min(recalls, key=recalls.__getitem__)
    gap = recalls[best] - recalls[worst]
    chance = _chance(columns, number, group, gap, np.random.default_rng(seed))
    return Fairness(grouping, parts, tuple(classes), recalls, best, worst, gap, chance)


def _recalls(
    columns: NDArray[np.float64], group: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    """Return the mean recall of each of ``count`` groups from columns as above."""
    sums = np.zeros((count, columns.shape[1]))
    np.add.at(sums, group, columns)
    classes = columns.shape[1] // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((sums[:, :classes] / sums[:, classes:]).mean(axis=1), np.float64)


def _chance(
    columns: NDArray[np.float64],
    number: NDArray[np.int64],
    group: NDArray[np.int64],
    gap: float,
    generator: np.random.Generator,
) -> float:
    """Return how often the largest gap is as large when the groups are dealt out at random.

    Whole clusters (persons) are dealt; one that is in two groups goes with its first.
    """
    units, first = np.unique(number, return_index=True)
    sums = np.zeros((len(units), columns.shape[1]))
    np.add.at(sums, number, columns)
    found = 0
    for _ in range(_SHUFFLES):
        recalls = _recalls(sums, generator.permutation(group[first]), int(group.max()) + 1)
        # A deal that leaves a group without a class shows nothing; it counts against the gap.
        found += not np.ptp(recalls) < gap - 1e-9
    return (found + 1) / (_SHUFFLES + 1)


def _worst_first(parts: Sequence[Part]) -> list[Part]:
    return sorted(parts, key=lambda part: (part.accuracy, -part.images, part.name))
