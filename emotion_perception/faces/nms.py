# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Non-maximum suppression in NumPy, equal to `torchvision.ops.nms` but without torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_Overlap = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]]

# Overlaps are computed for this many candidates at once: large enough that NumPy's call overhead
# vanishes, small enough that few overlaps with already suppressed boxes are computed.
_BLOCK = 192


def nms(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.intp]:
    """Suppress boxes whose intersection over union with a better one exceeds a threshold.

    Same float32 arithmetic, order and ties as `torchvision.ops.nms` on a CPU: equal scores keep
    their order, and a box that overlaps by exactly the threshold stays.

    Args:
        boxes: float32 (N, 4), ``x1, y1, x2, y2`` in pixels.
        scores: float32 (N,).
        threshold: largest intersection over union that two kept boxes may have.

    Returns:
        Indices of the kept boxes, best score first.
    """
    order = np.argsort(-scores, kind="stable")
    x1, y1, x2, y2 = np.ascontiguousarray(boxes[order].T)
    area = (x2 - x1) * (y2 - y1)
    limit = _not_above(threshold)

    def overlap(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.bool_]:
        inter = _intersection(x1, y1, x2, y2, first, second, 0.0)
        union = area[first, None] + area[second]
        union -= inter
        with np.errstate(divide="ignore", invalid="ignore"):
            inter /= union
        covered: NDArray[np.bool_] = inter > limit
        return covered

    return order[_greedy(len(order), overlap)]


def nms_min(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], threshold: float
) -> NDArray[np.intp]:
    """Suppress boxes that a better one covers by more than a share of the smaller of the two.

    MTCNN's last step. Sides count pixels inclusively (``x2 - x1 + 1``), as in facenet-pytorch.

    Args:
        boxes: float32 (N, 4), ``x1, y1, x2, y2`` in pixels.
        scores: float32 (N,).
        threshold: largest intersection over the smaller area that two kept boxes may have.

    Returns:
        Indices of the kept boxes, best score first.
    """
    # Equal scores are common here: boxes less than a pixel apart are cropped alike. The plain sort
    # is the one in facenet-pytorch, so the same one of them wins; a stable sort picks another.
    order = np.argsort(scores)[::-1]
    x1, y1, x2, y2 = np.ascontiguousarray(boxes[order].T)
    area = (x2 - x1 + 1) * (y2 - y1 + 1)

    def overlap(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.bool_]:
        inter = _intersection(x1, y1, x2, y2, first, second, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            inter /= np.minimum(area[first, None], area[second])
        # Not "inter > threshold": a NaN counts as covered, as it does in facenet-pytorch.
        covered: NDArray[np.bool_] = ~(inter <= np.float32(threshold))
        return covered

    return order[_greedy(len(order), overlap)]


def _intersection(
    x1: NDArray[np.float32],
    y1: NDArray[np.float32],
    x2: NDArray[np.float32],
    y2: NDArray[np.float32],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    margin: float,
) -> NDArray[np.float32]:
    """Return the intersection areas (len(first), len(second)); `margin` is added to the sides."""
    sides = []
    for low, high in ((x1, x2), (y1, y2)):
        side = np.minimum(high[first, None], high[second])
        side -= np.maximum(low[first, None], low[second])
        if margin:
            side += np.float32(margin)
        sides.append(np.maximum(side, 0, out=side))
    width, height = sides
    width *= height
    return width


def _greedy(count: int, overlap: _Overlap) -> NDArray[np.intp]:
    """Pick greedily from candidates 0 .. count-1, which are sorted best first.

    Args:
        count: number of candidates.
        overlap: gives the (len(first), len(second)) matrix of "overlaps too much".

    Returns:
        The kept candidates in ascending order.
    """
    alive = np.ones(count, np.bool_)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        block = start + np.flatnonzero(alive[start:stop])
        if len(block) > 1:
            beats = np.triu(overlap(block, block), 1)
            # Greedy choice inside the block: "kept unless a kept better one beats me". Each pass
            # settles at least one more candidate, in practice the loop ends after three or four.
            kept: NDArray[np.bool_] = np.ones(len(block), np.bool_)
            while True:
                settled: NDArray[np.bool_] = ~np.any(beats[kept], axis=0)
                if np.array_equal(settled, kept):
                    break
                kept = settled
            alive[block[~kept]] = False
            block = block[kept]
        rest = stop + np.flatnonzero(alive[stop:])
        if len(block) and len(rest):
            alive[rest[overlap(block, rest).any(axis=0)]] = False
    return np.flatnonzero(alive)


def _not_above(threshold: float) -> np.float32:
    """Round a threshold down to float32, so that ``>`` decides as it would in double precision."""
    limit: np.float32 = np.float32(threshold)
    if float(limit) > threshold:
        limit = np.nextafter(limit, np.float32(-np.inf))
    return limit
