# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading files of others: only ordinary ones, of a bounded size, and JSON that is what it seems.

A device file, a text of gigabytes or brackets nested a million deep would else stop the robot; two
values under one name, or a NaN, would let two readers of one file see two things.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

MOST_JSON_BYTES: Final = 4 << 20
"""The largest card that comes with the package has 20 kB."""

MOST_DEPTH: Final = 40
"""Of objects and lists within each other."""

MOST_TABLE_BYTES: Final = 256 << 20
"""Of a table in text, such as a CSV file."""


MOST_MESSAGE: Final = 1500
"""Characters of an error."""

_MOST_DIGITS: Final = 19


class BriefError(ValueError):
    """An error that may quote a file of somebody, who shall not fill the log with it.

    Args:
        message: what is beyond MOST_MESSAGE is left out.
    """

    def __init__(self, message: object = "") -> None:
        text = str(message)
        cut = f"{text[: MOST_MESSAGE - 50]}... ({len(text)} characters in all)"
        super().__init__(text if len(text) <= MOST_MESSAGE else cut)


def read_bytes(path: Path, most: int) -> bytes:
    """Return what is in a file.

    Args:
        path: an ordinary file, or a link to one.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no ordinary file, or too large; the message does not name the file.
    """
    # Not to wait for somebody who writes into a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as file:
        told = os.fstat(file.fileno())
        if stat.S_ISDIR(told.st_mode):
            raise IsADirectoryError(21, os.strerror(21), str(path))
        if not stat.S_ISREG(told.st_mode):
            raise ValueError("not an ordinary file")
        # Not most + 1 at once: a buffer of megabytes for each small file tears holes into the heap.
        data = file.read(told.st_size + 1) if told.st_size <= most else b""
        if len(data) > told.st_size:  # it grew, or does not know its size
            data += file.read(most + 1 - len(data))
    if told.st_size > most or len(data) > most:
        raise ValueError(f"larger than {most / 1e6:.1f} MB, which is the limit")
    return data


def read_text(path: Path, most: int = MOST_TABLE_BYTES, encoding: str = "utf-8") -> str:
    """Return the text in a file, with line ends as `Path.read_text` gives them.

    Raises:
        OSError: it cannot be read.
        ValueError: as `read_bytes`, or for another encoding (UnicodeDecodeError).
    """
    text = read_bytes(path, most).decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, most: int = MOST_JSON_BYTES) -> Any:
    """Return what is in a JSON file.

    Raises:
        OSError: it cannot be read.
        ValueError: as `read_bytes` and `parse_json`.
    """
    return parse_json(read_bytes(path, most))


def parse_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is no JSON, has NaN, infinity or a number without end, a name twice in one
            object, or more than MOST_DEPTH levels.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    try:
        value = json.loads(
            text, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole,
            object_pairs_hook=_once,
        )  # fmt: skip
    except RecursionError:
        raise ValueError(f"more than {MOST_DEPTH} levels") from None
    level = [value]
    for _ in range(MOST_DEPTH + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return value
    raise ValueError(f"more than {MOST_DEPTH} levels")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0:
        raise ValueError(f"{text} is too large a number")
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:  # else float() of it might overflow
        raise ValueError(f"{text[:_MOST_DIGITS]}... is too large a number")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice")
    return found
