#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Measure the package: the pipeline beside its peers, how it scales, its limits, and the node.

    make bench                                        # everything
    make bench ARGS="--only pipeline network"         # a part
    make bench ARGS="--clip session.mp4"              # on frames of your own
    make bench ARGS="--device cuda"                   # on the GPU

Every contender gets the same frames and takes its turn many times, so that whatever else the
machine does meets all of them alike. The result goes to benchmarks/results/ as JSON, and as tables
to the terminal; `python -m benchmarks.report` writes the same tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import (
    limits,
    machine,
    pipeline_rounds,
    reaction_node,
    scaling,
    sessions,
    valence_network,
)
from benchmarks.children import ChildError
from benchmarks.clip import write_frames
from benchmarks.report import tables
from emotion_perception.faces.model_files import ModelError
from emotion_perception.image.source import SourceError
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.valence.checkpoint import load_checkpoint

FORMAT = 2
PARTS = ("pipeline", "peers", "scaling", "limits", "network", "node", "sessions")
RESULTS = Path(__file__).absolute().parent / "results"
USUAL = {"passes": 4, "sessions": 3, "seconds": 10.0, "cores": 2}
QUIET_LOAD = 0.5  # load average below which the machine counts as idle


def say(line: str) -> None:
    """Tell the person in front of the terminal."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure the package beside its peers."
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--clip", type=Path, help="recording to use instead of the demo clip")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu",
        help="of pipeline, torch peers, scaling, network and sessions; the rest stays on the CPU",
    )  # fmt: skip
    parser.add_argument("--passes", type=int, help="how often each frame is judged")
    parser.add_argument("--sessions", type=int, help="how often the node is started")
    parser.add_argument("--seconds", type=float, help="of latency in each session")
    parser.add_argument("--cores", type=int, help="processor cores to use, for all")
    parser.add_argument("--quick", action="store_true", help="a few frames only, to try it")
    parser.add_argument("--output", type=Path, help="JSON file; default: in benchmarks/results/")
    parser.set_defaults(**USUAL)
    return parser.parse_args(arguments)


def command(chosen: argparse.Namespace) -> str:
    """Return the command line that measures the same again; it names no paths."""
    words = [] if tuple(chosen.only) == PARTS else ["--only", *chosen.only]
    if chosen.clip is not None:
        words += ["--clip", chosen.clip.name]
    words += [] if chosen.device == "cpu" else ["--device", chosen.device]
    for name, usual in USUAL.items():
        value = getattr(chosen, name)
        words += [] if value == usual else [f"--{name}", f"{value:g}"]
    words += ["--quick"] if chosen.quick else []
    return f'make bench ARGS="{" ".join(words)}"' if words else "make bench"


def measure(chosen: argparse.Namespace) -> dict[str, Any]:
    """Run the parts that were asked for.

    Raises:
        SourceError: the clip can't be read.
        ModelError: a model is missing.
    """
    started = time.monotonic()
    result: dict[str, Any] = {
        "format": FORMAT,
        "source": machine.source(),
        "model_id": load_checkpoint(find_model(BASE_MODEL)).model_id,
        "quick": chosen.quick,
        "command": command(chosen),
        "device": chosen.device,
    }
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[: chosen.cores])  # the children inherit it
    result["machine"] = machine.machine()
    result["versions"] = machine.versions()
    if result["machine"]["load_average_before"] > QUIET_LOAD:
        say(f"the machine is busy (load {result['machine']['load_average_before']}): times will be")
    obstacle = machine.cuda_obstacle(chosen.device)
    if obstacle is not None:
        say(f"not measured: {obstacle}")
    result["cuda"] = {"obstacle": machine.cuda_obstacle("cuda")}
    others = machine.Others()
    with tempfile.TemporaryDirectory() as temporary:
        frames_file = Path(temporary) / "frames.npy"
        frames = write_frames(frames_file, chosen.clip, 12 if chosen.quick else None)
        result["clip"] = frames
        if "network" in chosen.only:
            say("valence network")
            rounds, runs = (1, 20) if chosen.quick else (20, 50)
            result["network"] = (
                {"error": obstacle}
                if obstacle
                else valence_network.measure(rounds, runs, chosen.device)
            )
        # Peers of what is asked for; of the pipeline, where it is neither.
        if "pipeline" in chosen.only or ("peers" in chosen.only and "sessions" not in chosen.only):
            contenders = pipeline_rounds.OURS
            if "peers" in chosen.only:
                contenders += pipeline_rounds.PEERS
            passes = 1 if chosen.quick else chosen.passes
            result["pipeline"] = pipeline_rounds.compare(
                pipeline_rounds.on(chosen.device, contenders), frames_file, frames["frames"],
                passes, say, obstacle,
            )  # fmt: skip
        if "scaling" in chosen.only:
            result["scaling"] = {"error": obstacle} if obstacle else measure_scaling(chosen)
        if "limits" in chosen.only:
            result["limits"] = measure_limits(frames_file, chosen)
        if "node" in chosen.only:
            result["node"] = measure_node(frames_file, chosen)
        if "sessions" in chosen.only:
            result["sessions"] = (
                {"error": obstacle} if obstacle else measure_sessions(frames_file, chosen)
            )
    result["machine"]["share_of_others"] = others.share()
    os.sched_setaffinity(0, before)
    result["targets"] = targets(result)
    result["took_s"] = round(time.monotonic() - started)
    return result


def measure_scaling(chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure the curves; a few points of each if it is only tried."""
    curves, passes, length = scaling.CURVES, chosen.passes, scaling.LENGTH
    if chosen.quick:
        curves, passes, length = scaling.QUICK, 1, 12
    return scaling.measure(curves, passes, length, chosen.device, say)


def measure_sessions(frames_file: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure how fast recordings are judged, or say why not."""
    for needed in ("av", "pyarrow"):
        if importlib.util.find_spec(needed) is None:
            reason = f"no {needed} here: pip install 'emotion_perception[sessions]'"
            say(f"recordings are not measured: {reason}")
            return {"error": reason}
    contenders = sessions.OURS
    if "peers" in chosen.only:
        contenders += sessions.PEERS
    seconds, passes = sessions.SECONDS, chosen.passes
    if chosen.quick:
        seconds, passes = sessions.QUICK_SECONDS, 1
    return sessions.measure(contenders, frames_file, seconds, passes, chosen.device, say)


def measure_limits(frames_file: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Count the work of a frame, or say why not."""
    say("limits")
    try:
        return limits.measure(frames_file, 10 if chosen.quick else 200)
    except limits.LimitsError as error:
        say(f"the limits are not counted: {error}")
        return {"error": str(error)}


def measure_node(frames_file: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Measure the node, or say why not."""
    reason = reaction_node.missing()
    if reason is None:
        sessions, seconds = (1, 2.0) if chosen.quick else (chosen.sessions, chosen.seconds)
        try:
            return reaction_node.measure(frames_file, sessions, seconds, say)
        except ChildError as error:
            reason = str(error)
    say(f"the node is not measured: {reason}")
    return {"error": reason}


def targets(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Hold the figures against what the package promises on two cores, without a GPU."""
    found = _node_targets(result.get("node", {}))
    if result["device"] == "cpu":
        found = [
            *_pipeline_targets(result.get("pipeline", [])),
            *_scaling_targets(result.get("scaling", {})),
            *found,
            *_session_targets(result.get("sessions", {})),
        ]
    return [
        {
            "what": what,
            "target": f"{bound} {limit:g}",
            "measured": value,
            "met": value >= limit if bound == "at least" else value <= limit,
        }
        for what, bound, limit, value in found
    ]


Target = tuple[str, str, float, float]
"""What, at most or at least, how much, and what was measured."""


def _pipeline_targets(entries: Sequence[dict[str, Any]]) -> list[Target]:
    if not entries or "ms" not in entries[0]:
        return []
    ms = entries[0]["ms"]
    found: list[Target] = [
        ("a frame of a film, mean ms", "at most", 2.5, ms["mean"]),
        ("a frame of a film, p99 ms", "at most", 12, ms["p99"]),
    ]
    if ratios := [e["times_as_long"]["mean"] for e in entries if e["peer"] and "ms" in e]:
        found.append(("the fastest peer, times as long (means)", "at least", 10, min(ratios)))
    return found


def _scaling_targets(curves: dict[str, Any]) -> list[Target]:
    found: list[Target] = []
    for entry in curves.get("sizes", []):
        if entry["width"] == 640 and "ms" in entry:
            what = "search of a whole 640x480 frame, mean ms"
            found.append((what, "at most", 8, entry["search_ms"]["mean"]))
    means = {
        entry["faces"]: entry["ms"]["mean"] for entry in curves.get("faces", ()) if "ms" in entry
    }
    if 1 in means and 10 in means:
        found.append(("ten faces, times as long as one", "at most", 3, means[10] / means[1]))
    return found


def _session_targets(measured: dict[str, Any]) -> list[Target]:
    found: list[Target] = []
    entries = [
        entry for entry in measured.get("contenders", ())
        if "error" not in entry and not entry["peer"]
    ]  # fmt: skip
    for entry in entries:
        if entry["recordings"] == 1:
            times = entry["times_real_time"]["median"]
            found.append(("a recording, times real time", "at least", 15, times))
        if "times_as_fast" in entry:
            times = entry["times_as_fast"]["median"]
            found.append(("recordings in two processes, times one", "at least", 1.7, times))
    if entries:
        most = max(entry["peak_mb"]["max"] for entry in entries)
        found.append(("a recording's process, most memory, MB", "at most", 500, most))
    return found


def _node_targets(measured: dict[str, Any]) -> list[Target]:
    if "node" not in measured:
        return []
    node, echo = measured["node"], measured["echo"]
    over = {name: node["latency_ms"][name] - echo["latency_ms"][name] for name in ("median", "p99")}
    share = 100 * node["processor_share"]["median"]
    return [
        ("node, stamp to message, median over the echo's, ms", "at most", 5, over["median"]),
        ("node, stamp to message, p99 over the echo's, ms", "at most", 15, over["p99"]),
        ("node at 30 Hz, share of one core, %", "at most", 20, share),
        ("node, resident memory, MB", "at most", 250, node["rss_mb"]["median"]),
        ("node, start to first reaction, s", "at most", 1.5, node["start_s"]["median"]),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the tables, and write the result; without arguments, those of the process."""
    chosen = options(arguments)
    try:
        result = measure(chosen)
    except (SourceError, ModelError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n" + tables(result))
    output = chosen.output
    if output is None:
        day = result["source"]["date"].replace(":", "")[:15]
        output = RESULTS / f"{day}-{result['source']['commit'] or 'unknown'}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {os.path.relpath(output)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
