"""The tables of a benchmark's result, for the terminal and for docs/performance.md.

python -m benchmarks.report benchmarks/results/NAME.json docs/performance.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


def tables(result: dict[str, Any]) -> str:
    """Return Markdown tables of everything that was measured."""
    parts = [
        _machine(result),
        _targets(result["targets"]),
        _pipeline(result),
        _stages(result),
        _said(result),
        _node(result.get("node")),
        _network(result.get("network")),
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
    threads = f"{entry['threads']} thread" + ("s" if entry["threads"] > 1 else "")
    return f"{entry['name']}, faces from {entry['min_face_size']} px, {threads}"


def _pipeline(result: dict[str, Any]) -> str:
    rows = []
    for entry in result.get("pipeline", []):
        if "error" in entry:
            rows.append((_name(entry), f"can't run: {entry['error']}", "", "", "", "", ""))
            continue
        ms, ratio = entry["ms"], entry.get("times_as_long")
        compared = "1"
        if ratio:
            compared = "{median:.2f} ({least_block:.2f} to {greatest_block:.2f})".format(**ratio)
        rows.append(
            (_name(entry), f"{ms['median']:.1f}", f"{ms['mean']:.1f}", f"{ms['p99']:.1f}",
             f"{entry['frames_per_s']:.1f}", compared, f"{entry['rss_mb']:.0f}")
        )  # fmt: skip
    head = ["one frame", "median ms", "mean ms", "p99 ms", "frames/s", "times as long", "memory MB"]
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


def _node(node: dict[str, Any] | None) -> str:
    if node is None:
        return ""
    if "error" in node:
        return f"**Node**: not measured: {node['error']}\n"
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
    rows = [
        (f"{run['crops']}", f"{run['threads']}", "yes" if run["spins"] else "no",
         f"{run['ms']['median']:.3f}",
         f"{run['ms']['p99']:.3f}", f"{run['ms_per_crop']:.3f}")
        for run in network["runs"]
    ]  # fmt: skip
    head = ["crops", "threads", "threads spin", "median ms", "p99 ms", "ms a crop"]
    return _titled("Valence network", head, rows)


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
    text = insert(chosen.document.read_text(encoding="utf-8"), tables(result))
    chosen.document.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
