# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The demonstration: a source of images, the reaction node and a display, each a process.

They talk ROS 2 among themselves only: on this machine, in a domain of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emotion_perception.nodes.transports import free_domain, local_variables

if TYPE_CHECKING:
    from rich.console import Console

    from emotion_perception.live_view import Progress
    from emotion_perception.nodes.processes import ChildProcess
    from emotion_perception.recording import VideoRecorder

_SOURCE_NODE = "emotion_perception.nodes.video_source_node"
_REACTION_NODE = "emotion_perception.nodes.reaction_node"

_PICTURES = 60
"""A folder with no more images than this holds pictures to look at, not frames of a film."""

_PICTURES_RATE = 1.0

# What would lead the nodes out of this machine.
_NETWORK_VARIABLES = ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER")


@dataclass(frozen=True)
class Source:
    """What is shown.

    Attributes:
        argument: for the video source node.
        name: for a person.
        fps: nominal frame rate in Hz, None when unknown.
        rate: frames a second to show instead of its own, or 0.
    """

    argument: str
    name: str
    fps: float | None
    rate: float = 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; an expected error is one line, not a traceback."""
    parser = argparse.ArgumentParser(
        prog="demo", description="Show how the person in a camera or recording reacts."
    )
    parser.add_argument(
        "--source", default="",
        help="webcam index, video, GIF, image, folder of images, or 'demo' for a generated clip; "
        "default: the first webcam that opens, else the clip",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"),
        help="folder for reactions.mp4, timeline.png and reactions.csv (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--domain-id", type=int, choices=range(233), metavar="0..232",
        help="ROS domain, for watching with ros2 topic echo; default: a free one",
    )  # fmt: skip
    parser.add_argument(
        "--duration", type=_seconds, default=float("inf"),
        help="end so many seconds after the first reaction; default: at the end, or Ctrl-C",
    )  # fmt: skip
    arguments = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # bars, in a terminal that knows letters only
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return 130
    except (RuntimeError, ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    # After the command line, so that --help and mistakes answer at once.
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    source = _choose_source(arguments.source, console)
    _check_writable(arguments.output)
    domain = free_domain() if arguments.domain_id is None else arguments.domain_id
    variables = _keep_to_this_machine(domain, arguments.output)
    told = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    console.print(f"To watch it with ros2 from another terminal: export {told}", style="dim")

    import rclpy

    from emotion_perception.live_view import Progress
    from emotion_perception.nodes.demo_client import DemoClient
    from emotion_perception.nodes.demo_session import Session
    from emotion_perception.nodes.processes import ChildProcess, stop_all
    from emotion_perception.recording import VideoRecorder

    progress = Progress(source.name)
    recorder = VideoRecorder(arguments.output, "reactions", min(max(source.fps or 30.0, 5.0), 60.0))
    source_arguments = [
        "--ros-args", "-p", f"source:={_yaml_string(source.argument)}",
        "-p", f"rate:={source.rate}", "-p", "linger:=0.5",
        "-p", "wait_for_subscriber:=true", "-p", "qos_depth:=10",
    ]  # fmt: skip
    hint = f"Ctrl-C ends   ROS_DOMAIN_ID={domain}"
    children: list[ChildProcess] = []
    with _interrupts() as interrupted:
        try:
            children.append(ChildProcess(_REACTION_NODE, []))
            children.append(ChildProcess(_SOURCE_NODE, source_arguments))
            rclpy.init(args=[], signal_handler_options=rclpy.SignalHandlerOptions.NO)
            client = DemoClient(progress, recorder)
            Session(console, client, progress, children[0], children[1], hint).run(
                arguments.duration, interrupted
            )
        finally:
            stop_all(children)
            rclpy.try_shutdown()
            _finish(console, arguments.output, progress, recorder)
        return 130 if interrupted() and not progress.samples else 0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"expected more than 0 seconds, got {text}")
    return seconds


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PermissionError(
            f"can't write to {folder} ({error.strerror}); choose another folder with --output"
        ) from None


def _choose_source(wanted: str, console: Console) -> Source:
    """Open the wanted source once, so that a mistake is known before anything starts."""
    from emotion_perception.image.playback import DEMO_SOURCE, open_any_source
    from emotion_perception.image.source import first_webcam

    why = "as asked for"
    if not wanted:
        webcam = first_webcam()
        wanted, why = (
            (DEMO_SOURCE, "no webcam opens here")
            if webcam is None
            else (str(webcam), "the first that opens")
        )
    with open_any_source(wanted) as source:
        console.print(f"source: {source.name} ({why})", markup=False)
        pictures = Path(wanted).is_dir() and (source.frame_count or 0) <= _PICTURES
        return Source(
            argument=wanted,
            name=source.name,
            fps=source.fps,
            rate=_PICTURES_RATE if pictures else 0.0,
        )


def _keep_to_this_machine(domain: int, output: Path) -> dict[str, str]:
    """Set this process and its children apart from any robot on the network.

    Returns:
        The variables with which others on this machine hear them.
    """
    for variable in _NETWORK_VARIABLES:
        os.environ.pop(variable, None)
    variables = {"ROS_DOMAIN_ID": str(domain), **local_variables()}
    os.environ.update(variables)
    if not {"ROS_LOG_DIR", "ROS_HOME"} & os.environ.keys():
        try:
            (Path.home() / ".ros" / "log").mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # ROS would not start without its logs
            os.environ["ROS_LOG_DIR"] = str((output / "log").absolute())
    return variables


def _yaml_string(text: str) -> str:
    """Quote a string so that the parameter parser takes it for one, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether the user wants to end; nothing is interrupted midway."""
    wanted = False

    def note(*_: object) -> None:
        nonlocal wanted
        wanted = True

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, note) for number in signals]
    try:
        yield lambda: wanted
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def _finish(console: Console, folder: Path, progress: Progress, recorder: VideoRecorder) -> None:
    """Write what was recorded, and say so."""
    from emotion_perception.live_view import summary
    from emotion_perception.recording import write_csv
    from emotion_perception.timeline import draw_timeline

    outputs = []
    video = recorder.close()
    if video is not None:
        outputs.append(video)
    if progress.samples:
        title = f"Reactions to {Path(progress.source).name}, judged by {progress.model}"
        draw_timeline(folder / "timeline.png", progress.samples, title)
        write_csv(folder / "reactions.csv", progress.samples)
        outputs += [folder / "timeline.png", folder / "reactions.csv"]
        console.print(summary(progress))
    for path in outputs:
        console.print(f"wrote {path}", markup=False)


if __name__ == "__main__":
    sys.exit(main())
