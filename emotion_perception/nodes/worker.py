"""One thread that always works on the newest item."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestItemWorker(Generic[Item]):
    """Calls a function on items in its own thread.

    An item that comes while it works replaces the one that waits, so that nothing is ever queued.

    Args:
        work: called with one item at a time.
        on_error: called when ``work`` raises; the worker goes on.
        name: of the thread.
    """

    def __init__(
        self, work: Callable[[Item], None], on_error: Callable[[Exception], None], name: str
    ) -> None:
        self._work = work
        self._on_error = on_error
        self._condition = threading.Condition()
        self._waiting: Item | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand over the newest item; returns False if it replaced one that nobody looked at."""
        with self._condition:
            replaced = self._waiting is not None
            self._waiting = item
            self._condition.notify()
        return not replaced

    def stop(self) -> None:
        """Finish the item at hand, forget the waiting one and end the thread."""
        with self._condition:
            self._stopping = True
            self._waiting = None
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting is not None)
                if self._stopping:
                    return
                item, self._waiting = self._waiting, None
            assert item is not None
            try:
                self._work(item)
            except Exception as error:
                self._on_error(error)
            del item
