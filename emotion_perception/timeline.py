# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A picture of how a person reacted over time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from emotion_perception.drawing import COLOURS
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.recording import Sample

_VERDICTS = (Reaction.NEGATIVE, Reaction.NEUTRAL, Reaction.POSITIVE)
_GAP_STEPS = 5.0  # longer than this many usual steps, nothing is known in between
_FEW = 40
_INK = "0.2"


def draw_timeline(path: Path, samples: Sequence[Sample], title: str) -> None:
    """Write a PNG of valence, probabilities and verdicts over time; whole or not at all.

    Args:
        path: of the picture.
        samples: in order of time.
        title: above the picture.

    Raises:
        ValueError: there are no samples.
    """
    if not samples:
        raise ValueError(f"{path}: nothing to draw, no image was judged")
    times = np.array([sample.stamp for sample in samples])
    times -= times[0]
    steps = np.diff(times)
    step = float(np.median(steps)) if len(steps) else 0.1
    ends = np.append(times[1:], times[-1] + step)
    ends = np.minimum(ends, times + max(_GAP_STEPS * step, 0.01))

    figure = Figure(figsize=(11, 6.2), dpi=120, layout="constrained")
    valence, probability, verdict = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [4, 4, 0.7]}
    )
    figure.suptitle(title, fontsize=12, color=_INK)
    judged = np.array([sample.judged for sample in samples])
    _draw_line(valence, times, ends, judged, [s.valence for s in samples], color=_INK)
    valence.axhline(0, color="0.6", linewidth=0.8)
    valence.set(ylim=(-1.05, 1.05), ylabel="Valence\n(−1 negative to +1 positive)")
    for index, reaction in enumerate(_VERDICTS):
        values = [s.probabilities[index] for s in samples]
        _draw_line(probability, times, ends, judged, values, color=_rgb(reaction))
    probability.set(ylim=(-0.03, 1.03), ylabel="Probability (0 to 1)")

    nobody = [s.reason == Reason.NO_FACE for s in samples]
    for reaction in Reaction:
        chosen = [
            s.reaction == reaction and not gone for s, gone in zip(samples, nobody, strict=True)
        ]
        spans = _spans(times, ends, chosen)
        verdict.broken_barh(spans, (0, 1), color=_rgb(reaction), linewidth=0)
        if reaction != Reaction.UNKNOWN:
            valence.broken_barh(spans, (-1.05, 2.1), color=_rgb(reaction), alpha=0.16, linewidth=0)
    for axes, low, high in ((valence, -1.05, 2.1), (probability, -0.03, 1.06), (verdict, 0, 1)):
        axes.broken_barh(
            _spans(times, ends, nobody), (low, high), facecolor="0.95", edgecolor="0.75",
            hatch="////", linewidth=0,
        )  # fmt: skip
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.tick_params(colors=_INK)
    verdict.set(
        ylim=(0, 1), yticks=[], xlabel="Time since the first image (s)",
        xlim=(0, max(float(ends[-1]), step)),
    )  # fmt: skip
    verdict.set_ylabel("Reaction", rotation=0, ha="right", va="center")
    handles = [Patch(color=_rgb(r), label=r.name.lower()) for r in _VERDICTS]
    handles.append(Patch(color=_rgb(Reaction.UNKNOWN), label="unknown (low confidence or quality)"))
    handles.append(Patch(facecolor="0.95", edgecolor="0.75", hatch="////", label="no face"))
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False)
    _save(figure, path)


def _draw_line(
    axes: Axes,
    times: NDArray[np.float64],
    ends: NDArray[np.float64],
    judged: NDArray[np.bool_],
    values: Sequence[float],
    color: str | tuple[float, float, float],
) -> None:
    """Draw a line that is broken where nothing was judged or no image came."""
    y = np.where(judged, values, np.nan)
    if len(times) < _FEW:  # a line would be hardly more than dots
        axes.hlines(y, times, ends, color=color, linewidth=2.5)
        return
    holes = np.flatnonzero(ends[:-1] < times[1:] - 1e-9) + 1
    axes.plot(
        np.insert(times, holes, times[holes - 1]), np.insert(y, holes, np.nan),
        color=color, linewidth=1.6,
    )  # fmt: skip


def _spans(
    times: NDArray[np.float64], ends: NDArray[np.float64], chosen: Sequence[bool]
) -> list[tuple[float, float]]:
    """Return (start, length) of each run of chosen samples."""
    spans: list[tuple[float, float]] = []
    for start, end, yes in zip(times, ends, chosen, strict=True):
        if not yes:
            continue
        if spans and abs(spans[-1][0] + spans[-1][1] - start) < 1e-9:
            spans[-1] = (spans[-1][0], float(end) - spans[-1][0])
        else:
            spans.append((float(start), float(end - start)))
    return spans


def _rgb(reaction: Reaction) -> tuple[float, float, float]:
    blue, green, red = COLOURS[reaction]
    return red / 255, green / 255, blue / 255


def _save(figure: Figure, path: Path) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        FigureCanvasAgg(figure).print_figure(beside, format="png")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
