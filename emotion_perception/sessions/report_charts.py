# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The pictures of one session's report, each for a wide page and for a phone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from emotion_perception.sessions.report_actions import ANSWERS, Responses
from emotion_perception.sessions.report_columns import columns_of, runs, stretches
from emotion_perception.sessions.report_data import Estimate, Summary, steps
from emotion_perception.sessions.report_frames import STATES, Frames
from emotion_perception.sessions.report_svg import TEXT, Drawing, shortened, text_width
from emotion_perception.sessions.report_wording import (
    ANSWER_NAMES,
    STATE_NAMES,
    between,
    clock,
    percent,
)
from emotion_perception.valence.labels import CLASSES

WIDE: Final = 960.0
NARROW: Final = 340.0
"""Pixels of a drawing; the page shows the one that fits."""

ACTIONS_SHOWN: Final = 20

MARKS: Final = {
    "negative": "down", "neutral": "square", "positive": "up", "unclear": "circle",
    "not_seen": "diamond", "unknown": "circle",
}  # fmt: skip
COLOURS: Final = {"unclear": "unknown", "not_seen": "no_face"}
"""Of what is no state."""

_LANE: Final = 15.0
_GAP: Final = 8.0


def both(draw: Callable[[float, str], Drawing], name: str, label: str) -> str:
    """Return a picture twice, for a wide page and for a phone, of which the page shows one.

    Args:
        draw: makes the drawing of a width, with ids that begin with a name.
        name: of the picture, unique on the page.
        label: what it shows, for those who cannot see it.
    """
    return draw(WIDE, f"{name}-w").to_svg("wide-only", label) + draw(NARROW, f"{name}-n").to_svg(
        "narrow-only", label
    )


def timeline(summary: Summary, width: float, name: str) -> Drawing:
    """Draw the valence, the states, the events and the actions over time."""
    frames = summary.frames
    aside = 128.0 if width > 2 * NARROW else 0.0  # names of lanes; over them where it is narrow
    left, right, curve = max(aside, 30.0), 6.0, 170.0
    inner = width - left - right
    lanes = [*reversed(STATES[:3]), *STATES[3:]]
    above = 0.0 if aside else TEXT + 3
    extra = 2 if summary.actions else 1
    step = _LANE + above + _GAP
    height = 14 + curve + 14 + len(lanes) * step + extra * (step + 8) + 26
    drawing = Drawing(name, width, height)
    start = float(frames.times[0]) if len(frames.times) else 0.0
    span = max(frames.end - start, 1e-6)

    def x_of(time: float) -> float:
        return left + inner * min(max((time - start) / span, 0.0), 1.0)

    bottom = height - 22
    _time_axis(drawing, x_of, start, frames.end, 14.0, bottom)
    _valence(drawing, frames, x_of, left, inner, 14.0, curve)
    y = 14 + curve + 14
    shares = columns_of(frames, int(inner)).shares
    for lane in lanes:
        _lane_name(drawing, STATE_NAMES[lane], aside, y, above)
        drawing.line(left, y + above + _LANE, left + inner, y + above + _LANE, "axis")
        _heights(drawing, shares[:, STATES.index(lane)], left, y + above, _LANE, lane)
        y += step
    y += 4
    _lane_name(drawing, "events", aside, y, above)
    spans = [(x_of(e.onset), x_of(e.offset), e.reaction) for e in summary.events]
    _events(drawing, spans, y + above, width)
    y += step + 8
    if summary.actions:
        _lane_name(drawing, "robot’s actions", aside, y, above)
        free = -1.0
        for action in summary.actions:
            x, kind = x_of(action.start), action.answer
            drawing.mark(x, y + above + 6, MARKS[kind], COLOURS.get(kind, kind))
            free = _numbered(drawing, x, y + above + 25, action.number, free, width)
    return drawing


def shares(summary: Summary, width: float, name: str) -> Drawing:
    """Draw how all the time is shared out, and below it what each share is."""
    entries = [(state, summary.states[state].value) for state in (*reversed(CLASSES), *STATES[3:])]
    entries = [(state, share if math.isfinite(share) else 0.0) for state, share in entries]
    drawing = Drawing(name, width, 48)
    x = 1.0
    for state, share in entries:
        if share > 0:
            drawing.rect(x, 2, (width - 2) * share, 34, state)
            x += (width - 2) * share
    return _with_key(
        drawing, [(state, f"{STATE_NAMES[state]} {percent(share)}") for state, share in entries]
    )


def answers(summary: Summary, width: float, name: str) -> Drawing:
    """Draw the shares of the classes in the time with an answer, with their intervals."""
    rows = [
        (f"{label}: {_with_bounds(summary.answers[label])}", summary.answers[label], label)
        for label in reversed(CLASSES)
    ]
    drawing = Drawing(name, width, 54 * len(rows) + 26)
    y = 0.0
    for text, found, label in rows:
        drawing.text(0, y + 16, text)
        share = found.value if math.isfinite(found.value) else 0.0
        drawing.band(0.5, y + 22, width - 1, 22, "track")
        if share > 0:
            drawing.rect(0.5, y + 22, (width - 1) * share, 22, label)
        if math.isfinite(found.bounds[0]):
            low, high = ((width - 1) * bound for bound in found.bounds)
            _whisker(drawing, low, high, y + 33)
        y += 54
    for share in (0.0, 0.5, 1.0):
        anchor = ("start", "middle", "end")[int(2 * share)]
        drawing.text(width * share, y + 14, f"{100 * share:.0f} %", anchor=anchor, style="muted")
    return drawing


def responses(found: Sequence[Responses], width: float, name: str) -> Drawing:
    """Draw for each action how often it was received in which way."""
    shown = found[:ACTIONS_SHOWN]
    drawing = Drawing(name, width, 56 * len(shown) + 4)
    y = 0.0
    for each in shown:
        count = f"{each.total} ×"
        room = width - text_width(count) - 10
        drawing.text(0, y + 16, shortened(each.action_id or "(without a name)", room))
        drawing.text(width, y + 16, count, anchor="end", style="muted")
        x = 0.5
        for answer in (*reversed(CLASSES), *ANSWERS[3:]):
            part = (width - 1) * each.counts[answer] / max(each.total, 1)
            if not part:
                continue
            drawing.rect(x, y + 22, part, 24, COLOURS.get(answer, answer))
            number = str(each.counts[answer])
            if part > text_width(number) + 12:
                _plate(drawing, x + part / 2, y + 39, number)
            x += part
        y += 56
    kinds = [a for a in (*reversed(CLASSES), *ANSWERS[3:]) if any(e.counts[a] for e in shown)]
    return _with_key(drawing, [(COLOURS.get(a, a), ANSWER_NAMES[a]) for a in kinds])


def _with_bounds(found: Estimate) -> str:
    bounds = between(found.bounds)
    return percent(found.value) + (f" ({bounds})" if bounds != "–" else "")


def _with_key(drawing: Drawing, entries: Sequence[tuple[str, str]]) -> Drawing:
    """Add what each pattern means below a drawing."""
    x, y = 0.0, drawing.height + 4
    for state, text in entries:
        wide = 24 + text_width(text) + 18
        if x and x + wide > drawing.width + 18:
            x, y = 0.0, y + 26
        drawing.rect(x + 0.5, y, 17, 16, state)
        drawing.text(x + 24, y + 13, text)
        x += wide
    drawing.height = y + 24
    return drawing


def _time_axis(
    drawing: Drawing, x_of: Callable[[float], float], start: float, end: float, top: float,
    bottom: float,
) -> None:  # fmt: skip
    step = steps(start, end, max(3, int(drawing.width / 75)))
    tick = math.ceil(start / step) * step
    while tick <= end + 1e-6:
        x = x_of(tick)
        drawing.line(x, top, x, bottom, "grid")
        text = clock(tick, tenths=step < 1)
        half = text_width(text) / 2
        inside = min(max(x, half), drawing.width - half)
        drawing.text(inside, bottom + 17, text, anchor="middle", style="muted")
        tick += step


def _valence(
    drawing: Drawing, frames: Frames, x_of: Callable[[float], float], left: float, inner: float,
    top: float, height: float,
) -> None:  # fmt: skip
    def y_of(valence: float) -> float:
        return top + height * (1 - valence) / 2

    for value, text in ((1, "+1"), (0, "0"), (-1, "−1")):
        drawing.line(left, y_of(value), left + inner, y_of(value), "axis")
        drawing.text(left - 4, y_of(value) + 5, text, anchor="end", style="muted")
    if left > 60:
        drawing.text(0, y_of(0.72), "positive")
        drawing.text(0, y_of(-0.72) + 8, "negative")
    count = int(inner)
    if len(frames.times) <= count:
        for run in stretches(frames):
            ends = [*frames.times[run].tolist(), float((frames.times + frames.seconds)[run][-1])]
            values = [*frames.valence[run].tolist(), float(frames.valence[run][-1])]
            points = [(x_of(t), y_of(v)) for t, v in zip(ends, values, strict=True)]
            drawing.path(points, "curve")
        return
    found = columns_of(frames, count)
    for run in runs(np.isfinite(found.mean)):
        xs = [left + at for at in range(run.start, run.stop + 1)]
        low, mean, high = (
            [y_of(v) for v in (*values[run].tolist(), float(values[run][-1]))]
            for values in (found.low, found.mean, found.high)
        )
        upper = list(zip(xs, high, strict=True))
        lower = list(zip(xs, low, strict=True))
        drawing.path([*upper, *reversed(lower)], "spread", closed=True)
        drawing.path(list(zip(xs, mean, strict=True)), "curve")


def _heights(
    drawing: Drawing, shares: np.ndarray[tuple[int], np.dtype[np.float64]], left: float,
    top: float, height: float, state: str,
) -> None:  # fmt: skip
    """Draw shares (C,) as the heights of columns of one pixel; equal ones as one."""
    tall = np.round(shares * 20) / 20
    base = top + height
    for run in runs(tall > 0):
        points = [(left + run.start, base)]
        at = run.start
        while at < run.stop:
            until = at
            while until < run.stop and tall[until] == tall[at]:
                until += 1
            y = base - height * float(tall[at])
            points += [(left + at, y), (left + until, y)]
            at = until
        points.append((left + run.stop, base))
        drawing.path(points, "lane", state=state)


def _lane_name(drawing: Drawing, name: str, aside: float, y: float, above: float) -> None:
    if aside:
        drawing.text(0, y + 13, shortened(name, aside))
    else:
        drawing.text(0, y + above - 4, name, style="muted")


def _events(
    drawing: Drawing, spans: Sequence[tuple[float, float, str]], y: float, width: float
) -> None:
    free = -1.0
    for number, (begin, end, reaction) in enumerate(spans, 1):
        long = max(end - begin, 2.5)
        drawing.rect(begin, y, min(long, width - begin), 13, reaction)
        free = _numbered(drawing, begin + long / 2, y + 28, number, free, width)


def _numbered(
    drawing: Drawing, x: float, y: float, number: int, free: float, width: float
) -> float:
    """Write a number where there is room; return from where on there is again."""
    half = text_width(str(number), 13) / 2
    x = min(x, width - half)
    if x - half < free:
        return free
    drawing.text(x, y, str(number), anchor="middle", style="muted", size=13)
    return x + half + 4


def _whisker(drawing: Drawing, low: float, high: float, y: float) -> None:
    for style in ("halo", "whisker"):
        drawing.line(low, y, high, y, style)
        for x in (low, high):
            drawing.line(x, y - 6, x, y + 6, style)


def _plate(drawing: Drawing, x: float, y: float, text: str) -> None:
    """Write on a pattern: on a plain plate, so that it can be read."""
    wide = text_width(text) + 8
    drawing.band(x - wide / 2, y - 14, wide, 18, "plate")
    drawing.text(x, y, text, anchor="middle")
