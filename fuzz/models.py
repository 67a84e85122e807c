# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Models: cards, checkpoint folders and ONNX files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.models import find_model
from emotion_perception.valence.checkpoint import (
    CARD_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    load_checkpoint,
)
from emotion_perception.valence.emotion_card import (
    is_emotion_network,
    load_emotion_card,
    parse_emotion_card,
    read_emotion_card,
)
from emotion_perception.valence.emotions import EmotionNetwork
from emotion_perception.valence.labels import CLASSES
from emotion_perception.valence.model import key_of, load_model
from fuzz.hostile import json_bombs
from fuzz.reader import Reader, block
from fuzz.target import Target

_SIZE = 16
_STUB = {ONNX_FILE: b"network", WEIGHTS_FILE: b"weights"}
_EMOTIONS = ("anger", "happiness", "neutral")


def _card(data: bytes, scratch: Path) -> None:
    """The card of a valence checkpoint whose weights are there and right."""
    for name, content in _STUB.items():
        (scratch / name).write_bytes(content)
    (scratch / CARD_FILE).write_bytes(data)
    is_emotion_network(scratch)
    checkpoint = load_checkpoint(scratch)
    assert checkpoint.model_id.startswith(checkpoint.name)
    _ = checkpoint.int8_file, key_of(checkpoint)


def _card_seeds() -> Iterator[bytes]:
    card = _valence_card({name: _sha(content) for name, content in _STUB.items()})
    yield json.dumps(card).encode()
    yield json.dumps({**card, "kind": "valence", "variants": {"model.int8.onnx": "0" * 64},
                      "training": {}, "figures": {"a": {"accuracy": 0.5}}}).encode()  # fmt: skip
    yield from _hostile_cards(card, ("temperature", "format", "confidence_threshold", "files",
                                     "variants", "architecture", "preprocessing"))  # fmt: skip


def _emotion_card(data: bytes, scratch: Path) -> None:
    """The card of a network of emotions, with and without weights."""
    (scratch / CARD_FILE).write_bytes(data)
    (scratch / ONNX_FILE).write_bytes(_STUB[ONNX_FILE])
    if is_emotion_network(scratch):
        assert json.loads(data)["kind"] == "emotions"
    card = read_emotion_card(scratch / CARD_FILE)
    _ = card.input.shape, card.input.blank, card.key
    if card.files:
        _ = load_emotion_card(scratch).model_id


def _emotion_card_seeds() -> Iterator[bytes]:
    for path in sorted(find_model("networks").glob(f"*/{CARD_FILE}")):
        card = json.loads(path.read_text(encoding="utf-8"))
        card |= {"source": ["x"], "unverified": ["y"], "licence": "z"}
        yield json.dumps(card).encode()
    card["files"] = {ONNX_FILE: _sha(_STUB[ONNX_FILE])}
    yield json.dumps(card).encode()
    yield from _hostile_cards(card, ("temperature", "format", "input", "files", "classes",
                                     "unverified", "figures"))  # fmt: skip
    for name in ("scale", "mean", "std", "size", "framing"):
        for bomb in (10**400, [10**400] * 3, [1e999] * 3):
            yield json.dumps({**card, "input": {**card["input"], name: bomb}}).encode()
    for framing in ({"kind": "box", "scale": 10**400, "shape": "square"},
                    {"kind": "points", "points": [[10**400, 1]] * 5},
                    {"kind": "eyes", "eyes_x": 10**400, "eyes_y": 1, "side_ratio": 1}):  # fmt: skip
        yield json.dumps({**card, "input": {**card["input"], "framing": framing}}).encode()


def _checkpoint(data: bytes, scratch: Path) -> None:
    """A whole checkpoint folder of either kind, loaded as the robot loads it and run once."""
    reader = Reader(data)
    mend, card, network = reader.byte(), reader.block(), reader.rest()
    (scratch / ONNX_FILE).write_bytes(network)
    (scratch / WEIGHTS_FILE).write_bytes(b"")
    if mend & 1:  # else the hashes would refuse nearly all
        try:
            told = json.loads(card)
            names = (ONNX_FILE,) if told.get("kind") == "emotions" else (ONNX_FILE, WEIGHTS_FILE)
            told["files"] = {name: _sha((scratch / name).read_bytes()) for name in names}
            card = json.dumps(told).encode()
        except (ValueError, AttributeError, TypeError, RecursionError):
            pass
    (scratch / CARD_FILE).write_bytes(card)
    model = load_model(scratch, threads=1)
    probabilities = model.judge([model.blank])
    assert probabilities.shape == (1, 3), probabilities.shape


def _checkpoint_seeds() -> Iterator[bytes]:
    valence = _valence_card({})
    yield b"\1" + block(json.dumps(valence).encode()) + _network((1, _SIZE, _SIZE), 3, "crops")
    yield b"\1" + block(json.dumps(_small_emotions()).encode()) + _network((3, _SIZE, _SIZE), 3)
    yield b"\0" + block(json.dumps(valence).encode()) + b"\x08\x08"
    for network in (_network((1, _SIZE, _SIZE), 4, "crops"), _network((1, _SIZE, _SIZE), 3),
                    _network((1, _SIZE, _SIZE), 3, "crops", rank=3)):  # fmt: skip
        yield b"\1" + block(json.dumps(valence).encode()) + network


def _network_file(data: bytes, scratch: Path) -> None:
    """An ONNX file as the check sees it that comes before ONNX Runtime."""
    path = scratch / ONNX_FILE
    path.write_bytes(data)
    check_network_file(path)


def _network_file_seeds() -> Iterator[bytes]:
    yield from _networks()
    deep = b"\x0a\x00"  # a node with an attribute with a graph with a node ...
    for _ in range(900):
        for key in (b"\x0a", b"\x2a", b"\x32"):
            deep = key + _varint(len(deep)) + deep
    yield b"\x3a" + _varint(len(deep)) + deep
    yield b"\x3a\x80\x80\x80\x80\x80\x80\x80\x80\x7f"


def _onnx(data: bytes, scratch: Path) -> None:
    """An ONNX file as ``models import`` tries it."""
    path = scratch / ONNX_FILE
    path.write_bytes(data)
    card = parse_emotion_card(scratch / CARD_FILE, _small_emotions())
    answers = EmotionNetwork(card, path, threads=1).trial()
    assert np.isfinite(answers).all()


def _networks() -> Iterator[bytes]:
    yield _network((3, _SIZE, _SIZE), 3)
    yield _network((3, _SIZE, _SIZE), 4)
    yield _network((1, _SIZE, _SIZE), 3)
    yield _network((3, _SIZE, _SIZE), 3, rank=3)


def _network(shape: tuple[int, ...], classes: int, name: str = "input", rank: int = 2) -> bytes:
    """Make a small network: the mean of each channel through one layer."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.eye(shape[0], classes, dtype=np.float32)
    nodes = [
        helper.make_node("ReduceMean", [name], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["logits" if rank == 2 else "flat"]),
    ]
    if rank == 3:
        nodes.append(helper.make_node("Unsqueeze", ["flat", "one"], ["logits"]))
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.array([1]), "one")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


def _valence_card(files: dict[str, str]) -> dict[str, Any]:
    return {
        "format": 1, "classes": list(CLASSES), "name": "tiny", "version": "1.2.3",
        "architecture": {"name": "ValenceNet", "arguments": {}}, "temperature": 1.5,
        "confidence_threshold": 0.4, "files": files,
        "preprocessing": FacePreprocessing(size=_SIZE).to_card(),
    }  # fmt: skip


def _small_emotions() -> dict[str, Any]:
    return {
        "format": 1, "kind": "emotions", "name": "tiny", "version": "1", "classes": list(_EMOTIONS),
        "input": {"size": _SIZE, "colour": "rgb", "layout": "nchw", "scale": 0.004,
                  "mean": [0, 0, 0], "std": [1, 1, 1],
                  "framing": {"kind": "box", "scale": 1.0, "shape": "square"}},
        "output": "logits", "temperature": 1.0, "confidence_threshold": 0.5, "source": ["here"],
        "licence": "none",
    }  # fmt: skip


def _hostile_cards(card: dict[str, Any], fields: tuple[str, ...]) -> Iterator[bytes]:
    yield from json_bombs()
    for name in fields:
        for bomb in (10**400, float("nan"), float("inf"), "x", [], {}, None, True, ["x"],
                     {"a\0b": "0"}, {"\ud800": "0"}, {"model.onnx": 7}, 3):  # fmt: skip
            yield json.dumps({**card, name: bomb}).encode()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


TARGETS = (
    Target(name="model-card", read=_card, allowed=(ModelError,), seeds=_card_seeds),
    Target(
        name="emotion-card", read=_emotion_card, allowed=(ModelError,), seeds=_emotion_card_seeds
    ),
    Target(
        name="checkpoint", read=_checkpoint, allowed=(ModelError,), seeds=_checkpoint_seeds,
        memory_mb=2048,
    ),
    Target(
        name="network-file", read=_network_file, allowed=(ModelError,), seeds=_network_file_seeds,
        largest=16384,
    ),
    Target(name="onnx", read=_onnx, allowed=(ModelError,), seeds=_networks, memory_mb=2048),
)  # fmt: skip
