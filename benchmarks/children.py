# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Processes that answer in lines of JSON and end when their standard input does."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import emotion_perception

PACKAGE_ROOT = Path(emotion_perception.__file__).absolute().parents[1]
"""What must be on the path of a child that imports this very package."""


class ChildError(RuntimeError):
    """A child ended, or did not answer; says what it wrote last."""


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment with changes, and this package on the path."""
    paths = [str(PACKAGE_ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    path = os.pathsep.join(path for path in paths if path)
    return {**os.environ, "PYTHONPATH": path, **changes}


class Child:
    """A process whose lines of standard output are read as JSON.

    Args:
        command: what to start.
        environment: its variables.
    """

    def __init__(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 see close()
        self._answers: queue.Queue[Any] = queue.Queue()
        self.started_at = time.monotonic()
        self._process = subprocess.Popen(
            list(map(str, command)),
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def answer(self, timeout: float) -> Any:
        """Return the next answer.

        Raises:
            ChildError: none came within ``timeout`` seconds, or the process ended.
        """
        try:
            answer = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise ChildError(f"no answer within {timeout:g} s: {self._last_words()}") from None
        if answer is None:
            self._answers.put(None)
            raise ChildError(f"{self._end()}: {self._last_words()}")
        return answer

    def answers(self) -> list[Any]:
        """Return the answers that are there already."""
        found = []
        with contextlib.suppress(queue.Empty):
            while (answer := self._answers.get_nowait()) is not None:
                found.append(answer)
            self._answers.put(None)
        return found

    def ask(self, request: Any, timeout: float) -> Any:
        """Send a line of JSON and return the answer to it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ChildError(f"{self._end()}: {self._last_words()}") from None
        return self.answer(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """End the process: first by the end of its input, then by force."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._log.close()

    def terminate(self, timeout: float = 10.0) -> None:
        """End a process that does not look at its input."""
        self._process.terminate()
        self.close(timeout)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(("{", "[")):
                try:
                    self._answers.put(json.loads(line))
                except json.JSONDecodeError:
                    continue  # a library's own words
        self._answers.put(None)

    def _end(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(1.0)  # its output is closed: it is about to end
            return f"ended by signal {-status}" if status < 0 else "ended"
        return "closed its output"

    def _last_words(self) -> str:
        self._process.poll()
        self._log.seek(0)
        lines = [line.strip() for line in self._log if line.strip()]
        return lines[-1] if lines else "it said nothing"
