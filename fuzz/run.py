#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Feed every reader of the package damaged and hostile input, and tell what breaks.

    make fuzz                                                    # every target for a minute
    make fuzz ARGS="--target decode --inputs 1000000"            # the decoders, a million inputs
    make fuzz ARGS="--replay fuzz/findings/spans-exception-1234" # one input again

Each target runs in a process of its own. Inputs that break the contract (fuzz/target.py) are kept
in a folder; the result is told as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import Others, machine, source, tell, versions
from fuzz import corpus
from fuzz.child import MEMORY_EXIT, has_atheris, memory_folder, peak_mb, prepare, warm_up
from fuzz.leak import ENVIRONMENT
from fuzz.target import ROOT, SLOW_S, Finding, check, name_of
from fuzz.targets import GROUPS, MODULES, PLANTED, load

RESTARTS = 8
"""How often a target begins anew after its process died."""

_STUCK_S = 60.0
_START_S = 300.0  # until the first input: all is imported first, maybe on a loaded machine
_CHILD = "import runpy; runpy.run_module('fuzz.child', run_name='__main__', alter_sys=True)"
_COVERED = re.compile(rb"#\d+\s+(INITED|\w+)\s+cov: (\d+) ft: (\d+) corp: (\d+)/")
_DIED = {70: "timeout", MEMORY_EXIT: "memory", 77: "crash"}


def say(line: str) -> None:
    """Tell the person in front of the terminal."""
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__.partition("\n")[0])
    names = [*MODULES, *GROUPS, "all"]
    parser.add_argument(
        "--target", nargs="+", choices=[*names, *PLANTED], default=["all"], metavar="NAME",
        help=f"what to feed: {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument("--inputs", type=int, help="for all targets together; no end by default")
    parser.add_argument("--seconds", type=float, help="for each target; 60 without --inputs")
    parser.add_argument(
        "--corpus", type=Path, metavar="FOLDER",
        help="where found inputs are kept from run to run; by default nowhere",
    )  # fmt: skip
    parser.add_argument("--findings", type=Path, default=ROOT / "fuzz" / "findings",
                        help="where inputs that break the contract go")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--plain", action="store_true",
                        help="the plain mutator, as where there is no atheris")  # fmt: skip
    parser.add_argument("--keep", action="store_true",
                        help="add what took a new way to the committed corpus")  # fmt: skip
    parser.add_argument(
        "--leak", type=int, metavar="INPUTS",
        help="watch memory instead: so many different inputs, unguided, for each",
    )  # fmt: skip
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="read these again")
    parser.add_argument("--output", type=Path, help="file for the result, JSON")
    chosen = parser.parse_args(arguments)
    if chosen.inputs is None and chosen.seconds is None:
        chosen.seconds = 60.0
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 if no reader broke its contract."""
    chosen = options(arguments)
    if chosen.replay:
        return max([replay(path, chosen.target[0]) for path in chosen.replay])
    names = list(dict.fromkeys(
        each for name in chosen.target
        for each in (MODULES if name == "all" else GROUPS.get(name, (name,)))
    ))  # fmt: skip
    engine = "atheris" if has_atheris() and not chosen.plain else "plain"
    if engine == "plain" and not chosen.plain:
        say(f"no atheris for Python {sys.version_info.major}.{sys.version_info.minor}: the plain"
            " mutator, which knows nothing of coverage")  # fmt: skip
    result: dict[str, Any] = {
        "command": f'make fuzz ARGS="{" ".join(arguments or sys.argv[1:])}"', "engine": engine,
        "machine": machine(), "versions": versions(), "source": source(), "targets": {},
    }  # fmt: skip
    others, stopped = Others(), False
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the child too
    chosen.findings.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as made:
        place = chosen.corpus or Path(made) / "corpus"
        for name in names:
            try:
                obstacle = _obstacle(name)
                if obstacle:
                    say(f"{name}: left out, {obstacle}")
                    result["targets"][name] = {"left_out": obstacle}
                elif chosen.leak:
                    result["targets"][name] = _in_process(_leak_command(name, chosen))
                else:
                    told = _fuzz(name, len(names), chosen, place, Path(made))
                    stopped = "stopped" in told
                    result["targets"][name] = told
            except KeyboardInterrupt:
                stopped = True
            if stopped:
                say("stopped; what is known so far follows")
                break
    result["machine"]["share_of_others"] = others.share()
    done = [told for told in result["targets"].values() if "inputs" in told]
    result["inputs"] = sum(told["inputs"] for told in done)
    result["findings"] = sum(len(told["findings"]) for told in done)
    tell(result, chosen.output)
    for told in done:
        for finding in told["findings"]:
            say(f"FINDING {finding['file']}: {finding['what']}")
    return 130 if stopped else min(1, result["findings"])


def _obstacle(name: str) -> str:
    """Say why a target can't be run here, or nothing."""
    try:
        load(name)
    except ImportError as error:
        return f"it needs what is not installed: {error}"
    return ""


def _fuzz(
    name: str, targets: int, chosen: argparse.Namespace, place: Path, work: Path
) -> dict[str, Any]:
    """Feed one target until it has had its inputs or its time, though its process may die."""
    folder = place / name
    target = load(name)
    corpus.fill(folder, target)
    wanted = -(-chosen.inputs // targets) if chosen.inputs else 10**9
    end = time.monotonic() + chosen.seconds if chosen.seconds else None
    total: dict[str, Any] = {
        "inputs": 0, "taken": 0, "seconds": 0.0, "per_second": 0.0,
        "known_inputs": len(list(folder.iterdir())),
        "findings": [], "unconfirmed": [], "restarts": 0,
    }  # fmt: skip
    seed = chosen.seed
    while True:
        left = None if end is None else end - time.monotonic()
        if total["inputs"] >= wanted or (left is not None and left < 1):
            break
        run = _Run(name, chosen, folder, work, wanted - total["inputs"], left, seed)
        try:
            run.wait()
        except KeyboardInterrupt:
            total["stopped"] = True
        finally:
            run.stop()
            run.add_to(total)
        if not run.died or "stopped" in total:
            break
        file = run.artifact()
        _judge(run.died, file, name, total)
        total["restarts"] += 1
        seed += 1
        if total["restarts"] > RESTARTS:
            say(f"{name}: died {total['restarts']} times, given up")
            break
    total["found_inputs"] = len(list(folder.iterdir())) - total.pop("known_inputs")
    total["per_second"] = total["inputs"] / max(total["seconds"], 1e-9)
    if chosen.keep:
        new = corpus.keep(target, [path.read_bytes() for path in folder.iterdir()])
        say(f"{name}: {len(new)} inputs added to the committed corpus")
    say("{}: {} inputs, {:.0f} a second, {:+.1f} MB from a tenth to the end, {} findings".format(
        name, total["inputs"], total["per_second"], total.get("memory_grew_mb", 0.0),
        len(total["findings"]),
    ))  # fmt: skip
    return total


class _Run:
    """One process that feeds a target."""

    def __init__(
        self, name: str, chosen: argparse.Namespace, folder: Path, work: Path, inputs: int,
        seconds: float | None, seed: int,
    ) -> None:  # fmt: skip
        self.died = ""
        self._name, self._findings = name, chosen.findings
        self._stats, self._log = work / f"{name}.json", work / f"{name}.log"
        self._stats.unlink(missing_ok=True)
        command = [
            sys.executable, "-c", _CHILD, name, "--inputs", str(inputs), "--seed", str(seed),
            "--corpus", str(folder), "--stats", str(self._stats),
            "--findings", str(chosen.findings.absolute()),
        ]  # fmt: skip
        if seconds is not None:
            command += ["--seconds", f"{seconds:.1f}"]
        self._since = time.time()
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C is for this process, which then ends that one.
            self._process = subprocess.Popen(
                command + (["--plain"] if chosen.plain else []), env=_environment(), stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Wait until the process ends; one that stands still is ended."""
        heard, changed = time.monotonic(), 0.0
        while self._process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
            with contextlib.suppress(OSError):
                if (now := self._stats.stat().st_mtime) != changed:
                    heard, changed = time.monotonic(), now
            if time.monotonic() - heard > (_STUCK_S if changed else _START_S):
                self._process.kill()
                self._process.wait()
                self.died = "timeout"
                return
        status = self._process.returncode
        self.died = "" if status == 0 else _DIED.get(status, "crash")

    def stop(self) -> None:
        """End the process."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def add_to(self, total: dict[str, Any]) -> None:
        """Add what was seen."""
        try:
            told = json.loads(self._stats.read_text(encoding="utf-8"))
        except OSError:
            if self.died and self.died != "crash":
                return  # by its first input
            log = self._log.read_text(encoding="utf-8", errors="replace")[-3000:]
            raise RuntimeError(f"{self._name}: fed nothing; its process wrote: {log}") from None
        total["inputs"] += told["inputs"]
        total["taken"] += told["taken"]
        total["seconds"] += told["seconds"]
        total["peak_mb"] = max(total.get("peak_mb", 0.0), told["peak_mb"])
        if told["slowest_s"] >= total.get("slowest_s", 0.0):
            total["slowest_s"], total["slowest"] = told["slowest_s"], told["slowest"][:400]
        known = {finding["where"] for finding in total["findings"]}
        for finding in told["findings"]:
            if finding["kind"] == "slow":
                _judge("timeout", self._findings / finding["file"], self._name, total)
            elif finding["where"] not in known:
                total["findings"].append(finding)
        _add_growth(told["memory"], total)
        covered = _COVERED.findall(self._log.read_bytes())
        if covered:
            total.setdefault("coverage_before", int(covered[0][1]))
            total["coverage"] = int(covered[-1][1])

    def artifact(self) -> Path | None:
        """Return the file of the input that ended the process, if it is known."""
        last = self._stats.with_suffix(".last")
        if last.exists():
            data = last.read_bytes()
            path = self._findings / f"{self._name}-{self.died}-{name_of(data)}"
            path.write_bytes(data)
            return path
        made = [
            path for path in self._findings.glob(f"{self._name}-*")
            if path.stat().st_mtime >= self._since - 1
            and path.name.removeprefix(f"{self._name}-").startswith(("crash-", "timeout-", "oom-"))
        ]  # fmt: skip
        return max(made, key=lambda path: path.stat().st_mtime, default=None)


def _add_growth(memory: list[tuple[int, float]], total: dict[str, Any]) -> None:
    """Add resident memory at a tenth of the inputs and at the end, and its slope between these."""
    if len(memory) < 4:
        return
    last = memory[-1][0]
    late = [(count, mb) for count, mb in memory if count >= last / 10]
    grew = late[-1][1] - late[0][1]
    if grew < total.get("memory_grew_mb", -1e9) or len(late) < 3:
        return
    mean = sum(count for count, _ in late) / len(late)
    level = sum(mb for _, mb in late) / len(late)
    spread = sum((count - mean) ** 2 for count, _ in late)
    slope = sum((count - mean) * (mb - level) for count, mb in late) / spread if spread else 0.0
    total["memory_at_tenth_mb"], total["memory_at_end_mb"] = late[0][1], late[-1][1]
    total["memory_grew_mb"] = grew
    total["memory_slope_mb_per_million"] = slope * 1e6


def _judge(kind: str, file: Path | None, name: str, total: dict[str, Any]) -> None:
    """Take a death for a finding; one by time only if that input alone takes a second of work.

    Where other programs share the processor, an input may wait for more than a second.
    """
    told = {"kind": kind, "what": f"the process ended: {kind}", "where": kind,
            "file": file.name if file else "none"}  # fmt: skip
    if kind == "timeout" and file is None:
        total["unconfirmed"].append(told)
        return
    if kind == "timeout" and file is not None:
        took = min(_alone(name, file) for _ in range(2))
        told["what"] = f"took {took:.2f} s alone" if took < 60 else "did not end"
        if took <= SLOW_S:
            total["unconfirmed"].append(told)
            return
    total["findings"].append(told)


def _alone(name: str, file: Path) -> float:
    """Return the processor time that a reader takes for one input in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "fuzz.run", "--replay", str(file), "--target", name],
            env=_environment(), capture_output=True, timeout=60, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return float("inf")
    told = re.search(r"([\d.]+) s of processor time", done.stdout)
    return float(told[1]) if told else float("inf")


def _leak_command(name: str, chosen: argparse.Namespace) -> list[str]:
    return [sys.executable, "-m", "fuzz.leak", name, str(chosen.leak)]


def _in_process(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        command, env={**_environment(), **ENVIRONMENT}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _environment() -> dict[str, str]:
    """Return the environment of a child: the checkout comes last, as its copy has no messages."""
    paths = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(ROOT)]
    quiet = {"OPENCV_LOG_LEVEL": "OFF", "OPENCV_FFMPEG_LOGLEVEL": "-8", "PYTHONSAFEPATH": "1"}
    return {**os.environ, **quiet, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def replay(file: Path, target: str) -> int:
    """Read one input again and tell what happens; 0 if the contract holds."""
    known = (*MODULES, *PLANTED)
    told = [name for name in known if file.name.startswith(f"{name}-") or file.parent.name == name]
    name = max(told, key=len, default=target)
    if name not in known:
        print(f"{file}: expected a name such as spans-exception-1234, or --target", file=sys.stderr)
        return 2
    one = prepare(name, False)
    with tempfile.TemporaryDirectory(dir=memory_folder()) as scratch:
        warm_up(one, Path(scratch))
        started = time.process_time()
        try:
            check(one, file.read_bytes(), Path(scratch))
            held = peak_mb() <= one.memory_mb
            result = "the contract holds" if held else f"memory: took {peak_mb():.0f} MB"
        except Finding as finding:
            result = str(finding)
            if finding.__cause__ is not None:
                traceback.print_exception(finding.__cause__, file=sys.stdout)
    took = time.process_time() - started
    print(f"{file}: {name}: {result}; {took:.3f} s of processor time")
    return int(result != "the contract holds")


if __name__ == "__main__":
    sys.exit(main())
