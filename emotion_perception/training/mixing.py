# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far a patient's model goes from the base: chosen on answers to held-out images."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

MIXES: Final = (0.25, 0.5, 0.75, 1.0)
"""Shares of the fine-tuned weights in the result that are tried; the rest is the base."""


_TEMPERATURES: Final = np.geomspace(0.25, 4, 17)


def best_mix(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> int:
    """Return the mix whose held-out answers are the likeliest, each class counting alike.

    Each mix is judged at the temperature that suits it: how sure it is, calibration settles later.
    """
    scaled = logits.astype(np.float64)[None] / _TEMPERATURES[:, None, None, None]
    top = scaled.max(axis=3, keepdims=True)
    log_p = scaled - top - np.log(np.exp(scaled - top).sum(axis=3, keepdims=True))
    loss = -log_p[:, :, np.arange(len(labels)), labels]
    classes = [loss[:, :, labels == index].mean(axis=2) for index in np.unique(labels)]
    return int(np.mean(classes, axis=0).min(axis=0).argmin())


def cross_fitted(
    logits: NDArray[np.float32], labels: NDArray[np.int64], folds: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return logits (N, 3) of each fold with the mix that the other folds choose.

    A fold that chose for itself would be judged on what it was selected by.
    """
    result = np.empty(logits.shape[1:], np.float32)
    for fold in np.unique(folds):
        here = folds == fold
        result[here] = logits[best_mix(logits[:, ~here], labels[~here])][here]
    return result
