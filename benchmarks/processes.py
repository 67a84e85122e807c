# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Commands as a user runs them: how long, how much of the processor, how much memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from benchmarks.children import ChildError

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        wall_s: from its start to its end.
        processor_s: of all its processes together.
        peak_mb: most resident memory of the largest of its processes.
        told: its standard output.
    """

    wall_s: float
    processor_s: float
    peak_mb: float
    told: str


class Running:
    """A command at work, with processes of its own making; a context that it does not outlive.

    Args:
        command: what to start.
        variables: its environment.
        folder: where it runs.
    """

    def __init__(
        self, command: Sequence[str | Path], variables: Mapping[str, str], folder: Path
    ) -> None:
        self._output, self._errors = _file(), _file()
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            list(map(str, command)), env=dict(variables), cwd=folder, stdin=subprocess.DEVNULL,
            stdout=self._output, stderr=self._errors, start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.kill()
            self._process.wait()
        self._output.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Process id; that of the first of them."""
        return self._process.pid

    def finish(self, timeout: float) -> Cost:
        """Wait for its end.

        Raises:
            ChildError: it failed or took too long; says what it wrote last.
        """
        peak = _Peak(self.pid)
        timer = threading.Timer(timeout, self.kill)
        timer.start()
        try:
            # Not Popen.wait: what it used is told to whoever waits for it, once.
            _, status, used = os.wait4(self.pid, 0)
            wall = time.monotonic() - self.started_at
        finally:
            timer.cancel()
            peak.stop()
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode:
            late = wall >= timeout
            why = f"not done within {timeout:g} s" if late else self._last_words()
            raise ChildError(f"{why} (exit status {self._process.returncode})")
        self._output.seek(0)
        return Cost(wall, used.ru_utime + used.ru_stime, peak.mb, self._output.read())

    def kill(self) -> None:
        """End it and all its processes at once, as a power cut would."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _last_words(self) -> str:
        for stream in (self._errors, self._output):
            stream.seek(0)
            lines = [line.strip() for line in stream if line.strip()]
            if lines:
                return lines[-1]
        return "it said nothing"


def run(
    command: Sequence[str | Path], variables: Mapping[str, str], folder: Path, timeout: float
) -> Cost:
    """Run a command to its end.

    Raises:
        ChildError: it failed or took too long; says what it wrote last.
    """
    with Running(command, variables, folder) as running:
        return running.finish(timeout)


def resident_mb(pid: int, field: str = "VmRSS") -> float:
    """Return the resident memory of a process, MB: now, or the most so far (``VmHWM``).

    It is 0 for one that has ended.
    """
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024 / 1e6
    return 0.0


class _Peak:
    """Looks at the memory of a process and of those that it started."""

    def __init__(self, pid: int) -> None:
        self.mb = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for pid in _tree(self._pid):
                # Its own high-water mark: nothing is missed between two looks.
                self.mb = max(self.mb, resident_mb(pid, "VmHWM"))
            self._over.wait(_LOOK_EVERY_S)


def _tree(pid: int) -> list[int]:
    """Return a process and those that it started, and so on."""
    found = [pid]
    for parent in found:
        for listed in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, listed.read_text(encoding="ascii").split())
            except OSError:  # it has ended meanwhile
                continue
    return found


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", errors="replace")
