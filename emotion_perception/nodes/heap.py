# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Giving back memory that nobody uses.

Images come and go by the megabyte, and glibc keeps the gaps between what stays: on a loaded machine
several megabytes more each hour, which look like a leak and are none.
"""

from __future__ import annotations

import ctypes
import functools
import time
from collections.abc import Callable
from typing import Any, Final

EVERY_S: Final = 60.0


@functools.cache
def _trim() -> Callable[[int], Any] | None:
    """Return glibc's malloc_trim; None where the C library has none."""
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


class HeapKeeper:
    """Gives back what is free, now and then; takes less than a millisecond."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY_S

    def tick(self) -> None:
        """To be called every few seconds."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + EVERY_S
            if (trim := _trim()) is not None:
                trim(0)
