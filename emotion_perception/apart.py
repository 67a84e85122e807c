# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Trying a file of others in a process of its own, with bounded memory and time.

What a network asks for while it runs cannot be read off its file, and a parser may break on a
damaged one: OpenCV's does. Either ends that process, and not the one that asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from emotion_perception.faces.model_files import ModelError

MOST_MEMORY: Final = 8 << 30
"""Bytes of address space, libraries included."""

MOST_SECONDS: Final = 120
"""Of one processor; the largest known network takes 2."""

_REFUSED: Final = 3

# Else a machine of a hundred processors fills the address space before anything is read.
_FRUGAL: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


def try_apart(module: str, file: Path, *arguments: Path) -> str:
    """Run a module that ends with `answer` in a process of its own.

    Args:
        module: its name.
        file: what it tries; its first argument.
        arguments: further ones.

    Returns:
        What it answered.

    Raises:
        ModelError: it refused the file, or broke on it.
    """
    command = [sys.executable, "-m", module, *map(str, (file, *arguments))]
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, **_FRUGAL, "PYTHONPATH": path}
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=4 * MOST_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise ModelError(f"{file}: what it makes of an image takes too long") from None
    said = (done.stdout.strip().splitlines() or [""])[-1]
    if done.returncode == 0:
        return said
    if done.returncode == _REFUSED:
        raise ModelError(said)
    last = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
    raise ModelError(
        f"{file}: breaks what reads it (status {done.returncode}: {last}); it may take at most "
        f"{MOST_MEMORY >> 30} GB and {MOST_SECONDS} s"
    )


def answer(work: Callable[..., str]) -> int:
    """Do the work in bounded memory and time, with the paths of the command line; print the answer.

    Returns:
        The exit status.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        print(work(*map(Path, sys.argv[1:])))
    except ModelError as error:
        print(error)
        return _REFUSED
    return 0
