# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images from one process to another by the transports of Fast DDS, for minutes.

    python -m benchmarks.transports [--images 12000] [--rate 60] [--size 640x480] [--output JSON]

A camera publishes reliable raw images, a node that only echoes answers each, a third process
listens: nothing of this package but its message is measured. Told are, for each tenth of the time,
the share of the images that was answered and the median time from an image's stamp to its answer.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks import machine, reaction_node
from benchmarks.children import Child, ChildError
from emotion_perception.image.demo_clip import demo_frames
from emotion_perception.nodes.transports import VARIABLE, local, network

FORMAT = 1
RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
CONTENDERS = {
    "as it comes": {RANGE: "SUBNET", VARIABLE: "DEFAULT"},
    "LOCALHOST": {RANGE: "LOCALHOST", VARIABLE: network()},
    "LARGE_DATA": {RANGE: "SUBNET", VARIABLE: "LARGE_DATA"},
    "LARGE_DATA with room": {RANGE: "SUBNET", VARIABLE: local().replace("SHM", "LARGE_DATA")},
    "the default with room": {RANGE: "SUBNET", VARIABLE: network()},
    "shared memory with room": {RANGE: "SUBNET", VARIABLE: local()},
    "UDPv4": {RANGE: "SUBNET", VARIABLE: "UDPv4"},
}
PARTS = 10


def measure(
    frames: Path, images: int, rate: float, variables: dict[str, str]
) -> list[dict[str, Any]]:
    """Let images be answered; see above.

    Args:
        frames: what the camera shows, uint8 BGR (N, H, W, 3), see `write_frames`.
        images: that the camera sends meanwhile.
        rate: of the camera, Hz.
        variables: of the environment.

    Returns:
        For each tenth of the time: ``answered``, a share, and ``p50_ms``, None without answers.

    Raises:
        ChildError: a process ended or nothing arrived.
    """
    environment = {**reaction_node.private_domain(), **variables}
    probe = [sys.executable, reaction_node.PROBE]
    with contextlib.ExitStack() as stack:
        listener, camera, _ = (
            stack.enter_context(contextlib.closing(Child([*probe, *words], environment)))
            for words in (
                ["listen"], ["camera", "--frames", frames, "--rate", str(rate)], ["echo"]
            )
        )  # fmt: skip
        listener.answer(reaction_node.START_S)
        camera.answer(reaction_node.START_S)
        listener.answer(reaction_node.START_S)
        time.sleep(1.0)
        listener.answers()
        found, seconds = [], images / rate / PARTS
        for _ in range(PARTS):
            began = time.monotonic()
            time.sleep(seconds)
            latency = [message["latency_ms"] for message in listener.answers()]
            wanted = rate * (time.monotonic() - began)
            found.append({
                "answered": min(len(latency) / wanted, 1.0),
                "p50_ms": float(np.median(latency)) if latency else None,
            })  # fmt: skip
    return found


def write_frames(path: Path, width: int, height: int) -> None:
    """Write two seconds of the demo clip at a size."""
    shown = [cv2.resize(frame, (width, height)) for frame in list(demo_frames(30.0))[:60]]
    np.save(path, np.stack(shown))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every benchmark of transports is told."""
    parser.add_argument("--only", choices=CONTENDERS, action="append", help="one of them")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")


def tell_each(
    chosen: argparse.Namespace,
    size: tuple[int, int],
    about: Mapping[str, Any],
    measured: Callable[[Path, dict[str, str]], dict[str, Any]],
) -> int:
    """Measure by each of the transports, print, and write the result.

    Args:
        chosen: the options of `add_options`.
        size: of the camera's images, width and height.
        about: what else was chosen.
        measured: given the camera's frames and the variables of the environment.

    Returns:
        The exit status.
    """
    if (obstacle := reaction_node.missing()) is not None:
        print(obstacle, file=sys.stderr)
        return 1
    found: dict[str, Any] = {}
    others = machine.Others()
    with tempfile.TemporaryDirectory() as place:
        frames = Path(place) / "frames.npy"
        write_frames(frames, *size)
        for name in chosen.only or CONTENDERS:
            machine.say(name)
            variables = CONTENDERS[name]
            try:
                found[name] = {"variables": variables, **measured(frames, variables)}
            except ChildError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
    result = {
        "format": FORMAT, "source": machine.source(), "machine": machine.machine(),
        "versions": machine.versions(), **about, "contenders": found,
        "others_share": others.share(),
    }  # fmt: skip
    machine.tell(result, chosen.output)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description="Images by the transports of Fast DDS.")
    parser.add_argument("--images", type=int, default=12000, help="that each has to carry")
    parser.add_argument("--rate", type=float, default=60.0, help="of the camera, Hz")
    parser.add_argument("--size", default="640x480", help="of an image, pixels")
    add_options(parser)
    chosen = parser.parse_args(arguments)
    try:
        width, height = map(int, chosen.size.split("x"))
    except ValueError:
        parser.error(f"--size: expected WIDTHxHEIGHT, got {chosen.size}")
    return tell_each(
        chosen, (width, height),
        {"images": chosen.images, "rate_hz": chosen.rate, "size": [width, height]},
        lambda frames, variables: {
            "parts": measure(frames, chosen.images, chosen.rate, variables)
        },
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
