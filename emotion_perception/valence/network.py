# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The valence network: a small residual network with squeeze-and-excitation, on grey crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from emotion_perception.valence.labels import CLASSES


class SqueezeExcitation(nn.Module):
    """Channel attention (Hu et al., Squeeze-and-Excitation Networks, 2018)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(4, channels // reduction)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale each channel of (N, C, H, W)."""
        return cast(Tensor, x * self.gate(x))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; a strided block averages its shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
            SqueezeExcitation(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride) if stride != 1 else nn.Identity(),
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


class ValenceNet(nn.Module):
    """Valence of standardised grey face crops.

    Args:
        widths: channels of the stem and of each stage; every stage halves the resolution.
        depths: residual blocks a stage.
        dropout: share of the last features dropped in training.
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 48, 96, 192),
        depths: Sequence[int] = (2, 2, 2),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if len(widths) != len(depths) + 1:
            raise ValueError(
                f"ValenceNet: expected one more width than depths, got {widths} and {depths}"
            )
        self.arguments: dict[str, Any] = {
            "widths": list(widths), "depths": list(depths), "dropout": dropout,
        }  # fmt: skip
        layers: list[nn.Module] = [
            nn.Conv2d(1, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(inplace=True),
        ]
        for inputs, outputs, depth in zip(widths, widths[1:], depths, strict=False):
            for index in range(depth):
                first = index == 0
                layers.append(ResidualBlock(inputs if first else outputs, outputs, 1 + first))
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(widths[-1], len(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 3) in the order of CLASSES for float crops (N, 1, S, S)."""
        return cast(Tensor, self.classifier(self.dropout(self.features(x))))


ARCHITECTURES: dict[str, type[nn.Module]] = {"ValenceNet": ValenceNet}
"""Networks a checkpoint may name."""
