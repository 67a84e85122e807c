"""The valence network alone."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.samples import summary
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.checkpoint import load_checkpoint

THREADS = (2, 1)
BATCHES = (1, 16)


def measure(rounds: int, runs: int) -> dict[str, Any]:
    """Time ONNX Runtime on one crop and on 16, with both numbers of threads in turns.

    Args:
        rounds: how often each gets its turn.
        runs: of the network in a turn.
    """
    checkpoint = load_checkpoint(find_model(BASE_MODEL))
    size = checkpoint.preprocessing.size
    crops = np.random.default_rng(0).standard_normal((max(BATCHES), 1, size, size), np.float32)
    backends = {threads: OnnxBackend(checkpoint, threads) for threads in THREADS}
    cases = [(threads, batch) for batch in BATCHES for threads in THREADS]
    times: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    for _ in range(rounds):
        for threads, batch in cases:
            backends[threads].logits(crops[:batch])
            for _ in range(runs):
                before = time.perf_counter()
                backends[threads].logits(crops[:batch])
                times[threads, batch].append(1e3 * (time.perf_counter() - before))
    return {
        "model_id": checkpoint.model_id,
        "input": [1, size, size],
        "runs": [
            {
                "threads": threads,
                "crops": batch,
                "ms": summary(values, 4),
                "ms_per_crop": round(float(np.median(values)) / batch, 4),
            }
            for (threads, batch), values in times.items()
        ],
    }
