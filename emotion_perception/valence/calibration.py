"""From logits to probabilities that mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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


def fit_temperature(logits: NDArray[np.float32], targets: NDArray[np.float32]) -> float:
    """Find the temperature with the least cross-entropy (Guo et al. 2017).

    Args:
        logits: float array (N, C) of held-out images.
        targets: float array (N, C), distributions that sum to 1.

    Returns:
        The temperature, between 0.05 and 20.
    """
    # The loss is unimodal in the logarithm of the temperature: golden-section search.
    low, high = np.log(0.05), np.log(20.0)
    ratio = (np.sqrt(5) - 1) / 2
    while high - low > 1e-5:
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        loss_a = negative_log_likelihood(logits, targets, float(np.exp(a)))
        loss_b = negative_log_likelihood(logits, targets, float(np.exp(b)))
        low, high = (low, b) if loss_a < loss_b else (a, high)
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
