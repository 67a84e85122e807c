# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pictures of a patient's page: one figure after another, session by session."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Final

from emotion_perception.sessions.report_charts import MARKS, NARROW
from emotion_perception.sessions.report_svg import TEXT, Drawing, text_width
from emotion_perception.sessions.report_trend import Entry, Measure

_STATES: Final = {"positive": "positive", "negative": "negative"}
_HEIGHT: Final = 200.0


def trend(
    entries: Sequence[Entry], measures: Sequence[Measure], width: float, name: str
) -> Drawing:
    """Draw measures of the same kind with their intervals, the sessions at equal distances.

    Args:
        entries: the sessions in order.
        measures: one or two, all shares or none.
        width: of the drawing.
        name: begins its ids.
    """
    left, top, bottom = 52.0, 12.0, 52.0
    inner = width - left - 8
    drawing = Drawing(name, width, _HEIGHT + top + bottom)
    share = measures[0].is_share
    low, high = (0.0, 1.0) if share else (-1.0, 1.0)

    def x_of(at: float) -> float:
        return left + inner * (at + 0.5) / len(entries)

    def y_of(value: float) -> float:
        return top + _HEIGHT * (high - value) / (high - low)

    for value in (low, (low + high) / 2, high):
        drawing.line(left, y_of(value), left + inner, y_of(value), "axis")
        text = f"{100 * value:.0f} %" if share else f"{value:+.0f}".replace("-", "−")
        text = "0" if not share and not value else text
        drawing.text(left - 6, y_of(value) + 5, text, anchor="end", style="muted")
    _halves(drawing, len(entries), x_of, top, top + _HEIGHT)
    for index, measure in enumerate(measures):
        # Side by side, so that one interval does not hide the other.
        aside = (index - (len(measures) - 1) / 2) * min(14.0, 0.3 * inner / len(entries))
        _series(drawing, entries, measure, x_of, y_of, aside)
    _names(drawing, entries, x_of, top + _HEIGHT + 20)
    if len(measures) > 1:
        x = left
        for measure in measures:
            state = _STATES.get(measure.key, "unknown")
            drawing.mark(x + 7, drawing.height + 6, MARKS[state], state)
            drawing.text(x + 20, drawing.height + 11, measure.key)
            x += 20 + text_width(measure.key) + 24
        drawing.height += 22
    return drawing


def _series(
    drawing: Drawing, entries: Sequence[Entry], measure: Measure,
    x_of: Callable[[float], float], y_of: Callable[[float], float], aside: float,
) -> None:  # fmt: skip
    found = [measure.of(entry) for entry in entries]
    radius = 6.0 if len(entries) <= 25 or drawing.width > 2 * NARROW else 3.5
    known = [(at, each) for at, each in enumerate(found) if math.isfinite(each.value)]
    for (a, one), (b, next_one) in itertools.pairwise(known):
        if b == a + 1:
            points = [(x_of(a) + aside, y_of(one.value)), (x_of(b) + aside, y_of(next_one.value))]
            drawing.path(points, "axis")
    for at, each in known:
        x = x_of(at) + aside
        if all(map(math.isfinite, each.bounds)):
            lower, upper = (y_of(bound) for bound in each.bounds)
            drawing.line(x, lower, x, upper, "whisker")
            for y in (lower, upper):
                drawing.line(x - radius * 0.7, y, x + radius * 0.7, y, "whisker")
        state = _STATES.get(measure.key, "unknown")
        drawing.mark(x, y_of(each.value), MARKS[state], state, radius)


def _halves(
    drawing: Drawing, count: int, x_of: Callable[[float], float], top: float, bottom: float
) -> None:
    """Draw the line between the first and the second half."""
    if count >= 2:
        x = x_of(count // 2 - 0.5)
        drawing.line(x, top, x, bottom, "half")


def _names(
    drawing: Drawing, entries: Sequence[Entry], x_of: Callable[[float], float], y: float
) -> None:
    """Write the number of each session, and the day where there is room."""
    free_number = free_day = -math.inf
    for at, entry in enumerate(entries):
        for text, below, free in (
            (str(at + 1), 0.0, free_number), (entry.info.started[:10], TEXT + 4, free_day)
        ):  # fmt: skip
            half = text_width(text) / 2
            x = min(max(x_of(at), half), drawing.width - half)
            if not text or x - half < free:
                continue
            drawing.text(x, y + below, text, anchor="middle", style="muted")
            if below:
                free_day = x + half + 10
            else:
                free_number = x + half + 6
