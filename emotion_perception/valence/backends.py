# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Running the valence network: ONNX Runtime on a CPU, torch on a GPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emotion_perception.device import fast_integers
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.team import team
from emotion_perception.valence.checkpoint import Checkpoint
from emotion_perception.valence.labels import CLASSES
from emotion_perception.valence.torch_backend import TorchBackend, load_network

__all__ = ["Backend", "OnnxBackend", "TorchBackend", "cpu_backend", "load_network"]


class Backend(Protocol):
    """What runs the network of a checkpoint."""

    device: str

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, 3) for standardised grey crops, float32 (N, 1, S, S)."""
        ...

    def logits_of_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits (N, 3) for grey crops, uint8 (N, S, S)."""
        ...

    def warm_up(self) -> None:
        """Run each usual batch until all is allocated and compiled."""
        ...


def cpu_backend(checkpoint: Checkpoint, threads: int = 2) -> OnnxBackend:
    """Return what a robot runs: integers where there are any and the processor is fast at them."""
    return OnnxBackend(checkpoint, threads, checkpoint.int8_file if fast_integers() else None)


class OnnxBackend:
    """ONNX Runtime on the CPU; torch is not imported.

    Args:
        checkpoint: the weights.
        threads: that share a batch.
        file: the network, if not the one of floats.

    Raises:
        ModelError: if the network cannot be used.
    """

    device = "cpu"

    def __init__(self, checkpoint: Checkpoint, threads: int = 2, file: Path | None = None) -> None:
        import onnxruntime

        file = file or checkpoint.onnx_file
        check_network_file(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._team = team(threads)
        self._preprocessing = checkpoint.preprocessing
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class of their own
            raise ModelError(f"{file}: not a usable ONNX network: {error}") from error
        size = checkpoint.preprocessing.size
        for what, told, name, wanted in (
            ("input", self._session.get_inputs(), "crops", [1, size, size]),
            ("output", self._session.get_outputs(), None, [len(CLASSES)]),
        ):
            if (
                len(told) != 1
                or told[0].type != "tensor(float)"
                or name not in (None, told[0].name)
            ):
                found = ", ".join(f"{one.name} {one.type}" for one in told)
                raise ModelError(
                    f"{file}: its {what} is {found}, expected one tensor(float)"
                    + (f" called {name}" if name else "")
                )
            if list(told[0].shape[1:]) != wanted:
                raise ModelError(
                    f"{file}: its {what} is {told[0].shape}, the card says {['N', *wanted]}"
                )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, 3) for standardised grey crops, float32 (N, 1, S, S)."""
        share = max(1, -(-len(batch) // self._team.threads))
        parts = [batch[start : start + share] for start in range(0, max(len(batch), 1), share)]
        found = self._team.run([partial(self._run, part) for part in parts])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def logits_of_crops(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits (N, 3) for grey crops, uint8 (N, S, S)."""
        return self.logits(self._preprocessing.batch(list(crops)))

    def warm_up(self) -> None:
        """Run one crop, and as many as there are threads."""
        size = self._preprocessing.size
        for count in (1, self._team.threads):
            self.logits(np.zeros((count, 1, size, size), np.float32))

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(None, {"crops": batch})[0]
        return result
