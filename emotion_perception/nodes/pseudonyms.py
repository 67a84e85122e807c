# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Keeps patients' pseudonyms out of the log and the diagnostics, which many people read and keep.

Where the pseudonym is the point, in ``patient_id`` of the messages and in answers to whoever named
the patient, it stays.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Any, Final

HIDDEN: Final = "<patient>"

_MOST: Final = 32


class Pseudonyms:
    """Knows what patients were called lately and takes that out of texts.

    Example:
        >>> known = Pseudonyms()
        >>> known.note("P-017")
        >>> known.hide("/models/P-017/0001: damaged")
        '/models/<patient>/0001: damaged'
    """

    def __init__(self) -> None:
        self._known: deque[str] = deque(maxlen=_MOST)

    def note(self, name: object) -> None:
        """Remember what somebody gave as a patient's pseudonym, valid or not; empty is nobody."""
        text = "" if name is None else str(name)
        if name and text not in self._known:
            self._known.append(text)

    def hide(self, text: str) -> str:
        """Return a text without the pseudonyms, in which other words stay whole."""
        if not self._known:
            return text
        longest_first = sorted(self._known, key=len, reverse=True)
        either = "|".join(map(re.escape, longest_first))
        return re.sub(rf"(?<![A-Za-z0-9])(?:{either})(?![A-Za-z0-9])", HIDDEN, text)


class QuietLogger:
    """A node's logger that tells nobody's pseudonym.

    Args:
        logger: rclpy's.
        hide: takes pseudonyms out of a text.
    """

    def __init__(self, logger: Any, hide: Callable[[str], str]) -> None:
        self._logger = logger
        self._hide = hide

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)  # what does not log

    def debug(self, message: str, **options: Any) -> None:
        """Log a message, as rclpy's logger does."""
        self._logger.debug(self._hide(message), **options)

    def info(self, message: str, **options: Any) -> None:
        """Log a message, as rclpy's logger does."""
        self._logger.info(self._hide(message), **options)

    def warning(self, message: str, **options: Any) -> None:
        """Log a message, as rclpy's logger does."""
        self._logger.warning(self._hide(message), **options)

    warn = warning  # rclpy itself calls it so

    def error(self, message: str, **options: Any) -> None:
        """Log a message, as rclpy's logger does."""
        self._logger.error(self._hide(message), **options)

    def fatal(self, message: str, **options: Any) -> None:
        """Log a message, as rclpy's logger does."""
        self._logger.fatal(self._hide(message), **options)

    def get_child(self, name: str) -> QuietLogger:
        """Return a logger of a part of the node, as rclpy's action server wants one."""
        return QuietLogger(self._logger.get_child(name), self._hide)
