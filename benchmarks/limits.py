# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the work of a frame takes at least: operations and bytes are counted, not measured.

While the clip is played as a film, every run of a network in ONNX Runtime is noted with the shape
of its input, and its multiply-accumulates are added up from the graph. Two rates of this machine
turn them into time: how many it does a second where it is at its best here (the valence network on
16 crops), and how fast it copies a frame. What a frame takes beyond that goes into resizing,
cropping, looking after threads, and Python.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL, ReactionPipeline
from emotion_perception.valence.backends import cpu_backend
from emotion_perception.valence.checkpoint import load_checkpoint

RATE_HZ = 30.0
THREADS = 2
PEAK_BATCH = 16
NAMES = {
    "pnet": "P-Net", "rnet": "R-Net", "onet": "O-Net", "model": "valence network",
    "model.int8": "valence network",
}  # fmt: skip
"""By the names of their files."""


class LimitsError(RuntimeError):
    """The graphs can't be read here."""


@cache
def multiply_accumulates(file: Path, shape: tuple[int, ...]) -> int:
    """Count the multiply-accumulates of a network's convolutions and dense layers.

    Args:
        file: ONNX file.
        shape: of its one input.

    Raises:
        LimitsError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise LimitsError(f"onnx is needed to read the networks: {error}") from error
    model = onnx.load(str(file))
    for axis, length in zip(model.graph.input[0].type.tensor_type.shape.dim, shape, strict=True):
        axis.dim_value = length
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")  # it has names where lengths are known now
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    sizes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    weights = {weight.name: list(weight.dims) for weight in graph.initializer}
    for node in graph.node:  # weights in integers
        if node.op_type == "DequantizeLinear" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            # Weights are (outputs, inputs of a group, height, width).
            each = int(np.prod(weights[node.input[1]][1:]))
        elif node.op_type == "Gemm":
            transposed = any(item.name == "transB" and item.i for item in node.attribute)
            each = weights[node.input[1]][1 if transposed else 0]
        else:
            continue
        total += int(np.prod(sizes[node.output[0]])) * each
    return total


@contextlib.contextmanager
def noted_runs() -> Iterator[list[tuple[Path, tuple[int, ...]]]]:
    """Note file and input shape of every run of ONNX Runtime, in whatever thread."""
    noted: list[tuple[Path, tuple[int, ...]]] = []
    lock = threading.Lock()
    original = onnxruntime.InferenceSession.run

    def run(session: Any, outputs: Any, inputs: dict[str, Any], *more: Any) -> Any:
        [pixels] = inputs.values()
        with lock:
            noted.append((Path(session._model_path), pixels.shape))
        return original(session, outputs, inputs, *more)

    onnxruntime.InferenceSession.run = run
    try:
        yield noted
    finally:
        onnxruntime.InferenceSession.run = original


def work(noted: Sequence[tuple[Path, tuple[int, ...]]], frames: int) -> list[dict[str, Any]]:
    """Sum up noted runs by network, for one frame of so many."""
    rows = []
    for file in dict.fromkeys(file for file, _ in noted):
        shapes = [shape for other, shape in noted if other == file]
        total = sum(multiply_accumulates(file, shape) for shape in shapes)
        inputs = sum(shape[0] for shape in shapes)
        rows.append({
            "network": NAMES.get(file.stem, file.stem),
            "inputs_per_frame": round(inputs / frames, 3),
            "macs_per_input": round(total / inputs),
            "macs_per_frame": round(total / frames),
        })  # fmt: skip
    return sorted(rows, key=lambda row: list(NAMES.values()).index(row["network"]))


def measure(frames: Path, runs: int) -> dict[str, Any]:
    """Count the work of a clip as a film, and measure the two rates.

    Args:
        frames: see `clip.write_frames`.
        runs: of what is timed.

    Raises:
        LimitsError: the graphs can't be read here.
    """
    clip = np.load(frames, mmap_mode="r")
    pipeline = ReactionPipeline(threads=THREADS)
    pipeline.warm_up()
    with noted_runs() as noted:
        pipeline.run(clip[0], 0.0)
        first = list(noted)
        noted.clear()
        for number, frame in enumerate(clip[1:], 1):
            pipeline.run(frame, number / RATE_HZ)
        pipeline.reset()  # nothing more is under way
        film = list(noted)
    frame = np.array(clip[0])
    rate, copied = _peak(runs), _copy_rate(frame, runs)
    found: dict[str, Any] = {
        "frames": len(clip),
        "threads": THREADS,
        "peak_macs_per_s": round(rate),
        "frame_bytes": frame.nbytes,
        "copy_bytes_per_s": round(copied),
        "copy_ms": round(1e3 * frame.nbytes / copied, 4),
    }
    for name, runs_noted, count in (("film", film, len(clip) - 1), ("first", first, 1)):
        networks = work(runs_noted, count)
        macs = sum(row["macs_per_frame"] for row in networks)
        found[name] = {
            "networks": networks,
            "macs_per_frame": macs,
            "least_ms": round(1e3 * macs / rate + found["copy_ms"], 3),
        }
    return found


def _peak(runs: int) -> float:
    """Return the multiply-accumulates a second of the valence network on a batch."""
    checkpoint = load_checkpoint(find_model(BASE_MODEL))
    size = checkpoint.preprocessing.size
    backend = cpu_backend(checkpoint, THREADS)
    crops = np.zeros((PEAK_BATCH, 1, size, size), np.float32)
    work_of_one = multiply_accumulates(checkpoint.onnx_file, (1, *crops.shape[1:]))
    return PEAK_BATCH * work_of_one / _least_s(lambda: backend.logits(crops), runs)


def _copy_rate(frame: Any, runs: int) -> float:
    """Return how many bytes of a frame are copied a second."""
    target = np.empty_like(frame)
    return float(frame.nbytes / _least_s(lambda: np.copyto(target, frame), runs))


def _least_s(job: Any, runs: int) -> float:
    """Return the least seconds that a job takes: a limit is what can be had at best."""
    times = []
    for _ in range(runs + 3):
        before = time.perf_counter()
        job()
        times.append(time.perf_counter() - before)
    return float(min(times[3:]))
