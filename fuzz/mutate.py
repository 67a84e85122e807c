# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A plain mutator, for interpreters without atheris: it knows nothing of coverage."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 127, 128, 255)
_WORDS = (
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x80", b"NaN", b"1e999", b"-1",
    b"null", b"{}", b"[", b'"', b",", b"\n", b"\r\n", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"9" * 20,
)  # fmt: skip


def mutants(seeds: Sequence[bytes], largest: int, seed: int) -> Iterator[bytes]:
    """Yield first the seeds, then what one to eight random changes make of them, without end.

    Args:
        seeds: inputs to begin with; at least one.
        largest: bytes of an input at most.
        seed: of the random numbers.
    """
    yield from seeds
    rng = random.Random(seed)
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 8)):
            _change(data, seeds, rng)
        yield bytes(data[:largest])


def _change(data: bytearray, seeds: Sequence[bytes], rng: random.Random) -> None:
    """Change a few bytes in one place, or move, double, drop or mix in a stretch."""
    at = rng.randrange(len(data) + 1)
    length = min(rng.choice((1, 1, 2, 4, 8, 32, 256)), len(data) - at)
    what = rng.randrange(7)
    if what == 0 and at < len(data):
        data[at] ^= 1 << rng.randrange(8)
    elif what == 1 and at < len(data):
        data[at] = rng.choice(_NUMBERS)
    elif what == 2:
        data[at : at + length] = rng.randbytes(length)
    elif what == 3:
        del data[at : at + length]
    elif what == 4:
        data[at:at] = bytes(data[at : at + length])
    elif what == 5:
        word = rng.choice(_WORDS)
        data[at : at + (len(word) if rng.random() < 0.5 else 0)] = word
    else:
        other = rng.choice(seeds)
        start = rng.randrange(len(other) + 1)
        data[at:at] = other[start : start + rng.choice((1, 4, 16, 64))]
