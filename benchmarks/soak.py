# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The reaction node over an hour: does it keep its memory, its files and its latency?

    python -m benchmarks.soak [--minutes 60] [--rate 30] [--clip FILE] [--output JSON]

A camera shows the whole demo clip, in which faces come and go, over and over. Every message of the
node is timed, and every ten seconds its memory, threads and open files are read. The slope of the
memory is that of a line through what lies after the warm-up (a sixth of the time, ten minutes at
most), with the 95 % interval of such lines over blocks of a minute drawn anew. Latencies are told
minute by minute, those of the first after the warm-up and of the last beside each other.

In a run of five minutes and more the node is stopped three times in the midst of the warm-up, for
two seconds at most. What the middleware keeps for images that wait (a megabyte or two, which it
never gives back) is there then; else it would look like a leak when the machine stalls later.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, reaction_node
from benchmarks.children import Child, ChildError
from benchmarks.clip import write_frames
from benchmarks.processes import resident_mb
from emotion_perception.image.demo_clip import demo_frames
from emotion_perception.image.source import SourceError

FORMAT = 1
LOOK_EVERY_S = 10.0
WARM_UP_S = 600.0
STALLS_S = (0.2, 1.0, 2.0)
LEAST_FOR_STALLS_S = 300.0


def measure(frames: Path, seconds: float, rate: float) -> dict[str, Any]:
    """Let the node run; see above.

    Args:
        frames: what the camera shows, see `clip.write_frames`.
        seconds: for how long.
        rate: of the camera, Hz.

    Raises:
        ChildError: a process ended or nothing arrived.
    """
    variables = reaction_node.private_domain()
    probe = [sys.executable, reaction_node.PROBE]
    with contextlib.ExitStack() as stack:

        def started(command: Sequence[Any]) -> Child:
            child = Child(command, variables)
            stack.callback(child.close)
            return child

        listener = started([*probe, "listen", "--all"])
        camera = started([*probe, "camera", "--frames", frames, "--rate", rate])
        for child in (listener, camera):
            child.answer(reaction_node.START_S)
        node = Child(reaction_node.NODE, variables)
        stack.callback(node.terminate)
        listener.answer(reaction_node.START_S)
        return _watch(node, listener, seconds, rate)


def _watch(node: Child, listener: Child, seconds: float, rate: float) -> dict[str, Any]:
    began, processor = time.monotonic(), reaction_node.processor_s(node.pid)
    readings: list[dict[str, float]] = []
    messages: list[dict[str, Any]] = []
    warm_up = min(WARM_UP_S, seconds / 6)
    stalls = STALLS_S if seconds >= LEAST_FOR_STALLS_S else ()
    while (now := time.monotonic() - began) < seconds:
        if stalls and now > warm_up / 2:
            stall(node.pid, stalls)
            stalls = ()
        time.sleep(min(LOOK_EVERY_S, seconds - now))
        new = listener.answers()
        if not new:
            raise ChildError(f"nothing heard of the node for {LOOK_EVERY_S:g} s")
        messages += new
        process = Path(f"/proc/{node.pid}")
        readings.append({
            "s": time.monotonic() - began,
            "mb": resident_mb(node.pid),
            "files": len(list((process / "fd").iterdir())),
            "threads": len(list((process / "task").iterdir())),
        })  # fmt: skip
        if len(readings) % 6 == 0:
            machine.say(f"{now / 60 + 0.17:.0f} min: {readings[-1]['mb']:.1f} MB, "
                f"{readings[-1]['files']} files, {len(messages)} messages")  # fmt: skip
    processor = reaction_node.processor_s(node.pid) - processor
    took = time.monotonic() - began
    return {
        "seconds": took,
        "rate_hz": rate,
        "processor_share": processor / took,
        **figures(readings, messages, began, warm_up),
    }


def stall(pid: int, stalls: Sequence[float]) -> None:
    """Stop a process for so many seconds each time, with a second between."""
    for seconds in stalls:
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        time.sleep(1.0)


def figures(
    readings: Sequence[dict[str, float]], messages: Sequence[dict[str, Any]], began: float,
    warm_up: float,
) -> dict[str, Any]:  # fmt: skip
    """Sum up a run.

    Args:
        readings: of the process: ``s`` since the start, ``mb``, ``files``, ``threads``.
        messages: ``arrived`` on the same clock as ``began``, ``latency_ms``, ``looked``, ``face``.
        began: when the run began.
        warm_up: seconds that are left out of slopes, comparisons, pauses and ``not_looked``.
    """
    at = np.array([reading["s"] for reading in readings])
    mb = np.array([reading["mb"] for reading in readings])
    warm = at >= warm_up
    looked = [message for message in messages if message["looked"]]
    arrived = np.array([message["arrived"] - began for message in looked])
    latency = np.array([message["latency_ms"] for message in looked])
    measured = arrived[arrived >= warm_up]
    minutes = [
        {
            "minute": minute,
            "messages": int(inside.sum()),
            "p50_ms": float(np.percentile(latency[inside], 50)),
            "p99_ms": float(np.percentile(latency[inside], 99)),
            "max_ms": float(latency[inside].max()),
        }
        for minute in range(int(warm_up // 60), int(at[-1] // 60))
        if (inside := (arrived >= 60 * minute) & (arrived < 60 * (minute + 1))).any()
    ]
    return {
        "frames_answered": len(looked),
        "with_a_face": sum(bool(message["face"]) for message in looked),
        "not_looked": sum(
            not message["looked"] and message["arrived"] - began >= warm_up for message in messages
        ),
        "longest_pause_s": float(np.diff(measured).max()) if len(measured) > 1 else None,
        "warm_up_s": warm_up,
        "memory_mb": {
            "after_warm_up": float(mb[warm][0]),
            "at_the_end": float(mb[-1]),
            "most": float(mb.max()),
            **slope(at[warm], mb[warm]),
        },
        "files": {"least": int(min(_after(readings, "files", warm_up))),
                  "most": int(max(_after(readings, "files", warm_up)))},
        "threads": {"least": int(min(_after(readings, "threads", warm_up))),
                    "most": int(max(_after(readings, "threads", warm_up)))},
        "p99_last_minute_over_first": (
            minutes[-1]["p99_ms"] / minutes[0]["p99_ms"] if len(minutes) > 1 else None
        ),
        "minutes": minutes,
        "readings_mb": [round(float(value), 2) for value in mb],
    }  # fmt: skip


def slope(seconds: np.ndarray, mb: np.ndarray) -> dict[str, Any]:
    """Return the slope of a line through readings, MB an hour, with its 95 % interval.

    Readings that follow each other are alike, so the interval is that of lines through blocks of a
    minute, drawn anew a thousand times.
    """
    if len(mb) < 12:
        return {"slope_mb_per_hour": None, "interval": None}
    blocks = [np.flatnonzero(seconds // 60 == minute) for minute in np.unique(seconds // 60)]
    generator = np.random.default_rng(0)
    drawn = []
    for _ in range(1000):
        chosen = np.concatenate(
            [blocks[i] for i in generator.integers(0, len(blocks), len(blocks))]
        )
        if np.ptp(seconds[chosen]) > 0:
            drawn.append(3600 * np.polyfit(seconds[chosen], mb[chosen], 1)[0])
    return {
        "slope_mb_per_hour": float(3600 * np.polyfit(seconds, mb, 1)[0]),
        "interval": [float(value) for value in np.percentile(drawn, [2.5, 97.5])],
    }


def _write_frames(path: Path, clip: Path | None, rate: float) -> dict[str, Any]:
    """Write what the camera shows: all of the demo clip, at its own speed, or a recording."""
    if clip is not None:
        return write_frames(path, clip, None)
    stack = np.stack(list(demo_frames(rate)))
    np.save(path, stack)
    return {"name": "demo clip", "frames": len(stack)}


def _after(readings: Sequence[dict[str, float]], name: str, seconds: float) -> list[float]:
    return [reading[name] for reading in readings if reading["s"] >= seconds]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="The reaction node over an hour.")
    parser.add_argument("--minutes", type=float, default=60.0, help="that it runs")
    parser.add_argument("--rate", type=float, default=30.0, help="of the camera, Hz")
    parser.add_argument("--clip", type=Path, help="recording to show instead of the demo clip")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    chosen = parser.parse_args(arguments)
    if chosen.minutes < 0.5:
        parser.error("--minutes: expected at least 0.5")
    if (obstacle := reaction_node.missing()) is not None:
        print(obstacle, file=sys.stderr)
        return 1
    about = {
        "format": FORMAT, "source": machine.source(), "machine": machine.machine(),
        "versions": machine.versions(),
    }  # fmt: skip
    others = machine.Others()
    with tempfile.TemporaryDirectory() as place:
        frames = Path(place) / "frames.npy"
        try:
            told = _write_frames(frames, chosen.clip, chosen.rate)
            found = measure(frames, chosen.minutes * 60, chosen.rate)
        except (SourceError, ChildError) as error:
            print(error, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("interrupted: nothing measured", file=sys.stderr)
            return 130
    result = {**about, "clip": told, **found, "others_share": others.share()}
    machine.tell(result, chosen.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
