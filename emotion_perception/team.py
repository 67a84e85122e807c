# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Threads that share the work of one frame.

The networks are small: splitting one operation among threads, as ONNX Runtime does, gains less than
it costs in waiting. So each run of a network has one thread, and whole runs are shared out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Generic, TypeVar

T = TypeVar("T")


class Pending(Generic[T]):
    """A job that somebody else may be doing.

    Args:
        job: what is to be done.
        future: of the helper that was asked; None if there is none.
    """

    def __init__(self, job: Callable[[], T], future: Future[T] | None) -> None:
        self._job = job
        self._future = future

    def result(self) -> T:
        """Return what came of it; does it here and now if nobody has begun yet."""
        if self._future is None or self._future.cancel():
            return self._job()
        return self._future.result()


class Team:
    """The calling thread and its helpers.

    Args:
        threads: of all together, at least 1.
    """

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}")
        self.threads = threads
        self._helpers = ThreadPoolExecutor(threads - 1, "helper") if threads > 1 else None

    def start(self, job: Callable[[], T]) -> Pending[T]:
        """Let a helper begin with a job; the caller goes on."""
        return Pending(job, self._helpers.submit(job) if self._helpers else None)

    def run(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Do jobs side by side and return what came of each; the caller does its share."""
        others = [self.start(job) for job in jobs[1:]]
        done = [job() for job in jobs[:1]]
        # The helpers go from first to last, the caller from last to first.
        return done + [other.result() for other in reversed(others)][::-1]


@cache
def team(threads: int) -> Team:
    """Return the one team of this size that all networks of a process share.

    Raises:
        ValueError: for less than one thread.
    """
    return Team(threads)


def forget_team() -> None:
    """Have the next ones who ask given new teams: a helper of today's hangs."""
    team.cache_clear()
