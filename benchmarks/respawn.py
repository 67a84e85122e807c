# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The reaction node killed and started again before a running camera, many times.

    python -m benchmarks.respawn [--kills 20] [--delay 0.2] [--only TRANSPORTS] [--output JSON]

Told is how long after the kill (SIGKILL) a listener in another process has the next answer. The
node is started ``--delay`` seconds after it, as the launch file does; the launch itself takes a
little more, because it notices the end first.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, reaction_node
from benchmarks.children import Child
from benchmarks.reaction_node import NODE, PROBE, START_S
from benchmarks.samples import summary
from benchmarks.transports import add_options, tell_each

BETWEEN_S = 6.0  # until Fast DDS has noticed the death before
PATIENCE_S = 20.0  # a process that hangs ends itself after 15 s


def measure(
    frames: Path, kills: int, delay: float, variables: dict[str, str]
) -> list[float | None]:
    """Return the seconds from each kill to the next answer; None where none came.

    Args:
        frames: what the camera shows, uint8 BGR (N, H, W, 3), see `write_frames`.
        kills: how many.
        delay: from a kill to the next start, seconds.
        variables: of the environment.

    Raises:
        ChildError: nothing arrived before the first kill, or the listener ended.
    """
    environment = {**reaction_node.private_domain(), **variables}
    probe = [sys.executable, PROBE]
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(contextlib.closing(Child([*probe, "listen"], environment)))
        camera = [*probe, "camera", "--frames", frames, "--rate", str(reaction_node.RATE_HZ)]
        stack.enter_context(contextlib.closing(Child(camera, environment))).answer(START_S)
        listener.answer(START_S)
        node = Child(NODE, environment)
        found: list[float | None] = []
        try:
            listener.answer(START_S)
            for _ in range(kills):
                time.sleep(BETWEEN_S)
                os.kill(node.pid, signal.SIGKILL)
                killed = time.monotonic()
                node.terminate()
                time.sleep(max(0.0, killed + delay - time.monotonic()))
                listener.answers()  # those of the dead one
                node = Child(NODE, environment)
                found.append(_next(listener, killed))
                machine.say("no answer" if found[-1] is None else f"{found[-1]:.2f} s")
        finally:
            node.terminate()
    return found


def _next(listener: Child, since: float) -> float | None:
    """Return the seconds until the next answer."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if answers := listener.answers():
            return float(answers[0]["arrived"] - since)
        time.sleep(0.01)
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="The reaction node killed and started again.")
    parser.add_argument("--kills", type=int, default=20, help="by each transports")
    parser.add_argument("--delay", type=float, default=0.2, help="until the next start, s")
    add_options(parser)
    chosen = parser.parse_args(arguments)
    return tell_each(
        chosen, (640, 480), {"kills": chosen.kills, "delay_s": chosen.delay},
        lambda frames, variables: _told(measure(frames, chosen.kills, chosen.delay, variables)),
    )  # fmt: skip


def _told(seconds: list[float | None]) -> dict[str, Any]:
    answered = [value for value in seconds if value is not None]
    return {
        "seconds": [value if value is None else round(value, 2) for value in seconds],
        "unanswered": len(seconds) - len(answered),
        "within_3_s": sum(value <= 3.0 for value in answered) / len(seconds),
        **(summary(answered) if answered else {}),
    }


if __name__ == "__main__":
    sys.exit(main())
