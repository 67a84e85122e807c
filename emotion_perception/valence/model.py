"""A checkpoint that is loaded and ready to judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emotion_perception.valence.backends import Backend, TorchBackend, cpu_backend
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.checkpoint import Checkpoint


class ValenceModel:
    """Judges aligned face crops.

    Args:
        checkpoint: verified checkpoint.
        device: ``cpu`` or ``cuda:N``.
        threads: processor threads on a CPU.

    Raises:
        ModelError: if the network does not fit its card.
    """

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

    def judge(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return calibrated probabilities float32 (N, 3) for aligned grey crops, uint8 (S, S)."""
        if not crops:
            return np.empty((0, 3), np.float32)
        logits = self._backend.logits_of_crops(np.stack(crops))
        return softmax(logits, self.checkpoint.temperature)

    def warm_up(self) -> None:
        """Run the network for each usual batch, so that the first face is not a slow one."""
        self._backend.warm_up()


def key_of(checkpoint: Checkpoint) -> str:
    """Return what tells the files of one checkpoint from those of any other."""
    hashes = " ".join(f"{name}={digest}" for name, digest in sorted(checkpoint.files.items()))
    card = f"{checkpoint.temperature} {checkpoint.confidence_threshold} {checkpoint.preprocessing}"
    return f"{checkpoint.directory} {hashes} {card}"
