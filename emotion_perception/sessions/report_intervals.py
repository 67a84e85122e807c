# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far shares of time could be off by chance: a bootstrap of blocks of time.

Neighbouring frames show the same smile, so an hour is far from 90,000 observations. Whole stretches
of time are drawn instead of frames (the circular block bootstrap, Politis and Romano 1992), several
times as long as the expressions of this very recording hang together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.observation import t_quantile
from emotion_perception.training.intervals import DRAWS, interval, wilson

Bounds = tuple[float, float]
NOT_KNOWN: Final[Bounds] = (math.nan, math.nan)

BIN_S: Final = 1.0
LEAST_BLOCKS: Final = 10
"""With fewer of them nothing is said of chance."""

_SHORTEST: Final = 15.0  # seconds of a block: an expression stays for some seconds in anybody
_TIMES_MEMORY: Final = 2.0
_NEGLIGIBLE: Final = 0.05  # correlation from which on seconds are about independent


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sums of K columns in each of the draws, from a recording cut into blocks.

    Attributes:
        whole: float64 (K,), sums of the recording itself.
        drawn: float64 (D, K), sums of each draw; none if the recording is too short.
        count: blocks in the recording.
        seconds: length of a block.
    """

    whole: NDArray[np.float64]
    drawn: NDArray[np.float64]
    count: float
    seconds: float

    def interval(
        self, figure: Callable[[NDArray[np.float64]], NDArray[np.float64]], low: float = 0.0,
        high: float = 1.0,
    ) -> Bounds:  # fmt: skip
        """Return the 95 % interval of a figure.

        Args:
            figure: from sums (D, K) to (D,).
            low: least value it can have.
            high: greatest.

        Returns:
            NaN where the recording is too short. Where the draws show no spread, as when a face was
            never negative, Wilson's interval with a block as the unit.
        """
        if not len(self.drawn):
            return NOT_KNOWN
        with np.errstate(invalid="ignore", divide="ignore"):
            value = float(figure(self.whole[None])[0])
            bounds = interval(figure(self.drawn))
        if not math.isfinite(value) or not all(map(math.isfinite, bounds)):
            return NOT_KNOWN
        if bounds[1] - bounds[0] < 1e-9:
            share = (value - low) / (high - low)
            found = wilson(share * self.count, self.count)
            return low + found[0] * (high - low), low + found[1] * (high - low)
        # Few blocks scatter less than they should, and of few the scatter itself is not well known.
        # What hangs together across the ends of blocks is lost: a quarter of the variance at this
        # length, if the correlation falls exponentially.
        wider = t_quantile(0.975, self.count - 1) / 1.96 * math.sqrt(self.count / (self.count - 1))
        wider /= math.sqrt(1 - 1 / (2 * _TIMES_MEMORY))
        return (
            max(value - (value - bounds[0]) * wider, low),
            min(value + (bounds[1] - value) * wider, high),
        )


def draw_blocks(
    times: NDArray[np.float64], columns: NDArray[np.float64], *, draws: int = DRAWS, seed: int = 0
) -> Blocks:
    """Draw blocks of a recording with replacement.

    Args:
        times: (F,) seconds, ascending.
        columns: (F, K), what is summed: seconds for which something holds.
        draws: how many.
        seed: of the draws; the same gives the same.
    """
    whole = columns.sum(axis=0)
    bins = _binned(times, columns)
    memory = max((_memory(column) for column in bins.T), default=1.0)
    length = max(_SHORTEST / BIN_S, math.ceil(_TIMES_MEMORY * memory))
    count = len(bins) / length
    if count < LEAST_BLOCKS:
        return Blocks(whole, np.zeros((0, len(whole))), count, length * BIN_S)
    size = int(length)
    running = np.cumsum(np.vstack([np.zeros(len(whole)), bins, bins[:size]]), axis=0)
    blocks = running[size : size + len(bins)] - running[: len(bins)]
    generator = np.random.default_rng(seed)
    drawn = np.empty((draws, len(whole)))
    for index in range(draws):
        drawn[index] = blocks[generator.integers(0, len(bins), round(count))].sum(axis=0)
    return Blocks(whole, drawn, count, size * BIN_S)


def _binned(times: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums of each second in which there is a frame, (B, K)."""
    if not len(times):
        return columns
    _, number = np.unique(np.floor(times / BIN_S).astype(np.int64), return_inverse=True)
    return np.stack([np.bincount(number, weights=column) for column in columns.T], axis=1)


def _memory(values: NDArray[np.float64]) -> float:
    """Return for how many bins a series (B,) hangs together: its integrated autocorrelation."""
    rest = values - values.mean() if len(values) else values
    power = float((rest**2).sum())
    if power <= 1e-12:
        return 1.0
    size = 1 << (2 * len(rest) - 1).bit_length()
    spectrum = np.fft.rfft(rest, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[: len(rest)] / power
    low = np.flatnonzero(correlation < _NEGLIGIBLE)
    until = int(low[0]) if len(low) else len(rest)
    return float(1 + 2 * correlation[1:until].sum())
