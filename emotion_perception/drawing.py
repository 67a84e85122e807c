# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Drawing reactions on frames."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.reaction import FaceReaction, Reaction

# Okabe and Ito's palette, told apart by colour-blind people too; BGR.
COLOURS: dict[Reaction, tuple[int, int, int]] = {
    Reaction.UNKNOWN: (170, 170, 170),
    Reaction.NEGATIVE: (0, 94, 213),
    Reaction.NEUTRAL: (233, 180, 86),
    Reaction.POSITIVE: (115, 158, 0),
}
FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_reactions(
    frame: NDArray[np.uint8],
    reactions: Sequence[FaceReaction],
    caption: str = "",
    min_scale: float = 0.4,
) -> NDArray[np.uint8]:
    """Return a copy of a frame with boxes, verdicts and probability bars.

    Args:
        frame: uint8 BGR (H, W, 3).
        reactions: of this frame; the partner's box is drawn thicker.
        caption: one line at the bottom.
        min_scale: of letters and lines in small frames; they have 1 in 640 x 480.
    """
    canvas = np.array(frame, order="C")
    height, width = canvas.shape[:2]
    scale = max(min_scale, min(width / 640, height / 480))
    for reaction in reversed(reactions):
        _draw_face(canvas, reaction, scale)
    if caption:
        _text(canvas, caption, (int(6 * scale), height - int(8 * scale)), (255, 255, 255), scale)
    return canvas


def _draw_face(canvas: NDArray[np.uint8], reaction: FaceReaction, scale: float) -> None:
    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = (round(float(v)) for v in np.clip(reaction.face.box, -9999, 9999))
    colour = COLOURS[reaction.reaction]
    thickness = max(1, round((2.5 if reaction.is_partner else 1.2) * scale))
    cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)
    label = reaction.reaction.name
    if reaction.reaction == Reaction.UNKNOWN:
        why = reaction.problem or reaction.reason.name.lower().replace("_", " ")
        label += f" ({why})"
    else:
        label += f" {reaction.confidence:.0%}"
    if reaction.face_id:
        label = f"{reaction.face_id}  {label}"
    if reaction.is_partner and reaction.face_id:
        label = f"partner {label}"
    # Above the box, or inside it where there is no room.
    line = int(20 * scale)
    top = y1 - line if y1 >= line else max(y1, 0)
    _label(canvas, label, (max(0, x1 - thickness // 2), top), line, colour, scale)
    bar, gap = max(3, int(9 * scale)), max(1, int(3 * scale))
    full = max(int(60 * scale), min(x2, width) - max(x1, 0))
    for row, (probability, verdict) in enumerate(
        zip(reaction.probabilities, list(Reaction)[1:], strict=True)
    ):
        top = min(y2 + gap, height - 3 * (bar + gap)) + row * (bar + gap)
        left = max(x1, 0)
        cv2.rectangle(canvas, (left, top), (left + full, top + bar), (40, 40, 40), -1)
        end = left + round(full * float(probability))
        cv2.rectangle(canvas, (left, top), (end, top + bar), COLOURS[verdict], -1)


def _label(
    canvas: NDArray[np.uint8],
    text: str,
    corner: tuple[int, int],
    height: int,
    colour: tuple[int, int, int],
    scale: float,
) -> None:
    """Write on a filled field: legible over hair as over a wall."""
    size, weight = 0.5 * scale, max(1, round(1.3 * scale))
    (width, ascent), _ = cv2.getTextSize(text, FONT, size, weight)
    left = min(corner[0], max(0, canvas.shape[1] - width - 8))
    cv2.rectangle(canvas, (left, corner[1]), (left + width + 8, corner[1] + height), colour, -1)
    # Dark letters on light fields, light ones on dark fields.
    ink = (0, 0, 0) if colour[1] > 120 else (255, 255, 255)
    base = corner[1] + (height + ascent) // 2
    cv2.putText(canvas, text, (left + 4, base), FONT, size, ink, weight, cv2.LINE_AA)


def _text(
    canvas: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    colour: tuple[int, int, int],
    scale: float,
) -> None:
    size, weight = 0.5 * scale, max(1, round(1.3 * scale))
    # A dark rim keeps letters legible on any background.
    cv2.putText(canvas, text, origin, FONT, size, (0, 0, 0), weight + 2, cv2.LINE_AA)
    cv2.putText(canvas, text, origin, FONT, size, colour, weight, cv2.LINE_AA)
