# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A checkpoint that is loaded and ready to judge: a valence network of our own, or another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.valence.backends import Backend, TorchBackend, cpu_backend
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.checkpoint import Checkpoint, load_checkpoint
from emotion_perception.valence.emotion_card import (
    EmotionCard,
    is_emotion_network,
    load_emotion_card,
)
from emotion_perception.valence.emotions import EmotionModel


class ValenceModel:
    """Judges aligned face crops.

    Args:
        checkpoint: verified checkpoint.
        device: ``cpu`` or ``cuda:N``.
        threads: processor threads on a CPU.

    Attributes:
        checkpoint: what the card says.
        preprocessing: of its crops.
        emotion_names: empty; it tells valence only.

    Raises:
        ModelError: if the network does not fit its card.
    """

    emotion_names: tuple[str, ...] = ()

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu", threads: int = 2) -> None:
        self.checkpoint = checkpoint
        self.preprocessing = checkpoint.preprocessing
        self._backend: Backend = (
            cpu_backend(checkpoint, threads)
            if device == "cpu"
            else TorchBackend(checkpoint, device)
        )

    @property
    def model_id(self) -> str:
        """Name, version and the start of the weights' hash."""
        return self.checkpoint.model_id

    @property
    def key(self) -> str:
        """The same for two models exactly if their files are."""
        return key_of(self.checkpoint)

    @property
    def blank(self) -> NDArray[np.uint8]:
        """An input without a face, for trying the network."""
        return np.full((self.preprocessing.size,) * 2, 128, np.uint8)

    def cut(
        self, frame_bgr: NDArray[np.uint8], face: Face, crop: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Return what the network looks at: the aligned grey crop of a face, as it is."""
        return crop

    def resize(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a ready-made face crop, uint8 BGR (H, W, 3) or grey (H, W), to the same."""
        return self.preprocessing.resize(crop)

    def judge(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return calibrated probabilities float32 (N, 3) for aligned grey crops, uint8 (S, S)."""
        if not crops:
            return np.empty((0, 3), np.float32)
        logits = self._backend.logits_of_crops(np.stack(crops))
        return softmax(logits, self.checkpoint.temperature)

    def judge_emotions(
        self, inputs: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what `judge` does, and no emotions: float32 (N, 3) and (N, 0)."""
        return self.judge(inputs), np.empty((len(inputs), 0), np.float32)

    def warm_up(self) -> None:
        """Run the network for each usual batch, so that the first face is not a slow one."""
        self._backend.warm_up()


Model: TypeAlias = ValenceModel | EmotionModel


def load_model(
    folder: Path, device: str = "cpu", threads: int = 2, loaded: Mapping[str, Model] | None = None
) -> Model:
    """Load a model of either kind; its card says which. Its files are always verified.

    Args:
        folder: of the checkpoint.
        device: ``cpu`` or ``cuda:N``.
        threads: processor threads on a CPU.
        loaded: models by their key; one of them is returned if its files are the same.

    Raises:
        ModelError: if it is missing, damaged or does not fit.
    """
    load = load_emotion_card if is_emotion_network(folder) else load_checkpoint
    checkpoint = load(folder)
    found = loaded.get(key_of(checkpoint)) if loaded else None
    if found is not None:
        return found
    if isinstance(checkpoint, EmotionCard):
        return EmotionModel(checkpoint, device, threads)
    return ValenceModel(checkpoint, device, threads)


def key_of(checkpoint: Checkpoint | EmotionCard) -> str:
    """Return what tells the files of one checkpoint from those of any other."""
    if isinstance(checkpoint, EmotionCard):
        return checkpoint.key
    hashes = " ".join(f"{name}={digest}" for name, digest in sorted(checkpoint.files.items()))
    card = f"{checkpoint.temperature} {checkpoint.confidence_threshold} {checkpoint.preprocessing}"
    return f"{checkpoint.directory} {hashes} {card}"
