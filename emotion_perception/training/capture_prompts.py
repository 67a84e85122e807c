# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Guided recording: what to do with the person, class by class, and keys to steer it.

Works in a terminal alone; a window with the camera's image is an extra. Time is that of the
frames, so that a recording can be used to practise.
"""

from __future__ import annotations

import math
import os
import select
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape

from emotion_perception.drawing import FONT
from emotion_perception.image.source import Frame, FrameSource, SourceError
from emotion_perception.training.capture_select import Crop, FaceSelector, Verdict

if TYPE_CHECKING:
    from emotion_perception.window import Window

# Asked-for faces are posed, and a network that learns them fails on real ones; so the prompts
# bring the person into a situation instead. The pleasant one comes last: that is what stays.
PROMPTS = (
    (
        "neutral",
        "Let the person sit at ease and look towards the camera: listen to something plain, look"
        " at an ordinary picture, think of the way here. No talking, nothing to react to.",
    ),
    (
        "negative",
        "Mention something mildly unpleasant that you agreed on beforehand: a dull chore, bad"
        " weather, a taste they dislike. Never frighten or hurt; stop at once if it distresses.",
    ),
    (
        "positive",
        "Tell the person something pleasant: a joke, praise, their favourite music, a good"
        " memory. Do not ask for a smile, let it come.",
    ),
)

ENTER, SKIP, REDO, QUIT = "\n", "s", "r", "q"
_AFTER = "Enter keeps it, r records it again, s throws it away, q keeps it and ends"
_POLL_S = 0.05


@dataclass(eq=False)
class Take:
    """What was recorded for one class.

    Attributes:
        valence: the class.
        crops: faces kept, each with its time in seconds.
        verdicts: how many frames met with each verdict.
    """

    valence: str
    crops: list[tuple[float, Crop]] = field(default_factory=list)
    verdicts: Counter[Verdict] = field(default_factory=Counter)


class Keys:
    """Keys from a terminal as they are pressed, or lines from a pipe, without waiting.

    A line of a pipe counts as its first letter, an empty one as Enter, its end as ``q``.

    Args:
        descriptor: file to read from; None: standard input.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._terminal = os.isatty(self._descriptor)
        self._before: list[Any] | None = None
        self._buffer = b""
        self._ended = False

    def __enter__(self) -> Keys:
        if self._terminal:
            import termios
            import tty

            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def poll(self, timeout: float = 0.0) -> str | None:
        """Return the next key in lower case, or None if there is none within some seconds."""
        if not self._has_key() and not self._ended:
            ready, _, _ = select.select([self._descriptor], [], [], timeout)
            if ready:
                read = os.read(self._descriptor, 1024)
                self._ended = not read
                self._buffer += read
        if self._has_key():
            return self._next_key()
        return QUIT if self._ended else None

    def pressed(self) -> str | None:
        """Return a key pressed meanwhile; a pipe's lines are answers, which wait for ``poll``."""
        return self.poll() if self._terminal else None

    def _has_key(self) -> bool:
        return bool(self._buffer) if self._terminal else b"\n" in self._buffer

    def _next_key(self) -> str:
        if self._terminal:
            key, self._buffer = self._buffer[:1], self._buffer[1:]
            return ENTER if key in (b"\r", b"\n", b" ") else key.decode("latin-1").lower()
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.strip().decode("latin-1").lower()[:1] or ENTER


class Guide:
    """Leads through the classes and yields what was recorded for each.

    Args:
        console: where prompts are written.
        keys: what the clinician presses.
        seconds: length of a take.
        countdown: seconds between Enter and the take.
        window: shows the camera's image, or None.
    """

    def __init__(
        self, console: Console, keys: Keys, *, seconds: float = 10.0, countdown: float = 3.0,
        window: Window | None = None,
    ) -> None:  # fmt: skip
        self._console = console
        self._keys = keys
        self._seconds = seconds
        self._countdown = countdown
        self._window = window
        self._closed = False

    def takes(self, source: FrameSource, selector: FaceSelector) -> Iterator[Take]:
        """Yield each take that is accepted; ends when the clinician quits or the source ends."""
        pending = list(PROMPTS)
        while pending:
            valence, text = pending[0]
            step = f"{len(PROMPTS) - len(pending) + 1} of {len(PROMPTS)}"
            self._say(f"\n[bold]{step}: {valence}[/]\n{text}")
            key = self._ask(source, f"{valence}: Enter starts, s skips, q ends", ENTER + SKIP)
            if key == QUIT:
                return
            if key == SKIP:
                pending.pop(0)
                continue
            before = selector.remembered
            take = Take(valence)
            stopped = self._record(source, selector, take)
            if stopped != REDO:
                self._say(describe(take))
                stopped = self._ask(source, _AFTER, ENTER + REDO + SKIP)
            if stopped in (REDO, SKIP):
                selector.forget_after(before)
            else:
                yield take
            if stopped == QUIT:
                return
            if stopped != REDO:
                pending.pop(0)

    def _ask(self, source: FrameSource, question: str, keys: str) -> str:
        """Wait for one of some keys or q; a camera's image goes on meanwhile."""
        self._say(f"[dim]{question}[/]")
        while True:
            pressed = None
            if source.live:
                try:
                    frame = next(source)
                except (StopIteration, SourceError):
                    return QUIT  # unplugged; what was taken is kept
                pressed = self._show(frame.image, question)
            pressed = pressed or self._keys.poll(0.0 if source.live else _POLL_S)
            if pressed is not None and pressed in keys + QUIT:
                return pressed

    def _record(self, source: FrameSource, selector: FaceSelector, take: Take) -> str:
        """Count down, then fill a take; returns the key that ended it, or nothing."""
        began: float | None = None
        said = -1
        for frame in self._until_error(source):
            began = frame.time if began is None else began
            left = self._countdown - (frame.time - began)
            if left > 0:
                line = f"{take.valence} in {math.ceil(left)}"
                if math.ceil(left) != said:
                    said = math.ceil(left)
                    self._say(f"  {line} ...")
            else:
                if left + self._seconds <= 0:
                    return ""
                crop, verdict = selector.select(frame.image)
                take.verdicts[verdict] += 1
                if crop is not None:
                    take.crops.append((frame.time, crop))
                second = math.ceil(left + self._seconds)
                line = f"{take.valence}: {second} s, {len(take.crops)} kept"
                if second != said:
                    said = second
                    self._say(f"  {line}, last: {verdict.value}")
            box = selector.face.box if selector.face is not None and left <= 0 else None
            pressed = self._show(frame.image, line, box) or self._keys.pressed()
            if pressed == REDO:
                return REDO
            if pressed in (SKIP, QUIT):
                return ""  # stopped early; what is to become of it is asked next
        return ""

    def _until_error(self, source: FrameSource) -> Iterator[Frame]:
        try:
            for frame in source:  # noqa: UP028 - `yield from` would close the source at the end
                yield frame
        except SourceError as error:
            self._say(f"[yellow]{escape(str(error))}[/]")

    def _show(
        self, image: NDArray[np.uint8], line: str, box: NDArray[np.float32] | None = None
    ) -> str | None:
        """Show a frame with a line of text, where there is a window; returns the key pressed."""
        if self._window is None or self._closed:
            return None
        canvas = np.array(image, order="C")
        scale = max(0.5, image.shape[1] / 900)
        if box is not None:
            x1, y1, x2, y2 = (round(float(value)) for value in np.clip(box, -9999, 9999))
            cv2.rectangle(canvas, (x1, y1), (x2, y2), (115, 158, 0), 2, cv2.LINE_AA)
        cv2.rectangle(canvas, (0, 0), (image.shape[1], int(30 * scale)), (40, 40, 40), -1)
        cv2.putText(
            canvas, line, (int(8 * scale), int(21 * scale)), FONT, 0.6 * scale, (255, 255, 255),
            max(1, round(scale)), cv2.LINE_AA,
        )  # fmt: skip
        pressed = _window_key()
        if not self._window.show(canvas):
            self._closed = True
            self._window.close()
            return QUIT
        return pressed

    def _say(self, text: str) -> None:
        self._console.print(text)


def describe(take: Take) -> str:
    """Return one line of rich markup about a take."""
    others = ", ".join(
        f"{count} {verdict.value}"
        for verdict, count in take.verdicts.most_common()
        if verdict != Verdict.KEPT
    )
    line = f"{take.valence}: {len(take.crops)} images kept of {sum(take.verdicts.values())}"
    return escape(line + (f" ({others})" if others else ""))


def _window_key() -> str | None:
    """Take a key of ours from the window's queue; the window itself looks for q and Escape."""
    import pygame

    mine = {pygame.K_RETURN: ENTER, pygame.K_SPACE: ENTER, pygame.K_s: SKIP, pygame.K_r: REDO}
    pressed = None
    for event in pygame.event.get(pygame.KEYDOWN):
        if event.key in mine:
            pressed = mine[event.key]
        else:
            pygame.event.post(event)
    return pressed
