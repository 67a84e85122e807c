# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""95 % bootstrap intervals, over images or over what images belong to.

Images of one person or recording are alike, so drawing single images would give intervals that are
far too narrow: whole persons or recordings are drawn instead (the cluster bootstrap).

Every figure here is built from sums over images, so a draw needs only how often each cluster was
drawn and the sums within each cluster: no image is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.training.faces import FaceSet
from emotion_perception.valence.labels import CLASSES

DRAWS = 2000
_CELLS = 4_000_000

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From sums (D, K) of K columns in each of D draws to a figure (D,) of each."""


@dataclass(frozen=True)
class PairedDifference:
    """How the second model differs from the first on the same images.

    Attributes:
        images: how many.
        over: what was drawn: images, recordings or persons.
        clusters: how many of those there were.
        accuracy: second less first.
        accuracy_interval: 95 % of it.
        macro_recall: second less first.
        macro_recall_interval: 95 % of it.
        better: share of the draws in which the second has the higher accuracy (ties count half).
        won: images that only the second got right.
        lost: images that only the first got right.
    """

    images: int
    over: str
    clusters: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_recall: float
    macro_recall_interval: tuple[float, float]
    better: float
    won: int
    lost: int

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


def clusters_of(faces: FaceSet) -> tuple[NDArray[np.int64], str]:
    """Say which images are drawn together: the widest unit of which there are several.

    Returns:
        int64 (N,), the number of each image's cluster; and ``persons``, ``recordings`` or
        ``images``. An image of an unknown person or recording is a cluster of its own.
    """
    for names, unit in ((faces.persons, "persons"), (recording_names(faces), "recordings")):
        if len(set(names.tolist()) - {""}) > 1:
            alone = np.array([f"\0{index}" for index in range(len(names))], np.str_)
            _, number = np.unique(np.where(names == "", alone, names), return_inverse=True)
            return number.astype(np.int64), unit
    return np.arange(len(faces)), "images"


def recording_names(faces: FaceSet) -> NDArray[np.str_]:
    """Return str (N,), recordings told apart by person too; empty where unknown."""
    names = []
    for person, recording in zip(faces.persons.tolist(), faces.recordings.tolist(), strict=True):
        apart = not person or not recording or recording.startswith(f"{person}/")
        names.append(recording if apart else f"{person}/{recording}")
    return np.array(names, np.str_).reshape(len(faces))


def bootstrap(
    columns: NDArray[np.float64], statistics: Mapping[str, Statistic], *,
    clusters: NDArray[np.int64] | None = None, draws: int = DRAWS, seed: int = 0,
) -> dict[str, NDArray[np.float64]]:  # fmt: skip
    """Draw clusters with replacement and return each figure of each draw.

    Args:
        columns: float (N, K), what is summed over images.
        statistics: from these sums to a figure.
        clusters: int (N,), which images are drawn together; None draws single images.
        draws: how many.
        seed: of the draws.

    Returns:
        For each statistic float (draws,); NaN where a draw lacks what the figure needs.
    """
    sums = np.asarray(columns, np.float64)
    if clusters is not None:
        _, number = np.unique(clusters, return_inverse=True)
        grouped = np.zeros((int(number.max(initial=-1)) + 1, sums.shape[1]))
        np.add.at(grouped, number, sums)
        sums = grouped
    drawn = np.concatenate(
        [counts @ sums for counts in _counts(len(sums), draws, seed)], dtype=np.float64
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return {name: statistic(drawn) for name, statistic in statistics.items()}


def drawn_images(
    count: int, clusters: NDArray[np.int64] | None, draws: int, seed: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Yield the images of each draw, for figures that are no ratio of sums.

    Args:
        count: images there are.
        clusters: int (N,), images drawn together; None: each alone.
        draws: how many.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    if clusters is None:
        for _ in range(draws):
            yield generator.integers(0, count, count)
        return
    _, number = np.unique(clusters, return_inverse=True)
    order = np.argsort(number, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    for _ in range(draws):
        picked = generator.integers(0, len(members), len(members))
        yield np.concatenate([members[index] for index in picked])


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the middle 95 % of the draws; NaN if no draw has the figure."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def wilson(right: float, count: float) -> tuple[float, float]:
    """Return the 95 % Wilson interval of a share; it has a width even for 5 of 5."""
    if count <= 0:
        return 0.0, 1.0
    z = 1.959964
    share = right / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + (z / count) ** 2 / 4)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def confusion_columns(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float (N, 9): a 1 in the cell of the confusion matrix that each image falls in."""
    count = len(CLASSES)
    columns = np.zeros((len(labels), count**2))
    columns[np.arange(len(labels)), labels * count + answers] = 1
    return columns


def accuracy_of(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the accuracy (D,) of confusion cells (D, 9)."""
    return np.asarray(_diagonal(cells).sum(axis=1) / cells.sum(axis=1), np.float64)


def macro_recall_of(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean recall (D,) of confusion cells (D, 9), over the classes that are there."""
    return _mean_known(_diagonal(cells) / _matrix(cells).sum(axis=2))


def macro_f1_of(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean F1 (D,) of confusion cells (D, 9), over the classes that are there."""
    matrix = _matrix(cells)
    there = matrix.sum(axis=2)
    f1 = 2 * _diagonal(cells) / (there + matrix.sum(axis=1))
    return _mean_known(np.where(there > 0, f1, np.nan))


def paired_difference(
    first: NDArray[np.float32], second: NDArray[np.float32], labels: NDArray[np.int64], *,
    clusters: NDArray[np.int64] | None = None, over: str = "images", draws: int = DRAWS,
    seed: int = 0,
) -> PairedDifference:  # fmt: skip
    """Compare two models on the same images.

    Args:
        first: float (N, 3), probabilities of the model to compare with.
        second: float (N, 3), of the other one.
        labels: int64 (N,), the right class of each image.
        clusters: int (N,), images drawn together, as clusters_of gives them; None: each alone.
        over: what the clusters are.
        draws: how many.
        seed: of the draws.

    Raises:
        ValueError: if there is no image, or the arrays do not belong together.
    """
    if not (len(first) == len(second) == len(labels)) or not len(labels):
        raise ValueError(
            f"paired comparison: expected the same images, got {len(first)} and {len(second)} "
            f"answers for {len(labels)} labels"
        )
    a, b = first.argmax(axis=1), second.argmax(axis=1)
    columns = np.hstack([confusion_columns(labels, a), confusion_columns(labels, b)])
    cells = len(CLASSES) ** 2

    def difference(figure: Statistic) -> Statistic:
        return lambda sums: figure(sums[:, cells:]) - figure(sums[:, :cells])

    statistics = {
        "accuracy": difference(accuracy_of),
        "macro_recall": difference(macro_recall_of),
    }
    whole = columns.sum(axis=0, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        point = {name: float(figure(whole)[0]) for name, figure in statistics.items()}
    found = bootstrap(columns, statistics, clusters=clusters, draws=draws, seed=seed)
    # Rounded, so that sums in another order don't turn a tie into a win.
    change = np.round(found["accuracy"], 12)
    return PairedDifference(
        images=len(labels),
        over=over,
        clusters=len(labels) if clusters is None else len(np.unique(clusters)),
        accuracy=point["accuracy"],
        accuracy_interval=interval(found["accuracy"]),
        macro_recall=point["macro_recall"],
        macro_recall_interval=interval(found["macro_recall"]),
        better=float((change > 0).mean() + (change == 0).mean() / 2),
        won=int(((b == labels) & (a != labels)).sum()),
        lost=int(((a == labels) & (b != labels)).sum()),
    )


def _counts(clusters: int, draws: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Yield how often each cluster is drawn, (some draws, clusters) at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, _CELLS // max(1, clusters))
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        picked = generator.integers(0, clusters, (rows, clusters))
        picked += np.arange(rows)[:, None] * clusters
        counts = np.bincount(picked.ravel(), minlength=rows * clusters)
        yield counts.reshape(rows, clusters).astype(np.float64)


def _matrix(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return cells.reshape(len(cells), len(CLASSES), len(CLASSES))


def _diagonal(cells: NDArray[np.float64]) -> NDArray[np.float64]:
    return cells[:, :: len(CLASSES) + 1]


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(values)
    total = np.where(known, values, 0).sum(axis=1)
    return np.asarray(total / known.sum(axis=1), np.float64)
