# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Noticing what hangs: the worker, from within the process; the process, from a thread of C."""

from __future__ import annotations

import faulthandler
import time
from typing import Any, Final

TICK_S: Final = 0.1
"""How often the node looks."""

FIRST_FACTOR: Final = 5.0
"""A worker's first frame may take this much longer: a GPU prepares itself for its size."""

PROCESS_S: Final = 15.0
"""Seconds without a tick after which the process is ended."""

MOST_HANGS: Final = 3
"""A worker that hangs more often than this within `HANGS_WITHIN_S` will not be mended from within;
a new process may be."""

HANGS_WITHIN_S: Final = 600.0

END_S: Final = 10.0
"""Seconds that the process may take to end."""


class Lateness:
    """Counts for how long a worker has not got on.

    Only time in which this process ran counts: one that was stopped, or whose computer slept, has
    no worker that hangs.
    """

    def __init__(self) -> None:
        self._worker: Any = None
        self._done = 0
        self._late = 0.0
        self._ticked = time.monotonic()

    def tick(self, worker: Any) -> float:
        """Return seconds for which a worker has had something to do and has finished nothing.

        Args:
            worker: a `NewestItemWorker`, or None while there is none.
        """
        now = time.monotonic()
        passed, self._ticked = now - self._ticked, now
        if worker is not self._worker or worker is None or worker.idle or worker.done != self._done:
            self._worker = worker
            self._done = 0 if worker is None else worker.done
            self._late = 0.0
        else:
            self._late += min(passed, 3 * TICK_S)
        return self._late

    def is_hung(self, limit: float) -> bool:
        """Whether the worker of the last tick is taken for hung.

        Args:
            limit: seconds that a frame may take; 0 for any time.
        """
        return 0 < limit < self._late / (1.0 if self._done else FIRST_FACTOR)


class ProcessGuard:
    """Ends the process, with a traceback of every thread, when it does not tick any more.

    For what no Python code can notice: a call that hangs with Python's lock in its hands.
    """

    def __init__(self) -> None:
        self._armed_at = 0.0

    def tick(self) -> None:
        """Tell that the process lives; to be called every few seconds at least."""
        now = time.monotonic()
        if now - self._armed_at >= 1.0:  # each time costs a thread
            faulthandler.dump_traceback_later(PROCESS_S, exit=True, file=2)
            self._armed_at = now

    @staticmethod
    def end_soon() -> None:
        """Allow only so much time from now on, for whatever Python waits for at its end."""
        faulthandler.dump_traceback_later(END_S, exit=True, file=2)

    def pause(self) -> None:
        """Allow for a long call, until the next tick."""
        faulthandler.cancel_dump_traceback_later()
        self._armed_at = 0.0
