# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Losses of fine-tuning: on the label, on the votes, or on a bound for the labelled class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

LOWER_BOUND: Final = 0.85
"""Least probability that the constrained loss asks of the labelled class."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""From logits and shares of the votes, float (N, C), to the loss (N,) of each image, nats."""


def hard(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the cross-entropy (N,) with the class that has most votes."""
    return functional.cross_entropy(logits, shares.argmax(dim=1), reduction="none")


def soft(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the cross-entropy (N,) with the shares of the votes."""
    return functional.cross_entropy(logits, shares, reduction="none")


def constrained(logits: Tensor, shares: Tensor) -> Tensor:
    """Return the cross-entropy (N,) with the nearest distribution that trusts the label enough.

    The weak loss of Pathak et al., Constrained Convolutional Neural Networks for Weakly
    Supervised Segmentation (2015), with one linear constraint. A network that is sure enough of
    the label is left alone, so a wrong label among many cannot pull it to certainty.
    """
    target = constrained_target(logits.softmax(dim=1), shares.argmax(dim=1))
    return functional.cross_entropy(logits, target, reduction="none")


def constrained_target(
    probabilities: Tensor, labels: Tensor, bound: float = LOWER_BOUND
) -> Tensor:  # fmt: skip
    """Return the distributions nearest to the network's own with at least ``bound`` on the label.

    Nearest in KL(p || q): p = q where q_y >= bound; else p_y = bound and the other classes keep
    their proportions, scaled by (1 - bound) / (1 - q_y).

    Args:
        probabilities: float (N, C), the network's q; rows sum to 1.
        labels: int64 (N,), the labelled class y.
        bound: least p_y, between 0 and 1.

    Returns:
        Float (N, C); no gradient flows into it.
    """
    q = probabilities.detach()
    at = labels[:, None]
    q_y = q.gather(1, at)
    others = q.scatter(1, at, 0.0)
    # Their own sum rather than 1 - q_y: exact where q_y is close to 1, and it cannot be 0 where
    # it is used, since there q_y < bound.
    scale = (1 - bound) / others.sum(dim=1, keepdim=True).clamp(min=torch.finfo(q.dtype).tiny)
    bent = (others * scale).scatter(1, at, bound)
    return torch.where(q_y >= bound, q, bent)


LOSSES: Final[dict[str, Loss]] = {
    "cross-entropy": hard,
    "soft": soft,
    "constrained": constrained,
}
"""What ``--loss`` may name."""
