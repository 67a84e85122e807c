# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Playing a session in a window, led by keys and the mouse."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.source import Frame
from emotion_perception.sessions.lettering import WHITE, put_text, text_width
from emotion_perception.sessions.overlay import Look
from emotion_perception.sessions.playback import Playback, event_text
from emotion_perception.window import Window

SPEEDS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_JUMP_S: Final = 5.0
_WAIT_S: Final = 0.02
"""Keys wait no longer than that."""

_SMALL: Final = 640
"""Smaller pictures are shown at this width."""

_HELP: Final = (
    ("space", "pause, go on"),
    ("left, right", "5 seconds back, ahead"),
    ("comma, period", "one frame back, ahead"),
    ("shift + left, right", "the same"),
    ("up, down", "next, previous event"),
    ("home, end", "beginning, end"),
    ("+, -", "faster, slower"),
    ("click on the strip", "go there"),
    ("h", "this help"),
    ("q", "quit"),
)


class PlayClock:
    """Where in a recording one is: it goes with a steady clock, and never lags behind it.

    Args:
        length: of the recording, seconds.
        clock: seconds of a clock that is never set.
    """

    def __init__(self, length: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._length = length
        self._from = (0.0, clock())  # place in the recording, when that was
        self.playing = True
        self.speed = 1.0

    @property
    def place(self) -> float:
        """Seconds in the recording; stays at its end."""
        place, since = self._from
        if self.playing:
            place += (self._clock() - since) * self.speed
        return min(max(place, 0.0), self._length)

    def seek(self, seconds: float) -> None:
        """Go to a place; beyond the ends is the end."""
        self._from = (min(max(seconds, 0.0), self._length), self._clock())

    def play(self, playing: bool) -> None:
        """Go on, or stay where it is."""
        self.seek(self.place)
        self.playing = playing

    def change_speed(self, steps: int) -> None:
        """Go faster or slower by some of `SPEEDS`."""
        self.seek(self.place)
        at = SPEEDS.index(self.speed) + steps
        self.speed = SPEEDS[min(max(at, 0), len(SPEEDS) - 1)]


class Player:
    """Shows a session and does what the keys say.

    Args:
        playback: the session.
        window: to show it in.
        look: of the pictures; small ones are enlarged, those larger than the screen are shrunk.
        start: seconds.
        end: seconds; None is the end of the recording.
        clock: seconds of a clock that is never set.

    Attributes:
        clock: where it is.
        frame: on show.
    """

    def __init__(
        self, playback: Playback, window: Window, look: Look, *, start: float = 0.0,
        end: float | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        import pygame

        self._pygame: Any = pygame
        self._playback = playback
        self._window = window
        self._overlay = playback.overlay(look)
        self._end = end
        self._help = False
        self._drawn: tuple[object, ...] = ()
        self._onsets = [event.onset for event in playback.events]
        self.clock = PlayClock(playback.length, clock)
        self.frame: Frame = playback.frames.at(start)
        self.clock.seek(start)
        self._do: dict[int, Callable[[], None]] = {
            pygame.K_SPACE: self._pause,
            pygame.K_LEFT: lambda: self._jump(-_JUMP_S),
            pygame.K_RIGHT: lambda: self._jump(_JUMP_S),
            pygame.K_COMMA: lambda: self._step(-1),
            pygame.K_PERIOD: lambda: self._step(1),
            pygame.K_UP: lambda: self._event(1),
            pygame.K_DOWN: lambda: self._event(-1),
            pygame.K_HOME: lambda: self.clock.seek(0.0),
            pygame.K_END: self._last,
            pygame.K_h: self._toggle_help,
        }

    def run(self) -> None:
        """Play until the user quits."""
        pause = 0.0
        while self.turn():
            pause = self.wait()
            if pause > 0:
                time.sleep(pause)

    def turn(self) -> bool:
        """Do what the user wants and show the frame that is due; False once the user quits.

        Frames that are overdue are left out: the picture keeps up with the clock.
        """
        for event in self._window.take_events():
            if self._window.is_quit(event):
                return False
            self._answer(event)
        place = self.clock.place
        self.frame = self._playback.frames.at(place)
        over = self._end is not None and place >= self._end
        if self.clock.playing and (over or place >= self._playback.length):
            self.clock.play(False)
            self._end = None
        self._show(place)
        return True

    def wait(self) -> float:
        """Return how many seconds there is nothing to do, except for keys."""
        following = self._playback.frames.after(self.frame)
        if not self.clock.playing or following is None:
            return _WAIT_S
        due = (following.time - self.clock.place) / self.clock.speed
        return min(max(due, 0.0), _WAIT_S)

    def _answer(self, event: Any) -> None:
        pygame = self._pygame
        if event.type == pygame.KEYDOWN:
            shift = getattr(event, "mod", 0) & pygame.KMOD_SHIFT
            if event.key in (pygame.K_LEFT, pygame.K_RIGHT) and shift:
                self._step(1 if event.key == pygame.K_RIGHT else -1)
            elif event.key in self._do:
                self._do[event.key]()
            elif event.key == pygame.K_KP_PLUS or getattr(event, "unicode", "") in ("+", "="):
                self.clock.change_speed(1)
            elif event.key == pygame.K_KP_MINUS or getattr(event, "unicode", "") in ("-", "_"):
                self.clock.change_speed(-1)
        elif (event.type == pygame.MOUSEBUTTONDOWN and event.button == 1) or (
            event.type == pygame.MOUSEMOTION and event.buttons[0]
        ):
            self._click(event.pos)
        elif event.type in (pygame.WINDOWEXPOSED, pygame.WINDOWRESTORED):
            self._drawn = ()  # something was over it

    def _click(self, pos: tuple[int, int]) -> None:
        if pos[1] >= self._overlay.strip_top:
            self.clock.seek(self._overlay.strip.time(pos[0]))

    def _pause(self) -> None:
        if not self.clock.playing and self.clock.place >= self._playback.length:
            self.clock.seek(0.0)  # from the end there is nothing to go on with
        self.clock.play(not self.clock.playing)

    def _jump(self, seconds: float) -> None:
        self.clock.seek(self.clock.place + seconds)

    def _step(self, by: int) -> None:
        self.clock.play(False)
        frames = self._playback.frames
        # From the frame of the clock: several keys may come between two pictures.
        now = frames.at(self.clock.place)
        to = frames.before(now) if by < 0 else frames.after(now)
        if to is not None:
            self.clock.seek(to.time)

    def _event(self, by: int) -> None:
        place = self.clock.place
        if by > 0:
            at = bisect_right(self._onsets, place + 1e-6)
        else:
            # While it plays, back from an event just begun is the one before it.
            at = bisect_left(self._onsets, place - (0.7 if self.clock.playing else 1e-6)) - 1
        if 0 <= at < len(self._onsets):
            self.clock.seek(self._onsets[at])

    def _last(self) -> None:
        self.clock.play(False)
        self.clock.seek(self._playback.length)

    def _toggle_help(self) -> None:
        self._help = not self._help

    def _show(self, place: float) -> None:
        right = " ".join(filter(None, (event_text(self._playback.events, place), self._state())))
        column = self._overlay.strip.place(place)
        drawn = (self.frame.index, right, column, self._help, self._overlay.unreadable(place))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        # The clock beside the frame is the frame's own, as long as frames come.
        late = place - self.frame.time > 0.5
        canvas = self._overlay.draw(self.frame, place if late else self.frame.time, right=right)
        if self._help:
            canvas = _with_help(canvas)
        self._window.paint(canvas)

    def _state(self) -> str:
        if not self.clock.playing:
            return "paused"
        return f"{self.clock.speed:g}×" if self.clock.speed != 1 else ""


def fitted(look: Look, frame_size: tuple[int, int], desktop: tuple[int, int]) -> Look:
    """Return a look whose pictures are legible and not larger than the screen, unless told.

    Args:
        look: as the user wants it.
        frame_size: width and height of the frames, pixels.
        desktop: the same of the screen.
    """
    from dataclasses import replace

    if look.scale != 1.0 or look.max_side is not None:
        return look
    width, height = frame_size
    # The strip and the window's frame need some of the height.
    most = min(0.95 * desktop[0] / width, 0.75 * desktop[1] / height)
    return replace(look, scale=max(0.02, min(max(1.0, _SMALL / width), most)))


def _with_help(canvas: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Write the keys over the darkened picture."""
    result = np.asarray(canvas // 5, np.uint8)
    height, width = result.shape[:2]
    size = max(9, min(height // (2 * len(_HELP)), width // 26, 28))
    line = size * 8 // 5
    column = max(text_width(key, size) for key, _ in _HELP) + size
    left = max(2, (width - column - max(text_width(what, size) for _, what in _HELP)) // 2)
    top = max(2, (height - line * len(_HELP)) // 2)
    for number, (key, what) in enumerate(_HELP):
        put_text(result, key, (left, top + number * line), size, (120, 200, 255))
        put_text(result, what, (left + column, top + number * line), size, WHITE)
    return result
