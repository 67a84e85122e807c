# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How the pipeline's time and memory grow with faces, with pixels and with cameras."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import children, films
from benchmarks.children import Child, ChildError
from benchmarks.machine import memory_mb
from benchmarks.samples import summary

WORKER = Path(__file__).absolute().parent / "workers" / "scaling_worker.py"
THREADS = 2
START_S, FRAME_S = 120.0, 5.0
LENGTH = 90
"""Frames of a film: three seconds."""


@dataclass(frozen=True)
class Case:
    """One point of a curve.

    Attributes:
        width: of the frames, pixels.
        height: of the frames, pixels.
        faces: in each frame.
        cameras: whose frames come in turns.
    """

    width: int = 640
    height: int = 480
    faces: int = 1
    cameras: int = 1


CURVES: dict[str, tuple[Case, ...]] = {
    "faces": tuple(Case(*films.CROWD_SIZE, faces=faces) for faces in (1, 2, 3, 5, 10)),
    "sizes": tuple(
        Case(width, height) for width, height in ((320, 240), (640, 480), (1280, 720), (1920, 1080))
    ),
    "cameras": tuple(Case(cameras=cameras) for cameras in (1, 2, 4, 8)),
}
QUICK = {name: cases[:2] for name, cases in CURVES.items()}


@dataclass
class _Running:
    """A case in work."""

    worker: Child
    films: list[dict[str, Any]] = field(default_factory=list)


def measure(
    curves: dict[str, tuple[Case, ...]],
    passes: int,
    length: int,
    device: str,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Let each case play its film in turns, so that other load meets all alike.

    Args:
        curves: what to measure.
        passes: films of each case.
        length: frames of a film.
        device: ``cpu`` or ``cuda:N``.
        say: told what happens.

    Returns:
        One entry a case under the name of each curve; with ``error`` where it can't run.
    """
    found: dict[str, Any] = {
        "device": device, "threads": THREADS, "rate_hz": films.RATE_HZ, "frames_per_film": length,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        for name, cases in curves.items():
            say(f"scaling: {name}")
            found[name] = _curve(name, cases, passes, length, device, Path(folder), say)
    return found


def _curve(
    name: str, cases: Sequence[Case], passes: int, length: int, device: str, folder: Path,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    running: dict[Case, _Running] = {}
    entries: dict[Case, dict[str, Any]] = {}
    try:
        for case in cases:
            entries[case] = {
                "faces": case.faces, "width": case.width, "height": case.height,
                "cameras": case.cameras,
            }  # fmt: skip
            command = [
                sys.executable, WORKER, _film(name, case, folder), "--device", device,
                "--threads", THREADS, "--cameras", case.cameras, "--length", length,
            ]  # fmt: skip
            variables = children.environment(OMP_NUM_THREADS=str(THREADS))
            worker = Child(list(map(str, command)), variables)
            running[case] = _Running(worker)
            try:
                entries[case] |= worker.answer(START_S)
            except ChildError as error:
                _give_up(case, error, running, entries, say)
        for _ in range(passes):
            for case in list(running):
                try:
                    answer = running[case].worker.ask([], FRAME_S * length * case.cameras)
                    running[case].films.append(answer)
                except ChildError as error:
                    _give_up(case, error, running, entries, say)
        for case, work in running.items():
            memory = memory_mb(work.worker.pid)
            entries[case] |= _figures(case, work.films)
            entries[case] |= {what: round(mb, 1) for what, mb in memory.items()}
    finally:
        for work in running.values():
            work.worker.close()
    return list(entries.values())


def _film(name: str, case: Case, folder: Path) -> Path:
    path = folder / f"{name}-{case.width}x{case.height}-{case.faces}.npy"
    if not path.exists():
        if name == "faces":
            films.write_crowd(path, case.faces)
        else:
            films.write_size(path, case.width, case.height)
    return path


def _give_up(
    case: Case, error: Exception, running: dict[Case, _Running],
    entries: dict[Case, dict[str, Any]], say: Callable[[str], None],
) -> None:  # fmt: skip
    say(f"{case} can't run: {error}")
    entries[case]["error"] = str(error)
    running.pop(case).worker.close()


def _figures(case: Case, played: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ms = [value for film in played for value in film["ms"]]
    counts = Counter(faces for film in played for faces in film["faces"])
    return {
        "ms": summary(ms),
        "frames_per_s": round(1e3 / float(np.mean(ms)), 1),
        "first_ms": summary([film["first_ms"] for film in played]),
        "search_ms": summary([value for film in played for value in film["search_ms"]]),
        "frames_by_faces": {str(faces): count for faces, count in sorted(counts.items())},
        "share_with_all_faces": round(counts[case.faces] / counts.total(), 4),
        "samples_ms": [round(value, 3) for value in ms],
    }
