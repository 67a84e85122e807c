# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The corpus: what is committed, what the seeds make, and which inputs are worth keeping."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from fuzz.target import CORPUS, Finding, Target, check, committed, name_of

MOST_BYTES = 12_000
"""Of a target's committed corpus, all together."""


def known(target: Target) -> list[bytes]:
    """Return the seeds of a target and its committed corpus, without doubles."""
    inputs = [*target.seeds(), *(path.read_bytes() for path in committed(target.name))]
    return list(dict.fromkeys(inputs))


def fill(folder: Path, target: Target) -> None:
    """Put all that is known of a target into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for data in known(target):
        (folder / name_of(data)).write_bytes(data)


def keep(target: Target, inputs: Iterable[bytes]) -> list[Path]:
    """Commit those inputs that take a way through the readers that no smaller one takes.

    Returns:
        The files that are new.
    """
    seen: set[tuple[str, int, int]] = set()
    for data in known(target):
        seen |= ways(target, data)
    folder = CORPUS / target.name
    folder.mkdir(parents=True, exist_ok=True)
    left = MOST_BYTES - sum(path.stat().st_size for path in folder.iterdir())
    made = []
    for data in sorted(set(inputs), key=lambda item: (len(item), item)):
        if len(data) > left:
            break
        found = ways(target, data)
        if found <= seen:
            continue
        seen |= found
        left -= len(data)
        made.append(folder / name_of(data))
        made[-1].write_bytes(data)
    return made


def ways(target: Target, data: bytes) -> set[tuple[str, int, int]]:
    """Return the steps from line to line of the package that an input leads to."""
    found: set[tuple[str, int, int]] = set()
    last: dict[int, int] = {}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        if "emotion_perception" not in name:
            return None
        if event == "line":
            before = last.get(id(frame), 0)
            found.add((name, before, frame.f_lineno))
            last[id(frame)] = frame.f_lineno
        elif event == "call":
            last.pop(id(frame), None)
        return trace

    with tempfile.TemporaryDirectory() as scratch:
        sys.settrace(trace)
        try:
            with contextlib.suppress(Finding):
                check(target, data, Path(scratch))
        finally:
            sys.settrace(None)
    return found
