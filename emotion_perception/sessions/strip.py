# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The strip below the picture: a person's valence, reactions and events over a whole recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.drawing import COLOURS
from emotion_perception.reaction.reaction import Reaction
from emotion_perception.sessions.events import Event
from emotion_perception.sessions.lettering import GREY, WHITE, hms, put_text, text_width
from emotion_perception.sessions.seen import Course
from emotion_perception.sessions.table import REACTIONS, Unreadable

GROUND: Final = (30, 30, 30)
CURSOR: Final = (255, 255, 255)
HATCH: Final = (120, 120, 120)
_ZERO: Final = (110, 110, 110)
_LINE: Final = (225, 225, 225)
_BAND: Final = 0.5
"""How much of a reaction's colour the bands behind the valence have."""

_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)


class Strip:
    """Draws the strip.

    Args:
        width: pixels.
        unit: how large letters and lines are; 1 suits pictures of 640 x 480.
        length: seconds of the recording.
        course: of the person that is shown.
        events: to mark.
        unreadable: parts to hatch.

    Attributes:
        height: pixels, even.
    """

    def __init__(
        self, width: int, unit: float, length: float, course: Course, events: Sequence[Event],
        unreadable: Sequence[Unreadable] = (),
    ) -> None:  # fmt: skip
        self._unit = unit
        self._length = max(length, 1e-3)
        self.height = self._px(74) // 2 * 2
        self._left, self._right = self._px(16), width - self._px(8)
        self._events = (self._px(19), self._px(26))
        self._plot = (self._px(28), self._px(60))
        self._letters = max(10, self._px(12))
        self._base = np.full((self.height, width, 3), GROUND, np.uint8)
        self._draw_course(course)
        self._draw_unreadable(unreadable)
        self._draw_events(events)
        self._draw_axes()

    def draw(self, seconds: float, text: str = "", colour: tuple[int, int, int] = WHITE,
             right: str = "") -> NDArray[np.uint8]:  # fmt: skip
        """Return the strip, uint8 BGR (height, width, 3).

        Args:
            seconds: where the cursor is.
            text: beside the time.
            colour: of a mark before that text, BGR.
            right: text at the right end, left out where there is no room.
        """
        strip: NDArray[np.uint8] = self._base.copy()
        size, top, gap, side = self._letters, self._px(2), self._px(8), self._px(9)
        now = f"{hms(seconds)} / {hms(self._length, 0)}"
        beside = (side + gap // 2 + text_width(text, size) if text else 0, text_width(right, size))
        room = strip.shape[1] - 4 * gap - sum(beside)
        if text_width(now, size) > room:  # the axis tells the length too
            now = hms(seconds)
        left = gap + put_text(strip, now, (gap, top), size) + gap
        if text:
            edge = (left, top + (size - side) // 2 + self._px(2))
            cv2.rectangle(strip, edge, (left + side, edge[1] + side), colour, -1)
            left += side + gap // 2
            left += put_text(
                strip, text, (left, top), size, max_width=max(0, strip.shape[1] - gap - left)
            )
        if right and left + gap + beside[1] + gap <= strip.shape[1]:
            put_text(strip, right, (strip.shape[1] - gap - beside[1], top), size, GREY)
        wide = max(2, round(1.5 * self._unit))  # one pixel alone, encoders smear
        x = self.place(seconds) - wide // 2
        cv2.rectangle(strip, (x, self._events[0]), (x + wide - 1, self._plot[1]), CURSOR, -1)
        return strip

    def place(self, seconds: float) -> int:
        """Return the column of a time."""
        share = min(max(seconds / self._length, 0.0), 1.0)
        return self._left + round(share * (self._right - 1 - self._left))

    def time(self, x: int) -> float:
        """Return the time at a column."""
        share = (x - self._left) / max(1, self._right - 1 - self._left)
        return min(max(share, 0.0), 1.0) * self._length

    def _px(self, units: float) -> int:
        return round(units * self._unit)

    def _draw_course(self, course: Course) -> None:
        top, bottom = self._plot
        columns = np.arange(self._left, self._right)
        edges = np.linspace(0, self._length, len(columns) + 1)
        shares = np.stack(
            [_seconds(course, course.reactions == code, edges) for code in Reaction], axis=1
        )
        best = shares.argmax(axis=1)
        seen = shares.sum(axis=1) > 0
        for code, reaction in enumerate(Reaction):
            ground = np.array(GROUND)
            colour = ground + _BAND * (np.array(COLOURS[reaction]) - ground)
            self._base[top:bottom, columns[seen & (best == code)]] = np.rint(colour)
        middle = (top + bottom - 1) // 2
        self._base[middle, columns] = _ZERO
        judged = np.isfinite(course.valence)
        known = _seconds(course, judged, edges)
        total = _seconds(course, judged, edges, np.nan_to_num(course.valence))
        valence = np.divide(total, known, out=np.zeros_like(total), where=known > 1e-9)
        rows = np.rint(top + 1 + (1 - np.clip(valence, -1, 1)) / 2 * (bottom - top - 3)).astype(int)
        weight = max(1, self._px(1.3))
        for at in np.flatnonzero(known > 1e-9):
            before = at - 1 if at and known[at - 1] > 1e-9 else at
            start, stop = (
                (int(columns[before]), int(rows[before])),
                (int(columns[at]), int(rows[at])),
            )
            cv2.line(self._base, start, stop, _LINE, weight)

    def _draw_unreadable(self, parts: Sequence[Unreadable]) -> None:
        top, bottom = self._plot
        for part in parts:
            first, last = (
                self.place(part.start),
                max(self.place(part.end), self.place(part.start) + 2),
            )
            self._base[top:bottom, first : last + 1] = GROUND
            y, x = np.mgrid[top:bottom, first : last + 1]
            x = np.minimum(x, self._base.shape[1] - 1)
            step = max(4, self._px(5))
            lines = (x + y) % step < max(1, step // 4)
            self._base[y[lines], x[lines]] = HATCH

    def _draw_events(self, events: Sequence[Event]) -> None:
        top, bottom = self._events
        for event in events:
            first = self.place(event.onset)
            last = max(self.place(event.offset), first + self._px(3))
            colour = COLOURS[Reaction(REACTIONS.index(event.reaction))]
            cv2.rectangle(self._base, (first, top), (last, bottom - 2), colour, -1)
            # A gap between two that touch.
            self._base[top : bottom - 1, first] = GROUND

    def _draw_axes(self) -> None:
        top, bottom = self._plot
        size = max(9, self._px(10))
        for sign, y in (("+", top), ("–", bottom)):
            y -= size * 2 // 3 if sign == "+" else size * 5 // 6
            put_text(self._base, sign, (self._px(4), y), size, GREY)
        wide = text_width(hms(self._length, 0), size) + self._px(14)
        wanted = self._length * wide / max(1, self._right - self._left)
        step = next((step for step in _STEPS if step >= wanted), _STEPS[-1])
        for seconds in np.arange(0, self._length + 1e-6, step):
            x, text = self.place(float(seconds)), hms(float(seconds), 0)
            self._base[bottom : bottom + self._px(3), x] = GREY
            left = x - text_width(text, size) // 2
            left = min(max(left, 1), self._base.shape[1] - text_width(text, size) - 1)
            put_text(self._base, text, (left, bottom + self._px(2)), size, GREY)


def _seconds(
    course: Course, chosen: NDArray[np.bool_], edges: NDArray[np.float64],
    values: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """Return how many seconds of the chosen frames lie between each two edges (N + 1,).

    Each second counts as the value of its frame, if those are given.
    """
    weights = chosen * (course.ends - course.times) * (1.0 if values is None else values)
    total = np.cumsum(weights)
    knots = np.stack([course.times, course.ends], axis=1).ravel()
    heights = np.stack([total - weights, total], axis=1).ravel()
    return np.diff(np.interp(edges, knots, heights))
