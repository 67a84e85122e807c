# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The valence network alone."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.samples import summary
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.valence.backends import Backend, OnnxBackend, TorchBackend
from emotion_perception.valence.checkpoint import Checkpoint, load_checkpoint

THREADS = (2, 1)
BATCHES = (1, 16)


class SpinningBackend:
    """The network with ONNX Runtime's own settings: its threads spin while they wait.

    That is faster, but takes other processes their processor, so the node does not do it.
    """

    device = "cpu"

    def __init__(self, checkpoint: Checkpoint, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            str(checkpoint.onnx_file), options, providers=["CPUExecutionProvider"]
        )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, 3) for crops (N, 1, S, S)."""
        result: NDArray[np.float32] = self._session.run(None, {"crops": batch})[0]
        return result


@dataclass(frozen=True)
class Kind:
    """A way to run the network; on a GPU threads make no difference."""

    device: str
    threads: int | None = None
    spins: bool = False

    def make(self, checkpoint: Checkpoint) -> Backend:
        """Load the network."""
        if self.threads is None:
            return TorchBackend(checkpoint, self.device)
        return (SpinningBackend if self.spins else OnnxBackend)(checkpoint, self.threads)


def measure(rounds: int, runs: int, device: str = "cpu") -> dict[str, Any]:
    """Time the network on one crop and on 16, with both numbers of threads in turns.

    Args:
        rounds: how often each gets its turn.
        runs: of the network in a turn.
        device: ``cpu`` for ONNX Runtime, ``cuda:N`` for torch; times there and back count.
    """
    checkpoint = load_checkpoint(find_model(BASE_MODEL))
    size = checkpoint.preprocessing.size
    crops = np.random.default_rng(0).standard_normal((max(BATCHES), 1, size, size), np.float32)
    kinds = [Kind(device)]
    if device == "cpu":
        kinds = [Kind(device, threads, spins) for spins in (False, True) for threads in THREADS]
    cases = [(kind, batch) for kind in kinds for batch in BATCHES]
    times: dict[tuple[Kind, int], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for kind in kinds:
            # Made anew for each turn: threads of an idle session that still spin would disturb.
            backend = kind.make(checkpoint)
            for batch in BATCHES:
                for _ in range(10):
                    backend.logits(crops[:batch])
                for _ in range(runs):
                    before = time.perf_counter()
                    backend.logits(crops[:batch])
                    elapsed = 1e3 * (time.perf_counter() - before)
                    times[kind, batch].append(elapsed)
            del backend
    return {
        "model_id": checkpoint.model_id,
        "input": [1, size, size],
        "runs": [
            {
                "device": kind.device,
                "threads": kind.threads,
                "spins": kind.spins,
                "crops": batch,
                "ms": summary(values, 4),
                "ms_per_crop": round(float(np.median(values)) / batch, 4),
            }
            for (kind, batch), values in times.items()
        ],
    }
