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

    Raises:
        WindowError: with the remedy, if pygame or a screen is missing.
    """

    def __init__(self, title: str) -> None:
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError:
            raise WindowError(
                "a window needs pygame: pip install pygame-ce, or use --no-window"
            ) from None
        self._pygame = pygame
        try:
            pygame.display.init()
        except pygame.error as error:
            raise WindowError(f"no screen to open a window on ({error}); use --no-window") from None
        self._title = title
        self._screen: Any = None

    def show(self, frame_bgr: NDArray[np.uint8]) -> bool:
        """Show a uint8 BGR frame (H, W, 3); returns False once the user wants to quit."""
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
            raise WindowError(f"no screen to open a window on ({error}); use --no-window") from None
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                return False
            if event.type == pygame.KEYDOWN and event.key in (pygame.K_q, pygame.K_ESCAPE):
                return False
        return True

    def close(self) -> None:
        """Close the window."""
        self._pygame.display.quit()
