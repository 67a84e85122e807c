# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One picture of a session: the frame with its faces as the table tells them, and the strip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.drawing import COLOURS, draw_reactions
from emotion_perception.faces.face import Face
from emotion_perception.image.source import Frame
from emotion_perception.reaction.reaction import FaceReaction, Reaction
from emotion_perception.sessions.event_summary import EVERYBODY, PARTNER
from emotion_perception.sessions.events import Event
from emotion_perception.sessions.lettering import GREY, WHITE, put_text, text_width
from emotion_perception.sessions.seen import Seen
from emotion_perception.sessions.strip import GROUND, Strip
from emotion_perception.sessions.table import SessionInfo, Unreadable

MIN_LETTERS: Final = 0.8
"""Least scale of the letters at faces, for `draw_reactions`."""

_CELLS: Final = 5
"""A blurred face is made of so many cells across."""

_MARGIN: Final = 0.3
"""Of a face's box, blurred around it: chin, ears and hair tell who it is too."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How pictures are made.

    Attributes:
        person: whose reactions the strip shows: partner, all (the partner too) or an id.
        scale: of the frames.
        max_side: larger ones are shrunk to this longer side, pixels.
        blur: whose faces are made unrecognisable: empty, ``others`` than the person, or ``all``.
        caption: whether there is room for two lines above the frame.
    """

    person: str = PARTNER
    scale: float = 1.0
    max_side: int | None = None
    blur: str = ""
    caption: bool = False

    def __post_init__(self) -> None:
        if not 0.01 <= self.scale <= 16:
            raise ValueError(f"--scale: expected 0.01 to 16, got {self.scale:g}")
        if self.max_side is not None and self.max_side < 16:
            raise ValueError(f"--max-side: expected 16 pixels or more, got {self.max_side}")
        if self.blur == "others" and self.person == EVERYBODY:
            raise ValueError("--blur-others: goes with one person; choose by --person")

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height that frames of some size are shown at; even, for encoders."""
        scale = self.scale
        if self.max_side is not None:
            scale = min(scale, self.max_side / max(width, height))
        return max(16, round(width * scale / 2) * 2), max(16, round(height * scale / 2) * 2)


class Overlay:
    """Makes the pictures.

    Args:
        seen: the table.
        info: of the table.
        frame_size: width and height of the recording's first frame, pixels.
        look: how they are made.
        events: to mark in the strip.
        length: seconds of the recording.

    Attributes:
        size: width and height of the pictures, pixels; even.
        strip: the strip, whose upper edge is at `strip_top`.
    """

    def __init__(
        self, seen: Seen, info: SessionInfo, frame_size: tuple[int, int], look: Look,
        events: Sequence[Event], length: float,
    ) -> None:  # fmt: skip
        self._seen = seen
        self._unreadable = info.unreadable
        self._look = look
        self._width, self._height = look.size(*frame_size)
        self._unit = max(1.0, min(self._width / 640, self._height / 480))
        self._caption = round(38 * self._unit) // 2 * 2 if look.caption else 0
        self.strip = Strip(
            self._width, self._unit, length, seen.course(look.person), events, info.unreadable
        )
        self.strip_top = self._caption + self._height
        self.size = (self._width, self.strip_top + self.strip.height)

    def draw(
        self, frame: Frame, seconds: float, *, right: str = "", caption: Sequence[str] = ()
    ) -> NDArray[np.uint8]:
        """Return a picture, uint8 BGR (height, width, 3).

        Args:
            frame: on show.
            seconds: the time that the cursor marks.
            right: text at the right end of the strip.
            caption: upper left, upper right, lower left and lower right text above the frame.
        """
        image = self._blurred(frame) if self._look.blur else frame.image
        shown, faces = self._fitted(image, self._seen.faces(frame.index))
        shown = draw_reactions(shown, faces, min_scale=MIN_LETTERS)
        canvas = np.empty((self.size[1], self.size[0], 3), np.uint8)
        canvas[: self._caption] = GROUND
        canvas[self._caption : self.strip_top] = shown
        if self._caption and caption:
            self._draw_caption(canvas, caption)
        text, colour = self._words(frame, seconds)
        canvas[self.strip_top :] = self.strip.draw(seconds, text, colour, right)
        return canvas

    def unreadable(self, seconds: float) -> Unreadable | None:
        """Return the part that could not be read at a time, if there is one."""
        for part in self._unreadable:
            if part.start < seconds < part.end:
                return part
        return None

    def _words(self, frame: Frame, seconds: float) -> tuple[str, tuple[int, int, int]]:
        """Return how the person reacts, and the colour of that."""
        part = self.unreadable(seconds)
        if part is not None:
            return f"not readable: {part.why}", GREY
        person = self._look.person if self._look.person != EVERYBODY else PARTNER
        face = self._seen.of(person, frame.index)
        if face is None:
            what = "not seen" if self._seen.knows(frame.index) else "not judged"
            return f"{person} {what}", COLOURS[Reaction.UNKNOWN]
        name = person if person != PARTNER or not face.face_id else f"partner {face.face_id}"
        return f"{name} {face.reaction.name.lower()}", COLOURS[face.reaction]

    def _fitted(
        self, image: NDArray[np.uint8], faces: Sequence[FaceReaction]
    ) -> tuple[NDArray[np.uint8], list[FaceReaction]]:
        """Scale a frame and its faces into the room for it, with bars where its shape differs."""
        height, width = image.shape[:2]
        fits = min(self._width / width, self._height / height)
        inner = (self._width, self._height)
        if abs(width * fits - inner[0]) >= 2 or abs(height * fits - inner[1]) >= 2:
            inner = (max(1, round(width * fits)), max(1, round(height * fits)))
        if inner != (width, height):
            way = cv2.INTER_AREA if inner[0] < width else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, inner, interpolation=way), np.uint8)
        left, top = (self._width - inner[0]) // 2, (self._height - inner[1]) // 2
        if inner != (self._width, self._height):
            room = np.zeros((self._height, self._width, 3), np.uint8)
            room[top : top + inner[1], left : left + inner[0]] = image
            image = room
        scale = np.array([inner[0] / width, inner[1] / height] * 2, np.float32)
        moved = [
            replace(
                face,
                face=Face(
                    face.face.box * scale + np.array([left, top] * 2, np.float32),
                    face.face.score,
                    face.face.landmarks,
                ),
            )
            for face in faces
        ]
        return image, moved

    def _blurred(self, frame: Frame) -> NDArray[np.uint8]:
        if not self._seen.knows(frame.index):  # nobody looked for faces in it
            return blur(frame.image, np.array([[0, 0, *frame.image.shape[1::-1]]], float))
        keep = None if self._look.blur == "all" else self._look.person
        return blur(frame.image, self._seen.hidden(frame.time, keep))

    def _draw_caption(self, canvas: NDArray[np.uint8], caption: Sequence[str]) -> None:
        size, gap = max(11, round(13 * self._unit)), round(8 * self._unit)
        for line, (left, right) in enumerate((caption[:2], caption[2:4])):
            top = round((2 + 17 * line) * self._unit)
            edge = self._width - gap - text_width(right, size)
            put_text(canvas, right, (edge, top), size)
            put_text(canvas, left, (gap, top), size, WHITE, max_width=max(0, edge - 2 * gap))


def blur(image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a copy of an image in which nobody in the boxes can be recognised.

    Args:
        image: uint8 BGR (H, W, 3).
        boxes: (N, 4), x1, y1, x2, y2 of faces, pixels; a margin around them is blurred too.
    """
    result: NDArray[np.uint8] = image.copy()
    height, width = image.shape[:2]
    for x1, y1, x2, y2 in np.clip(boxes, -1e6, 1e6):
        aside, above = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
        left, right = max(0, int(x1 - aside)), min(width, int(x2 + aside) + 1)
        top, bottom = max(0, int(y1 - above)), min(height, int(y2 + above) + 1)
        if left >= right or top >= bottom:
            continue
        # Means over few cells, which no sharpening brings back.
        across = max(1, round(_CELLS * (right - left) / max(right - left, bottom - top)))
        down = max(1, round(_CELLS * (bottom - top) / max(right - left, bottom - top)))
        part = result[top:bottom, left:right]
        cells = cv2.resize(part, (across, down), interpolation=cv2.INTER_AREA)
        result[top:bottom, left:right] = cv2.resize(
            cells, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR
        )
    return result
