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
from emotion_perception.valence.calibration import expected_calibration_error
from emotion_perception.valence.labels import CLASSES

BOOTSTRAPS = 2000


@dataclass(frozen=True)
class Evaluation:
    """Figures of one model on one labelled set; intervals are 95 % bootstrap over images.

    Attributes:
        model_id: of the checkpoint.
        images: how many were scored.
        accuracy: share of right answers, abstention not allowed.
        accuracy_interval: of the accuracy.
        macro_recall: mean of the classes' recalls.
        macro_recall_interval: of it.
        recall: of each class.
        precision: of each class; NaN where a class was never answered.
        confusion: counts, rows are labels, columns are answers, in the order of CLASSES.
        ece: expected calibration error of the top class, 15 bins.
        nll: cross-entropy against the votes, nats.
        threshold: confidence under which the model says "I don't know".
        coverage: share of images answered at that threshold.
        accuracy_covered: accuracy on those.
        accuracy_at_85: accuracy on the 85 % of images with the highest confidence.
    """

    model_id: str
    images: int
    accuracy: float
    accuracy_interval: tuple[float, float]
    macro_recall: float
    macro_recall_interval: tuple[float, float]
    recall: dict[str, float]
    precision: dict[str, float]
    confusion: list[list[int]]
    ece: float
    nll: float
    threshold: float
    coverage: float
    accuracy_covered: float
    accuracy_at_85: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values, rounded to what the sample size supports."""
        return {key: _rounded(value) for key, value in asdict(self).items()}


def evaluate_faces(pipeline: ReactionPipeline, faces: FaceSet) -> Evaluation:
    """Score a pipeline's network on the faces whose label is a valence class."""
    labelled = faces.labelled()
    if not len(labelled):
        raise DataError("no face with a valence label to score")
    return evaluate_probabilities(
        classify(pipeline, labelled),
        labelled.labels,
        labelled.soft_targets,
        model_id=pipeline.checkpoint.model_id,
        threshold=pipeline.confidence_threshold,
    )


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
    seed: int = 0,
) -> Evaluation:
    """Compute the figures.

    Args:
        probabilities: float32 (N, 3), calibrated.
        labels: int64 (N,), the right class.
        targets: float32 (N, 3), share of the votes for each class.
        model_id: to report.
        threshold: least confidence that counts as an answer.
        seed: of the bootstrap.
    """
    answers = probabilities.argmax(axis=1)
    confidence = probabilities.max(axis=1)
    right = answers == labels
    count = len(CLASSES)
    confusion = np.zeros((count, count), np.int64)
    np.add.at(confusion, (labels, answers), 1)
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(labels), (BOOTSTRAPS, len(labels)))
    accuracies = right[draws].mean(axis=1)
    recalls = _macro_recalls(right, labels, draws)
    covered = confidence >= threshold
    most_certain = np.argsort(-confidence, kind="stable")[: int(np.ceil(0.85 * len(labels)))]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = confusion.diagonal() / confusion.sum(axis=1)
        precision = confusion.diagonal() / confusion.sum(axis=0)
    return Evaluation(
        model_id=model_id,
        images=len(labels),
        accuracy=float(right.mean()),
        accuracy_interval=_interval(accuracies),
        macro_recall=float(recall.mean()),
        macro_recall_interval=_interval(recalls),
        recall=dict(zip(CLASSES, map(float, recall), strict=True)),
        precision=dict(zip(CLASSES, map(float, precision), strict=True)),
        confusion=confusion.tolist(),
        ece=expected_calibration_error(probabilities, labels),
        nll=float(-(targets * np.log(np.maximum(probabilities, 1e-12))).sum(axis=1).mean()),
        threshold=threshold,
        coverage=float(covered.mean()),
        accuracy_covered=float(right[covered].mean()) if covered.any() else float("nan"),
        accuracy_at_85=float(right[most_certain].mean()),
    )


def _macro_recalls(
    right: NDArray[np.bool_], labels: NDArray[np.int64], draws: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the macro recall of each row of draws, over the classes it holds."""
    recalls = np.full((len(CLASSES), len(draws)), np.nan)
    for index in range(len(CLASSES)):
        here = labels[draws] == index
        count = here.sum(axis=1)
        hits = (here & right[draws]).sum(axis=1)
        np.divide(hits, count, out=recalls[index], where=count > 0)
    return np.asarray(np.nanmean(recalls, axis=0), np.float64)


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value
