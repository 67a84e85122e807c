# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Drawings of a report: SVG whose colours come from the page, so that dark and print follow."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

# What sets a state apart where colours do not: a path within a tile of so many pixels.
_HATCHES: Final = {
    "negative": (8, "M0 8L8 0M-2 2L2 -2M6 10L10 6"),
    "neutral": (8, ""),
    "positive": (8, "M4 0V8"),
    "unknown": (6, "M0 3H6"),
    "no_face": (9, "M0 0L9 9M0 9L9 0"),
}

TEXT: Final = 15.0
"""Size of letters in pixels of the drawing."""

_WIDTH_OF_LETTER: Final = 0.56


def text_width(text: str, size: float = TEXT) -> float:
    """Return about how wide a text is drawn, pixels."""
    return _WIDTH_OF_LETTER * size * len(text)


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """Return as much of a text as fits into a width, pixels."""
    room = int(width / (_WIDTH_OF_LETTER * size))
    return text if len(text) <= room else text[: max(room - 1, 1)].rstrip() + "…"


class Drawing:
    """An SVG picture, put together piece by piece.

    Args:
        name: unique on the page; begins the ids in it.
        width: pixels of the drawing; it is scaled to the page.
        height: likewise.
    """

    def __init__(self, name: str, width: float, height: float) -> None:
        self.name, self.width, self.height = name, width, height
        self._parts: list[str] = []

    def fill_of(self, state: str) -> str:
        """Return how to fill with the colour and pattern of a state, or another of STATES."""
        return f"url(#{self.name}-{state})"

    def rect(self, x: float, y: float, width: float, height: float, state: str) -> None:
        """Draw a box of a state, with an edge."""
        self._parts.append(
            f'<rect class="edge" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" '
            f'height="{_n(height)}" fill="{self.fill_of(state)}"/>'
        )

    def band(self, x: float, y: float, width: float, height: float, style: str) -> None:
        """Draw a box of a class of the style sheet."""
        self._parts.append(
            f'<rect class="{style}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" '
            f'height="{_n(height)}"/>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str = "axis") -> None:
        """Draw a straight line."""
        self.path([(x1, y1), (x2, y2)], style)

    def path(
        self, points: Sequence[tuple[float, float]], style: str, *, state: str = "",
        closed: bool = False,
    ) -> None:  # fmt: skip
        """Draw lines between points; with a state, what they enclose is filled."""
        steps = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
        fill = f' fill="{self.fill_of(state)}"' if state else ""
        end = "Z" if closed or state else ""
        self._parts.append(f'<path class="{style}" d="M{steps}{end}"{fill}/>')

    def mark(self, x: float, y: float, shape: str, state: str, radius: float = 6.0) -> None:
        """Draw a mark: up, down, square, circle or diamond."""
        r = radius
        points = {
            "up": [(x, y - r), (x + r, y + r), (x - r, y + r)],
            "down": [(x, y + r), (x + r, y - r), (x - r, y - r)],
            "square": [(x - r, y - r), (x + r, y - r), (x + r, y + r), (x - r, y + r)],
            "diamond": [(x, y - r), (x + r, y), (x, y + r), (x - r, y)],
        }.get(shape)
        if points is None:
            self._parts.append(
                f'<circle class="edge f-{state}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(r)}"/>'
            )
        else:
            self.path(points, f"edge f-{state}", closed=True)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", style: str = "",
        size: float = TEXT,
    ) -> None:  # fmt: skip
        """Write a text, its baseline at y."""
        kind = f' class="{style}"' if style else ""
        self._parts.append(
            f'<text{kind} x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" '
            f'text-anchor="{anchor}">{html.escape(text)}</text>'
        )

    def to_svg(self, style: str, label: str) -> str:
        """Return the picture.

        Args:
            style: its class in the page.
            label: what it shows, for those who cannot see it.
        """
        patterns = "".join(
            f'<pattern id="{self.name}-{state}" width="{size}" height="{size}" '
            f'patternUnits="userSpaceOnUse"><rect class="f-{state}" width="{size}" '
            f'height="{size}"/>' + (f'<path class="hatch" d="{path}"/>' if path else "")
            + "</pattern>"
            for state, (size, path) in _HATCHES.items()
            if f"#{self.name}-{state})" in "".join(self._parts)
        )  # fmt: skip
        return (
            f'<svg class="{style}" viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
            f'aria-label="{html.escape(label)}"><defs>{patterns}</defs>{"".join(self._parts)}</svg>'
        )


def _n(value: float) -> str:
    """Return a number as short as a pixel needs."""
    return f"{value:.1f}".rstrip("0").rstrip(".") if value else "0"
