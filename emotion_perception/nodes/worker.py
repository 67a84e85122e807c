"""One thread that always works on the newest items."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
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
        name: of the thread.
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
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, key: Key, item: Item) -> bool:
        """Hand over the newest item of a kind; False if it replaced one that nobody looked at."""
        with self._condition:
            replaced = key in self._waiting
            self._waiting[key] = item
            self._condition.notify()
        return not replaced

    def stop(self) -> None:
        """Finish the items at hand, forget the waiting ones and end the thread."""
        with self._condition:
            self._stopping = True
            self._waiting = {}
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._stopping or self._waiting)
                if self._stopping:
                    return
                items, self._waiting = self._waiting, {}
            try:
                self._work(items)
            except Exception as error:
                self._on_error(list(items), error)
            del items
