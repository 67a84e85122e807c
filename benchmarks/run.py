#!/usr/bin/env python3
"""Measure the package: the pipeline beside its peers, the node and the valence network.

    make bench                                        # everything
    make bench ARGS="--only pipeline network"         # a part
    make bench ARGS="--clip session.mp4"              # on frames of your own

Every contender gets the same frames and takes its turn many times, so that whatever else the
machine does meets all of them alike. The result goes to benchmarks/results/ as JSON, and as tables
to the terminal; `python -m benchmarks.report` writes the same tables into docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, pipeline_rounds, reaction_node, valence_network
from benchmarks.children import ChildError
from benchmarks.clip import write_frames
from benchmarks.report import tables
from emotion_perception.faces.model_files import ModelError
from emotion_perception.image.source import SourceError
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.valence.checkpoint import load_checkpoint

FORMAT = 1
PARTS = ("pipeline", "peers", "network", "node")
RESULTS = Path(__file__).absolute().parent / "results"
USUAL = {"passes": 4, "sessions": 3, "seconds": 10.0, "cores": 2}
QUIET_LOAD = 0.5  # load average below which the machine counts as idle


def say(line: str) -> None:
    """Tell the person in front of the terminal."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", flush=True)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure the package beside its peers."
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure")
    parser.add_argument("--clip", type=Path, help="recording to use instead of the demo clip")
    parser.add_argument("--passes", type=int, help="how often each frame is judged")
    parser.add_argument("--sessions", type=int, help="how often the node is started")
    parser.add_argument("--seconds", type=float, help="of latency in each session")
    parser.add_argument("--cores", type=int, help="processor cores to use, for all")
    parser.add_argument("--quick", action="store_true", help="a few frames only, to try it")
    parser.add_argument("--output", type=Path, help="JSON file; default: in benchmarks/results/")
    parser.set_defaults(**USUAL)
    return parser.parse_args()


def command(chosen: argparse.Namespace) -> str:
    """Return the command line that measures the same again; it names no paths."""
    words = [] if tuple(chosen.only) == PARTS else ["--only", *chosen.only]
    if chosen.clip is not None:
        words += ["--clip", chosen.clip.name]
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
    }
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[: chosen.cores])  # the children inherit it
    result["machine"] = machine.machine()
    result["versions"] = machine.versions()
    if result["machine"]["load_average_before"] > QUIET_LOAD:
        say(f"the machine is busy (load {result['machine']['load_average_before']}): times will be")
    others = machine.Others()
    with tempfile.TemporaryDirectory() as temporary:
        frames_file = Path(temporary) / "frames.npy"
        frames = write_frames(frames_file, chosen.clip, 12 if chosen.quick else None)
        result["clip"] = frames
        if "network" in chosen.only:
            say("valence network")
            result["network"] = (
                valence_network.measure(1, 20) if chosen.quick else valence_network.measure(20, 50)
            )
        if "pipeline" in chosen.only or "peers" in chosen.only:
            contenders = pipeline_rounds.OURS
            if "peers" in chosen.only:
                contenders += pipeline_rounds.PEERS
            result["pipeline"] = pipeline_rounds.compare(
                contenders, frames_file, frames["frames"], 1 if chosen.quick else chosen.passes, say
            )
        if "node" in chosen.only:
            result["node"] = measure_node(frames_file, chosen)
    result["machine"]["share_of_others"] = others.share()
    os.sched_setaffinity(0, before)
    result["targets"] = targets(result)
    result["took_s"] = round(time.monotonic() - started)
    return result


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
    """Hold the figures against what the package promises on two cores."""
    found: list[tuple[str, str, float, float]] = []
    ours = next((e for e in result.get("pipeline", []) if "frames_per_s" in e), None)
    if ours is not None:
        found.append(("pipeline, frames/s", "at least", 60, ours["frames_per_s"]))
    for run in result.get("network", {}).get("runs", []):
        if run["threads"] == 2 and run["crops"] == 1:
            how = "ONNX Runtime's own settings" if run["spins"] else "as the node runs it"
            name = f"valence network, one crop, {how}, ms"
            found.append((name, "at most", 1.5, run["ms"]["median"]))
    node = result.get("node", {}).get("node")
    if node is not None:
        found.append(("node, start to first reaction, s", "at most", 3, node["start_s"]["median"]))
        found.append(("node, resident memory, MB", "at most", 350, node["rss_mb"]["median"]))
    return [
        {
            "what": what,
            "target": f"{bound} {limit:g}",
            "measured": value,
            "met": value >= limit if bound == "at least" else value <= limit,
        }
        for what, bound, limit, value in found
    ]


def main() -> int:
    """Measure, print the tables, and write the result."""
    chosen = options()
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
