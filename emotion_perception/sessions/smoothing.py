# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From the probabilities of frames to those of each moment, when what came after is known too.

The model is that of `emotion_perception.reaction.smoothing`: the expression is a hidden state that
stays for seconds, each frame a noisy look at it, and a second of frames is worth `evidence_rate`
looks at most. There the past alone is known: the forward algorithm. Here the recording is complete:
the forward-backward algorithm (Rabiner 1989). What it says does not lag behind what is seen, and a
recording played backwards gives the same, backwards.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.smoothing import SmoothingOptions
from emotion_perception.valence.labels import CLASSES


def look_weights(times: NDArray[np.float64], options: SmoothingOptions) -> NDArray[np.float64]:
    """Return what each look is worth: the time half-way to its neighbours, but one at most.

    Args:
        times: (N,) seconds, ascending, of looks that no gap separates.
        options: says how many looks a second is worth.

    Returns:
        (N,), in sum at least 1: looks at somebody who was hardly seen are worth one.
    """
    gaps = np.diff(times)
    if not len(gaps):
        return np.ones(len(times))
    # At its ends a look stands for as much time outside as inside.
    before = np.concatenate([gaps[:1], gaps])
    after = np.concatenate([gaps, gaps[-1:]])
    weights = np.minimum(options.evidence_rate * (before + after) / 2, 1.0)
    total = weights.sum()
    if total <= 0:  # all at one time
        return np.full(len(times), 1 / len(times))
    return np.asarray(weights / min(total, 1.0))


def parts(times: NDArray[np.float64], max_gap: float) -> list[slice]:
    """Part looks (N,) where there is none for longer than ``max_gap`` seconds."""
    cuts = np.flatnonzero(np.diff(times) > max_gap) + 1
    edges = [0, *cuts.tolist(), len(times)]
    return [slice(a, b) for a, b in itertools.pairwise(edges) if b > a]


def smooth(
    times: NDArray[np.float64], probabilities: NDArray[np.float64], options: SmoothingOptions
) -> NDArray[np.float64]:
    """Smooth the probabilities of one face, looking back and ahead.

    Args:
        times: (N,) seconds, ascending, of the frames in which the face was judged.
        probabilities: (N, 3), calibrated, of those frames alone; sum to 1.
        options: the same as those of `ReactionFilter`.

    Returns:
        (N, 3), sums 1.
    """
    told = probabilities.copy()
    for part in parts(times, options.max_gap):
        if part.stop - part.start == 1:
            continue  # as ReactionFilter takes the first look: as it is
        weights = look_weights(times[part], options)
        likely = (1 - options.doubt) * probabilities[part] + options.doubt / len(CLASSES)
        likely = np.maximum(likely, 1e-12) ** weights[:, None]
        stays = np.exp(-np.diff(times[part]) / options.stay)
        belief = _before(likely, stays) * likely * _before(likely[::-1], stays[::-1])[::-1]
        belief /= belief.sum(axis=1, keepdims=True)
        temper = options.temper + (1 - options.temper) / max(weights.sum(), 1.0)
        belief = belief**temper
        told[part] = belief / belief.sum(axis=1, keepdims=True)
    return np.asarray(told)


def _before(likely: NDArray[np.float64], stays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what was believed before each look (N, 3), from all earlier ones.

    Args:
        likely: (N, 3) likelihoods.
        stays: (N - 1,) probability that nothing happened from a look to the next.
    """
    beliefs = [(1 / 3, 1 / 3, 1 / 3)]
    # Plain numbers: a step of a vector of three is ten times slower.
    for (a, b, c), stay in zip(likely[:-1].tolist(), stays.tolist(), strict=True):
        p, q, r = beliefs[-1]
        p, q, r = p * a, q * b, r * c
        scale, other = stay / (p + q + r), (1 - stay) / 3
        beliefs.append((p * scale + other, q * scale + other, r * scale + other))
    return np.array(beliefs)
