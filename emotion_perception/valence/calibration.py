# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From logits to probabilities that mean what they say, and when to say "I don't know".

A confidence of 0.9 should mean that nine of ten such answers are what most people would say. That
is why the temperature is fitted to the majority of the votes. Fitted to the shares of the votes, it
says how many of ten people would agree, which is less: on FER+ such a model is right far more often
than its confidence says (an ECE of 0.064 instead of 0.016).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

TARGET_ACCURACY = 0.94
"""Of the answers that a threshold lets through: a second panel of ten people agrees as often."""

COVERAGE_FLOOR = 0.5
"""A robot that answers less often than this learns too little from its user, right as it may be."""

_FOLDS = 5
_PRIOR_SPREAD = 0.25


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Temperature and threshold of a model, and what they gave on images they were not fitted to.

    The last four figures are cross-fitted: each fifth of the images is scored with what the other
    four fifths gave, so they are honest though every image serves; NaN for fewer than two images.

    Attributes:
        temperature: that logits are divided by.
        threshold: least confidence that counts as an answer.
        images: held-out images that it was fitted to.
        target_accuracy: asked of the answers.
        coverage_floor: least share of images that must be answered.
        reached: whether the fitted threshold meets both; if not, it is that of the floor.
        ece_before: expected calibration error of the top class at temperature 1.
        ece: with the temperature.
        nll: cross-entropy against the majority, nats.
        coverage: share of images answered.
        accuracy_answered: share of these that are right.
    """

    temperature: float
    threshold: float
    images: int
    target_accuracy: float
    coverage_floor: float
    reached: bool
    ece_before: float
    ece: float
    nll: float
    coverage: float
    accuracy_answered: float

    def to_card(self) -> dict[str, Any]:
        """Return the fields of a card that it sets; missing figures are None."""
        how = {
            key: (round(value, 4) if np.isfinite(value) else None)
            if isinstance(value, float)
            else value
            for key, value in asdict(self).items()
            if key not in ("temperature", "threshold")
        }
        return {
            "temperature": round(self.temperature, 4),
            "confidence_threshold": self.threshold,
            "calibration": {
                "temperature": "least cross-entropy against the majority label",
                "threshold": "smallest whose answers reach target_accuracy, "
                "with at least coverage_floor of the images answered",
                "figures": "cross-fitted",
                **how,
            },
        }


def calibrate(
    logits: NDArray[np.float32], labels: NDArray[np.int64], *,
    target_accuracy: float = TARGET_ACCURACY, coverage_floor: float = COVERAGE_FLOOR,
    clusters: NDArray[np.int64] | None = None, prior_temperature: float | None = None,
    seed: int = 0,
) -> Calibration:  # fmt: skip
    """Choose temperature and threshold on held-out images.

    Args:
        logits: float (N, C), of images that the network was not trained on.
        labels: int (N,), the majority's class of each.
        target_accuracy: wanted of the answers.
        coverage_floor: share of the images that must be answered all the same.
        clusters: int (N,), images that stay together when cross-fitting (frames of a recording).
        prior_temperature: of the base model, for the few images of a patient: the temperature
            strays from it only as far as they can tell. None: no such pull.
        seed: of the parts.

    Raises:
        ValueError: if there is nothing to fit to, or the arrays or shares are not usable.
    """
    scores = np.asarray(logits, np.float32)
    truth = np.asarray(labels, np.int64)
    if scores.ndim != 2 or len(scores) != len(truth) or not len(truth):
        raise ValueError(
            f"calibration: expected logits (N, C) and N labels of at least one image, got "
            f"{scores.shape} and {truth.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("calibration: the logits hold NaN or infinity")
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(
            f"calibration: expected labels 0 to {scores.shape[1] - 1}, "
            f"got {truth.min()} to {truth.max()}"
        )
    for name, share in (("target_accuracy", target_accuracy), ("coverage_floor", coverage_floor)):
        if not 0 < share <= 1:
            raise ValueError(f"{name}: expected more than 0 and at most 1, got {share}")
    targets = np.eye(scores.shape[1], dtype=np.float32)[truth]
    wanted = (target_accuracy, coverage_floor)

    def fit(at: NDArray[np.int64]) -> tuple[float, float, bool]:
        temperature = fit_temperature(scores[at], targets[at], prior=prior_temperature)
        probabilities = softmax(scores[at], temperature)
        right = probabilities.argmax(axis=1) == truth[at]
        return temperature, *choose_threshold(probabilities.max(axis=1), right, *wanted)

    temperature, threshold, reached = fit(np.arange(len(truth)))
    unseen = np.full_like(scores, np.nan)
    answered = np.zeros(len(truth), bool)
    parts = _parts(len(truth), clusters, seed)
    for part in parts:
        fitted, least, _ = fit(np.setdiff1d(np.arange(len(truth)), part))
        unseen[part] = softmax(scores[part], fitted)
        answered[part] = unseen[part].max(axis=1) >= least
    known = bool(parts)
    right = unseen.argmax(axis=1) == truth
    nan = float("nan")
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        images=len(truth),
        target_accuracy=target_accuracy,
        coverage_floor=coverage_floor,
        reached=reached,
        ece_before=expected_calibration_error(softmax(scores), truth),
        ece=expected_calibration_error(unseen, truth) if known else nan,
        nll=float(-np.log(np.maximum((unseen * targets).sum(axis=1), 1e-12)).mean())
        if known
        else nan,
        coverage=float(answered.mean()) if known else nan,
        accuracy_answered=float(right[answered].mean()) if known and answered.any() else nan,
    )


def choose_threshold(
    confidence: NDArray[np.float32],
    right: NDArray[np.bool_],
    target_accuracy: float = TARGET_ACCURACY,
    coverage_floor: float = COVERAGE_FLOOR,
) -> tuple[float, bool]:
    """Find the smallest threshold whose answers are right often enough.

    Args:
        confidence: float (N,), of the likeliest class.
        right: bool (N,), whether that class is the right one.
        target_accuracy: least accuracy of what is answered.
        coverage_floor: least share that is answered.

    Returns:
        The threshold, and whether it meets both; if none does, it is the one of the floor.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    count = len(ranked)
    accuracy = np.cumsum(right[order]) / np.arange(1, count + 1)
    # A threshold can't part images of the same confidence.
    possible = np.append(ranked[:-1] > ranked[1:], True)
    possible &= np.arange(1, count + 1) >= coverage_floor * count
    good = np.flatnonzero(possible & (accuracy >= target_accuracy))
    last = int(good[-1]) if len(good) else int(np.flatnonzero(possible)[0])
    # Rounded down: the image that it was read from is still answered. A card allows no 1.
    rounded = np.floor(float(ranked[last]) * 1e6) / 1e6
    return float(min(rounded, 0.999999)), bool(len(good))


def softmax(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Return probabilities (N, C) of logits (N, C) divided by a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    shifted = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


def negative_log_likelihood(
    logits: NDArray[np.float32], targets: NDArray[np.float32], temperature: float
) -> float:
    """Return the mean cross-entropy, in nats, of target distributions (N, C)."""
    scaled = np.asarray(logits, np.float64) / temperature
    top = scaled.max(axis=1, keepdims=True)
    log_p = scaled - top - np.log(np.exp(scaled - top).sum(axis=1, keepdims=True))
    return float(-(targets * log_p).sum(axis=1).mean())


def fit_temperature(
    logits: NDArray[np.float32], targets: NDArray[np.float32], *, prior: float | None = None
) -> float:
    """Find the temperature with the least cross-entropy (Guo et al. 2017).

    Args:
        logits: float array (N, C) of held-out images.
        targets: float array (N, C), distributions that sum to 1.
        prior: temperature that is likely beforehand, its logarithm within about 0.25. Without
            it, a few images that are all right would make every answer certain.

    Returns:
        The temperature, between 0.05 and 20.
    """
    # The loss is unimodal in the logarithm of the temperature: golden-section search.
    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5) - 1) / 2

    def loss(at: float) -> float:
        pull = 0.0
        if prior is not None:
            pull = (at - np.log(prior)) ** 2 / (2 * _PRIOR_SPREAD**2 * max(1, len(logits)))
        return negative_log_likelihood(logits, targets, float(np.exp(at))) + float(pull)

    while high - low > 1e-5:
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))


def expected_calibration_error(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], bins: int = 15
) -> float:
    """Return the ECE of the top class over equally wide confidence bins (Naeini et al. 2015)."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    which = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for index in range(bins):
        here = which == index
        if here.any():
            error += here.mean() * abs(right[here].mean() - confidence[here].mean())
    return float(error)


def _parts(count: int, clusters: NDArray[np.int64] | None, seed: int) -> list[NDArray[np.int64]]:
    """Return up to five parts of all indices, clusters whole; none if there is one cluster."""
    number = np.arange(count) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    units = np.random.default_rng(seed).permutation(int(number.max()) + 1)
    folds = min(_FOLDS, len(units))
    if folds < 2:
        return []
    return [np.flatnonzero(np.isin(number, units[fold::folds])) for fold in range(folds)]
