# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The card of a network of discrete emotions: what it wants to see, and what its outputs mean.

The order of the labels is the classic error of this field: each network has its own, and a wrong
one gives answers that look sound. So the card names the classes in the network's own order, with
where its authors say so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError, verify_files
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.limited_files import read_json
from emotion_perception.valence.checkpoint import CARD_FILE, FORMAT, ONNX_FILE
from emotion_perception.valence.framing import Framing, framing_from_card
from emotion_perception.valence.labels import CLASSES, DROPPED, EMOTION_TO_VALENCE
from emotion_perception.valence.network_input import NetworkInput

KIND: Final = "emotions"
EMOTIONS: Final = tuple(name for name in EMOTION_TO_VALENCE if name not in ("unknown", "no-face"))
"""What a class may be called."""

OUTPUTS: Final = ("logits", "probabilities")

_FIELDS: Final = frozenset({
    "format", "kind", "name", "version", "classes", "input", "output", "temperature",
    "confidence_threshold", "files", "source", "licence", "unverified", "figures",
})  # fmt: skip
_INPUT: Final = frozenset({"size", "colour", "layout", "scale", "mean", "std", "framing"})


@dataclass(frozen=True, kw_only=True)
class EmotionCard:
    """A network of discrete emotions, as its card tells.

    Attributes:
        directory: where its files are.
        name: of the network.
        version: of these weights, as their authors call them.
        classes: its emotions in the order of its outputs.
        input: what it wants to see.
        output: ``logits`` or ``probabilities``.
        temperature: that logits are divided by before the softmax.
        confidence_threshold: below this probability the answer is "I don't know".
        files: SHA-256 of its files; empty for a card without weights.
        source: where its authors say what this card says.
        licence: of the network.
        unverified: what could not be verified, and other things to know.
        figures: measured results, for people.
    """

    directory: Path
    name: str
    version: str
    classes: tuple[str, ...]
    input: NetworkInput
    output: str
    temperature: float
    confidence_threshold: float
    files: dict[str, str]
    source: tuple[str, ...]
    licence: str
    unverified: tuple[str, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        unknown = [name for name in self.classes if name not in EMOTIONS]
        if unknown:
            raise ValueError(f"classes: expected some of {sorted(EMOTIONS)}, got {unknown[0]!r}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"classes: each may be there once, got {list(self.classes)}")
        told = {EMOTION_TO_VALENCE[name] for name in self.classes}
        for index, name in enumerate(CLASSES):
            if index not in told:
                raise ValueError(f"classes: none of {list(self.classes)} is {name}")
        if self.output not in OUTPUTS:
            raise ValueError(f"output: expected one of {list(OUTPUTS)}, got {self.output!r}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(f"temperature: expected a positive number, got {self.temperature}")
        if not 0 <= self.confidence_threshold < 1:
            raise ValueError(
                f"confidence_threshold: expected 0 to 1, got {self.confidence_threshold}"
            )

    @property
    def model_id(self) -> str:
        """Name, version and the start of the weights' hash: unique for these weights."""
        return f"{self.name}-{self.version}+{self.files[ONNX_FILE][:8]}"

    @property
    def onnx_file(self) -> Path:
        """The network."""
        return self.directory / ONNX_FILE

    @property
    def preprocessing(self) -> FacePreprocessing:
        """Of the grey crops by which faces are followed and their quality is measured."""
        return FacePreprocessing()

    @property
    def key(self) -> str:
        """The same for two cards exactly if their weights and all they say are."""
        return repr(self)


def valence_of(emotions: NDArray[np.float32], classes: Sequence[str]) -> NDArray[np.float32]:
    """Collapse emotions to valence.

    Emotions that say nothing of valence (surprise) leave it open: what they have is shared out
    equally. So a face that is only surprised gets a third for each class, which is "I don't know",
    and one that is a little surprised keeps its likeliest class, with less confidence.

    Args:
        emotions: float32 (N, K), probabilities.
        classes: the K emotions.

    Returns:
        float32 (N, 3): negative, neutral, positive; each row sums to 1 as that of emotions does.
    """
    share = np.zeros((len(classes), len(CLASSES)))
    for row, name in zip(share, classes, strict=True):
        valence = EMOTION_TO_VALENCE[name]
        row[:] = 1 / len(CLASSES) if valence == DROPPED else np.arange(len(CLASSES)) == valence
    return np.asarray(np.asarray(emotions, np.float64) @ share, np.float32)


def load_emotion_card(directory: Path) -> EmotionCard:
    """Read and verify the folder of a network of emotions.

    Raises:
        ModelError: names the file and the field when something is missing, damaged, swapped, or
            made for another version of this code.
    """
    path = directory / CARD_FILE
    card = read_emotion_card(path)
    if not card.files:
        raise ModelError(
            f"{path}: a card without weights; `emotion-perception models import` makes a model of "
            "it and your ONNX file"
        )
    verify_files(directory, CARD_FILE)
    if set(card.files) != {ONNX_FILE}:
        raise ModelError(f"{path}: files: expected {ONNX_FILE} alone, got {sorted(card.files)}")
    return card


def is_emotion_network(directory: Path) -> bool:
    """Whether a folder holds the card of a network of emotions, be it right or wrong."""
    try:
        card = read_json(directory / CARD_FILE)
    except (OSError, ValueError):
        return False
    return isinstance(card, dict) and card.get("kind") == KIND


def read_emotion_card(path: Path) -> EmotionCard:
    """Read a card without looking at weights; it may have none yet.

    Raises:
        ModelError: names the file and the field.
    """
    try:
        card = read_json(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot read the card ({error.strerror})") from error
    except ValueError as error:
        raise ModelError(f"{path}: the card is not valid JSON ({error})") from error
    if not isinstance(card, dict):
        raise ModelError(f"{path}: expected a JSON object")
    return parse_emotion_card(path, card)


def parse_emotion_card(path: Path, card: Mapping[str, Any]) -> EmotionCard:
    """Check what a card says.

    Args:
        path: of the card, for the messages.
        card: its content.

    Raises:
        ModelError: names the file and the field.
    """
    try:
        return _parse(path.parent, card)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from error


def _parse(directory: Path, card: Mapping[str, Any]) -> EmotionCard:
    _only(card, "", _FIELDS, optional={"files", "unverified", "figures"})
    if card["format"] != FORMAT or isinstance(card["format"], bool):
        raise ValueError(f"format {card['format']!r} is not {FORMAT}, which this code reads")
    if card["kind"] != KIND:
        raise ValueError(f"kind: expected {KIND!r}, got {card['kind']!r}")
    told = card["input"]
    if not isinstance(told, dict):
        raise ValueError(f"input: expected an object, got {told!r}")
    _only(told, "input.", _INPUT | {"name"}, optional={"name"})
    if isinstance(told["size"], bool) or not isinstance(told["size"], int):
        raise ValueError(f"input.size: expected an integer, got {told['size']!r}")
    if not isinstance(told["framing"], dict):
        raise ValueError(f"input.framing: expected an object, got {told['framing']!r}")
    return EmotionCard(
        directory=directory,
        name=_text(card, "name"),
        version=_text(card, "version"),
        classes=_texts(card, "classes"),
        input=NetworkInput(
            size=told["size"],
            colour=_text(told, "colour", "input."),
            layout=_text(told, "layout", "input."),
            scale=_number(told["scale"], "input.scale"),
            mean=_numbers(told["mean"], "input.mean"),
            std=_numbers(told["std"], "input.std"),
            framing=_framing(told["framing"]),
            name=_text(told, "name", "input.") if "name" in told else "",
        ),
        output=_text(card, "output"),
        temperature=_number(card["temperature"], "temperature"),
        confidence_threshold=_number(card["confidence_threshold"], "confidence_threshold"),
        files=_object(card, "files"),
        source=_texts(card, "source"),
        licence=_text(card, "licence"),
        unverified=_texts(card, "unverified") if "unverified" in card else (),
        figures=_object(card, "figures"),
    )


def _framing(fields: Mapping[str, Any]) -> Framing:
    try:
        return framing_from_card(fields)
    except ValueError as error:
        raise ValueError(f"input.{error}") from error


def _only(told: Mapping[str, Any], prefix: str, known: frozenset[str], optional: set[str]) -> None:
    for name in told:
        if name not in known:
            raise ValueError(f"unknown field {prefix}{name}; known are {sorted(known)}")
    for name in sorted(known - optional):
        if name not in told:
            raise ValueError(f"the field {prefix}{name} is missing")


def _object(told: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = told.get(name, {})
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected an object, got {value!r}")
    return value


def _text(told: Mapping[str, Any], name: str, prefix: str = "") -> str:
    value = told[name]
    if not isinstance(value, str) or not value:
        raise ValueError(f"{prefix}{name}: expected a text, got {value!r}")
    return value


def _texts(told: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = told[name]
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError(f"{name}: expected a list of texts, got {value!r}")
    return tuple(value)


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{name}: expected a number, got {value!r}")
    return float(value)


def _numbers(value: Any, name: str) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{name}: expected a list of numbers, got {value!r}")
    return tuple(_number(item, name) for item in value)
