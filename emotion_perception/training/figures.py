# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Plots and contact sheets of an evaluation, as PNG; no window, no global state."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emotion_perception.drawing import COLOURS
from emotion_perception.reaction.reaction import Reaction
from emotion_perception.training.evaluate import Evaluation
from emotion_perception.training.faces import FaceSet
from emotion_perception.training.groups import Part
from emotion_perception.training.intervals import wilson
from emotion_perception.training.metrics import ReliabilityBin
from emotion_perception.valence.labels import CLASSES

_INK = "0.25"
_BLUE, _ORANGE, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_LINES = (_BLUE, _ORANGE, _GREEN, _PURPLE, "#E69F00", "#56B4E9", "#000000")
_MARKS = "osD^vPX"
_NAME = 34

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def confusion_figure(evaluation: Evaluation) -> bytes:
    """Draw the confusion matrix: shade and large number are shares of a row, small ones counts."""
    figure = Figure(figsize=(4.6, 3.9), layout="constrained")
    axes = figure.add_subplot()
    rates = np.array(evaluation.confusion_rates, float)
    image = axes.imshow(np.nan_to_num(rates), cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(evaluation.confusion):
        for column, count in enumerate(counts):
            rate = rates[row, column]
            ink = "white" if rate > 0.55 else "black"
            shown = f"{100 * rate:.1f} %" if np.isfinite(rate) else "none"
            axes.text(column, row - 0.06, shown, ha="center", va="center", color=ink, fontsize=13)
            axes.text(
                column, row + 0.24, f"{count:,}", ha="center", va="center", color=ink, fontsize=8
            )
    axes.set(
        xticks=range(len(CLASSES)), yticks=range(len(CLASSES)), xticklabels=CLASSES,
        yticklabels=CLASSES, xlabel="what the model says", ylabel="what people say",
    )  # fmt: skip
    bar = figure.colorbar(image, ax=axes, shrink=0.85, label="share of the row")
    bar.outline.set_visible(False)
    for side in axes.spines.values():
        side.set_visible(False)
    return _png(figure)


def reliability_figure(bins: Sequence[ReliabilityBin]) -> bytes:
    """Draw how often the model is right against how sure it is, and how many images that is."""
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    grid = figure.add_gridspec(4, 1)
    axes = figure.add_subplot(grid[:3])
    below = figure.add_subplot(grid[3], sharex=axes)
    axes.plot([0, 1], [0, 1], color="0.6", linestyle="--", linewidth=1, label="as sure as right")
    known = [b for b in bins if b.images]
    axes.vlines(
        [b.confidence for b in known], [b.confidence for b in known], [b.accuracy for b in known],
        color=_ORANGE, linewidth=3, alpha=0.6, label="too sure, or not sure enough",
    )  # fmt: skip
    for b in known:
        axes.plot([b.confidence] * 2, wilson(b.accuracy * b.images, b.images), color="0.75",
                  linewidth=1, zorder=1)  # fmt: skip
    most = max((b.images for b in known), default=1)
    axes.plot([b.confidence for b in known], [b.accuracy for b in known], color=_BLUE, alpha=0.5)
    axes.scatter(
        [b.confidence for b in known], [b.accuracy for b in known],
        s=[12 + 70 * b.images / most for b in known], color=_BLUE, zorder=3,
        label="this model (size: images; thin: 95 %)",
    )  # fmt: skip
    axes.set(ylabel="share that is right", ylim=(0, 1.02), xlim=(1 / 3 - 0.02, 1.01))
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    axes.tick_params(labelbottom=False)
    below.bar(
        [b.low for b in bins], [b.images for b in bins], width=[b.high - b.low for b in bins],
        align="edge", color="0.75", edgecolor="white",
    )  # fmt: skip
    below.set(xlabel="how sure the model is", ylabel="images")
    _tidy(axes, below)
    return _png(figure)


def coverage_figure(
    curves: Sequence[tuple[str, Curve]], points: Sequence[tuple[float, float]]
) -> bytes:
    """Draw accuracy against the share of images answered, and where each model operates.

    Args:
        curves: name, coverage and accuracy of each model.
        points: coverage and accuracy of each model at its threshold; NaN if it answers nothing.
    """
    figure = Figure(figsize=(5.2, 3.9), layout="constrained")
    axes = figure.add_subplot()
    least = 1.0
    for index, ((name, (coverage, accuracy)), (x, y)) in enumerate(
        zip(curves, points, strict=True)
    ):
        colour = _LINES[index % len(_LINES)]
        # The first few images of the ranking are hardly a share.
        shown = coverage >= min(0.05, float(coverage[-1]))
        axes.plot(
            coverage[shown], accuracy[shown], color=colour, linewidth=1.8, label=_legend(name)
        )
        axes.plot([x], [y], _MARKS[index % len(_MARKS)], color=colour, markersize=8)
        least = min(least, float(accuracy[shown].min()))
    axes.axvline(0.85, color="0.8", linewidth=1, zorder=0)
    axes.text(0.845, least, "85 %", color="0.5", ha="right", va="bottom", fontsize=8)
    axes.set(
        xlim=(0, 1.01), ylim=(max(0.0, least - 0.02), 1.005),
        xlabel="share of the images that are answered", ylabel="share of the answers that is right",
    )  # fmt: skip
    axes.legend(frameon=False, loc="lower left", fontsize=8, title="mark: at its threshold")
    _tidy(axes)
    return _png(figure)


def parts_figure(parts: Sequence[Part], whole: float) -> bytes:
    """Draw the accuracy of each part with its interval, beside that of the whole set.

    Args:
        parts: persons, recordings or groups, top to bottom.
        whole: accuracy of all images.
    """
    figure = Figure(figsize=(6.4, 1.1 + 0.26 * max(2, len(parts))), layout="constrained")
    axes = figure.add_subplot()
    for row, part in enumerate(parts):
        colour = "0.6" if part.small else _BLUE
        axes.plot(part.accuracy_interval, [row, row], color=colour, linewidth=2)
        axes.plot([part.accuracy], [row], "o", color=colour, markersize=5)
    axes.axvline(whole, color=_ORANGE, linewidth=1, linestyle="--", label="all images")
    axes.set(
        yticks=range(len(parts)), xlim=(-0.02, 1.02), ylim=(len(parts) - 0.4, -0.6),
        xlabel="share that is right, with 95 % interval (grey: few images)",
    )  # fmt: skip
    axes.set_yticklabels(
        [f"{_plain(part.name)} ({part.images:,})" for part in parts], fontsize=8, parse_math=False
    )
    figure.legend(frameon=False, fontsize=8, loc="outside upper right")
    _tidy(axes)
    return _png(figure)


def learning_figure(curves: dict[str, Curve]) -> bytes:
    """Draw what was logged in training: losses in one panel, shares in another."""
    losses = {name: c for name, c in curves.items() if "loss" in name or "nll" in name}
    shares = {name: c for name, c in curves.items() if "accuracy" in name or "recall" in name}
    panels = [(label, lines) for label, lines in (("loss", losses), ("share", shares)) if lines]
    figure = Figure(figsize=(4.4 * max(1, len(panels)), 3.3), layout="constrained")
    for index, (label, lines) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), index + 1)
        for number, (name, (epochs, values)) in enumerate(lines.items()):
            axes.plot(
                epochs, values, marker=_MARKS[number % len(_MARKS)], markersize=3,
                color=_LINES[number % len(_LINES)], linewidth=1.5, label=_legend(name),
            )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=label)
        axes.legend(frameon=False, fontsize=8)
        _tidy(axes)
    return _png(figure)


def contact_sheet(
    faces: FaceSet, probabilities: NDArray[np.float32], chosen: NDArray[np.int64], columns: int = 8
) -> bytes:
    """Draw crops with what people and what the model say; no names.

    Args:
        faces: labelled faces.
        probabilities: float (N, 3).
        chosen: int (M,), indices of the crops, at least one.
        columns: crops a row.
    """
    side, text, edge = 112, 34, 4
    rows = math.ceil(len(chosen) / columns)
    tile = (side + text + 2 * edge, side + 2 * edge)
    sheet = np.full((rows * tile[0], min(columns, len(chosen)) * tile[1], 3), 255, np.uint8)
    for place, index in enumerate(chosen.tolist()):
        top, left = place // columns * tile[0], place % columns * tile[1]
        said, is_ = int(probabilities[index].argmax()), int(faces.labels[index])
        crop = cv2.resize(faces.images[index], (side, side), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + side + 2 * edge, left : left + tile[1]] = COLOURS[Reaction(said + 1)]
        inner = slice(top + edge, top + edge + side), slice(left + edge, left + edge + side)
        sheet[inner] = crop[:, :, None]
        for line, words in enumerate(
            (f"is {CLASSES[is_]}", f"said {CLASSES[said]} {100 * probabilities[index, said]:.0f}%")
        ):
            cv2.putText(
                sheet, words, (left + edge, top + side + 2 * edge + 13 + 15 * line),
                cv2.FONT_HERSHEY_SIMPLEX, 0.36, (40, 40, 40), 1, cv2.LINE_AA,
            )  # fmt: skip
    done, data = cv2.imencode(".png", sheet)
    if not done:
        raise OSError("contact sheet: cannot encode PNG")
    return data.tobytes()


def _tidy(*all_axes: object) -> None:
    for axes in all_axes:
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)  # type: ignore[attr-defined]
        axes.tick_params(colors=_INK)  # type: ignore[attr-defined]


def _plain(name: str) -> str:
    """Return a name that fits a plot: one printable line that is not too long."""
    line = "".join(letter if letter.isprintable() else "?" for letter in name)
    return line if len(line) <= _NAME else f"{line[: _NAME - 1]}…"


def _legend(name: str) -> str:
    """Return a name for a legend, which takes $ for a formula and leaves out names with a _."""
    return " " + _plain(name).replace("$", r"\$")


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(file, format="png", dpi=130)
    return file.getvalue()
