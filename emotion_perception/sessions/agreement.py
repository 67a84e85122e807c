# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far two judges, people or models, say the same of the same moments."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def agreement(a: ArrayLike, b: ArrayLike) -> float:
    """Return the share of moments of which two judges say the same; NaN if there are none.

    Args:
        a: labels (N,) of one judge.
        b: labels (N,) of the other, of the same moments.

    Raises:
        ValueError: they are not equally many.
    """
    first, second = _pair(a, b)
    return float((first == second).mean()) if len(first) else math.nan


def cohens_kappa(a: ArrayLike, b: ArrayLike, classes: Sequence[str | int]) -> float:
    """Return Cohen's kappa (1960): agreement beyond what chance gives two such judges.

    1 is full agreement, 0 what chance gives, less than 0 is worse than chance.

    Args:
        a: labels (N,) of one judge.
        b: labels (N,) of the other, of the same moments.
        classes: the answers that count; moments for which either says something else, such as
            ``unknown``, are left out.

    Returns:
        Kappa; NaN if no moment is left, or both always say the same one thing, so that there is
        nothing to agree on.

    Raises:
        ValueError: they are not equally many.
    """
    return kappa_of(confusion(a, b, classes))


def confusion(a: ArrayLike, b: ArrayLike, classes: Sequence[str | int]) -> NDArray[np.int64]:
    """Return int64 (C, C): how often ``a`` said the class of the row and ``b`` of the column."""
    first, second = _pair(a, b)
    return np.array(
        [[int(((first == x) & (second == y)).sum()) for y in classes] for x in classes], np.int64
    ).reshape(len(classes), len(classes))


def kappa_of(counts: ArrayLike) -> float:
    """Return Cohen's kappa of a confusion matrix (C, C) of counts or of seconds."""
    cells = np.asarray(counts, np.float64)
    total = float(cells.sum())
    if not total > 0:
        return math.nan
    observed = float(np.trace(cells)) / total
    chance = float(cells.sum(axis=0) @ cells.sum(axis=1)) / total**2
    return (observed - chance) / (1 - chance) if chance < 1 - 1e-12 else math.nan


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    # Objects, so that "1" is not 1 and a missing label equals no class.
    first, second = np.asarray(a, object).reshape(-1), np.asarray(b, object).reshape(-1)
    if len(first) != len(second):
        raise ValueError(
            f"agreement: expected labels of the same moments, got {len(first)} and {len(second)}"
        )
    return first, second
