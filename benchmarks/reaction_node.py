# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The reaction node between a camera and a listener, beside a node that only echoes."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import children
from benchmarks.children import Child, ChildError
from benchmarks.machine import memory_mb
from benchmarks.samples import summary
from emotion_perception.nodes.transports import free_domain, local_variables

ROOT = Path(__file__).absolute().parents[1]
PROBE = ROOT / "benchmarks" / "workers" / "ros_probe.py"
RATE_HZ = 30.0
START_S = 60.0
SETTLE_S = 0.5
MEMORY_AFTER = 100  # frames
NODE = [sys.executable, ROOT / "bin" / "reaction_node", "--ros-args", "-p", "autostart:=true"]
ECHO = [sys.executable, PROBE, "echo"]


def missing() -> str | None:
    """Say why the node can't be measured here, or return None."""
    if importlib.util.find_spec("rclpy") is None:
        return "rclpy is not installed"
    if importlib.util.find_spec("emotion_perception.msg") is None:
        return "the package is not built: its messages are missing"
    return None


def measure(
    frames: Path, sessions: int, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Start the node and the echo in turns, each ``sessions`` times and once before unmeasured.

    Args:
        frames: what the camera shows, see `clip.write_frames`.
        sessions: how often each is started.
        seconds: time over which latency and processor share are measured.
        say: told what happens.

    Raises:
        ChildError: a process ended or nothing arrived.
    """
    variables = private_domain()
    found: dict[str, list[dict[str, Any]]] = {"node": [], "echo": []}
    camera_command = [sys.executable, PROBE, "camera", "--frames", frames, "--rate", str(RATE_HZ)]
    with (
        _running([sys.executable, PROBE, "listen"], variables) as listener,
        _running(camera_command, variables) as camera,
    ):
        for child in (listener, camera):
            child.answer(START_S)
        for number in range(-1, sessions):
            for what, command in (("node", NODE), ("echo", ECHO)):
                say(f"{what}: " + (f"{number + 1} of {sessions}" if number >= 0 else "warm-up"))
                window = seconds if number >= 0 else 0.5
                session = _session(command, variables, listener, window)
                if number >= 0:
                    found[what].append(session)
    return {
        "rate_hz": RATE_HZ,
        "seconds": seconds,
        "transports": variables["FASTDDS_BUILTIN_TRANSPORTS"],
        **{what: _figures(every, seconds) for what, every in found.items()},
    }


def private_domain() -> dict[str, str]:
    """Return an environment for processes that nobody else shall hear."""
    variables = children.environment(
        ROS_DOMAIN_ID=str(free_domain()),
        **local_variables(640 * 480 * 3),
    )
    for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER"):
        variables.pop(name, None)
    return variables


def _session(
    command: list[Any], variables: dict[str, str], listener: Child, seconds: float
) -> dict[str, Any]:
    """Start a node before a running camera, measure it, and end it."""
    time.sleep(SETTLE_S)
    listener.answers()  # forget what is left of the last one
    child = Child(command, variables)
    try:
        messages = [_first(listener, child)]
        while len(messages) < MEMORY_AFTER:
            messages.append(listener.answer(START_S))
        memory = memory_mb(child.pid)
        listener.answers()
        began, busy = time.monotonic(), processor_s(child.pid)
        time.sleep(seconds)
        busy = processor_s(child.pid) - busy
        took = time.monotonic() - began
        window = listener.answers()
        return {
            "start_s": messages[0]["arrived"] - child.started_at,
            "latencies_ms": [message["latency_ms"] for message in window],
            "faces": sum(message["face"] for message in window),
            "processor_share": busy / took,
            **memory,
        }
    finally:
        child.terminate()


def _first(listener: Child, child: Child) -> dict[str, Any]:
    """Wait for the first reaction."""
    try:
        answer: dict[str, Any] = listener.answer(START_S)
    except ChildError as error:
        child.answer(0.1)  # raises with what the node said
        raise ChildError(f"no reaction: {error}") from error
    return answer


def _figures(sessions: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """Put the sessions together."""
    latencies = [value for session in sessions for value in session["latencies_ms"]]
    figures: dict[str, Any] = {
        "latency_ms": summary(latencies),
        "frames_sent": round(RATE_HZ * seconds * len(sessions)),
        "frames_answered": len(latencies),
        "frames_with_face": sum(session["faces"] for session in sessions),
    }
    for name in ("start_s", "processor_share", "rss_mb", "pss_mb", "peak_rss_mb"):
        figures[name] = summary([session[name] for session in sessions])
    figures["samples_latency_ms"] = [round(value, 3) for value in latencies]
    return figures


def processor_s(pid: int) -> float:
    """Return the processor time that all threads of a process have used."""
    text = (Path("/proc") / str(pid) / "stat").read_text()
    words = text.rpartition(")")[2].split()  # the name before it may hold spaces
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _running(command: list[Any], variables: dict[str, str]) -> Iterator[Child]:
    child = Child(command, variables)
    try:
        yield child
    finally:
        child.close()
