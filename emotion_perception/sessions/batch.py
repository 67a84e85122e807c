# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The same work on many recordings: on all cores, or on a Ray cluster.

A recording that fails is tried again and never stops the others; a worker that dies costs none but
its own. What a worker had done is kept on disk, so that another try, or another run, goes on.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, Final

from emotion_perception.faces.model_files import ModelError

Tell = Callable[[int, float, "float | None"], None]
"""Called with the number of a task, what is done of it and of how much, in frames."""

Work = Callable[[Any, Tell], Any]
"""What is done to a task, in some process; both it and its answer can be pickled."""

_POLL_S: Final = 0.2
_CONNECT_S: Final = 5.0
_FATAL: Final = (ModelError, MemoryError)  # the same would come of another try

_told: Any = None  # in a worker: the queue that leads to whoever watches

_log = logging.getLogger(__name__)


class BatchError(ValueError):
    """The batch as a whole cannot be run; one line."""


@dataclass(frozen=True)
class Result:
    """What came of a task.

    Attributes:
        answer: of the work, or None if it failed.
        error: why it failed, in a line; empty if it did not.
        tries: how often it was begun.
    """

    answer: Any
    error: str
    tries: int


def run_all(
    work: Work, tasks: Sequence[Any], *, jobs: int = 1, ray: str | None = None, retries: int = 1,
    tell: Tell | None = None, done: Callable[[int, Result], None] | None = None,
) -> list[Result]:  # fmt: skip
    """Do the same work to each task.

    Args:
        work: a function of a module, see Work.
        tasks: what it is done to.
        jobs: processes at once; with 1 the work is done here.
        ray: address of a Ray cluster, or ``local`` for one on this machine; None uses processes.
        retries: how often a task that failed is tried again.
        tell: is told how far each task is; not on a cluster.
        done: is told what came of each task.

    Returns:
        What came of each, in the order of the tasks.

    Raises:
        BatchError: Ray is not installed or not there.
        KeyboardInterrupt: the user stopped it; workers are ended.
    """
    tell = tell or (lambda number, at, of: None)
    if jobs < 1 or retries < 0:
        raise ValueError(f"expected jobs of at least 1 and retries of at least 0, got {jobs}, "
                         f"{retries}")  # fmt: skip
    results: dict[int, Result] = {}
    runs = (
        _on_ray(work, tasks, ray, retries) if ray
        else _here(work, tasks, retries, tell) if jobs == 1
        else _in_processes(work, tasks, min(jobs, len(tasks)), retries, tell)
    )  # fmt: skip
    for number, result in runs:
        results[number] = result
        if done is not None:
            done(number, result)
    return [results[number] for number in range(len(tasks))]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _attempt(work: Work, task: Any, tell: Tell) -> tuple[Any, str, bool]:
    """Return the answer, what went wrong, and whether another try makes sense."""
    try:
        return work(task, tell), "", False
    except Exception as error:  # whatever it was, the other recordings go on
        if not isinstance(error, (ValueError, OSError)):
            _log.debug("%s", task, exc_info=True)
        text = " ".join(str(error).split()) or type(error).__name__
        return None, text, not isinstance(error, _FATAL)


def _here(
    work: Work, tasks: Sequence[Any], retries: int, tell: Tell
) -> Iterator[tuple[int, Result]]:
    for number, task in enumerate(tasks):
        tries, again = 0, True
        while again and tries <= retries:
            answer, error, again = _attempt(work, task, tell)
            tries += 1
        yield number, Result(answer, error, tries)


def _in_processes(
    work: Work, tasks: Sequence[Any], jobs: int, retries: int, tell: Tell
) -> Iterator[tuple[int, Result]]:
    # Not forked: threads of ONNX Runtime and OpenCV would be lost on the way.
    context = multiprocessing.get_context("spawn")
    told = context.Queue()
    tries = [0] * len(tasks)
    left = list(range(len(tasks)))
    suspects: list[int] = []  # those that were in work when a process died, one at a time
    while left or suspects:
        waiting, limit = (suspects, 1) if suspects else (left, jobs)
        if suspects:
            suspects = []
        else:
            left = []
        running: dict[Future[Any], int] = {}
        with (
            _listening(told, tell),
            ProcessPoolExecutor(limit, context, initializer=_begin, initargs=(told,)) as pool,
        ):
            try:
                while waiting or running:
                    while waiting and len(running) < limit:
                        number = waiting.pop(0)
                        running[pool.submit(_in_worker, work, number, tasks[number])] = number
                    ready, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in ready:
                        answer, error, again = future.result()
                        number = running.pop(future)
                        tries[number] += 1
                        if error and again and tries[number] <= retries:
                            waiting.append(number)
                        else:
                            yield number, Result(answer, error, tries[number])
            except BrokenProcessPool:
                pass
            except BaseException:
                _end(pool)
                raise
        for number in running.values():
            if limit > 1:  # it may have been another one's process
                suspects.append(number)
                continue
            tries[number] += 1
            if tries[number] <= retries:
                suspects.append(number)
            else:
                yield number, Result(None, "its process died (out of memory?)", tries[number])
        left = [*waiting, *left]


def _begin(told: Any) -> None:
    """Set a worker up."""
    global _told
    _told = told
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(ImportError):
        import signal

        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it


def _end_with_parent() -> None:
    """End this worker when whoever started it was killed: nobody would take its answer."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_worker(work: Work, number: int, task: Any) -> tuple[Any, str, bool]:
    def tell(_: int, at: float, of: float | None) -> None:
        with contextlib.suppress(queue.Full, OSError, ValueError):
            _told.put_nowait((number, at, of))

    return _attempt(work, task, tell)


@contextlib.contextmanager
def _listening(told: Any, tell: Tell) -> Iterator[None]:
    """Hand on what workers tell."""
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            with contextlib.suppress(queue.Empty):
                tell(*told.get(timeout=_POLL_S))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _end(pool: ProcessPoolExecutor) -> None:
    """End the workers at once; what they have on disk is whole."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


def _on_ray(
    work: Work, tasks: Sequence[Any], address: str, retries: int
) -> Iterator[tuple[int, Result]]:
    try:
        import ray
    except ImportError:
        raise BatchError("--ray: needs Ray: pip install 'emotion_perception[ray]'") from None
    _check_address(address)
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(
                address=None if address == "local" else address, logging_level=logging.ERROR,
                include_dashboard=False if address == "local" else None, log_to_driver=False,
            )  # fmt: skip
        except Exception as error:  # its errors have no base class of their own
            why = " ".join(str(error).split())[:200]
            raise BatchError(f"--ray {address}: no such cluster ({why})") from None
    try:
        remote = ray.remote(max_retries=0)(_attempt)
        tries = [0] * len(tasks)
        running: dict[Any, int] = {}

        def start(number: int) -> None:
            tries[number] += 1
            running[remote.remote(work, tasks[number], _nobody)] = number

        for number in range(len(tasks)):
            start(number)
        while running:
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            number = running.pop(ready)
            try:
                answer, failure, again = ray.get(ready)
            except ray.exceptions.RayError as died:  # its worker or its machine
                why = " ".join(str(died).split())[:200]
                answer, failure, again = None, f"its process died ({why})", True
            if failure and again and tries[number] <= retries:
                start(number)
            else:
                yield number, Result(answer, failure, tries[number])
    finally:
        if mine:
            ray.shutdown()


def _check_address(address: str) -> None:
    """Refuse an address where nobody is; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address in ("local", "auto"):
        return
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 2**16):
        raise BatchError(f"--ray: expected HOST:PORT, auto or local, got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise BatchError(f"--ray {address}: no such cluster ({error.strerror or error})") from None


def _nobody(number: int, at: float, of: float | None) -> None:
    """Take what is told on a cluster, where nobody listens."""
