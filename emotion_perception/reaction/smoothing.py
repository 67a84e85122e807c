# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From the probabilities of frames to those of a moment: a causal filter in time.

The expression of a face is a hidden state that stays for seconds; each frame is a noisy look at
it. The filter is the forward algorithm of a hidden Markov model (Rabiner 1989) in continuous time.
Its step depends on the time that passed and not on the number of frames, so that it does the same
at 5 and at 60 frames a second. Neighbouring frames err alike: a network that misreads a face
misreads it again a moment later. So however many frames there are, a second of them is worth
`evidence_rate` looks at most, and what the looks agree on is tempered before it is told, which
keeps it calibrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.valence.labels import CLASSES

Answer = tuple[NDArray[np.float32], Reaction, Reason]


@dataclass(frozen=True, kw_only=True)
class SmoothingOptions:
    """How probabilities become a reaction; times in seconds.

    The defaults were chosen on sequences made of half of the people of three data sets; the figures
    on the other half are in docs/reactions.md.

    Attributes:
        stay: mean time that an expression stays.
        evidence_rate: looks that a second of frames is worth at most.
        doubt: probability that a look says nothing of the expression.
        temper: power of the gathered probabilities, less than 1 because looks are not independent;
            the first look is taken as it is.
        release: a reaction ends when its probability falls below this share of the threshold that
            it needed to begin.
        dwell: a reaction that has begun is told for at least so long.
        bridge: a reaction is still told while the face cannot be judged for so long.
        max_gap: after so long without a look all is forgotten.
    """

    stay: float = 4.0
    evidence_rate: float = 9.0
    doubt: float = 0.05
    temper: float = 0.58
    release: float = 0.7
    dwell: float = 0.5
    bridge: float = 0.25
    max_gap: float = 2.0

    def __post_init__(self) -> None:
        for name in ("stay", "evidence_rate", "temper", "max_gap"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected more than 0, got {getattr(self, name)}")
        for name in ("doubt", "release"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        for name in ("dwell", "bridge"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected at least 0, got {getattr(self, name)}")


class ReactionFilter:
    """The smoothed reaction of one track.

    Args:
        options: how.
    """

    def __init__(self, options: SmoothingOptions | None = None) -> None:
        self.options = options or SmoothingOptions()
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._belief = np.full(len(CLASSES), 1 / len(CLASSES))
        self._looks = 0.0
        self._stamp = -math.inf
        self._reaction = Reaction.UNKNOWN
        self._since = -math.inf
        self._threshold = math.nan

    def update(
        self, probabilities: NDArray[np.float32] | None, stamp: float, threshold: float
    ) -> Answer:
        """Take one frame.

        Args:
            probabilities: float32 (3,) calibrated, of this frame; None for a face that cannot be
                judged.
            stamp: time of the frame, seconds; one before the last starts anew.
            threshold: least probability that counts as an answer.

        Returns:
            Smoothed probabilities float32 (3,), all zero if nothing is known; the reaction; why it
            is UNKNOWN.
        """
        gap = stamp - self._stamp
        if gap < 0 or gap > self.options.max_gap:
            self.reset()
            gap = math.inf
        if probabilities is None or not np.isfinite(probabilities).all():
            return self._unjudged(gap)
        if self._looks == 0:
            self._belief, self._looks = probabilities.astype(np.float64), 1.0
        else:
            # Never more than this one look, however long ago the last one was.
            looks = min(1.0, self.options.evidence_rate * gap)
            self._belief = self._drifted(gap) * self._likelihood(probabilities) ** looks
            self._belief /= self._belief.sum()
            self._looks += looks
        self._stamp = stamp
        told = self._told(self._belief)
        reaction = self._decide(told, stamp, threshold)
        reason = Reason.NONE if reaction else Reason.LOW_CONFIDENCE
        return told.astype(np.float32), reaction, reason

    def wait(self, stamp: float) -> Answer:
        """Say what is known in a frame in which the face was not looked at, for others' sake."""
        told = self._told(self._drifted(max(stamp - self._stamp, 0.0)))
        reason = Reason.NONE if self._reaction else Reason.LOW_CONFIDENCE
        return told.astype(np.float32), self._reaction, reason

    def _unjudged(self, gap: float) -> Answer:
        if gap > self.options.bridge or self._reaction is Reaction.UNKNOWN:
            self._reaction, self._since = Reaction.UNKNOWN, -math.inf
            return np.zeros(len(CLASSES), np.float32), Reaction.UNKNOWN, Reason.LOW_QUALITY
        told = self._told(self._drifted(gap))
        return told.astype(np.float32), self._reaction, Reason.NONE

    def _drifted(self, gap: float) -> NDArray[np.float64]:
        """Return the belief some time after the last look: it tends to ignorance."""
        stays = math.exp(-gap / self.options.stay)
        return np.asarray(stays * self._belief + (1 - stays) / len(CLASSES))

    def _likelihood(self, probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
        doubt = self.options.doubt
        return np.asarray((1 - doubt) * probabilities.astype(np.float64) + doubt / len(CLASSES))

    def _told(self, belief: NDArray[np.float64]) -> NDArray[np.float64]:
        temper = self.options.temper
        tempered = belief ** (temper + (1 - temper) / max(self._looks, 1.0))
        return np.asarray(tempered / tempered.sum())

    def _decide(self, told: NDArray[np.float64], stamp: float, threshold: float) -> Reaction:
        if threshold != self._threshold:  # what the old one let begin may not begin by the new one
            self._reaction, self._threshold = Reaction.UNKNOWN, threshold
        best = int(told.argmax())
        found = Reaction(best + 1) if told[best] >= threshold else Reaction.UNKNOWN
        if self._reaction and not found:
            # Hysteresis: what was said stays said until it is clearly no longer so.
            own = told[int(self._reaction) - 1]
            if own == told[best] and own >= self.options.release * threshold:
                found = self._reaction
        if found != self._reaction and not (
            self._reaction and stamp - self._since < self.options.dwell
        ):
            self._reaction, self._since = found, stamp
        return self._reaction
