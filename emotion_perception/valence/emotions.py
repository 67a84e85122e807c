# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Running other people's networks: discrete emotions, and the valence that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.team import team
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.emotion_card import EmotionCard, valence_of

_LEAST: Final = 1e-12
"""Of a probability whose logarithm is taken."""


class EmotionModel:
    """Judges faces by somebody else's network, with the surface of `ValenceModel`.

    Args:
        checkpoint: verified card.
        device: ``cpu`` or ``cuda:N``; see `EmotionNetwork`.
        threads: processor threads on a CPU.

    Attributes:
        checkpoint: what the card says.
        preprocessing: of the grey crops by which faces are followed, not of the network's input.
        emotion_names: its emotions, in the order of its outputs.

    Raises:
        ModelError: if the network does not fit its card.
    """

    def __init__(self, checkpoint: EmotionCard, device: str = "cpu", threads: int = 2) -> None:
        self.checkpoint = checkpoint
        self.preprocessing: FacePreprocessing = checkpoint.preprocessing
        self.emotion_names = checkpoint.classes
        self._network = EmotionNetwork(checkpoint, checkpoint.onnx_file, device, threads)
        self._threads = threads
        found = output_kind(self._network.trial())
        if found != checkpoint.output:
            raise ModelError(
                f"{checkpoint.onnx_file}: its outputs look like {found}, the card says "
                f"{checkpoint.output}"
            )

    @property
    def model_id(self) -> str:
        """Name, version and the start of the weights' hash."""
        return self.checkpoint.model_id

    @property
    def key(self) -> str:
        """The same for two models exactly if their weights and all their cards say are."""
        return self.checkpoint.key

    @property
    def blank(self) -> NDArray[np.uint8]:
        """An input without a face, for trying the network."""
        return self.checkpoint.input.blank

    def cut(
        self, frame_bgr: NDArray[np.uint8], face: Face, crop: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Return what the network looks at: a face in its size, colours and framing.

        Args:
            frame_bgr: uint8 BGR (H, W, 3).
            face: found in it.
            crop: its aligned grey crop, which this network does not use.

        Returns:
            uint8 BGR (S, S, 3), or grey (S, S) for a grey network.
        """
        wanted = self.checkpoint.input
        return wanted.framing.cut(frame_bgr, face, wanted.size, wanted.colour == "grey")

    def resize(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a ready-made face crop, uint8 BGR (H, W, 3) or grey (H, W), to the same."""
        return self.checkpoint.input.resize(crop)

    def judge(self, inputs: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return probabilities of the valence classes, float32 (N, 3), for what `cut` returns."""
        return self.judge_emotions(inputs)[0]

    def judge_emotions(
        self, inputs: Sequence[NDArray[np.uint8]]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Judge faces.

        Args:
            inputs: what `cut` or `resize` returns.

        Returns:
            Probabilities of the valence classes, float32 (N, 3), and of the emotions, float32
            (N, K) in the order of `emotion_names`.
        """
        card = self.checkpoint
        outputs = self._network.run(card.input.batch(inputs))
        if card.output == "probabilities":
            outputs = np.log(np.maximum(outputs, _LEAST))
        emotions = softmax(outputs, card.temperature)
        return valence_of(emotions, card.classes), emotions

    def warm_up(self) -> None:
        """Run one face, and as many as there are threads."""
        for count in (1, self._threads):
            self.judge([self.blank] * count)


class EmotionNetwork:
    """The network of a card in ONNX Runtime.

    Args:
        card: what it should be.
        file: the network.
        device: ``cpu`` or ``cuda:N``. It runs on a GPU only where ONNX Runtime was installed with
            CUDA, else on the CPU.
        threads: that share a batch on the CPU.

    Raises:
        ModelError: if it cannot be used, or is not what the card says.
    """

    def __init__(
        self, card: EmotionCard, file: Path, device: str = "cpu", threads: int = 2
    ) -> None:
        import onnxruntime

        check_network_file(file)
        self._card, self._file = card, file
        self._team = team(threads)
        self._threads = threads
        providers: list[Any] = ["CPUExecutionProvider"]
        if device != "cpu" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            index = int(device.partition(":")[2] or 0)
            providers.insert(0, ("CUDAExecutionProvider", {"device_id": index}))
            self._threads = 1  # a whole batch at once
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        except Exception as error:  # its exceptions share no base class of their own
            raise ModelError(f"{file}: not a usable ONNX network: {_line(error)}") from error
        self._name, self._one_by_one = self._check_input()

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the outputs float32 (N, K) for a batch as `NetworkInput.batch` makes it."""
        if not len(batch):
            return np.empty((0, len(self._card.classes)), np.float32)
        share = 1 if self._one_by_one else -(-len(batch) // self._threads)
        parts = [batch[start : start + share] for start in range(0, len(batch), share)]
        return np.concatenate(self._team.run([partial(self._run, part) for part in parts]))

    def trial(self) -> NDArray[np.float32]:
        """Return what it says of two images without a face, float32 (2, K).

        Raises:
            ModelError: if it cannot run, or says something else than one number for each class.
        """
        file, classes, wanted = self._file, self._card.classes, self._card.input
        shape = wanted.blank.shape
        shaded = np.linspace(0, 255, shape[0]).reshape(-1, *[1] * (len(shape) - 1))
        images = [
            np.broadcast_to(shaded, shape).astype(np.uint8),
            np.random.default_rng(0).integers(0, 256, shape, np.uint8),
        ]
        try:
            told = [self._run(wanted.batch([image])) for image in images]
        except Exception as error:
            raise ModelError(f"{file}: cannot run: {_line(error)}") from error
        found = told[0].shape
        if len(found) != 2 or found[0] != 1:
            raise ModelError(
                f"{file}: its output has the shape {list(found)}, expected [N, {len(classes)}]"
            )
        if found[1] != len(classes):
            raise ModelError(
                f"{file}: its output has {found[1]} values, the card names {len(classes)} classes"
            )
        answers = np.concatenate(told)
        if not np.isfinite(answers).all():
            raise ModelError(f"{file}: its answers are not numbers")
        return answers

    def _run(self, part: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self._session.run(None, {self._name: part})[0], np.float32)

    def _check_input(self) -> tuple[str, bool]:
        """Return the name of the input, and whether it takes one face at a time only."""
        file, wanted = self._file, self._card.input
        found = {"input": self._session.get_inputs(), "output": self._session.get_outputs()}
        for what, several in found.items():
            if len(several) != 1:
                names = ", ".join(one.name for one in several)
                raise ModelError(f"{file}: expected one {what}, it has {len(several)}: {names}")
        own = found["input"][0]
        if wanted.name and own.name != wanted.name:
            raise ModelError(
                f"{file}: its input is called {own.name!r}, the card says {wanted.name!r}"
            )
        if own.type != "tensor(float)":
            raise ModelError(f"{file}: its input is {own.type}, expected tensor(float)")
        # A name in place of a number is a size that may vary.
        fits = len(own.shape) == 4 and all(
            size == expected or not isinstance(size, int)
            for size, expected in zip(own.shape[1:], wanted.shape, strict=True)
        )
        if not fits or (isinstance(own.shape[0], int) and own.shape[0] != 1):
            raise ModelError(
                f"{file}: its input is {own.shape}, the card says {['N', *wanted.shape]} "
                f"({wanted.layout})"
            )
        return own.name, isinstance(own.shape[0], int)


def output_kind(outputs: NDArray[np.float32]) -> str:
    """Tell by outputs (N, K) of several images whether the softmax is part of the network.

    Returns:
        ``probabilities`` if all rows lie between 0 and 1 and sum to 1, else ``logits``.
    """
    inside = (outputs >= -1e-4).all() and (outputs <= 1 + 1e-4).all()
    sums = np.abs(outputs.sum(axis=1) - 1).max() < 1e-3
    return "probabilities" if inside and sums else "logits"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
