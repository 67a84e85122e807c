# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The picture of a benchmark's result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# Of Okabe and Ito: told apart by everybody. Markers and dashes say the same as the colours.
OURS, PEERS, SLOW, LIMIT = "#0072B2", "#999999", "#D55E00", "#000000"
TITLE: dict[str, Any] = {"loc": "left", "fontsize": 11, "fontweight": "bold"}
WIDTH = 10.0  # inches
DPI = 110


def draw(result: dict[str, Any], path: Path) -> bool:
    """Write bars of frame times and the scaling curves of a result as PNG.

    Returns:
        Whether there was anything to draw; without, nothing is written.
    """
    entries = [entry for entry in result.get("pipeline", []) if "ms" in entry]
    curves = result.get("scaling", {})
    points = {
        name: [entry for entry in curves.get(name, []) if "ms" in entry]
        for name in ("faces", "sizes", "cameras")
    }
    if not entries and not any(points.values()):
        return False
    heights = [0.9 + 0.45 * len(entries) if entries else 0, 3.6 if any(points.values()) else 0]
    figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained")
    # One of no height would upset the layout.
    above, below = figure.subfigures(2, 1, height_ratios=heights) if all(heights) else [figure] * 2
    if entries:
        least_ms = result.get("limits", {}).get("film", {}).get("least_ms")
        _bars(above.add_subplot(), entries, least_ms)
    if any(points.values()):
        _curves(below, points)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return True


def _curves(figure: Figure | SubFigure, points: dict[str, list[dict[str, Any]]]) -> None:
    """Draw the three curves side by side, each with its own scale from 0."""
    faces, sizes, cameras = figure.subplots(1, 3)
    _curve(faces, points["faces"], [entry["faces"] for entry in points["faces"]])
    faces.set_title("Faces", **TITLE)
    faces.set_xlabel("faces in a frame of 1280x720")
    _curve(
        sizes, points["sizes"],
        [entry["width"] * entry["height"] / 1e6 for entry in points["sizes"]],
    )  # fmt: skip
    sizes.set_title("Pixels", **TITLE)
    named = ", ".join(f"{entry['width']}x{entry['height']}" for entry in points["sizes"])
    sizes.set_xlabel(f"million pixels, one face\n({named})", fontsize=9)
    sizes.xaxis.set_major_locator(MaxNLocator(5))
    _curve(cameras, points["cameras"], [entry["cameras"] for entry in points["cameras"]])
    cameras.set_title("Cameras", **TITLE)
    cameras.set_xlabel("cameras of 640x480, one face each")
    faces.set_ylabel("time of one frame, ms")
    handles, labels = faces.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)


def _bars(axis: Axes, entries: Sequence[dict[str, Any]], least_ms: float | None) -> None:
    """Draw the mean time of a frame of each contender, with its 99th percentile as a tick."""
    names = [_name(entry) for entry in entries]
    means = [entry["ms"]["mean"] for entry in entries]
    slow = [entry["ms"]["p99"] for entry in entries]
    colours = [PEERS if entry["peer"] else OURS for entry in entries]
    places = range(len(entries))
    axis.barh(places, means, color=colours, height=0.62)
    axis.scatter(slow, places, marker="|", s=160, color=SLOW, zorder=3, label="99th percentile")
    for place, entry in zip(places, entries, strict=True):
        text = f"{entry['ms']['mean']:.1f} ms"
        if entry["peer"] and "times_as_long" in entry:
            text += f", {entry['times_as_long']['mean']:.1f} times ours"
        axis.annotate(
            text, (entry["ms"]["mean"], place), (-5, 0), textcoords="offset points",
            va="center", ha="right", fontsize=9, color="black" if entry["peer"] else "white",
        )  # fmt: skip
    if least_ms:
        axis.axvline(least_ms, color=LIMIT, linestyle=":", label="counted work at the best rate")
    axis.set_yticks(places, names)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_xlim(min([*means, least_ms or means[0]]) / 1.6, max(slow) * 1.4)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.xaxis.grid(True, which="major", color="#dddddd")
    axis.set_axisbelow(True)
    axis.set_xlabel("mean time of one frame, ms (logarithmic)")
    axis.set_title("Frame to reaction", **TITLE)
    axis.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=9, frameon=False)
    _bare(axis)


def _name(entry: dict[str, Any]) -> str:
    where = "GPU" if entry["device"] != "cpu" else f"{entry['threads']} thread" + (
        "s" if entry["threads"] > 1 else ""
    )  # fmt: skip
    name, _, note = entry["name"].partition(" (")  # (random weights)
    note = note.replace(")", ", ")
    return f"{name}\n{note}faces from {entry['min_face_size']} px, {where}"


def _curve(axis: Axes, points: Sequence[dict[str, Any]], places: Sequence[float]) -> None:
    """Draw mean, 99th percentile, first frame and whole search over what grows."""
    lines = (
        ("film, mean", "ms", "mean", {"color": OURS, "marker": "o"}),
        ("film, 99th percentile", "ms", "p99", {"color": SLOW, "marker": "|", "linestyle": "--"}),
        ("first frame, mean", "first_ms", "mean",
         {"color": "#CC79A7", "marker": "s", "linestyle": "-."}),
        ("search of the whole frame, mean", "search_ms", "mean",
         {"color": "#009E73", "marker": "^", "linestyle": ":"}),
    )  # fmt: skip
    for label, group, figure, style in lines:
        values = [point[group][figure] for point in points]
        axis.plot(places, values, label=label, markersize=6, linewidth=1.6, **style)
    axis.set_xticks(places)
    axis.set_xlim(left=0)
    axis.set_ylim(bottom=0)
    axis.grid(True, axis="y", color="#dddddd")
    axis.set_axisbelow(True)
    _bare(axis)


def _bare(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
