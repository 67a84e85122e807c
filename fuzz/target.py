# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a target is, and the contract that every reader is held to.

A reader may return a value, or raise its own declared exception with a message that a person can
read. Anything else is a finding: another exception, a crash, a hang, too much memory.
"""

from __future__ import annotations

import hashlib
import os
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SLOW_S: Final = 1.0
"""A reader that takes longer for one input hangs."""

LONGEST_MESSAGE: Final = 2000
"""Characters; a message that repeats its whole input fills the robot's log."""

HERE: Final = Path(__file__).absolute().parent
ROOT: Final = HERE.parent
CORPUS: Final = HERE / "corpus"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One reader and what it is fed.

    Attributes:
        name: of the target, and of its folder in the corpus.
        read: reads one input; its second argument is an empty folder that it may write into.
        allowed: the exceptions that the reader declares.
        seeds: makes small valid inputs.
        largest: bytes of an input at most.
        memory_mb: that the process may take.
    """

    name: str
    read: Callable[[bytes, Path], object]
    allowed: tuple[type[Exception], ...]
    seeds: Callable[[], Iterable[bytes]]
    largest: int = 4096
    memory_mb: int = 1024


class Finding(Exception):  # noqa: N818 - it is what was looked for
    """What an input did that it should not.

    Args:
        kind: exception, message, or slow.
        what: in a line.
        key: the same for two findings of one cause, as far as that can be told.
        text: the traceback, or nothing.
    """

    def __init__(self, kind: str, what: str, key: str, text: str = "") -> None:
        super().__init__(f"{kind}: {what}")
        self.kind, self.what, self.key, self.text = kind, what, key, text


def check(target: Target, data: bytes, scratch: Path, most_s: float = SLOW_S) -> bool:
    """Hold a reader to its contract with one input.

    Args:
        target: the reader.
        data: the input.
        scratch: an empty folder; what is left there is removed.
        most_s: seconds that it may take.

    Returns:
        Whether it was read; else it was refused.

    Raises:
        Finding: the contract was broken.
    """
    started = time.perf_counter()
    taken = True
    try:
        target.read(data, scratch)
    except target.allowed as error:
        taken = False
        _check_message(error)
    except Exception as error:
        place = _place(error)
        what = f"{type(error).__name__}: {str(error)[:200]}"
        raise Finding(
            "exception", what, f"{type(error).__name__} {place}", traceback.format_exc()
        ) from error
    finally:
        took = time.perf_counter() - started
        empty(scratch)
    if took > most_s:
        raise Finding("slow", f"took {took:.2f} s", "slow")
    return taken


def _check_message(error: Exception) -> None:
    text = str(error)
    if not text.strip():
        kind = type(error).__name__
        raise Finding("message", f"{kind} says nothing", f"silent {_place(error)}")
    if len(text) > LONGEST_MESSAGE:
        raise Finding(
            "message", f"{len(text)} characters: {text[:100]}...", f"long {_place(error)}"
        )


def _place(error: BaseException) -> str:
    """Return the innermost line of this project that an exception went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "emotion_perception" in f.filename or "/fuzz/" in f.filename]
    last = (own or list(frames))[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def empty(folder: Path) -> None:
    """Remove what lies in a folder; no link is followed."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                empty(Path(entry.path))
                os.rmdir(entry.path)  # noqa: PTH106 - a Path for each file costs more than the file
            else:
                os.unlink(entry.path)  # noqa: PTH108


def name_of(data: bytes) -> str:
    """Return what the file of an input is called in the corpus."""
    return hashlib.sha1(data).hexdigest()[:16]


def committed(name: str) -> list[Path]:
    """Return the files of a target's committed corpus."""
    folder = CORPUS / name
    return sorted(path for path in folder.iterdir()) if folder.is_dir() else []
