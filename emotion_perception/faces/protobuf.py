# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The few rules of Protocol Buffers that it takes to look into an ONNX file.

https://protobuf.dev/programming-guides/encoding; groups, which ONNX does not use, are refused.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import numpy as np

Span: TypeAlias = tuple[int, int]
"""From where to where, in bytes of the file."""

Value: TypeAlias = int | Span
"""Of a field: an integer, or where its bytes are."""

MOST_FIELDS: Final = 2_000_000
"""In a whole file: a network of a thousand nodes has some ten thousand."""


class Reader:
    """Reads messages where they lie; nothing is copied but small values.

    Every method raises IndexError for bytes that are no message.
    """

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._fields_left = MOST_FIELDS

    def fields(self, span: Span) -> Iterator[tuple[int, Value]]:
        """Yield number and value of each field of a message."""
        at, end = span
        while at < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise IndexError("too many fields")
            key, at = self._integer(at, end)
            number, kind = key >> 3, key & 7
            if not number:
                raise IndexError("field 0")
            if kind == 0:
                value, at = self._integer(at, end)
                yield number, value
                continue
            if kind == 2:
                length, at = self._integer(at, end)
            elif kind in (1, 5):
                length = 8 if kind == 1 else 4
            else:
                raise IndexError(f"wire type {kind}")
            if at + length > end:
                raise IndexError("beyond the end")
            yield number, (at, at + length)
            at += length

    def gathered(self, span: Span) -> dict[int, list[Value]]:
        """Return the values of a message by the numbers of its fields."""
        found: dict[int, list[Value]] = {}
        for number, value in self.fields(span):
            found.setdefault(number, []).append(value)
        return found

    def messages(
        self, kind: str, span: Span, inside: Mapping[str, Mapping[int, str]]
    ) -> Iterator[tuple[str, Span]]:
        """Yield each message of a kind that matters, with where it lies; the outermost first.

        Args:
            kind: of the outermost.
            span: where it is.
            inside: which fields of which kind hold messages, and of what kind.
        """
        yield kind, span
        if kind not in inside:
            return
        for number, value in self.fields(span):
            if number in inside[kind] and isinstance(value, tuple):
                yield from self.messages(inside[kind][number], value, inside)

    def spans(self, values: list[Value]) -> list[Span]:
        """Return where the values of a field are that holds messages, texts or bytes."""
        found = [value for value in values if isinstance(value, tuple)]
        if len(found) != len(values):
            raise IndexError("not bytes")
        return found

    def bytes_of(self, span: Span) -> bytes:
        """Return the bytes of a field."""
        return self._data[span[0] : span[1]]

    def texts(self, values: list[Value]) -> list[str]:
        """Return the texts of a repeated field."""
        spans = self.spans(values)
        return [self.bytes_of(span).decode("utf-8", errors="replace") for span in spans]

    def text(self, span: Span, wanted: int) -> str:
        """Return the last text under a number, as every parser takes it; empty without one."""
        values = [value for number, value in self.fields(span) if number == wanted]
        return self.texts(values[-1:])[0] if values else ""

    def integers(self, values: list[Value], most: int) -> list[int]:
        """Return signed 64-bit integers of a repeated field, one by one or packed.

        Args:
            values: of the field.
            most: how many there may be.
        """
        found: list[int] = []
        for value in values:
            if isinstance(value, int):
                found.append(value)
                continue
            at, end = value
            while at < end and len(found) <= most:
                number, at = self._integer(at, end)
                found.append(number)
        if len(found) > most:
            raise IndexError("too many numbers")
        return [number - (1 << 64) if number >> 63 else number for number in found]

    def count(self, value: Value) -> int:
        """Return how many integers a packed field holds."""
        if isinstance(value, int):
            return 1
        packed = np.frombuffer(self._data, np.uint8, value[1] - value[0], value[0])
        last = int((packed < 128).sum())  # each ends with the only byte below 128
        del packed  # else the file could not be closed
        return last

    def _integer(self, at: int, end: int) -> tuple[int, int]:
        """Read an integer of seven bits a byte; return it and where it ends."""
        value = shift = 0
        while True:
            if at >= end or shift > 63:
                raise IndexError("not an integer")
            byte = self._data[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & (1 << 64) - 1, at
            shift += 7
