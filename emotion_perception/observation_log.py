# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The file of observed actions: one line of JSON each, appended by nodes, shortened as it ages."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

from emotion_perception.training.patients import write_private

WAIT_S: Final = 1.0
"""Whoever waits is the node's executor, and others have to be heard too."""


def append_line(path: Path, line: str) -> None:
    """Append one line to a file that only its owner can read; whole or not at all.

    Raises:
        OSError: it cannot be written; the file is as it was.
    """
    with _locked(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as handle:
        data = (line + "\n").encode()
        before = os.fstat(handle).st_size
        if os.write(handle, data) != len(data):
            os.ftruncate(handle, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def old_lines(path: Path, before: datetime) -> int:
    """Return how many observations are older than a time.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return sum(_is_older(line, before) for line in file)


def drop_old_lines(path: Path, before: datetime) -> int:
    """Take out the observations that are older than a time; nodes may append meanwhile.

    The file is replaced as a whole. A line without a time is not an observation, and stays.

    Args:
        path: of the log.
        before: with a time zone.

    Returns:
        How many lines went.

    Raises:
        OSError: the file cannot be read or replaced; it is as it was.
    """
    path = path.resolve()  # a link stays one
    with _locked(path, os.O_RDWR) as handle:
        with open(handle, "rb", closefd=False) as file:
            lines = file.readlines()
        kept = [line for line in lines if not _is_older(line, before)]
        if len(kept) < len(lines):
            write_private(path, b"".join(kept))
    return len(lines) - len(kept)


def _is_older(line: bytes, before: datetime) -> bool:
    try:
        when = datetime.fromisoformat(json.loads(line)["time"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return when < before


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    """Open a file that nobody else changes meanwhile.

    Raises:
        OSError: it cannot be opened, or somebody else has had it for `WAIT_S`.
    """
    give_up = time.monotonic() + WAIT_S
    while True:
        handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > give_up:
                    why = "another process holds its lock"
                    raise OSError(errno.EWOULDBLOCK, why, str(path)) from error
                time.sleep(0.01)
                continue
            # While waiting, another file may have taken its place.
            if _is_at(handle, path):
                yield handle
                return
        finally:
            os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
