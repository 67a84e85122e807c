# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A pytest plugin that runs the collected tests on one mutant after the other.

Tests are imported and collected once. Each mutant has a forked process, which runs the tests that
reach it, the quicker files first, until one fails; the parent runs none, so that it has no threads
when it forks. What a mutant may take is counted in seconds of the processor: a busy machine is no
endless loop. `mutation.py` writes the job and reads the answers.
"""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.format_utils import mangled_name_from_mutant_name

JOB, ANSWERS, REACHED = Path("job.json"), Path("answers.jsonl"), Path("reached.json")
WALL_S = 900.0  # a mutant that waits for ever takes no processor
NO_TESTS = "no tests"


def pytest_configure(config: Any) -> None:
    """Make runs repeatable."""
    hypothesis.settings.register_profile("mutation", derandomize=True, database=None)
    hypothesis.settings.load_profile("mutation")
    set_mutant_under_test("")


def pytest_runtestloop(session: Any) -> bool:
    """Run the tests on each mutant instead of once."""
    if session.testsfailed:
        raise session.Interrupted("tests that cannot be collected")
    job = json.loads(JOB.read_text("utf-8"))
    session.config._tmp_path_factory.getbasetemp()  # once: making it empties it
    gc.freeze()
    pid = forked(lambda: learn(session), 3600)
    _, status = os.waitpid(pid, 0)
    if status:
        raise session.Failed("tests fail on the unchanged code, see reached.json")
    reached = json.loads(REACHED.read_text("utf-8"))
    seconds: dict[str, float] = reached["seconds"]
    items = {item.nodeid: item for item in session.items}
    running: dict[int, tuple[str, float]] = {}
    waiting = list(reversed(job["mutants"]))
    with ANSWERS.open("a", encoding="utf-8") as answers:

        def tell(mutant: str, what: str) -> None:
            answers.write(json.dumps([mutant, what]) + "\n")
            answers.flush()

        while waiting or running:
            while waiting and len(running) < job["workers"]:
                mutant = waiting.pop()
                tests = reached["tests"].get(mangled_name_from_mutant_name(mutant))
                if not tests:
                    tell(mutant, NO_TESTS)
                    continue
                chosen = in_order([items[test] for test in tests], seconds)
                limit = 5 * sum(seconds[test] for test in tests) + 20
                pid = forked(lambda m=mutant, c=chosen: judge(session, m, c), limit)
                running[pid] = mutant, time.monotonic()
            if not running:
                break
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in running:
                tell(running.pop(pid)[0], outcome(status))
                continue
            for late, (_, began) in running.items():
                if time.monotonic() - began > WALL_S:
                    os.kill(late, signal.SIGKILL)
            time.sleep(0.02)
    return True


def forked(work: Callable[[], int], cpu_s: float) -> int:
    """Start work in a process of its own; its status is what the work returns."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            limit = math.ceil(cpu_s)
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            status = work()
        finally:
            os._exit(status)
    return pid


def learn(session: Any) -> int:
    """Run all tests on the unchanged code; write which functions each reaches, and its seconds."""
    set_mutant_under_test("stats")
    tests, seconds = defaultdict(list), {}
    for item, following in zip(session.items, [*session.items[1:], None], strict=True):
        state()._stats.clear()
        began = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        seconds[item.nodeid] = time.process_time() - began
        for function in state()._stats:
            tests[function].append(item.nodeid)
        if session.testsfailed:
            REACHED.write_text(json.dumps({"failed": item.nodeid}), "utf-8")
            return 1
    REACHED.write_text(json.dumps({"tests": tests, "seconds": seconds}), "utf-8")
    return 0


def in_order(items: Sequence[Any], seconds: dict[str, float]) -> list[Any]:
    """Sort tests: quick ones first, but a file at a time, for the sake of its fixtures."""
    files: defaultdict[str, float] = defaultdict(float)
    for item in items:
        files[item.nodeid.partition("::")[0]] += seconds[item.nodeid]

    def key(item: Any) -> tuple[float, str, float]:
        file = item.nodeid.partition("::")[0]
        return files[file], file, seconds[item.nodeid]

    return sorted(items, key=key)


def judge(session: Any, mutant: str, items: Sequence[Any]) -> int:
    """Run tests on a mutant until one fails; return 1 if one did."""
    set_mutant_under_test(mutant)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return 1
    return 0


def outcome(status: int) -> str:
    """Put the end of a process in a word."""
    if os.WIFSIGNALED(status):
        stopped = os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        return "timeout" if stopped else "crashed"
    return "killed" if os.WEXITSTATUS(status) else "survived"
