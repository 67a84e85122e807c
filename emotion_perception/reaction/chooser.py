# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choosing among things a robot can do by how they were received so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emotion_perception.reaction.reaction import Reaction

SCORES = {Reaction.NEGATIVE: 0.0, Reaction.NEUTRAL: 0.5, Reaction.POSITIVE: 1.0}
"""How much of a success each reaction is.

Neutral is half a success and half a failure, so that an option's mean score is its mean valence
moved to 0..1: what leaves people cold ranks above what displeases them. Were it a failure only, of
whatever weight, an option that never gets a smile would in the end look as bad as one that hurts.
UNKNOWN is not in the table: who did not see the reaction has learned nothing.
"""


class ThompsonChooser:
    """Picks the option with the best luck in a draw from what is known of each.

    What is known of an option's mean score is a Beta distribution, flat at first. A choice draws
    one number from each and takes the largest: the little-known win often enough to be tried, the
    known bad ones hardly ever (W. R. Thompson, Biometrika 25, 1933).

    Args:
        options: names of what can be chosen; at least one, none twice.
        generator: where the luck comes from; seed it to repeat a run.

    Attributes:
        successes: first parameter of each option's Beta distribution: 1 and its scores.
        failures: second parameter: 1 and what its scores fell short of 1.
    """

    def __init__(self, options: Sequence[str], generator: np.random.Generator) -> None:
        if not options or len(set(options)) < len(options):
            raise ValueError(f"options: expected at least one and none twice, got {list(options)}")
        self.successes = dict.fromkeys(options, 1.0)
        self.failures = dict.fromkeys(options, 1.0)
        self._generator = generator

    def choose(self) -> str:
        """Return the option to take next."""
        luck = {o: self._generator.beta(s, self.failures[o]) for o, s in self.successes.items()}
        return max(luck, key=luck.__getitem__)

    def learn(self, option: str, reaction: Reaction | int) -> None:
        """Take into account how an option was received; UNKNOWN changes nothing.

        Args:
            option: one of the options.
            reaction: the verdict, also as the number in UserReaction.msg.

        Raises:
            KeyError: there is no such option.
            ValueError: there is no such reaction.
        """
        if option not in self.successes:
            raise KeyError(f"{option}: expected one of {', '.join(self.successes)}")
        score = SCORES.get(Reaction(reaction))
        if score is not None:
            self.successes[option] += score
            self.failures[option] += 1.0 - score

    def mean(self, option: str) -> float:
        """Return the expected score of an option, 0 (displeases) to 1 (pleases)."""
        return self.successes[option] / (self.successes[option] + self.failures[option])
