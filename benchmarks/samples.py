# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Summaries of measured times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def summary(values: Sequence[float], digits: int = 3) -> dict[str, float]:
    """Return count, median, mean, 99th percentile, least and greatest value."""
    array = np.asarray(values, float)
    figures = {
        "median": np.median(array),
        "mean": array.mean(),
        "p99": np.percentile(array, 99),
        "min": array.min(),
        "max": array.max(),
    }
    rounded = {name: round(float(value), digits) for name, value in figures.items()}
    return {"count": len(array), **rounded}
