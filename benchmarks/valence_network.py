"""The valence network alone."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.samples import summary
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.checkpoint import Checkpoint, load_checkpoint

THREADS = (2, 1)
BATCHES = (1, 16)


class SpinningBackend:
    """The network with ONNX Runtime's own settings: its threads spin while they wait.

    That is faster, but takes other processes their processor, so the node does not do it.
    """

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


def measure(rounds: int, runs: int) -> dict[str, Any]:
    """Time ONNX Runtime on one crop and on 16, with both numbers of threads in turns.

    Args:
        rounds: how often each gets its turn.
        runs: of the network in a turn.
    """
    checkpoint = load_checkpoint(find_model(BASE_MODEL))
    size = checkpoint.preprocessing.size
    crops = np.random.default_rng(0).standard_normal((max(BATCHES), 1, size, size), np.float32)
    kinds = [(threads, spins) for spins in (False, True) for threads in THREADS]
    cases = [(*kind, batch) for kind in kinds for batch in BATCHES]
    times: dict[tuple[int, bool, int], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for threads, spins in kinds:
            # Made anew for each turn: threads of an idle session that still spin would disturb.
            backend = (SpinningBackend if spins else OnnxBackend)(checkpoint, threads)
            for batch in BATCHES:
                for _ in range(10):
                    backend.logits(crops[:batch])
                for _ in range(runs):
                    before = time.perf_counter()
                    backend.logits(crops[:batch])
                    elapsed = 1e3 * (time.perf_counter() - before)
                    times[threads, spins, batch].append(elapsed)
            del backend
    return {
        "model_id": checkpoint.model_id,
        "input": [1, size, size],
        "runs": [
            {
                "threads": threads,
                "spins": spins,
                "crops": batch,
                "ms": summary(values, 4),
                "ms_per_crop": round(float(np.median(values)) / batch, 4),
            }
            for (threads, spins, batch), values in times.items()
        ],
    }
