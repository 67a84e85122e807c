# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The pipeline and its peers on the same frames, in turns."""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import children, peers
from benchmarks.children import Child, ChildError
from benchmarks.machine import memory_mb
from benchmarks.samples import summary

WORKERS = Path(__file__).absolute().parent / "workers"
START_S, FRAME_S = 120.0, 10.0
THREADS = (2, 1)
BLOCK = 16  # frames that one contender judges before it is the next one's turn


@dataclass(frozen=True)
class Contender:
    """One way to judge a frame.

    Attributes:
        name: for the report.
        worker: script under workers/.
        threads: processor threads it may use.
        min_face_size: side of the smallest face it looks for, pixels.
        peer: whose environment it runs in; None is this one.
        options: more of them, for the worker.
        device: where its networks run.
        cpu_only: whether it can use nothing else.
    """

    name: str
    worker: str
    threads: int
    min_face_size: int
    peer: peers.Peer | None = None
    options: tuple[str, ...] = ()
    device: str = "cpu"
    cpu_only: bool = False


OURS = (
    Contender("emotion_perception", "ours_worker.py", THREADS[0], 40),
    Contender("emotion_perception", "ours_worker.py", THREADS[1], 40),
)
PEERS = (
    Contender("MTCNN + facial-emotion-recognition", "facenet_worker.py", 2, 20, peers.FACENET),
    Contender("MTCNN + facial-emotion-recognition", "facenet_worker.py", 2, 40, peers.FACENET),
    Contender(
        "MTCNN + EfficientNet-B0 at 224 (random weights)", "facenet_worker.py", 2, 40,
        peers.EFFICIENTNET, ("--network", "efficientnet_b0"),
    ),
    Contender("Haar cascade + fer", "fer_worker.py", 2, 50, peers.FER, cpu_only=True),
    Contender(
        "MTCNN + fer", "fer_worker.py", 2, 20, peers.FER_MTCNN, ("--detector", "mtcnn"),
        cpu_only=True,
    ),
)  # fmt: skip


def on(device: str, contenders: tuple[Contender, ...]) -> tuple[Contender, ...]:
    """Put all that can use it on a device; the number of threads makes no difference on a GPU."""
    moved = [
        contender if contender.cpu_only else replace(contender, device=device)
        for contender in contenders
    ]
    if device == "cpu":
        return tuple(moved)
    return tuple(c for c in moved if c.device == "cpu" or c.threads == max(THREADS))


def compare(
    contenders: tuple[Contender, ...],
    frames_file: Path,
    frames: int,
    passes: int,
    say: Callable[[str], None],
    obstacle: str | None = None,
) -> list[dict[str, Any]]:
    """Let the contenders judge all frames in turns, a block of frames each.

    Args:
        contenders: the first one is what ratios refer to.
        frames_file: see `clip.write_frames`.
        frames: number of frames in it.
        passes: how often all frames are judged.
        say: told what happens.
        obstacle: why those that want a GPU can't have one.

    Returns:
        One entry a contender; with ``error`` where it can't run.
    """
    workers: dict[Contender, Child] = {}
    entries: dict[Contender, dict[str, Any]] = {}
    judged: defaultdict[Contender, list[list[dict[str, Any]]]] = defaultdict(list)
    try:
        for contender in contenders:
            entry = entries[contender] = {
                "name": contender.name,
                "threads": contender.threads,
                "min_face_size": contender.min_face_size,
                "device": contender.device,
                "peer": contender.peer is not None,
            }
            try:
                if obstacle is not None and contender.device != "cpu":
                    raise ChildError(obstacle)
                workers[contender] = _start(contender, frames_file)
                entry |= workers[contender].answer(START_S)
                entry["start_s"] = round(time.monotonic() - workers[contender].started_at, 2)
            except (ChildError, peers.PeerError) as error:
                _give_up(contender, error, workers, entries, say)
        for number in range(passes):
            say(f"pipeline: pass {number + 1} of {passes}")
            for start in range(0, frames, BLOCK):
                stop = min(start + BLOCK, frames)
                for contender, worker in list(workers.items()):
                    try:
                        answer = worker.ask([start, stop], FRAME_S * (stop - start + 1))
                        judged[contender].append(answer)
                    except ChildError as error:
                        _give_up(contender, error, workers, entries, say)
        for contender, worker in workers.items():
            memory = {name: round(mb, 1) for name, mb in memory_mb(worker.pid).items()}
            entries[contender] |= {**_figures(judged[contender]), **memory}
    finally:
        for worker in workers.values():
            worker.close()
    _add_ratios(list(entries.values()))
    return list(entries.values())


def _start(contender: Contender, frames_file: Path) -> Child:
    ours = contender.peer is None
    python = sys.executable if contender.peer is None else peers.install(contender.peer)
    threads = {"OMP_NUM_THREADS": str(contender.threads)}
    variables: Mapping[str, str] = (
        children.environment(**threads)
        if ours
        else peers.environment(contender.threads, contender.device)
    )
    options = ["--threads", contender.threads, "--min-face-size", contender.min_face_size,
               "--device", contender.device, *contender.options]  # fmt: skip
    return Child([python, WORKERS / contender.worker, frames_file, *map(str, options)], variables)


def _give_up(
    contender: Contender,
    error: Exception,
    workers: dict[Contender, Child],
    entries: dict[Contender, dict[str, Any]],
    say: Callable[[str], None],
) -> None:
    say(f"{contender.name} can't run: {error}")
    entries[contender]["error"] = str(error)
    worker = workers.pop(contender, None)
    if worker is not None:
        worker.close()


def _figures(blocks: list[list[dict[str, Any]]]) -> dict[str, Any]:
    frames = [frame for block in blocks for frame in block]
    stages: defaultdict[str, list[float]] = defaultdict(list)
    for frame in frames:
        for stage, ms in frame["stages"].items():
            stages[stage].append(ms)
        stages["rest"].append(frame["ms"] - sum(frame["stages"].values()))
    ms = [frame["ms"] for frame in frames]
    return {
        "ms": summary(ms),
        "frames_per_s": round(1e3 / float(np.mean(ms)), 1),
        "stages_ms": {stage: summary(values) for stage, values in stages.items()},
        "faces_per_frame": _count(str(len(frame["says"])) for frame in frames),
        "says_of_main_face": _count(frame["says"][0] for frame in frames if frame["says"]),
        "block_medians_ms": [
            round(float(np.median([frame["ms"] for frame in block])), 3) for block in blocks
        ],
        "samples_ms": [round(value, 3) for value in ms],
    }


def _count(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _add_ratios(entries: list[dict[str, Any]]) -> None:
    """Say how many times as long as the first entry the others take, overall and by block."""
    first = entries[0]
    for entry in entries[1:]:
        if "ms" not in entry or "ms" not in first:
            continue
        blocks = np.divide(entry["block_medians_ms"], first["block_medians_ms"])
        entry["times_as_long"] = {
            "median": round(entry["ms"]["median"] / first["ms"]["median"], 2),
            "mean": round(entry["ms"]["mean"] / first["ms"]["mean"], 2),
            "least_block": round(float(blocks.min()), 2),
            "greatest_block": round(float(blocks.max()), 2),
        }
