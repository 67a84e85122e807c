# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What judges the frames: loaded, watched, and made anew when it hangs or its device fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from rclpy.node import Node

from emotion_perception.device import resolve_device
from emotion_perception.nodes.serving import ModelLoader, Serving
from emotion_perception.nodes.tasks import run_in_executor
from emotion_perception.nodes.watchdog import HANGS_WITHIN_S, MOST_HANGS, Lateness
from emotion_perception.nodes.worker import NewestItemWorker
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.team import forget_team

LOAD_AGAIN_S: Final = 5.0
"""After a failure, when loading is tried again."""

DEVICE_AGAIN_S: Final = 60.0
"""After a GPU has failed, when it is tried again."""

LOADING_S: Final = 60.0
"""What loading everything may take: importing torch and starting a GPU takes many seconds."""

_MAKING: Final = "making anew"
_MOST_ABANDONED: Final = 5
_DEVICE_ERRORS: Final = (RuntimeError, OSError, ImportError)
_STOP_S: Final = 2.0
"""What a worker has to finish the frame at hand when it is told to stop."""


class HungError(RuntimeError):
    """The worker hangs again and again: a new process may do better."""


@dataclass
class Loaded:
    """The networks, whoever they serve, and who loads others.

    Attributes:
        pipeline: finds and judges.
        loader: of other models.
        serving: who is served by which model; exchanged as a whole.
        options: what it was made with, of that which may change meanwhile.
    """

    pipeline: ReactionPipeline
    loader: ModelLoader
    serving: Serving
    options: tuple[Any, ...] = ()


class Judge:
    """One worker with its networks.

    All methods are for the executor's thread, except `device_failed`.

    Args:
        node: for its executor and its log.
        load: loads the networks for a device and a patient's version; may raise anything.
        work: see `NewestItemWorker`.
        on_error: the same.
        told: called with a line about a failure, to be counted and shown.
        made: called with what was made anew, before it judges.

    Attributes:
        loaded: None while the node is unconfigured.
        worker: None while nobody looks, or while there is nothing to look with.
    """

    def __init__(
        self, node: Node, load: Callable[[str, str, str], Loaded],
        work: Callable[[dict[Any, Any]], None], on_error: Callable[[list[Any], Exception], None],
        told: Callable[[str], None], made: Callable[[Loaded], None],
    ) -> None:  # fmt: skip
        self.loaded: Loaded | None = None
        self.worker: NewestItemWorker[Any, Any] | None = None
        self._abandoned: list[NewestItemWorker[Any, Any]] = []
        self._loaders: list[ModelLoader] = []
        self._load_trouble = self._device_trouble = ""
        self._node = node
        self._load = load
        self._work = work
        self._on_error = on_error
        self._told = told
        self._made = made
        self._looking = False
        self._lateness = Lateness()
        self._hangs: list[float] = []
        self._making: threading.Thread | None = None
        self._making_since = 0.0
        self._making_for = "cpu"
        self._wanted_device = "cpu"
        self._load_at: float | None = None
        self._device_at: float | None = None

    @property
    def trouble(self) -> str:
        """What is wrong at present; empty if nothing is."""
        return self._load_trouble or self._device_trouble

    def configure(self, device: str, patient_id: str) -> None:
        """Load the networks.

        Raises:
            ModelError: a model is missing, damaged or does not fit.
            ValueError: an option is out of range.
            RuntimeError, OSError, ImportError: the CPU cannot run the networks either.
        """
        self._wanted_device = device
        self._load_trouble = self._device_trouble = ""
        self._device_at = self._load_at = None
        try:
            self.loaded = self._load(device, patient_id, "")
        except _DEVICE_ERRORS as error:
            if resolve_device(device)[0] == "cpu":
                raise
            self._blame_device(error)
            self.loaded = self._load("cpu", patient_id, "")

    def release(self) -> None:
        """Give up the networks."""
        self.stop()
        self._making = self._load_at = self._device_at = None
        if self.loaded is not None:
            self._close(self.loaded)
            self.loaded = None

    @property
    def is_stuck(self) -> bool:
        """Whether there are threads that nobody should wait for."""
        self._abandoned = [worker for worker in self._abandoned if not worker.has_ended]
        self._loaders = [loader for loader in self._loaders if loader.busy]
        return bool(self._abandoned or self._loaders or _making_threads())

    def look(self) -> None:
        """Begin to take frames."""
        self._looking = True
        if self._making is None and self._load_at is None:
            self._start()

    def stop(self) -> None:
        """Take no more frames."""
        self._looking = False
        if self.worker is not None and not self._end_worker():
            # Whatever it hangs in is not to be used again.
            self._log("the worker did not end with its frame and was abandoned")
            if self.loaded is not None:
                self._load_at = time.monotonic()

    def put(self, key: Any, item: Any) -> bool:
        """Hand over the newest frame; False if one was lost."""
        worker = self.worker
        return worker is not None and worker.put(key, item)

    def serve(self, serving: Serving) -> None:
        """Judge by this model from the next frame on."""
        assert self.loaded is not None
        self.loaded.serving = serving
        if self._making is not None:  # for somebody else
            self._make(self._device_now())

    def tick(self, hang_timeout: float) -> None:
        """Look after the worker; to be called every `watchdog.TICK_S`.

        Raises:
            HungError: the worker hangs again and again.
        """
        self._lateness.tick(self.worker)
        if self._lateness.is_hung(hang_timeout):
            self._mend_hung()
        now = time.monotonic()
        if self._making is not None and now - self._making_since > LOADING_S:
            self._loading_hangs()
        if self._making is not None or self.loaded is None:
            return
        if self._load_at is not None and now >= self._load_at:
            self._load_at = None
            self._make(self._device_now())
        elif self._device_at is not None and now >= self._device_at:
            self._device_at = None
            self._make(self._wanted_device)

    def device_failed(self, failed: Loaded, error: Exception) -> None:
        """Go on with the CPU if what failed is on a GPU. From any thread."""
        if failed.pipeline.device != "cpu":
            run_in_executor(self._node, self._leave_device, failed, error)

    def _leave_device(self, failed: Loaded, error: Exception) -> None:
        if self.loaded is not failed or self._making is not None:
            return  # somebody has seen to it
        self._blame_device(error)
        if self.worker is not None:
            self._end_worker()
        self._make("cpu")

    def _blame_device(self, error: Exception) -> None:
        self._device_at = time.monotonic() + DEVICE_AGAIN_S
        why = str(error).strip().split("\n")[0][:200]
        self._device_trouble = f"device {self._wanted_device} failed ({why}); using the CPU"
        self._log(f"{self._device_trouble}; the device is tried again every {DEVICE_AGAIN_S:g} s")

    def _device_now(self) -> str:
        return "cpu" if self._device_at is not None else self._wanted_device

    def _mend_hung(self) -> None:
        assert self.worker is not None
        now = time.monotonic()
        self._hangs = [at for at in self._hangs if now - at < HANGS_WITHIN_S] + [now]
        self._log(f"the worker hangs and is made anew; it is at {self.worker.where()}")
        self.worker.stop(0.0)
        self._abandon(self.worker)
        self.worker = None
        if len(self._hangs) > MOST_HANGS or len(self._abandoned) > _MOST_ABANDONED:
            raise HungError(
                f"the worker hung {len(self._hangs)} times within {HANGS_WITHIN_S:g} s, and "
                f"{len(self._abandoned)} of its threads still do; the process ends, so that a new "
                "one can be started"
            )
        self._load_trouble = "the worker hung and is being made anew"
        if self.loaded is not None and self.loaded.pipeline.device != "cpu":
            self._blame_device(RuntimeError("a frame hung on it"))
        self._make(self._device_now())

    def _loading_hangs(self) -> None:
        if self._making_for == "cpu":
            raise HungError(
                f"the networks were not loaded within {LOADING_S:g} s; the process ends, so that "
                "a new one can be started"
            )
        self._blame_device(RuntimeError(f"it did not load the networks within {LOADING_S:g} s"))
        self._making = None
        if self.worker is None:
            self._make("cpu")

    def _make(self, device: str) -> None:
        """Load everything once more, in a thread of its own."""
        assert self.loaded is not None
        serving = self.loaded.serving

        def work() -> None:
            found: Loaded | Exception
            try:
                found = self._load(device, serving.patient_id, serving.version)
            except Exception as error:
                found = error
            run_in_executor(self._node, self._take, thread, found, device)

        thread = threading.Thread(target=work, name=_MAKING, daemon=True)
        self._making, self._making_since, self._making_for = thread, time.monotonic(), device
        thread.start()

    def _take(self, thread: threading.Thread, found: Loaded | Exception, device: str) -> None:
        if thread is not self._making:  # the node was cleaned up, or wants something else now
            if isinstance(found, Loaded):
                self._close(found)
            return
        self._making = None
        if isinstance(found, Exception):
            self._not_made(found, device)
            return
        old, self.loaded = self.loaded, found
        if old is not None:
            found.pipeline.number_on(old.pipeline)
            self._close(old)
        self._load_trouble = ""
        if self._device_at is None and found.pipeline.device != "cpu":
            self._device_trouble = ""
        elif self._device_trouble and self._device_at is None:  # it is not even found
            self._device_at = time.monotonic() + DEVICE_AGAIN_S
        self._made(found)
        if self.worker is not None:
            self._end_worker()
        if self._looking:
            self._start()
        self._log(f"judging again, on {found.pipeline.device}", failure=False)

    def _not_made(self, error: Exception, device: str) -> None:
        if isinstance(error, _DEVICE_ERRORS) and resolve_device(device)[0] != "cpu":
            self._blame_device(error)
            if self.worker is None:
                self._load_at = time.monotonic()
            return
        self._load_trouble = f"the networks cannot be loaded again: {error}"
        self._log(f"{self._load_trouble}; tried again in {LOAD_AGAIN_S:g} s")
        self._load_at = time.monotonic() + LOAD_AGAIN_S

    def _start(self) -> None:
        self.worker = NewestItemWorker(self._work, self._on_error, "reaction worker")

    def _end_worker(self) -> bool:
        assert self.worker is not None
        ended = self.worker.stop(_STOP_S)
        if not ended:
            self._abandon(self.worker)
        self.worker = None
        return ended

    def _abandon(self, worker: NewestItemWorker[Any, Any]) -> None:
        self._abandoned = [one for one in self._abandoned if not one.has_ended] + [worker]
        forget_team()  # its helpers may hang too

    def _close(self, loaded: Loaded) -> None:
        loaded.loader.close()
        every = [*self._loaders, loaded.loader]
        self._loaders = [loader for loader in every if loader.busy]

    def _log(self, line: str, failure: bool = True) -> None:
        if failure:
            self._told(line)
            self._node.get_logger().error(line)
        else:
            self._node.get_logger().info(line)


def _making_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == _MAKING]
