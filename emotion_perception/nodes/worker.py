# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One thread that always works on the newest items."""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class NewestItemWorker(Generic[Key, Item]):
    """Calls a function in its own thread on the newest item of each kind.

    An item that comes while it works replaces the one of its kind that waits, so that nothing is
    ever queued. What waits is worked on together.

    Args:
        work: called with the items that wait, one of a kind, oldest first.
        on_error: called when ``work`` raises, with the kinds it was about; the worker goes on.
        name: of the thread, as ``top -H`` shows it.
    """

    def __init__(
        self, work: Callable[[dict[Key, Item]], None],
        on_error: Callable[[list[Key], Exception], None], name: str,
    ) -> None:  # fmt: skip
        self._work = work
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: dict[Key, Item] = {}
        self._stopping = False
        self._working = False
        self._done = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def done(self) -> int:
        """How often it has finished what it had taken."""
        return self._done

    @property
    def idle(self) -> bool:
        """Whether it has nothing to do."""
        return not (self._working or self._waiting)

    @property
    def is_me(self) -> bool:
        """Whether the calling thread is this worker's, and nobody has told it to stop."""
        return threading.current_thread() is self._thread and not self._stopping

    @property
    def has_ended(self) -> bool:
        """Whether its thread is no more."""
        return not self._thread.is_alive()

    def put(self, key: Key, item: Item) -> bool:
        """Hand over the newest item of a kind; False if it replaced one that nobody looked at."""
        with self._condition:
            replaced = key in self._waiting
            self._waiting[key] = item
            self._condition.notify()
        return not replaced

    def stop(self, seconds: float | None = None) -> bool:
        """Finish the items at hand, forget the waiting ones and end the thread.

        Args:
            seconds: to wait for the items at hand; None waits until they are done.

        Returns:
            Whether the thread has ended. One that has not ends after its items, unless it hangs.
        """
        with self._condition:
            self._stopping = True
            self._waiting = {}
            self._condition.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def where(self) -> str:
        """Return the lines of code at which the thread is now, innermost first."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        if frame is None:
            return "it has ended"
        lines = traceback.extract_stack(frame)[::-1]
        return " < ".join(f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in lines[:6])

    def _run(self) -> None:
        # Python before 3.14 does not tell the kernel.
        with contextlib.suppress(OSError):
            Path("/proc/thread-self/comm").write_text(self._thread.name[:15], encoding="ascii")
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                items, self._waiting = self._waiting, {}
                self._working = True
            try:
                self._work(items)
            except Exception as error:
                self._on_error(list(items), error)
            self._done += 1
            self._working = False
            del items
