# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from emotion_perception.faces.model_files import ModelError
from emotion_perception.training.pretrained import FaceMobileNet

WIDTHS = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
STRIDES = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]


@pytest.fixture
def published(tmp_path):
    """Random weights in the form of the published file, and what they compute."""
    rng = np.random.default_rng(0)
    nodes = [{"name": "input", "op": "Placeholder"}]
    weights, layers = [], []

    def constant(name, values):
        weights.append((name, values.astype(np.float32)))
        nodes.append({"name": name, "op": "Const"})
        return name

    def node(name, op, *inputs, stride=None):
        attr = {} if stride is None else {"strides": {"list": {"i": ["1", stride, stride, "1"]}}}
        nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attr})
        return name

    def convolution(number, at, inputs, outputs, kernel, stride, depthwise):
        shape = (kernel, kernel, inputs, 1 if depthwise else outputs)
        values = rng.normal(0, (2 / (kernel**2 * (1 if depthwise else inputs))) ** 0.5, shape)
        bias = rng.normal(0, 0.1, outputs)
        scale = rng.uniform(0.5, 1.5, outputs) if depthwise else None
        op = "DepthwiseConv2dNative" if depthwise else "Conv2D"
        weight = constant(f"w{number}", values)
        at = node(f"conv{number}", op, at, weight, stride=str(stride))
        if scale is not None:
            at = node(f"mul{number}", "Mul", at, constant(f"s{number}", scale))
        at = node(f"add{number}", "Add", at, constant(f"b{number}", bias))
        layers.append((values, scale, bias, stride, depthwise))
        return node(f"relu{number}", "Relu", at)

    at = convolution(0, "input", 3, 32, 3, 2, False)
    for index, (inputs, outputs, stride) in enumerate(
        zip(WIDTHS, WIDTHS[1:], STRIDES, strict=False)
    ):
        at = convolution(2 * index + 1, at, inputs, inputs, 3, stride, True)
        at = convolution(2 * index + 2, at, inputs, outputs, 1, 1, False)
    node("pooled", "Mean", at)
    path = tmp_path / "faceres-deep.json"
    manifest = [
        {"name": name, "shape": list(values.shape), "dtype": "float32"} for name, values in weights
    ]
    model = {"modelTopology": {"node": nodes}, "weightsManifest": [{"weights": manifest}]}
    path.write_text(json.dumps(model))
    path.with_suffix(".bin").write_bytes(b"".join(values.tobytes() for _, values in weights))
    return path, layers


def by_hand(layers, x):
    for values, scale, bias, stride, depthwise in layers:
        order = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
        weight = torch.tensor(values.transpose(order).copy(), dtype=torch.float32)
        if scale is not None:
            weight = weight * torch.tensor(scale, dtype=torch.float32)[:, None, None, None]
        kernel = weight.shape[-1]
        if stride == 2:
            x = torch.nn.functional.pad(x, (0, 1, 0, 1))
        padding = 1 if kernel == 3 and stride == 1 else 0
        groups = x.shape[1] if depthwise else 1
        x = torch.nn.functional.conv2d(x, weight, None, stride, padding, 1, groups)
        x = (x + torch.tensor(bias, dtype=torch.float32)[:, None, None]).clamp(0, 6)
    return x.mean((2, 3))


def test_published_weights_compute_the_same(published):
    path, layers = published
    torch.manual_seed(0)
    crops = torch.randn(4, 1, 48, 48)
    network = FaceMobileNet(64).eval()
    network.load_pretrained(path, crops)
    with torch.no_grad():
        colour = network._enlarge(crops).repeat(1, 3, 1, 1)
        torch.testing.assert_close(network.features(crops), by_hand(layers, colour),
                                   rtol=1e-3, atol=1e-3)  # fmt: skip
    # Revived batch normalisation: in training mode the same batch gives the same features.
    network.train()
    with torch.no_grad():
        again = network.features(crops)
    torch.testing.assert_close(again, network.eval().features(crops).detach(), rtol=0.05, atol=0.01)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: p.write_text("{"),
        lambda p: p.unlink(),
        lambda p: p.with_suffix(".bin").unlink(),
        lambda p: p.with_suffix(".bin").write_bytes(p.with_suffix(".bin").read_bytes()[:-4]),
        lambda p: p.write_text(json.dumps({"modelTopology": {"node": []}})),
    ],
)
def test_wrong_files_are_named(published, damage):
    path, _ = published
    damage(path)
    with pytest.raises(ModelError, match=r"faceres-deep\.json"):
        FaceMobileNet(64).load_pretrained(path, torch.zeros(2, 1, 48, 48))
