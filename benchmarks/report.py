# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The tables of a benchmark's result, for the terminal and for docs/performance.md.

    python -m benchmarks.report benchmarks/results/NAME.json docs/performance.md

Beside the document a picture is written, images/performance.png.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import plots

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"
PICTURE = Path("images") / "performance.png"


def tables(result: dict[str, Any], picture: Path | None = None) -> str:
    """Return Markdown tables of everything that was measured, with a picture if there is one."""
    parts = [
        _machine(result),
        _targets(result["targets"]),
        f"![Time of a frame beside peers, and over faces, pixels and cameras]({picture})\n"
        if picture
        else "",
        _pipeline(result),
        _stages(result),
        _said(result),
        _scaling(result.get("scaling")),
        _limits(result),
        _node(result.get("node")),
        _network(result.get("network")),
        _sessions(result.get("sessions")),
    ]
    return "\n".join(part for part in parts if part)


def insert(document: str, text: str) -> str:
    """Replace what lies between the markers of a document.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the markers {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{text}\n{END}{after}"


def _machine(result: dict[str, Any]) -> str:
    machine, source = result["machine"], result["source"]
    virtual = ", virtual machine" if machine["virtual"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    changed = " with uncommitted changes" if source["changed"] else ""
    gpu = "measured"
    if result["device"] == "cpu":
        gpu = f"not measured: {result['cuda']['obstacle'] or 'see `--device cuda`'}"
    elif result["cuda"]["obstacle"]:
        gpu = f"not measured: {result['cuda']['obstacle']}"
    rows = [
        ("command", f"`{result['command']}`"),
        ("date, commit", f"{source['date'][:10]}, {source['commit']}{changed}"),
        (
            "machine",
            f"{machine['processor']}, {machine['cores_used']} of {machine['cores']} cores"
            f"{virtual}, {machine['memory_gb']} GB, {machine['kernel']}",
        ),
        (
            "other load",
            f"load average {machine['load_average_before']} before; other processes took "
            f"{100 * machine['share_of_others']:.0f} % of the cores meanwhile",
        ),
        ("GPU", gpu),
        ("versions", f"Python {machine['python']}, {versions}"),
        ("model", result["model_id"]),
        ("frames", "{name}: {frames} of {width}x{height}".format(**result["clip"])),
    ]
    if result["quick"]:
        rows.append(("**quick**", "a few frames only: the figures mean nothing"))
    return _table(["", ""], rows)


def _targets(targets: list[dict[str, Any]]) -> str:
    rows = [
        (target["what"], target["target"], f"{target['measured']:.4g}",
         "yes" if target["met"] else "**no**")
        for target in targets
    ]  # fmt: skip
    return _titled("Targets", ["", "target", "measured", "met"], rows)


def _name(entry: dict[str, Any]) -> str:
    where = f"{entry['threads']} thread" + ("s" if entry["threads"] > 1 else "")
    if entry["device"] != "cpu":
        where = f"on {entry['device']}"
    return f"{entry['name']}, faces from {entry['min_face_size']} px, {where}"


def _pipeline(result: dict[str, Any]) -> str:
    rows = []
    for entry in result.get("pipeline", []):
        if "error" in entry:
            rows.append((_name(entry), _not_measured(entry), *[""] * 7))
            continue
        ms, ratio = entry["ms"], entry.get("times_as_long")
        means, medians = "1", "1"
        if ratio:
            means = f"{ratio['mean']:.2f}"
            medians = "{median:.2f} ({least_block:.2f} to {greatest_block:.2f})".format(**ratio)
        rows.append(
            (_name(entry), f"{ms['median']:.1f}", f"{ms['mean']:.1f}", f"{ms['p99']:.1f}",
             f"{entry['frames_per_s']:.1f}", means, medians, f"{entry['rss_mb']:.0f}",
             f"{entry['start_s']:.1f}")
        )  # fmt: skip
    head = [
        "one frame", "median ms", "mean ms", "p99 ms", "frames/s",
        "times as long, means", "times as long, medians", "memory MB", "start s",
    ]  # fmt: skip
    return _titled("Frame to reaction", head, rows)


def _stages(result: dict[str, Any]) -> str:
    rows = []
    for entry in result.get("pipeline", []):
        for stage, ms in entry.get("stages_ms", {}).items():
            rows.append((_name(entry), stage, f"{ms['median']:.2f}", f"{ms['mean']:.2f}"))
    return _titled("Where the time goes", ["", "stage", "median ms", "mean ms"], rows)


def _said(result: dict[str, Any]) -> str:
    rows = []
    for entry in result.get("pipeline", []):
        if "error" not in entry:
            faces, said = entry["faces_per_frame"], entry["says_of_main_face"]
            rows.append((_name(entry), _listed(faces, "{1} with {0}"), _listed(said, "{1} {0}")))
    return _titled("What they found", ["", "frames by faces", "frames by emotion"], rows)


def _scaling(curves: dict[str, Any] | None) -> str:
    if curves is None:
        return ""
    if "error" in curves:
        return f"### Faces, pixels, cameras\n\n{_not_measured(curves)}\n"
    rows = []
    for name in ("faces", "sizes", "cameras"):
        for entry in curves[name]:
            case = [str(entry["faces"]), f"{entry['width']}x{entry['height']}"]
            case.append(str(entry["cameras"]))
            if "error" in entry:
                rows.append([*case, _not_measured(entry), *[""] * 7])
                continue
            ms = entry["ms"]
            rows.append([
                *case, f"{ms['median']:.2f}", f"{ms['mean']:.2f}", f"{ms['p99']:.2f}",
                f"{entry['frames_per_s']:.0f}", f"{entry['first_ms']['mean']:.1f}",
                f"{entry['search_ms']['mean']:.1f}", f"{entry['rss_mb']:.0f}",
                f"{100 * entry['share_with_all_faces']:.1f} %",
            ])  # fmt: skip
    head = [
        "faces", "frame", "cameras", "median ms", "mean ms", "p99 ms", "frames/s",
        "first frame ms", "whole search ms", "memory MB", "frames with exactly these faces",
    ]  # fmt: skip
    where = "" if curves["device"] == "cpu" else f" on {curves['device']}"
    return _titled(f"Faces, pixels, cameras{where}", head, rows)


def _limits(result: dict[str, Any]) -> str:
    found = result.get("limits")
    if found is None:
        return ""
    if "error" in found:
        return f"### Limits\n\n{_not_measured(found)}\n"
    first = {row["network"]: row for row in found["first"]["networks"]}
    counted = [
        (row["network"], _millions(row["macs_per_input"]), f"{row['inputs_per_frame']:.2f}",
         _millions(row["macs_per_frame"]),
         f"{first[row['network']]['inputs_per_frame']:.0f}" if row["network"] in first else "0",
         _millions(first[row["network"]]["macs_per_frame"]) if row["network"] in first else "0")
        for row in found["film"]["networks"]
    ]  # fmt: skip
    head = [
        "", "million operations an input", "inputs a frame", "million operations a frame",
        "inputs in the first frame", "million operations in the first frame",
    ]  # fmt: skip
    work = _titled("Work, counted", head, counted)
    megabytes = found["frame_bytes"] / 1e6
    rows = [
        _against("a frame of a film", found["film"], _measured(result, "film"), megabytes),
        _against("the first frame", found["first"], _measured(result, "first"), megabytes),
    ]
    echo = result.get("node", {}).get("echo")
    copies = 2 * found["copy_ms"]
    rows.append(
        ("image to a node and message back", f"{megabytes:.2f} MB written and read",
         f"{copies:.3f}", *_times(echo and echo["latency_ms"]["median"], copies))
    )  # fmt: skip
    head = ["", "counted", "least ms", "measured ms", "times the least"]
    rates = (
        f"At {found['peak_macs_per_s'] / 1e9:.0f} thousand million operations (multiply and add) "
        f"and {found['copy_bytes_per_s'] / 1e9:.0f} GB copied a second, the best of this run with "
        f"{found['threads']} threads.\n"
    )
    return f"{work}\n{_titled('Limits', head, rows)}\n{rates}"


def _against(
    what: str, limit: dict[str, Any], measured: float | None, megabytes: float
) -> tuple[str, ...]:
    counted = f"{_millions(limit['macs_per_frame'])} million operations, {megabytes:.2f} MB read"
    return (what, counted, f"{limit['least_ms']:.2f}", *_times(measured, limit["least_ms"]))


def _measured(result: dict[str, Any], what: str) -> float | None:
    """Return the mean time of a frame of a film or of its first one, ms, on the CPU."""
    if result["device"] != "cpu":
        return None
    if what == "film":
        entries = [entry for entry in result.get("pipeline", []) if "ms" in entry]
        return entries[0]["ms"]["mean"] if entries else None
    for entry in result.get("scaling", {}).get("sizes", []):
        if (entry["width"], entry["height"]) == (640, 480) and "ms" in entry:
            return float(entry["first_ms"]["mean"])
    return None


def _times(measured: float | None, least: float) -> tuple[str, str]:
    if measured is None:
        return "not measured", ""
    return f"{measured:.2f}", f"{measured / least:.1f}"


def _millions(value: float) -> str:
    return f"{value / 1e6:.1f}"


def _not_measured(entry: dict[str, Any]) -> str:
    return f"not measured: {entry['error']}"


def _node(node: dict[str, Any] | None) -> str:
    if node is None:
        return ""
    if "error" in node:
        return f"**Node**: {_not_measured(node)}\n"
    rows = []
    for what, label in (("node", "reaction node"), ("echo", "echo: the transport's floor")):
        found = node[what]
        latency = found["latency_ms"]
        rows.append(
            (label, f"{latency['median']:.2f}", f"{latency['p99']:.2f}",
             f"{found['frames_answered']} of {found['frames_sent']}",
             f"{100 * found['processor_share']['median']:.0f} %",
             f"{found['start_s']['median']:.2f}",
             f"{found['rss_mb']['median']:.0f} / {found['pss_mb']['median']:.0f}")
        )  # fmt: skip
    head = [
        "", "stamp to message, median ms", "p99 ms", "frames answered", "share of one core",
        "start to first message, s", "memory resident / proportional, MB",
    ]  # fmt: skip
    title = f"Node at {node['rate_hz']:g} Hz, transports {node['transports']}"
    return _titled(title, head, rows)


def _network(network: dict[str, Any] | None) -> str:
    if network is None:
        return ""
    if "error" in network:
        return f"### Valence network\n\n{_not_measured(network)}\n"
    rows = [
        (f"{run['crops']}", f"{run['threads'] or run['device']}",
         "yes" if run["spins"] else "no",
         f"{run['ms']['median']:.3f}",
         f"{run['ms']['p99']:.3f}", f"{run['ms_per_crop']:.3f}")
        for run in network["runs"]
    ]  # fmt: skip
    head = ["crops", "threads", "threads spin", "median ms", "p99 ms", "ms a crop"]
    return _titled("Valence network", head, rows)


def _sessions(found: dict[str, Any] | None) -> str:
    if found is None:
        return ""
    if "error" in found:
        return f"### Recordings\n\n{_not_measured(found)}\n"
    rows = []
    for entry in found["contenders"]:
        name = f"{entry['name']}, {entry['threads']} thread" + "s" * (entry["threads"] > 1)
        recordings = f"{entry['recordings']} of {entry['seconds'] / entry['recordings']:.0f} s"
        if "error" in entry:
            rows.append((name, recordings, _not_measured(entry), *[""] * 8))
            continue
        rows.append((
            name, recordings, _spread(entry["times_real_time"], ".1f"),
            f"{entry['whole_times_real_time']['median']:.1f}",
            f"{entry['frames_per_s']['median']:.0f}",
            f"{entry['ms_per_frame']['median']:.2f}",
            f"{entry['processor_ms_per_frame']['median']:.2f}",
            f"{entry['start_s']['median']:.1f}", f"{entry['peak_mb']['max']:.0f}",
            f"{100 * entry['frames_with_faces'] / entry['frames']:.1f} %", _ratio(entry),
        ))  # fmt: skip
    head = [
        "", "recordings", "times real time, judging", "start and end included", "frames/s",
        "ms a frame", "processor ms a frame", "start and end s", "most memory MB",
        "frames with a face", "",
    ]  # fmt: skip
    title = (
        "Recordings of {width}x{height} at {rate_hz} Hz, H.264 of {megabits_per_s:.2f} Mbit/s"
    ).format(**found)
    where = "" if found["device"] == "cpu" else f", on {found['device']}"
    return _titled(title + where, head, rows)


def _ratio(entry: dict[str, Any]) -> str:
    for name, told in (
        ("times_as_fast", "{} times as fast as one"), ("times_as_long", "{} times as long"),
    ):  # fmt: skip
        if name in entry:
            ratio = entry[name]
            return told.format(
                f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['greatest']:.2f})"
            )
    return ""


def _spread(summary: dict[str, float], form: str) -> str:
    return "{} ({} to {})".format(*(format(summary[n], form) for n in ("median", "min", "max")))


def _listed(counts: dict[str, int], form: str) -> str:
    return ", ".join(form.format(*item) for item in counts.items())


def _titled(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return f"### {title}\n\n{_table(head, rows)}" if rows else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [list(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the tables of a result into a document."""
    parser = argparse.ArgumentParser(description="Write a result's tables between two markers.")
    parser.add_argument("result", type=Path)
    parser.add_argument("document", type=Path)
    chosen = parser.parse_args()
    result = json.loads(chosen.result.read_text(encoding="utf-8"))
    drawn = plots.draw(result, chosen.document.parent / PICTURE)
    picture = PICTURE if drawn else None
    text = insert(chosen.document.read_text(encoding="utf-8"), tables(result, picture))
    chosen.document.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
