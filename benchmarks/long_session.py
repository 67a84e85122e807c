# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A recording of hours: the memory of `predict` over its course, and a kill in the middle.

    python -m benchmarks.long_session [--hours 2] [--every N] [--threads 2] [--clip FILE]
        [--output JSON]

The recording is that of the part `sessions` of `make bench`, repeated to the length asked for
without encoding it anew. It is judged twice. The first time nothing disturbs it: resident memory is
read each second, and its slope is that of a line through what lies between start and end. The
second time it is killed (SIGKILL, as by a power cut) when half of its parts are on disk, and
started again with the same command: how long until the next part is on disk, which holds 600
frames. Both tables must be the same, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import children, machine
from benchmarks.children import ChildError
from benchmarks.clip import write_frames
from benchmarks.processes import Running, resident_mb
from benchmarks.session_films import RATE_HZ, Film, encode, repeat
from benchmarks.sessions import frames_judged, predict_command
from emotion_perception.image.source import SourceError
from emotion_perception.sessions.predict import PART_FRAMES

FORMAT = 1
LOOK_EVERY_S = 1.0
AFTER_S = 60.0
"""What comes before is the start; of a short run its first quarter."""
END_S = 5.0
"""The parts become one table, and what sums it up is loaded."""
LEAST_READINGS = 10
LOOKED_FOR_S = 0.02
LONGEST_FRAME_S = 1.0


class Memory:
    """Reads the resident memory of a process each second; a context.

    Args:
        pid: of the process.

    Attributes:
        seconds: since the first reading.
        mb: what was read.
        peak_mb: its own high-water mark.
    """

    def __init__(self, pid: int) -> None:
        self.seconds: list[float] = []
        self.mb: list[float] = []
        self.peak_mb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> dict[str, Any]:
        """Return the most, the middle, and how it grew once the process was under way."""
        seconds, mb = np.array(self.seconds), np.array(self.mb)
        if not len(mb):
            return {"peak_mb": round(self.peak_mb, 1), "slope_mb_per_hour": None}
        start = min(AFTER_S, seconds[-1] / 4)
        middle = (seconds >= start) & (seconds <= seconds[-1] - END_S)
        slope = (
            np.polyfit(seconds[middle], mb[middle], 1)[0]
            if middle.sum() >= LEAST_READINGS
            else None
        )
        return {
            "peak_mb": round(self.peak_mb, 1),
            "median_mb": round(float(np.median(mb)), 1),
            "slope_mb_per_hour": None if slope is None else round(3600 * float(slope), 2),
            "slope_from_s": round(float(start), 1),
            "slope_to_s": round(float(seconds[-1]) - END_S, 1),
            "readings_mb": [round(value, 1) for value in self.mb],
        }

    def _look(self) -> None:
        began = time.monotonic()
        while not self._over.is_set():
            now = resident_mb(self._pid)
            if now:
                self.seconds.append(time.monotonic() - began)
                self.mb.append(now)
                self.peak_mb = max(self.peak_mb, resident_mb(self._pid, "VmHWM"))
            self._over.wait(LOOK_EVERY_S)


def measure(film: Film, threads: int, every: int, folder: Path) -> dict[str, Any]:
    """Judge a recording twice; see above.

    Raises:
        ChildError: `predict` failed, or did not judge every frame.
    """
    machine.say(f"a recording of {film.seconds / 3600:.2f} h, {film.frames} frames")
    undisturbed = _judge(film, folder / "undisturbed", threads, every)
    machine.say(f"judged at {undisturbed['times_real_time']:.1f} times real time")
    killed = _killed(film, folder / "killed", threads, every)
    names = [folder / place / f"{film.path.stem}.parquet" for place in ("undisturbed", "killed")]
    return {
        "seconds": round(film.seconds, 1), "frames": film.frames, "threads": threads,
        "every": every, "undisturbed": undisturbed, "killed": killed,
        "same_bytes": names[0].read_bytes() == names[1].read_bytes(),
    }  # fmt: skip


def _judge(film: Film, output: Path, threads: int, every: int) -> dict[str, Any]:
    with _start(film, output, threads, every) as running, Memory(running.pid) as memory:
        cost = running.finish(_limit(film))
    table = output / f"{film.path.stem}.parquet"
    frames, _ = frames_judged([table])
    expected = len(range(0, film.frames, every))
    if frames != expected:
        raise ChildError(f"judged {frames} of {expected} frames")
    return {
        "wall_s": round(cost.wall_s, 2),
        "a_part_takes_s": round(cost.wall_s * PART_FRAMES / frames, 2),
        "processor_s": round(cost.processor_s, 2),
        "times_real_time": round(film.seconds / cost.wall_s, 2),
        "table_mb": round(table.stat().st_size / 1e6, 2), "memory": memory.figures(),
    }  # fmt: skip


def _killed(film: Film, output: Path, threads: int, every: int) -> dict[str, Any]:
    judged = len(range(0, film.frames, every))
    half = max(1, judged // PART_FRAMES // 2)
    with _start(film, output, threads, every) as running:
        before = _wait_for_parts(running, output, half, _limit(film))
        running.kill()
        ended = _ended(running)
    machine.say(f"killed after {before} parts of {PART_FRAMES} frames")
    with _start(film, output, threads, every) as again, Memory(again.pid) as memory:
        _wait_for_parts(again, output, before + 1, _limit(film))
        went_on = time.monotonic() - again.started_at
        cost = again.finish(_limit(film))
    machine.say(f"the first part after it was on disk {went_on:.1f} s after the start")
    return {
        "parts_before": before, "killed_after_s": round(ended, 2),
        "next_part_after_s": round(went_on, 2),
        "rest_s": round(cost.wall_s, 2), "memory": memory.figures(),
    }  # fmt: skip


def _start(film: Film, output: Path, threads: int, every: int) -> Running:
    command = predict_command([film.path], output, threads=threads, every=every)
    return Running(command, children.environment(), film.path.parent)


def _limit(film: Film) -> float:
    return 300.0 + LONGEST_FRAME_S * film.frames


def _wait_for_parts(running: Running, output: Path, count: int, timeout: float) -> int:
    """Wait until so many parts are on disk; return how many there are.

    Raises:
        ChildError: the process ended, or it took too long.
    """
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        parts = len(list(output.glob(".*.parts/*.parquet")))
        if parts >= count:
            return parts
        if not resident_mb(running.pid):
            raise ChildError(f"predict ended with {parts} of {count} parts on disk")
        time.sleep(LOOKED_FOR_S)
    raise ChildError(f"not {count} parts within {timeout:g} s")


def _ended(running: Running) -> float:
    """Wait for a killed process; return how long it had run, seconds."""
    try:
        running.finish(LONGEST_FRAME_S * 10)
    except ChildError:
        return time.monotonic() - running.started_at
    raise ChildError("predict had ended before it was killed: give more --hours")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="A recording of hours, and a kill in the middle.")
    parser.add_argument("--hours", type=float, default=2.0, help="that the recording plays")
    parser.add_argument("--every", type=int, default=1, help="judge one of so many frames")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clip", type=Path, help="recording to repeat instead of the demo clip")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    chosen = parser.parse_args(arguments)
    least = 2 * PART_FRAMES * chosen.every / RATE_HZ
    if chosen.every < 1 or chosen.hours * 3600 < least:
        parser.error(f"--hours: expected {least / 3600:.3f} or more with --every {chosen.every}, "
                     "so that a part is on disk when it is killed")  # fmt: skip
    about = {
        "format": FORMAT, "source": machine.source(), "machine": machine.machine(),
        "versions": machine.versions(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            told = write_frames(folder / "frames.npy", chosen.clip, None)
            frames = np.load(folder / "frames.npy", mmap_mode="r")
            stretch = encode(folder / "stretch.mp4", frames)
            film = repeat(stretch, folder / "long.mp4", chosen.hours * 3600)
            found = measure(film, chosen.threads, chosen.every, folder)
        except (SourceError, ChildError) as error:
            print(error, file=sys.stderr)
            return 1
    result = {**about, "clip": told, **found}
    text = json.dumps(result, indent=1)
    if chosen.output is not None:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(text + "\n", encoding="utf-8")
    for run in ("undisturbed", "killed"):
        del result[run]["memory"]["readings_mb"]
    print(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
