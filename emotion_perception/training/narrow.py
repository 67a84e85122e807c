# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Fewer channels out of a trained network, to go on training with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from emotion_perception.valence.network import ValenceNet


def narrow(
    state: Mapping[str, Tensor], wide: Mapping[str, Any], network: ValenceNet
) -> dict[str, Tensor]:
    """Cut the state of a trained module down to a network of fewer channels.

    Of each group of channels those stay whose normalisation scales them most (Liu et al.,
    Learning Efficient Convolutional Networks through Network Slimming, 2017).

    Args:
        state: of a ValenceModule.
        wide: arguments of the ValenceNet that it belongs to.
        network: the narrower one; of the same depths.

    Returns:
        A state that a ValenceModule with ``network`` loads.

    Raises:
        ValueError: if the depths differ or ``network`` is wider somewhere.
    """
    depths, widths = list(network.arguments["depths"]), list(network.arguments["widths"])
    if list(wide["depths"]) != depths or any(
        w < n for w, n in zip(wide["widths"], widths, strict=True)
    ):
        raise ValueError(
            f"a network of widths {list(wide['widths'])} and depths {list(wide['depths'])} cannot"
            f" be cut down to widths {widths} and depths {depths}"
        )
    cut = dict(state)
    target = network.state_dict()

    def keep(key: str, axis: int, index: Tensor) -> None:
        cut[key] = cut[key].index_select(axis, index)

    def keep_outputs(convolution: str, norm: str, index: Tensor) -> None:
        keep(f"{convolution}.weight", 0, index)
        for name in ("weight", "bias", "running_mean", "running_var"):
            keep(f"{norm}.{name}", 0, index)

    def strongest(importance: Tensor, count: int) -> Tensor:
        return importance.topk(count).indices.sort().values

    stem = "network.features"
    inputs = strongest(state[f"{stem}.1.weight"].abs(), widths[0])
    keep_outputs(f"{stem}.0", f"{stem}.1", inputs)
    block = 3
    for width, depth in zip(widths[1:], depths, strict=True):
        names = [f"{stem}.{at}" for at in range(block, block + depth)]
        block += depth
        outputs = strongest(
            torch.stack([state[f"{n}.body.4.weight"].abs() for n in names]).sum(0), width
        )
        for name in names:
            hidden = strongest(state[f"{name}.body.1.weight"].abs(), width)
            keep(f"{name}.body.0.weight", 1, inputs)
            keep_outputs(f"{name}.body.0", f"{name}.body.1", hidden)
            keep(f"{name}.body.3.weight", 1, hidden)
            keep_outputs(f"{name}.body.3", f"{name}.body.4", outputs)
            gate = f"{name}.body.5.gate"
            squeezed = strongest(
                state[f"{gate}.3.weight"].abs().sum((0, 2, 3)),
                len(target[f"{gate.removeprefix('network.')}.1.bias"]),
            )
            keep(f"{gate}.1.weight", 1, outputs)
            keep(f"{gate}.1.weight", 0, squeezed)
            keep(f"{gate}.1.bias", 0, squeezed)
            keep(f"{gate}.3.weight", 1, squeezed)
            keep(f"{gate}.3.weight", 0, outputs)
            keep(f"{gate}.3.bias", 0, outputs)
            if f"{name}.shortcut.1.weight" in cut:
                keep(f"{name}.shortcut.1.weight", 1, inputs)
                keep_outputs(f"{name}.shortcut.1", f"{name}.shortcut.2", outputs)
            inputs = outputs
    keep("network.classifier.weight", 1, inputs)
    if "emotions.weight" in cut:
        keep("emotions.weight", 1, inputs)
    return cut
