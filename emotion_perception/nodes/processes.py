# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Starting modules of this package as processes that never outlive their parent."""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_PARENT_VARIABLE = "EMOTION_PERCEPTION_PARENT"
_PR_SET_PDEATHSIG = 1
# Not `-m`: from Python 3.11 on only, that can be kept from importing what lies in the current
# directory, such as a checkout of this package without its messages.
_CHILD = (
    "import sys; sys.path[:] = filter(None, sys.path); "
    "from emotion_perception.nodes.processes import run_child; run_child()"
)
_KEPT_LINES = 200


class ChildProcess:
    """A module of this package in a process and session of its own.

    Args:
        module: full name of a module that runs as ``__main__``.
        arguments: its command line.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self.name = module.rpartition(".")[2]
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        """Its last lines of output."""
        self._unread: deque[str] = deque(maxlen=_KEPT_LINES)
        # The child imports this very package, wherever both of them were started.
        package_root = str(Path(__file__).absolute().parents[2])
        paths = [package_root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C in the terminal reaches the parent only
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in paths if path),
                "PYTHONUNBUFFERED": "1",
                _PARENT_VARIABLE: str(os.getpid()),
            },
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        code = self._process.poll()
        if code is not None:
            self._reader.join(timeout=1.0)  # its last lines
        return code

    def new_lines(self) -> list[str]:
        """Return what it has written since the last call."""
        lines = []
        with contextlib.suppress(IndexError):
            while True:
                lines.append(self._unread.popleft())
        return lines

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def wait_or_kill(self, seconds: float) -> None:
        """Give it some seconds to end, then end it and whatever it has started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            self._unread.append(line.rstrip())


def stop_all(children: Sequence[ChildProcess], seconds: float = 5.0) -> None:
    """Interrupt children and kill those that have not ended some seconds later."""
    for child in children:
        child.interrupt()
    deadline = time.monotonic() + seconds
    for child in children:
        child.wait_or_kill(max(0.0, deadline - time.monotonic()))


def run_child() -> None:
    """Run the module named on the command line, once the kernel will end it with its parent."""
    parent = int(os.environ.get(_PARENT_VARIABLE, "0"))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if parent not in (0, os.getppid()):  # it ended before the line above
            sys.exit(1)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
