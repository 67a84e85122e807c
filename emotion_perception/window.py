# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A window for frames, by pygame: OpenCV's own needs a build and system libraries robots lack."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray


class WindowError(RuntimeError):
    """No window can be opened here."""


class Window:
    """Shows frames until the user presses q or Escape, or closes the window.

    Args:
        title: of the window.
        remedy: what to do where no window can be opened, for the error.

    Raises:
        WindowError: with the remedy, if pygame or a screen is missing.
    """

    def __init__(self, title: str, remedy: str = "use --no-window") -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError:
            raise WindowError(
                f"a window needs pygame: pip install pygame-ce, or {remedy}"
            ) from None
        self._pygame = pygame
        self._remedy = remedy
        try:
            pygame.display.init()
        except pygame.error as error:
            raise WindowError(f"no screen to open a window on ({error}); {remedy}") from None
        self._title = title
        self._screen: Any = None

    def show(self, frame_bgr: NDArray[np.uint8]) -> bool:
        """Show a uint8 BGR frame (H, W, 3); returns False once the user wants to quit."""
        self.paint(frame_bgr)
        return not any(self.is_quit(event) for event in self.take_events())

    def paint(self, frame_bgr: NDArray[np.uint8]) -> None:
        """Show a uint8 BGR frame (H, W, 3) and leave what the user did to `take_events`."""
        pygame = self._pygame
        height, width = frame_bgr.shape[:2]
        try:
            if self._screen is None or self._screen.get_size() != (width, height):
                self._screen = pygame.display.set_mode((width, height))
                pygame.display.set_caption(self._title)
            surface = pygame.image.frombuffer(
                np.ascontiguousarray(frame_bgr).tobytes(), (width, height), "BGR"
            )
            self._screen.blit(surface, (0, 0))
            pygame.display.flip()
        except pygame.error as error:
            message = f"no screen to open a window on ({error}); {self._remedy}"
            raise WindowError(message) from None

    def take_events(self) -> list[Any]:
        """Return what the user did since the last call, as pygame's events."""
        return list(self._pygame.event.get())

    def is_quit(self, event: Any) -> bool:
        """Whether one of pygame's events ends the show: q, Escape or closing the window."""
        pygame = self._pygame
        if event.type == pygame.KEYDOWN:
            return event.key in (pygame.K_q, pygame.K_ESCAPE)
        return bool(event.type == pygame.QUIT)

    def desktop(self) -> tuple[int, int]:
        """Return width and height of the screen, pixels."""
        width, height = self._pygame.display.get_desktop_sizes()[0]
        return int(width), int(height)

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
