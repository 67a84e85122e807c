# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a person sees of a running session in a terminal; no ROS."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from emotion_perception.drawing import COLOURS
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.recording import Sample

REFRESH_S = 0.1
LINE_EVERY_S = 1.0
_BAR = 32
_HISTORY_S = 12.0
_RATE_S = 2.0


@dataclass
class Progress:
    """What is known of a session so far.

    Attributes:
        source: name of the source.
        model: name and version of the judging model.
        samples: all of them, in order.
        arrivals: when the last ones came, seconds of a steady clock.
    """

    source: str
    model: str = ""
    samples: list[Sample] = field(default_factory=list)
    arrivals: deque[float] = field(default_factory=lambda: deque(maxlen=500))

    def add(self, sample: Sample, model: str) -> None:
        """Note one more sample, which has just come."""
        self.model = model
        self.samples.append(sample)
        self.arrivals.append(time.monotonic())

    def rate(self) -> float:
        """Samples a second, over the last two seconds."""
        now = time.monotonic()
        recent = [when for when in self.arrivals if when > now - _RATE_S]
        return len(recent) / max(now - recent[0], 0.5) if recent else 0.0

    def latency(self, last: int = 100) -> float:
        """Median latency of the last samples in seconds, NaN without any."""
        return float(np.median([s.latency for s in self.samples[-last:]] or [np.nan]))


class View:
    """Shows a session: a panel in a terminal, lines elsewhere. Use inside ``with``.

    Args:
        console: where to; a terminal or not.
        progress: looked at whenever `refresh` is called.
        hint: at the bottom of the panel.
    """

    def __init__(self, console: Console, progress: Progress, hint: str = "") -> None:
        self._console = console
        self._progress = progress
        self._hint = hint
        self._shown = 0.0
        self._last_label = ""
        self._printed = 0
        self._live = (
            Live(console=console, auto_refresh=False, transient=True)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
            self.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def refresh(self) -> None:
        """Show the newest state; cheap when called too often."""
        now = time.monotonic()
        if self._live is not None:
            if now - self._shown >= REFRESH_S:
                self._shown = now
                self._live.update(panel(self._progress, self._hint), refresh=True)
        elif self._progress.samples:
            label = self._progress.samples[-1].label
            waited = now - self._shown
            if len(self._progress.samples) == self._printed:
                return
            if waited >= LINE_EVERY_S or (label != self._last_label and waited >= REFRESH_S):
                self._shown, self._last_label = now, label
                self._printed = len(self._progress.samples)
                self._console.print(line(self._progress))


def line(progress: Progress) -> str:
    """Describe the newest sample in one line."""
    sample = progress.samples[-1]
    seconds = sample.stamp - progress.samples[0].stamp
    text = f"{seconds:8.2f} s  {sample.label:16}"
    if sample.judged:
        shares = zip(list(Reaction)[1:], sample.probabilities, strict=True)
        text += "  ".join(f"{r.name.lower()} {p:.2f}" for r, p in shares)
        text += f"  valence {sample.valence:+.2f}"
    else:
        text += " " * 57
    return f"{text}  {sample.latency * 1e3:6.1f} ms  {progress.rate():4.1f} frames/s"


def panel(progress: Progress, hint: str) -> RenderableType:
    """Describe the newest sample and the last seconds as a panel."""
    body: RenderableType = Text("waiting for the first image ...", style="dim")
    if progress.samples:
        body = _body(progress)
    return Panel(
        body,
        title=f"[bold]emotion_perception[/]  {Text(progress.source).markup}",
        title_align="left",
        subtitle=f"[dim]{hint}[/]",
        subtitle_align="left",
        width=64,
        padding=(1, 2),
    )


def summary(progress: Progress) -> RenderableType:
    """Count the reactions of a finished session."""
    samples = progress.samples
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(justify="right")
    for label, count in Counter(sample.label for sample in samples).most_common():
        table.add_row(label, str(count), f"{count / len(samples):.0%}")
    seconds = samples[-1].stamp - samples[0].stamp
    rate = f"{(len(samples) - 1) / seconds:.1f} frames/s" if seconds > 0 else "one moment"
    p50, p95 = np.percentile([sample.latency for sample in samples], [50, 95]) * 1e3
    head = Text(
        f"{len(samples)} images judged in {seconds:.1f} s ({rate}), "
        f"latency {p50:.1f} ms (median), {p95:.1f} ms (95th percentile)"
    )
    return Group(head, table)


def _body(progress: Progress) -> RenderableType:
    sample = progress.samples[-1]
    colour = _hex(sample.reaction)
    verdict = Text(f" {sample.label.upper()} ", style=f"bold black on {colour}")
    if sample.reaction != Reaction.UNKNOWN:
        verdict.append(f" {sample.confidence:.0%}", style=f"bold {colour} on default")
    face = Text("nobody in view", style="dim")
    if sample.reason != Reason.NO_FACE:
        x, y, width, height = sample.box
        face = Text(f"face {sample.face_id}".rstrip())
        face.append(f"  {width} x {height} pixels at ({x}, {y})", style="dim")
    bars = Table.grid(padding=(0, 2))
    for reaction, probability in zip(list(Reaction)[1:], sample.probabilities, strict=True):
        filled = round(_BAR * probability)
        bar = Text("█" * filled, style=_hex(reaction))
        bar.append("░" * (_BAR - filled), style="dim")
        share = f"{probability:4.2f}" if sample.judged else "   -"
        bars.add_row(Text(reaction.name.lower()), bar, share)
    bars.add_row("valence", _scale(sample), f"{sample.valence:+5.2f}" if sample.judged else "   -")
    figures = Text(
        f"latency {progress.latency() * 1e3:5.1f} ms   {progress.rate():4.1f} frames/s   "
        f"{len(progress.samples)} frames",
        style="dim",
    )
    return Group(
        verdict, face, Text(), bars, Text(), _history(progress), Text(), figures,
        Text(progress.model, style="dim"),
    )  # fmt: skip


def _scale(sample: Sample) -> Text:
    """Draw valence as a mark between -1 and 1."""
    middle = _BAR // 2
    cells = ["─"] * (_BAR + 1)
    cells[middle] = "┼"
    if sample.judged:
        cells[round(middle * (1 + sample.valence))] = "●"
    return Text("".join(cells[:_BAR]) if cells[-1] == "─" else "".join(cells[1:]))


def _history(progress: Progress) -> Text:
    """Draw the verdicts of the last seconds, the newest to the right."""
    text = Text()
    cells = 46
    newest = progress.samples[-1].stamp
    recent: dict[int, Sample] = {}
    for sample in reversed(progress.samples):
        cell = cells - 1 - int((newest - sample.stamp) / _HISTORY_S * cells)
        if cell < 0:
            break
        recent.setdefault(cell, sample)
    last: Sample | None = None
    for cell in range(cells):
        last = recent.get(cell, last)
        if last is None:
            text.append(" ")
        elif last.reason == Reason.NO_FACE:
            text.append("·", style="dim")
        else:
            text.append("▄", style=_hex(last.reaction))
    text.append(f" {_HISTORY_S:.0f} s", style="dim")
    return text


def _hex(reaction: Reaction) -> str:
    blue, green, red = COLOURS[reaction]
    return f"#{red:02x}{green:02x}{blue:02x}"
