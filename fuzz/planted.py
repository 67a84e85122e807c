# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Readers with known faults: what finds none of these finds nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from fuzz.target import Target

_SEED = b"@@@@"


def _exception(data: bytes, _: Path) -> None:
    """Fails for one start in four thousand million; a guided fuzzer gets there byte by byte."""
    if data[:1] == b"F" and data[1:2] == b"U" and data[2:3] == b"Z" and data[3:4] == b"Z":
        raise KeyError("planted")


def _crash(data: bytes, _: Path) -> None:
    """Dies for one input in two."""
    if data and data[0] & 1:
        os.abort()


def _slow(data: bytes, _: Path) -> None:
    """Works for more than a second for all but the seed."""
    end = time.process_time() + 1.3
    while data != _SEED and time.process_time() < end:
        pass


def _silent(data: bytes, _: Path) -> None:
    """Refuses without a word."""
    raise ValueError("" if len(data) > 4 else "too short, expected 5 bytes")


def _greedy(data: bytes, _: Path) -> None:
    """Takes more memory than it may for all but the seed, for a moment."""
    if data != _SEED:
        len(b"x" * (640 << 20))


def _sound(data: bytes, _: Path) -> None:
    """Has no fault."""
    if len(data) % 2:
        raise ValueError("expected an even number of bytes")


def _seeds() -> Iterator[bytes]:
    yield _SEED


TARGETS = tuple(
    Target(
        name=name, read=read, allowed=(ValueError,), seeds=_seeds, largest=8, memory_mb=512
    )
    for name, read in (
        ("planted-exception", _exception), ("planted-crash", _crash), ("planted-slow", _slow),
        ("planted-silence", _silent), ("planted-memory", _greedy), ("planted-nothing", _sound),
    )
)  # fmt: skip
