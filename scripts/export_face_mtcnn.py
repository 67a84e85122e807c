#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Export MTCNN's three networks from facenet-pytorch 2.5.3 into models/face-mtcnn.

Run once, by a developer; the result is committed. Needs torch, onnx and safetensors, not
facenet-pytorch itself: the weights are read from the wheel given, or from the installed package.

    python scripts/export_face_mtcnn.py [facenet_pytorch-2.5.3-py3-none-any.whl]

The weights are rewritten for speed; the outputs stay the same within float32 rounding:

* The softmax over two classes becomes the sigmoid of the difference of their logits, spelt
  1 / (1 + exp(-x)): ONNX Runtime's own Sigmoid is an approximation whose last digits reorder
  probabilities close to 1, and with them the boxes that survive the suppression.
* Parallel heads become one, and O-Net's landmarks come out as x, y pairs.
* PReLU(x) with a slope s for each channel becomes s x + (1 - s) ReLU(x), with 1x1 convolutions
  or the next layer as the factors. ONNX Runtime computes its own PRelu one element at a time and
  leaves its blocked memory layout for it; this form halves the time of all three networks.
* P-Net's first PReLU, the largest, moves behind the max-pooling: see `_pooled_prelu`.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import io
import json
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[np.float32]
State = Mapping[str, Array]

PACKAGE, RELEASE = "facenet-pytorch", "2.5.3"
WEIGHTS_SHA256 = {
    "pnet": "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
    "rnet": "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
    "onet": "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
}
OUTPUT = Path(__file__).resolve().parent.parent / "models" / "face-mtcnn"

# Kernel and stride of the max-pooling behind each convolution.
POOLS: dict[str, list[tuple[int, int] | None]] = {
    "pnet": [(2, 2), None, None],
    "rnet": [(3, 2), (3, 2), None],
    "onet": [(3, 2), (3, 2), (2, 2), None],
}


def read_release(wheel: Path | None) -> tuple[dict[str, State], str]:
    """Read the weights and the licence text of facenet-pytorch.

    Args:
        wheel: the wheel, or None for the installed package.

    Returns:
        The state of each network, and the licence.

    Raises:
        SystemExit: another release, or weights that differ from the known ones.
    """
    if wheel is None:
        distribution = importlib.metadata.distribution(PACKAGE)
        if distribution.version != RELEASE:
            sys.exit(f"{PACKAGE}: expected release {RELEASE}, got {distribution.version}")
        data = {
            name: Path(
                str(distribution.locate_file(f"facenet_pytorch/data/{name}.pt"))
            ).read_bytes()
            for name in WEIGHTS_SHA256
        }
        licence = distribution.read_text("LICENSE.md") or ""
    else:
        with zipfile.ZipFile(wheel) as archive:
            data = {
                name: archive.read(f"facenet_pytorch/data/{name}.pt") for name in WEIGHTS_SHA256
            }
            licence = archive.read(f"facenet_pytorch-{RELEASE}.dist-info/LICENSE.md").decode()
    states = {}
    for name, content in data.items():
        digest = hashlib.sha256(content).hexdigest()
        if digest != WEIGHTS_SHA256[name]:
            sys.exit(f"{name}.pt: expected sha256 {WEIGHTS_SHA256[name]}, got {digest}")
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        states[name] = {key: value.numpy() for key, value in tensors.items()}
    return states, licence


def fold(name: str, state: State) -> dict[str, Array]:
    """Join the heads of a network and bring its dense layer into the usual order.

    Args:
        name: pnet, rnet or onet.
        state: weights as in facenet-pytorch.

    Returns:
        ``convN``, ``preluN`` and ``dense`` as before, and ``head``: one logit, four offsets and,
        from O-Net, five landmarks as x, y pairs.
    """
    layers = len(POOLS[name])
    dense = f"dense{layers + 1}"
    folded = {key: value for key, value in state.items() if key.startswith(("conv", "prelu"))}
    if name == "pnet":
        heads = ["conv4_1", "conv4_2"]
        for key in [key for key in folded if key.startswith("conv4_")]:
            del folded[key]
    else:
        heads = [f"dense{layers + 2}_{index}" for index in range(1, 4 if name == "onet" else 3)]
        # facenet-pytorch flattens in the order width, height, channel.
        channels = state[f"conv{layers}.bias"].size
        side = int((state[f"{dense}.weight"].shape[1] // channels) ** 0.5)
        weight = state[f"{dense}.weight"].reshape(-1, side, side, channels).transpose(0, 3, 2, 1)
        folded["dense.weight"] = weight.reshape(len(weight), -1)
        folded["dense.bias"] = state[f"{dense}.bias"]
    parts = {}
    for kind in ("weight", "bias"):
        logits, *others = (state[f"{head}.{kind}"] for head in heads)
        if name == "onet":
            points = others[1]  # x of all five, then y of all five
            others[1] = np.stack([points[:5], points[5:]], axis=1).reshape(10, *points.shape[1:])
        parts[kind] = np.concatenate([logits[1:] - logits[:1], *others])
    folded["head.weight"], folded["head.bias"] = parts["weight"], parts["bias"]
    return {key: np.ascontiguousarray(value, np.float32) for key, value in folded.items()}


class Graph:
    """An ONNX graph under construction; names are counted, so the bytes repeat."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant and return its name."""
        name = f"weight{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operator with one output and return the name of that."""
        output = output or f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def conv(self, x: str, weight: Array, bias: Array | None = None, groups: int = 1) -> str:
        """Add a convolution without padding."""
        inputs = [x, self.constant(weight.astype(np.float32))]
        if bias is not None:
            inputs.append(self.constant(bias.astype(np.float32)))
        return self.add("Conv", *inputs, kernel_shape=list(weight.shape[2:]), group=groups)

    def pool(self, x: str, kernel: int, stride: int) -> str:
        """Add a max-pooling that keeps partial windows at the right and lower border."""
        return self.add("MaxPool", x, kernel_shape=[kernel] * 2, strides=[stride] * 2, ceil_mode=1)


def _prelu(graph: Graph, x: str, slope: Array) -> str:
    """Add PReLU as s x + (1 - s) ReLU(x), with depthwise 1x1 convolutions for the products."""
    shape, channels = (-1, 1, 1, 1), slope.size
    positive = graph.conv(graph.add("Relu", x), (1 - slope).reshape(shape), groups=channels)
    return graph.add("Add", positive, graph.conv(x, slope.reshape(shape), groups=channels))


def _pooled_prelu(graph: Graph, x: str, state: State, pool: tuple[int, int]) -> str:
    """Add convolution 1, PReLU and max-pooling, with the PReLU on the small, pooled side.

    Where a slope s is not negative, PReLU rises with x and may as well follow the pooling:
    PReLU(p) = p + (1 - s) ReLU(-p), p being the pooled x. Where it is negative, PReLU(x) is the
    larger of x and s x; so s x is pooled as well, to q, and the larger of p and q is
    p + ReLU(q - p). P-Net's 10 channels and 6 such extra ones just fill a block of 16.
    """
    weight, bias, slope = state["conv1.weight"], state["conv1.bias"], state["prelu1.weight"]
    channels, falling = slope.size, np.flatnonzero(slope < 0)
    extra = slope[falling]
    pooled = graph.pool(
        graph.conv(
            x,
            np.concatenate([weight, extra[:, None, None, None] * weight[falling]]),
            np.concatenate([bias, extra * bias[falling]]),
        ),
        *pool,
    )
    keep = np.eye(channels, channels + falling.size)
    rectified = -keep
    rectified[falling, channels + np.arange(falling.size)] = 1
    share = np.where(slope < 0, 1, 1 - slope)
    correction = graph.add("Relu", graph.conv(pooled, rectified[:, :, None, None]))
    return graph.add(
        "Add",
        graph.conv(correction, np.diag(share)[:, :, None, None]),
        graph.conv(pooled, keep[:, :, None, None]),
    )


def build(name: str, state: State) -> onnx.ModelProto:
    """Build the ONNX form of a network from its folded weights."""
    graph = Graph()
    x = "image"
    for index, pool in enumerate(POOLS[name], 1):
        if name == "pnet" and index == 1 and pool:
            x = _pooled_prelu(graph, x, state, pool)
            continue
        x = graph.conv(x, state[f"conv{index}.weight"], state[f"conv{index}.bias"])
        if name == "pnet" and index == 3:
            break
        x = _prelu(graph, x, state[f"prelu{index}.weight"])
        if pool:
            x = graph.pool(x, *pool)

    weight, bias = state["head.weight"], state["head.bias"]
    outputs: list[tuple[str, list[int | str]]]
    if name == "pnet":  # the head takes the last PReLU in
        slope = state["prelu3.weight"][None, :, None, None]
        positive = graph.conv(graph.add("Relu", x), weight * (1 - slope))
        x = graph.add("Add", positive, graph.conv(x, weight * slope, bias))
        outputs = [("probability", ["n", 1, "rows", "columns"])]
        outputs += [("offsets", ["n", 4, "rows", "columns"])]
        shape = ["n", 3, "height", "width"]
    else:
        x = graph.add("Flatten", x)
        dense = graph.constant(state["dense.weight"]), graph.constant(state["dense.bias"])
        x = graph.add("Gemm", x, *dense, transB=1)
        slope = state[f"prelu{len(POOLS[name]) + 1}.weight"]
        linear = graph.constant(weight * slope), graph.constant(bias)
        base = graph.add("Gemm", x, *linear, transB=1)
        positive = graph.constant(weight * (1 - slope))
        x = graph.add("Gemm", graph.add("Relu", x), positive, base, transB=1)
        outputs = [("probability", ["n"]), ("offsets", ["n", 4])]
        side = 24 if name == "rnet" else 48
        shape = ["n", 3, side, side]

    parts = ["logit", "offsets"]
    sizes = [1, 4]
    if name == "onet":
        outputs.append(("landmarks", ["n", 5, 2]))
        parts, sizes = [*parts, "points"], [*sizes, 10]
    split = graph.constant(np.array(sizes, np.int64))
    graph.nodes.append(helper.make_node("Split", [x, split], parts, axis=1))
    odds_against = graph.add("Exp", graph.add("Neg", "logit"))
    inverse = graph.add("Add", odds_against, graph.constant(np.array([1], np.float32)))
    if name == "pnet":
        graph.add("Reciprocal", inverse, output="probability")
    else:
        flat = graph.constant(np.array([-1], np.int64))
        graph.add("Reshape", graph.add("Reciprocal", inverse), flat, output="probability")
    if name == "onet":
        pairs = graph.constant(np.array([-1, 5, 2], np.int64))
        graph.add("Reshape", "points", pairs, output="landmarks")

    def declare(value: str, dimensions: list[Any]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(value, TensorProto.FLOAT, dimensions)

    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"mtcnn-{name}",
            [declare("image", shape)],
            [declare(*output) for output in outputs],
            graph.constants,
        ),
        # Old versions on purpose: they are all that is needed, and every ONNX Runtime reads them.
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
        producer_name=f"{PACKAGE} {RELEASE}",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def card(files: dict[str, bytes]) -> dict[str, Any]:
    """Describe the model and its files."""
    return {
        "name": "face-mtcnn",
        "version": "1",
        "summary": "MTCNN: face boxes and five landmarks, by three small networks in cascade",
        "licence": "MIT",
        "source": f"{PACKAGE} {RELEASE}, https://github.com/timesler/facenet-pytorch",
        "source_sha256": {f"{name}.pt": digest for name, digest in WEIGHTS_SHA256.items()},
        "authors": [
            "Kaipeng Zhang, Zhanpeng Zhang, Zhifeng Li, Yu Qiao: the method (Joint Face Detection"
            " and Alignment using Multi-task Cascaded Convolutional Networks, IEEE Signal"
            " Processing Letters 23(10), 2016, doi:10.1109/LSP.2016.2603342)",
            "David Sandberg: the weights in TensorFlow (https://github.com/davidsandberg/facenet,"
            " MIT)",
            "Tim Esler: the weights in PyTorch (facenet-pytorch, MIT)",
        ],
        "input": {
            "name": "image",
            "layout": "NCHW",
            "dtype": "float32",
            "colour_order": "RGB",
            "normalisation": "(x - 127.5) / 128, x from 0 to 255",
            "resize": "adaptive average pooling (torch.nn.functional.interpolate, mode='area')",
            "sizes": {"pnet": "any from 12x12", "rnet": "24x24", "onet": "48x48"},
        },
        "output": {
            "probability": "of a face; pnet (n, 1, rows, columns), rnet and onet (n,)",
            "offsets": "of x1, y1, x2, y2 as shares of the box; (n, 4, ...)",
            "landmarks": "onet only, (n, 5, 2): x, y as shares of the box; left eye, right eye,"
            " nose, left and right corner of the mouth, sides as in the image",
        },
        "defaults": {"min_face_size": 40, "thresholds": [0.6, 0.7, 0.7], "factor": 0.709},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen half written."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as stream:
        stream.write(content)
    Path(stream.name).chmod(0o644)
    Path(stream.name).replace(path)


def main() -> None:
    """Parse the arguments and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "wheel", type=Path, nargs="?", help="facenet-pytorch wheel; default: the installed package"
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    arguments = parser.parse_args()

    states, licence = read_release(arguments.wheel)
    folded = {name: fold(name, state) for name, state in states.items()}
    files = {f"{name}.onnx": build(name, folded[name]).SerializeToString() for name in folded}
    tensors = {f"{name}.{key}": value for name in folded for key, value in folded[name].items()}
    files["mtcnn.safetensors"] = safetensors.numpy.save(tensors)

    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write(arguments.output / name, content)
    write(arguments.output / "LICENSE", licence.encode())
    # Last: a card stands for complete files.
    text = json.dumps(card(files), indent=2, ensure_ascii=False) + "\n"
    write(arguments.output / "card.json", text.encode())
    print(f"{arguments.output}: {', '.join(files)}")


if __name__ == "__main__":
    main()
