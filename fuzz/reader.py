# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Values out of the bytes of an input, from front to back.

As ``atheris.FuzzedDataProvider`` does; that one takes numbers from the end, so that nobody can
write an input by hand, and is not there for Python 3.10.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Reader:
    """Consumes an input; behind its end everything is 0.

    Args:
        data: the input.
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        """Return the next bytes, fewer at the end."""
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(max(0, len(self._data) - self._at))

    def byte(self) -> int:
        """Return 0 to 255."""
        return (self.take(1) or b"\0")[0]

    def uint32(self) -> int:
        """Return four bytes, the least first."""
        return int.from_bytes(self.take(4), "little")

    def double(self) -> float:
        """Return eight bytes as they are, so also an infinity or no number."""
        return float(struct.unpack("<d", self.take(8).ljust(8, b"\0"))[0])

    def block(self) -> bytes:
        """Return bytes after their count, two bytes."""
        return self.take(int.from_bytes(self.take(2), "little"))

    def text(self) -> str:
        """Return a block as text; half characters stay as Python keeps them."""
        return self.block().decode("utf-8", "surrogateescape")

    def pick(self, among: Sequence[T]) -> T:
        """Return one of several, by one byte."""
        return among[self.byte() % len(among)]


def block(data: bytes) -> bytes:
    """Return what `Reader.block` reads as ``data``."""
    return len(data).to_bytes(2, "little") + data
