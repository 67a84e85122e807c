# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Scoring a checkpoint on labelled faces, through the same preprocessing and network as the robot.

Needs neither torch nor Lightning: what is scored is the ONNX file that ships.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.training.faces import DataError, FaceSet
from emotion_perception.training.intervals import (
    PairedDifference,
    accuracy_of,
    bootstrap,
    clusters_of,
    confusion_columns,
    drawn_images,
    interval,
    macro_f1_of,
    macro_recall_of,
    paired_difference,
)
from emotion_perception.training.metrics import (
    accuracy_at_coverage,
    baseline,
    brier_score,
    class_figures,
    confusion_matrix,
    confusion_rates,
    cross_entropy,
    ece_by_chance,
)
from emotion_perception.valence.calibration import expected_calibration_error
from emotion_perception.valence.labels import CLASSES

_SLOW_DRAWS = 500


@dataclass(frozen=True, eq=False)
class Judged:
    """What one model says of a set of faces.

    Attributes:
        name: of the model, as the reader knows it.
        model_id: of the checkpoint.
        threshold: confidence under which it says "I don't know".
        probabilities: float32 (N, 3), calibrated.
    """

    name: str
    model_id: str
    threshold: float
    probabilities: NDArray[np.float32]


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one labelled set; intervals are 95 % bootstrap.

    A class without images counts nowhere; a figure with nothing to count is NaN.

    Attributes:
        model_id: of the checkpoint.
        images: how many were scored.
        accuracy: share of right answers, abstention not allowed.
        accuracy_interval: of the accuracy.
        macro_recall: mean of the classes' recalls.
        macro_recall_interval: of it.
        macro_f1: mean of the classes' F1.
        macro_f1_interval: of it.
        recall: of each class.
        precision: of each class; NaN where a class was never answered.
        f1: of each class.
        auc: of each class against the others.
        confusion: counts, rows are labels, columns are answers, in the order of CLASSES.
        confusion_rates: the same as shares of each row.
        ece: expected calibration error of the top class, 15 bins.
        ece_by_chance: what a model whose confidence is exact would stay below in 95 % of such sets.
        brier: squared distance to the label, summed over classes, 0 to 2.
        nll: cross-entropy against the votes, nats.
        threshold: confidence under which the model says "I don't know".
        coverage: share of images answered at that threshold.
        accuracy_covered: accuracy on those.
        accuracy_at_85: accuracy on the 85 % of images with the highest confidence.
        accuracy_at_85_interval: of it.
        baseline_accuracy: of always answering the most frequent class.
        over: what the intervals were drawn over: images, recordings or persons.
    """

    model_id: str
    images: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_recall: float
    macro_recall_interval: tuple[float, float]
    macro_f1: float
    macro_f1_interval: tuple[float, float]
    recall: dict[str, float]
    precision: dict[str, float]
    f1: dict[str, float]
    auc: dict[str, float]
    confusion: list[list[int]]
    confusion_rates: list[list[float]]
    ece: float
    ece_by_chance: float
    brier: float
    nll: float
    threshold: float
    coverage: float
    accuracy_covered: float
    accuracy_at_85: float
    accuracy_at_85_interval: tuple[float, float]
    baseline_accuracy: float
    over: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded to what the sample size supports; None for NaN."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def judge(pipeline: ReactionPipeline, faces: FaceSet, name: str = "") -> Judged:
    """Return what a pipeline's network says of every face of a set."""
    return Judged(
        name=name or pipeline.checkpoint.model_id,
        model_id=pipeline.checkpoint.model_id,
        threshold=pipeline.confidence_threshold,
        probabilities=classify(pipeline, faces),
    )


def evaluate_judged(judged: Judged, labelled: FaceSet) -> Evaluation:
    """Score what a model said of labelled faces; persons or recordings are drawn whole.

    Raises:
        DataError: if there is no face, or one without a label.
    """
    require_labels(labelled)
    clusters, over = clusters_of(labelled)
    return evaluate_probabilities(
        judged.probabilities,
        labelled.labels,
        labelled.soft_targets,
        model_id=judged.model_id,
        threshold=judged.threshold,
        clusters=clusters,
        over=over,
    )


def require_labels(faces: FaceSet) -> None:
    """Refuse a set that cannot be scored.

    Raises:
        DataError: if it is empty or holds a face without a label.
    """
    if not len(faces):
        raise DataError("no face with a valence label to score")
    if (faces.labels < 0).any():
        raise DataError("expected faces with a label; take FaceSet.labelled() of the set")


def compare(
    first: NDArray[np.float32], second: NDArray[np.float32], labelled: FaceSet
) -> PairedDifference:
    """Return how the second model differs from the first on the same labelled faces.

    With an adapted model as the second, and base data that neither was fitted to, this is what the
    adapted one forgot.

    Args:
        first: float (N, 3), probabilities of the model to compare with.
        second: float (N, 3), of the other one.
        labelled: the faces; persons or recordings are drawn whole.
    """
    require_labels(labelled)
    clusters, over = clusters_of(labelled)
    return paired_difference(first, second, labelled.labels, clusters=clusters, over=over)


def classify(pipeline: ReactionPipeline, faces: FaceSet) -> NDArray[np.float32]:
    """Return calibrated probabilities, float32 (N, 3), of every face of a set."""
    parts = [
        pipeline.classify(list(faces.images[start : start + 256]))
        for start in range(0, len(faces), 256)
    ]
    return np.concatenate(parts) if parts else np.empty((0, len(CLASSES)), np.float32)


def evaluate_probabilities(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    targets: NDArray[np.float32],
    *,
    model_id: str,
    threshold: float,
    clusters: NDArray[np.int64] | None = None,
    over: str = "images",
    seed: int = 0,
) -> Evaluation:
    """Compute the figures.

    Args:
        probabilities: float32 (N, 3), calibrated.
        labels: int64 (N,), the right class.
        targets: float32 (N, 3), share of the votes for each class.
        model_id: to report.
        threshold: least confidence that counts as an answer.
        clusters: int (N,), images that are drawn together; None: each alone.
        over: what the clusters are.
        seed: of the bootstrap.
    """
    answers = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = answers == labels
    confusion = confusion_matrix(labels, answers)
    cells = confusion_columns(labels, answers)
    figures = {
        "accuracy": accuracy_of,
        "macro_recall": macro_recall_of,
        "macro_f1": macro_f1_of,
    }
    with np.errstate(invalid="ignore", divide="ignore"):
        point = {name: float(of(cells.sum(axis=0)[None])[0]) for name, of in figures.items()}
    drawn = bootstrap(cells, figures, clusters=clusters, seed=seed)
    # Ranking every draw anew takes longer, hence fewer draws.
    at_85 = [
        accuracy_at_coverage(confidence[at], right[at])
        for at in drawn_images(len(labels), clusters, _SLOW_DRAWS, seed)
    ]
    covered = confidence >= threshold
    classes = class_figures(probabilities, labels)
    return Evaluation(
        model_id=model_id,
        images=len(labels),
        accuracy=point["accuracy"],
        accuracy_interval=interval(drawn["accuracy"]),
        macro_recall=point["macro_recall"],
        macro_recall_interval=interval(drawn["macro_recall"]),
        macro_f1=point["macro_f1"],
        macro_f1_interval=interval(drawn["macro_f1"]),
        recall={figure.name: figure.recall for figure in classes},
        precision={figure.name: figure.precision for figure in classes},
        f1={figure.name: figure.f1 for figure in classes},
        auc={figure.name: figure.auc for figure in classes},
        confusion=confusion.tolist(),
        confusion_rates=confusion_rates(confusion).tolist(),
        ece=expected_calibration_error(probabilities, labels),
        ece_by_chance=ece_by_chance(confidence, seed=seed),
        brier=brier_score(probabilities, labels),
        nll=cross_entropy(probabilities, targets),
        threshold=threshold,
        coverage=float(covered.mean()),
        accuracy_covered=float(right[covered].mean()) if covered.any() else float("nan"),
        accuracy_at_85=accuracy_at_coverage(confidence, right),
        accuracy_at_85_interval=interval(np.array(at_85)),
        baseline_accuracy=baseline(labels).accuracy,
        over=over,
    )


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4) if np.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
