# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Figures of answers against labels, in NumPy; classes in the order of CLASSES."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_perception.training.faces import DataError
from emotion_perception.valence.labels import CLASSES

BINS = 15


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares; NaN where a figure has nothing to count.

    Attributes:
        name: of the class.
        images: that have this label.
        precision: share of its answers that are right.
        recall: share of its images that are found.
        f1: harmonic mean of the two.
        auc: chance that an image of this class has a higher probability of it than another image.
    """

    name: str
    images: int
    precision: float
    recall: float
    f1: float
    auc: float


@dataclass(frozen=True)
class ReliabilityBin:
    """The images whose confidence lies in one bin.

    Attributes:
        low: lower end of the confidence.
        high: upper end.
        images: in the bin.
        confidence: their mean confidence; NaN if there are none.
        accuracy: share that is right; NaN if there are none.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Baseline:
    """What one gets without looking, knowing only how frequent the classes are here.

    Attributes:
        answer: the most frequent class.
        accuracy: of always answering that.
        macro_recall: of always answering that.
        brier: of giving the frequencies as probabilities.
        nll: of giving the frequencies as probabilities, nats.
    """

    answer: str
    accuracy: float
    macro_recall: float
    brier: float
    nll: float


def confusion_matrix(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return counts (3, 3): rows are labels, columns are answers."""
    matrix = np.zeros((len(CLASSES),) * 2, np.int64)
    np.add.at(matrix, (labels, answers), 1)
    return matrix


def confusion_rates(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return each row of a confusion matrix as shares; NaN for a class without images."""
    total = matrix.sum(axis=1, keepdims=True)
    rates = np.full(matrix.shape, np.nan)
    np.divide(matrix, total, out=rates, where=total > 0)
    return rates


def class_figures(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64]
) -> list[ClassFigures]:
    """Return the figures of each class for probabilities (N, 3) and labels (N,)."""
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1))
    hits, there, answered = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        ClassFigures(
            name=name,
            images=int(there[index]),
            precision=_share(hits[index], answered[index]),
            recall=_share(hits[index], there[index]),
            # With images of the class but no answer of it F1 is 0, though precision is unknown.
            f1=_share(2 * hits[index], there[index] + answered[index])
            if there[index]
            else float("nan"),
            auc=auc(probabilities[:, index], labels == index),
        )
        for index, name in enumerate(CLASSES)
    ]


def auc(scores: NDArray[np.float32], positive: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve (the Mann-Whitney statistic; ties count half).

    NaN if one of the two sides is empty.
    """
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return float("nan")
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[place]  # from 1, the mean rank among equals
    return float((rank[positive].sum() - count * (count + 1) / 2) / (count * others))


def brier_score(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the mean squared distance to the label, summed over classes: 0 is best, 2 worst."""
    target = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - target) ** 2).sum(axis=1).mean())


def cross_entropy(probabilities: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Return the mean cross-entropy, nats, against shares of the votes (N, 3)."""
    return float(-(targets * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1).mean())


def reliability(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], bins: int = BINS
) -> list[ReliabilityBin]:
    """Hold the confidence of the likeliest class against how often it is right."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    made = []
    for index in range(bins):
        here = which == index
        known = bool(here.any())
        made.append(
            ReliabilityBin(
                low=index / bins,
                high=(index + 1) / bins,
                images=int(here.sum()),
                confidence=float(confidence[here].mean()) if known else float("nan"),
                accuracy=float(right[here].mean()) if known else float("nan"),
            )
        )
    return made


def ece_by_chance(
    confidence: NDArray[np.float32], *, bins: int = BINS, draws: int = 200, seed: int = 0
) -> float:
    """Return the 95th percentile of the calibration error if the confidence (N,) were exact.

    With few images an exact model has a calibration error too: each bin's share is a draw.
    """
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    generator = np.random.default_rng(seed)
    errors = []
    for _ in range(draws):
        right = generator.random(len(confidence)) < confidence
        gap = np.bincount(which, weights=right - confidence, minlength=bins)
        errors.append(np.abs(gap).sum() / len(confidence))
    return float(np.percentile(errors, 95))


def coverage_curve(
    confidence: NDArray[np.float32], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return what every possible threshold would give.

    Args:
        confidence: float (N,).
        right: bool (N,).

    Returns:
        Thresholds falling from the highest confidence to the lowest, and for each the share of
        images answered and the accuracy of these, float (M,) each; equal confidences are one.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = np.asarray(confidence[order], np.float64)
    answered = np.arange(1, len(ranked) + 1)
    last = np.flatnonzero(np.append(ranked[:-1] > ranked[1:], True)) if len(ranked) else answered
    hits = np.cumsum(right[order])
    return ranked[last], answered[last] / max(1, len(ranked)), hits[last] / answered[last]


def accuracy_at_coverage(
    confidence: NDArray[np.float32], right: NDArray[np.bool_], coverage: float = 0.85
) -> float:
    """Return the accuracy on the given share of images, those with the highest confidence."""
    count = int(np.ceil(coverage * len(confidence)))
    most_certain = np.argsort(-confidence, kind="stable")[:count]
    return float(right[most_certain].mean())


def baseline(labels: NDArray[np.int64]) -> Baseline:
    """Return what the class frequencies alone give on these labels (N,), at least one."""
    share = np.bincount(labels, minlength=len(CLASSES)) / len(labels)
    present = int((share > 0).sum())
    probabilities = np.tile(share.astype(np.float32), (len(labels), 1))
    return Baseline(
        answer=CLASSES[int(share.argmax())],
        accuracy=float(share.max()),
        macro_recall=1 / present,
        brier=brier_score(probabilities, labels),
        nll=cross_entropy(probabilities, np.eye(len(CLASSES), dtype=np.float32)[labels]),
    )


def learning_curves(path: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Read Lightning's ``metrics.csv``.

    Returns:
        For each logged figure its epochs and values, float (E,) each; the last value of an epoch.

    Raises:
        DataError: if the file is missing or no such log.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot read the training log: {error}") from error
    names = [name for name in columns if name not in ("epoch", "step")]
    if "epoch" not in columns:
        raise DataError(f"{path}: expected Lightning's metrics.csv with a column 'epoch'")
    found: dict[str, dict[float, float]] = {name: {} for name in names}
    for row in rows:
        for name in names:
            # A run that was killed may leave half a line.
            try:
                epoch, value = float(row["epoch"]), float(row[name])
            except (TypeError, ValueError):
                continue
            if np.isfinite(epoch) and np.isfinite(value):
                found[name][epoch] = value
    return {
        name: (np.array(sorted(values)), np.array([values[epoch] for epoch in sorted(values)]))
        for name, values in found.items()
        if values
    }


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")
