# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a worker of the benchmark says: frames come from an .npy file, answers go out as JSON.

One line of standard input, ``[start, stop]``, asks for those frames; the line of output that
answers it holds one object a frame. Workers run in environments of their own, so this file needs
nothing but NumPy.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np


class Frames:
    """Frames of an .npy file, read one by one: a mapping would count as memory of the process.

    Args:
        file: uint8 BGR (N, H, W, 3).
    """

    def __init__(self, file: str) -> None:
        layout = np.load(file, mmap_mode="r")
        self._file, self._offset, self._count = file, layout.offset, len(layout)
        self.shape: tuple[int, ...] = layout.shape[1:]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> np.ndarray:
        size = int(np.prod(self.shape))
        pixels = np.fromfile(self._file, np.uint8, size, offset=self._offset + index * size)
        return pixels.reshape(self.shape)


class Stages:
    """Adds up the milliseconds that each stage of a frame takes."""

    def __init__(self) -> None:
        self.ms: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        """Count what happens inside."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.ms[stage] += 1e3 * (time.perf_counter() - start)

    def watch(self, owner: Any, method: str, stage: str) -> None:
        """Count every call of a method."""
        function = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.time(stage):
                return function(*args, **kwargs)

        setattr(owner, method, timed)


def serve(
    file: str,
    judge: Callable[[np.ndarray], Sequence[str]],
    stages: Stages,
    packages: Sequence[str],
    answers: Any,
) -> None:
    """Answer until standard input ends.

    Args:
        file: with the frames, see `Frames`.
        judge: what is measured; returns what it says of every face, the main one first.
        stages: filled by ``judge``.
        packages: distributions whose versions are reported.
        answers: where to write, see `private_output`.
    """
    frames = Frames(file)
    judge(frames[0])  # buffers and lazy imports
    versions = {name: importlib.metadata.version(name) for name in packages}
    print(json.dumps({"versions": versions}), file=answers, flush=True)
    for line in sys.stdin:
        start, stop = json.loads(line)
        judge(frames[start])  # untimed: the caches are those of the worker before
        answer = []
        for index in range(start, stop):
            frame = frames[index]
            stages.ms.clear()
            before = time.perf_counter()
            said = judge(frame)
            total = 1e3 * (time.perf_counter() - before)
            answer.append({"ms": total, "stages": dict(stages.ms), "says": list(said)})
        print(json.dumps(answer), file=answers, flush=True)


def private_output() -> Any:
    """Take standard output for the answers; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers
