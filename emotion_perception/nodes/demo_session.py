# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The time between the start of the demonstration's processes and their end."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor
from rich.console import Console

from emotion_perception.live_view import Progress, View
from emotion_perception.nodes.demo_client import DemoClient
from emotion_perception.nodes.processes import ChildProcess

START_S = 60.0
"""The reaction node must work after this long, models and GPU included; the source as well."""

QUIET_S = 0.7
"""When nothing has come for so long after the source's end, everything has come."""

LATE_S = 4.0
"""Reactions that the middleware lost may come so late; Fast DDS asks for them every 3 s."""


class DemoError(RuntimeError):
    """The demonstration can't go on; says why, for a person."""


class Session:
    """Starts the reaction node, then shows what it says.

    Args:
        console: where to show it.
        client: the demonstration's node.
        progress: what the client collects.
        reaction: the process of the reaction node.
        source: the process of the video source node.
        hint: for the bottom of the display.
    """

    def __init__(
        self,
        console: Console,
        client: DemoClient,
        progress: Progress,
        reaction: ChildProcess,
        source: ChildProcess,
        hint: str,
    ) -> None:
        self._console = console
        self._client = client
        self._progress = progress
        self._reaction = reaction
        self._source = source
        self._hint = hint
        self._source_ended: float | None = None
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(client)

    def run(self, duration: float, interrupted: Callable[[], bool]) -> None:
        """Start the reaction node and show what it says until the end; returns on Ctrl-C too.

        Raises:
            DemoError: a child failed, or no image was ever judged.
        """
        self._console.print("starting the reaction node ...", style="dim")
        if not self._start(interrupted):
            return
        started = time.monotonic()
        with View(self._console, self._progress, self._hint) as view:
            while not interrupted() and not self._over():
                first = self._client.first_arrival
                if time.monotonic() > (first + duration if first else started + START_S):
                    break
                self._step(view)
            late = time.monotonic() + LATE_S
            while not interrupted() and self._client.behind and time.monotonic() < late:
                self._step(view)
        if not self._progress.samples and not interrupted():
            raise DemoError(_story(self._source, "has shown no image that was judged"))

    def _start(self, interrupted: Callable[[], bool]) -> bool:
        """Bring the reaction node to work; returns False on Ctrl-C."""
        deadline = time.monotonic() + START_S

        def wait(ready: Callable[[], bool]) -> bool:
            while not ready():
                if interrupted():
                    return False
                if time.monotonic() > deadline:
                    what = f"is not ready after {START_S:g} s"
                    if self._client.others:
                        what += "; another one is in this ROS domain, choose one with --domain-id"
                    raise DemoError(_story(self._reaction, what))
                self._executor.spin_once(timeout_sec=0.05)
                self._check_children()
            return True

        works = self._client.configure_and_activate(wait)
        if not works and not interrupted():
            # Its answer may be here before the line that says why.
            late = time.monotonic() + LATE_S
            while time.monotonic() < late and not any(
                "[ERROR]" in line for line in list(self._reaction.lines)
            ):
                time.sleep(0.02)
            raise DemoError(_story(self._reaction, "can't start"))
        return works

    def _step(self, view: View) -> None:
        self._executor.spin_once(timeout_sec=0.05)
        self._check_children()
        self._pass_on_warnings()
        view.refresh()

    def _over(self) -> bool:
        """Whether the source has ended and everything it sent has come back."""
        if self._source_ended is None:
            return False
        last = max(self._client.last_arrival, self._source_ended)
        return time.monotonic() - last > QUIET_S

    def _check_children(self) -> None:
        if self._reaction.poll() is not None:
            raise DemoError(_story(self._reaction, "ended unexpectedly"))
        code = self._source.poll()
        if code not in (None, 0):
            raise DemoError(_story(self._source, "ended unexpectedly"))
        if code == 0 and self._source_ended is None:
            self._source_ended = time.monotonic()

    def _pass_on_warnings(self) -> None:
        for child in (self._reaction, self._source):
            for line in child.new_lines():
                if "[WARN]" in line or "[ERROR]" in line:
                    self._console.print(line, style="yellow", markup=False)


def _story(child: ChildProcess, what: str) -> str:
    code = child.poll()
    exit_code = "" if code is None else f" (exit code {code})"
    last = [line for line in child.lines if line][-15:]
    return "\n    ".join([f"the {child.name} {what}{exit_code}; its last lines:", *last])
