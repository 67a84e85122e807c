# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The checkpoint: a folder with ``model.onnx``, ``model.safetensors`` and ``card.json``.

No pickle is read. The card says what the network is, what it was fed and what it was trained on;
the hashes in it tie the three files together, so that a swapped or damaged file is refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from emotion_perception.faces.model_files import ModelError, sha256_of, verify_files
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.limited_files import read_json
from emotion_perception.valence.labels import CLASSES

FORMAT = 1
ONNX_FILE = "model.onnx"
WEIGHTS_FILE = "model.safetensors"
INT8_FILE = "model.int8.onnx"
CARD_FILE = "card.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A verified checkpoint on disk.

    Attributes:
        directory: where its files are.
        name: model family, for example ``valence-base``.
        version: of these weights.
        architecture: ``{"name": class name, "arguments": {...}}`` of the torch network.
        preprocessing: how crops are prepared for it.
        temperature: that logits are divided by before the softmax.
        confidence_threshold: below this calibrated probability the answer is "I don't know".
        files: SHA-256 of every file that a checkpoint must have.
        variants: SHA-256 of those that it may have: the same network for some processors.
        training: data, settings and licences, for people.
        figures: measured results, for people.
    """

    directory: Path
    name: str
    version: str
    architecture: dict[str, Any]
    preprocessing: FacePreprocessing
    temperature: float
    confidence_threshold: float
    files: dict[str, str]
    variants: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ModelError(f"temperature: expected a positive number, got {self.temperature}")
        if not 0 <= self.confidence_threshold < 1:
            raise ModelError(
                f"confidence_threshold: expected 0 to 1, got {self.confidence_threshold}"
            )

    @property
    def model_id(self) -> str:
        """Name, version and the start of the weights' hash: unique for these weights."""
        return f"{self.name}-{self.version}+{self.files[WEIGHTS_FILE][:8]}"

    @property
    def onnx_file(self) -> Path:
        """The network for ONNX Runtime: ``crops`` (N, 1, S, S) -> ``logits`` (N, 3)."""
        return self.directory / ONNX_FILE

    @property
    def int8_file(self) -> Path | None:
        """The network in 8-bit integers, for ONNX Runtime, where there is one.

        Raises:
            ModelError: if it is not the one of the card.
        """
        path = self.directory / INT8_FILE
        if INT8_FILE not in self.variants or not path.is_file():
            return None
        if sha256_of(path) != self.variants[INT8_FILE]:
            raise ModelError(f"{path}: differs from its hash in {CARD_FILE}; restore or delete it")
        return path

    @property
    def weights_file(self) -> Path:
        """The same weights for torch."""
        return self.directory / WEIGHTS_FILE


class HasCard(Protocol):
    """Whatever lies in a folder with a card."""

    @property
    def directory(self) -> Path:
        """The folder."""
        ...


def load_checkpoint(directory: Path) -> Checkpoint:
    """Read and verify a checkpoint folder.

    Raises:
        ModelError: names the file and the field when something is missing, damaged, swapped, or
            made for another version of this code.
    """
    card = verify_files(directory, CARD_FILE)
    path = directory / CARD_FILE

    def require(key: str, kind: type | tuple[type, ...]) -> Any:
        value = card.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(f"{path}: field {key!r} is missing or of the wrong type: {value!r}")
        return value

    if (kind := card.get("kind", "valence")) != "valence":
        raise ModelError(
            f"{path}: a network of {kind}; it can judge, but training, calibrating and patients' "
            f"models need a valence checkpoint with {WEIGHTS_FILE}"
        )
    if require("format", int) != FORMAT:
        raise ModelError(f"{path}: format {card['format']} is not {FORMAT}, which this code reads")
    if tuple(require("classes", list)) != CLASSES:
        raise ModelError(f"{path}: classes {card['classes']} are not {list(CLASSES)}")
    for name in (ONNX_FILE, WEIGHTS_FILE):
        if name not in require("files", dict):
            raise ModelError(f"{path}: files: the hash of {name} is missing")
    try:
        preprocessing = FacePreprocessing.from_card(require("preprocessing", dict))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: {error}") from error
    for name in ("variants", "training", "figures"):
        if not isinstance(card.get(name, {}), dict):
            raise ModelError(f"{path}: field {name!r}: expected an object, got {card[name]!r}")
    try:
        return Checkpoint(
            directory=directory,
            name=require("name", str),
            version=require("version", str),
            architecture=require("architecture", dict),
            preprocessing=preprocessing,
            temperature=float(require("temperature", (int, float))),
            confidence_threshold=float(require("confidence_threshold", (int, float))),
            files=card["files"],
            variants=card.get("variants", {}),
            training=card.get("training", {}),
            figures=card.get("figures", {}),
        )
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def write_card(directory: Path, fields: dict[str, Any]) -> None:
    """Write the card of a folder whose model files are complete, with their hashes.

    Args:
        directory: holds ``model.onnx`` and ``model.safetensors``.
        fields: what Checkpoint has, less ``directory`` and ``files``; ``preprocessing`` may be a
            FacePreprocessing.
    """
    files = {
        name: hashlib.sha256((directory / name).read_bytes()).hexdigest()
        for name in (ONNX_FILE, WEIGHTS_FILE)
    }
    card = {"format": FORMAT, "classes": list(CLASSES), **fields, "files": files}
    if isinstance(card["preprocessing"], FacePreprocessing):
        card["preprocessing"] = card["preprocessing"].to_card()
    write_atomically(directory / CARD_FILE, json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def record_figures(checkpoint: HasCard, name: str, figures: dict[str, Any]) -> None:
    """Write measured figures into the card of a checkpoint, under ``figures.name``."""
    path = checkpoint.directory / CARD_FILE
    card = read_json(path)
    card.setdefault("figures", {})[name] = figures
    write_atomically(path, json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def record_variant(checkpoint: Checkpoint, name: str) -> None:
    """Write the hash of a variant of the network, a file beside the others, into the card."""
    path = checkpoint.directory / CARD_FILE
    card = read_json(path)
    card.setdefault("variants", {})[name] = sha256_of(checkpoint.directory / name)
    write_atomically(path, json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that nobody ever sees half of it; a symbolic link stays one."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
