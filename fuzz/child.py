# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The process that feeds one target: atheris (libFuzzer) where it is, else the plain mutator.

libFuzzer ends its process at the last input, so each target has one of its own. What was seen is
written to a file of JSON again and again, so that it is there too when the process is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import itertools
import json
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks.machine import memory_mb
from fuzz.mutate import mutants
from fuzz.target import SLOW_S, Finding, Target, check, name_of
from fuzz.targets import load

MOST_FINDINGS = 20
"""Different ones; a reader with more needs no further input."""

GUIDING = ["emotion_perception", "rosbags", "PIL", "fuzz.planted"]
"""Packages whose branches lead atheris; what is in C (OpenCV, FFmpeg, pyarrow) can't."""

_TELL_EVERY_S = 0.5

MEMORY_EXIT = 71
"""Exit status of a process that took more memory than it may; libFuzzer has the same."""


class Watch:
    """Feeds a target, and keeps what was seen.

    Args:
        target: the reader.
        inputs: to be fed.
        stats: file for what was seen.
        findings: folder for inputs that broke the contract.
        scratch: an empty folder.
        last: file that holds the input while it is read, for whoever finds this process dead; None
            where libFuzzer writes one.
    """

    def __init__(
        self, target: Target, inputs: int, stats: Path, findings: Path, scratch: Path,
        last: Path | None = None,
    ) -> None:  # fmt: skip
        self._target, self._inputs = target, inputs
        self._stats, self._findings, self._scratch = stats, findings, scratch
        self._last = last
        self._started = self._told = time.monotonic()
        self._known: dict[str, dict[str, str]] = {}
        self._memory: list[tuple[int, float]] = []
        self._slowest_s, self._slowest = 0.0, b""
        self.count = self._taken = 0

    def feed(self, data: bytes) -> None:
        """Read one input; a finding is kept and the next input may come."""
        self.count += 1
        if self._last is not None:
            self._last.write_bytes(data)
        took = time.perf_counter()
        try:
            self._taken += check(self._target, data, self._scratch)
        except Finding as finding:
            self._keep(finding, data)
        took = time.perf_counter() - took
        if took > self._slowest_s:
            self._slowest_s, self._slowest = took, data
        now = time.monotonic()
        if self.count % max(1, self._inputs // 100) == 0 or now - self._told > _TELL_EVERY_S:
            self._told = now
            self.tell()

    def tell(self) -> None:
        """Write what was seen so far."""
        self._memory.append((self.count, resident_mb()))
        told = {
            "inputs": self.count,
            "taken": self._taken,
            "seconds": time.monotonic() - self._started,
            "peak_mb": memory_mb(os.getpid())["peak_rss_mb"],
            "memory": self._memory,
            "slowest_s": self._slowest_s,
            "slowest": self._slowest.hex() if len(self._slowest) < 1 << 17 else "",
            "findings": list(self._known.values()),
        }
        beside = self._stats.with_suffix(".part")
        beside.write_text(json.dumps(told), encoding="utf-8")
        beside.replace(self._stats)

    def _keep(self, finding: Finding, data: bytes) -> None:
        if finding.key in self._known or len(self._known) >= MOST_FINDINGS:
            return
        path = self._findings / f"{self._target.name}-{finding.kind}-{name_of(data)}"
        path.write_bytes(data)
        self._known[finding.key] = {
            "kind": finding.kind, "what": finding.what, "where": finding.key, "file": path.name,
        }  # fmt: skip
        if finding.text:
            path.with_name(f"{path.name}.txt").write_text(finding.text, encoding="utf-8")
        self.tell()


def resident_mb() -> float:
    """Return the memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def peak_mb() -> float:
    """Return the most memory that this process ever had, MB of 2**20 bytes as libFuzzer's."""
    text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(text.partition("VmHWM:")[2].split(maxsplit=1)[0]) / 1024


def has_atheris() -> bool:
    """Whether atheris is installed; there is none for Python 3.10."""
    return importlib.util.find_spec("atheris") is not None


def prepare(name: str, atheris: bool) -> Target:
    """Import a target, its readers instrumented if that is wanted, and keep the log quiet."""
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    if not atheris:
        return load(name)
    import atheris as fuzzer

    with fuzzer.instrument_imports(include=GUIDING, enable_loader_override=False):
        return load(name)


def run_atheris(target: Target, watch: Watch, options: argparse.Namespace) -> None:
    """Feed a target by libFuzzer; this ends the process."""
    import atheris

    seconds = (
        [] if options.seconds is None else [f"-max_total_time={max(1, round(options.seconds))}"]
    )
    arguments = [
        sys.argv[0], str(options.corpus), f"-runs={options.inputs}", f"-max_len={target.largest}",
        f"-rss_limit_mb={target.memory_mb}", f"-timeout={round(SLOW_S)}", "-timeout_exitcode=70",
        f"-seed={options.seed}", f"-artifact_prefix={options.findings}/{target.name}-",
        "-print_final_stats=1", "-close_fd_mask=3", *seconds,
    ]  # fmt: skip
    atheris.Setup(arguments, watch.feed)
    atheris.Fuzz()


def run_plain(
    target: Target, watch: Watch, options: argparse.Namespace, known: list[bytes]
) -> None:
    """Feed a target by the plain mutator."""
    hush()
    end = time.monotonic() + (options.seconds or 1e9)
    for data in mutants(known, target.largest, options.seed):
        watch.feed(data)
        if peak_mb() > target.memory_mb:
            watch.tell()
            sys.exit(MEMORY_EXIT)
        if watch.count >= options.inputs or time.monotonic() > end:
            break
    watch.tell()


def warm_up(target: Target, scratch: Path) -> None:
    """Read a few seeds: what is imported at the first use is no hang."""
    for data in itertools.islice(target.seeds(), 4):
        with contextlib.suppress(Finding):
            check(target, data, scratch)


def hush() -> None:
    """Send what is written to standard error nowhere: decoders grumble about every damaged file."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    os.close(nothing)


def main() -> None:
    """Feed one target."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--inputs", type=int, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--stats", type=Path, required=True)
    parser.add_argument("--findings", type=Path, required=True)
    parser.add_argument("--plain", action="store_true")
    options = parser.parse_args()
    atheris = has_atheris() and not options.plain
    target = prepare(options.name, atheris)
    with tempfile.TemporaryDirectory(dir=memory_folder()) as scratch:
        warm_up(target, Path(scratch))
        last = None if atheris else options.stats.with_suffix(".last")
        watch = Watch(target, options.inputs, options.stats, options.findings, Path(scratch), last)
        if atheris:
            run_atheris(target, watch, options)
        else:
            known = [path.read_bytes() for path in sorted(options.corpus.iterdir())]
            with contextlib.suppress(KeyboardInterrupt):
                run_plain(target, watch, options, known)


def memory_folder() -> str | None:
    """Return a folder in memory, if there is one: some readers only take files."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


if __name__ == "__main__":
    main()
