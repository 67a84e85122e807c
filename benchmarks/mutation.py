#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Test the tests: change the code in small ways and count how many changes a test notices.

    make mutation                                         # reaction/ and image/, all mutants
    make mutation ARGS="--module reaction.smoothing"      # one module
    make mutation ARGS="--sample 450 --seed 1"            # a random part of each folder

mutmut makes the mutants; `workers/mutation_plugin.py` runs on each the tests that reach it. All of
it works on a copy of the checkout in .mutation/. What mutmut does not change: module constants,
functions with a decorator (properties), annotations, docstrings and the words of f-strings. The
result goes to benchmarks/results/ as JSON, with each mutant that no test noticed.

A mutant counts as killed when a test fails, when the process crashes, or when it takes so much of
the processor that it is stopped. One that no test reaches counts as survived.
"""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, machine, source

PACKAGE = "emotion_perception"
FOLDERS = ("reaction", "image")
WORK = ROOT / ".mutation"
RESULTS = ROOT / "benchmarks" / "results"
PLUGIN = ROOT / "benchmarks" / "workers" / "mutation_plugin.py"
KILLED = ("killed", "timeout", "crashed")
Z = 1.96

CONFIGURATION = """
[tool.mutmut]
source_paths = ["emotion_perception"]

[tool.pytest.ini_options]
addopts = "--strict-markers"
markers = ["slow: takes more than ten seconds"]
tmp_path_retention_policy = "none"
"""


@dataclass(frozen=True)
class Mutant:
    """One change.

    Attributes:
        file: that it is in, relative to the checkout.
        name: that mutmut gives it.
        change: the lines that differ.
    """

    file: Path
    name: str
    change: str


def modules(wanted: list[str]) -> list[Path]:
    """Return the source files to mutate, relative to the checkout; all without a wish."""
    every = [p for name in FOLDERS for p in sorted((ROOT / PACKAGE / name).glob("*.py"))]
    known = {".".join(p.relative_to(ROOT / PACKAGE).with_suffix("").parts): p for p in every}
    known = {name: path for name, path in known.items() if not name.endswith("__init__")}
    chosen = []
    for wish in wanted or list(FOLDERS):
        found = [p for name, p in known.items() if name == wish or name.startswith(wish + ".")]
        if not found:
            raise SystemExit(f"--module: expected some of {', '.join(known)}, got {wish}")
        chosen += found
    return [path.relative_to(ROOT) for path in chosen]


def copy_tree(files: list[Path]) -> list[str]:
    """Make a fresh copy of what is mutated and of its tests; return the folders of the tests."""
    shutil.rmtree(WORK, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__")
    tests = [f"test/{name}" for name in FOLDERS if any(f.parent.name == name for f in files)]
    for folder in (PACKAGE, *tests):
        shutil.copytree(ROOT / folder, WORK / folder, ignore=unwanted)
    shutil.copy(ROOT / "test" / "conftest.py", WORK / "test")
    shutil.copy(PLUGIN, WORK)
    (WORK / "pyproject.toml").write_text(CONFIGURATION, "utf-8")
    return tests


def mutate(file: Path) -> list[Mutant]:
    """Put all mutants of a file into the copy, each to be switched on; in WORK."""
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name, mangled_name_from_mutant_name

    made = mutate_file_contents(str(file), file.read_text("utf-8"))
    file.write_text(made.code, "utf-8")
    lines = made.code.splitlines()

    def body(name: str) -> list[str]:
        span = made.line_span_by_function_name[name]
        plain = name.partition("__mutmut_")[0]
        return [line.replace(name, plain) for line in lines[span.start - 1 : span.end]]

    mutants = []
    for name in made.mutant_names:
        before = body(mangled_name_from_mutant_name(name) + "__mutmut_orig")
        told = list(difflib.unified_diff(before, body(name), lineterm="", n=0))
        change = "\n".join(line for line in told[2:] if line[:1] in "+-")
        mutants.append(Mutant(file, get_mutant_name(file, name), change))
    return mutants


def drawn(mutants: list[Mutant], count: int, seed: int) -> list[Mutant]:
    """Draw so many mutants of each folder, or all if there are no more, in any order."""
    chosen, lots = [], random.Random(seed)
    for folder in FOLDERS:
        every = [mutant for mutant in mutants if mutant.file.parent.name == folder]
        chosen += lots.sample(every, min(count, len(every)))
    lots.shuffle(chosen)  # so that what is done after a while tells of all
    return chosen


def run(mutants: list[Mutant], tests: list[str], workers: int) -> dict[str, str]:
    """Run the tests on mutants; return what became of each, by name; in WORK."""
    names = [mutant.name for mutant in mutants]
    Path("job.json").write_text(json.dumps({"mutants": names, "workers": workers}), "utf-8")
    environment = dict(os.environ)
    # The built package would come before the mutated one.
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in paths if path and not (Path(path) / PACKAGE).is_dir()]
    environment["PYTHONPATH"] = os.pathsep.join([str(WORK), *kept])
    environment["EMOTION_PERCEPTION_MODELS"] = str(ROOT / "models")
    command = [
        sys.executable, "-P" if sys.version_info >= (3, 11) else "-B", "-m", "pytest", "-q",
        "-p", "mutation_plugin", "-p", "no:cacheprovider", "-p", "no:launch_testing",
        "-p", "no:launch_testing_ros_pytest_entrypoint", "--basetemp", str(WORK / "tmp"), *tests,
    ]  # fmt: skip
    answers = Path("answers.jsonl")
    with Path("pytest.log").open("wb") as log:
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                time.sleep(5)
                done = answers.read_text("utf-8").count("\n") if answers.exists() else 0
                print(f"\r{done} of {len(names)}", end="", file=sys.stderr, flush=True)
        finally:
            child.terminate()
    print(file=sys.stderr)
    told = answers.read_text("utf-8").splitlines() if answers.exists() else []
    found = dict(json.loads(line) for line in told)
    if len(found) < len(names):
        tail = Path("pytest.log").read_text("utf-8", "replace")[-2000:]
        raise SystemExit(f"{len(found)} of {len(names)} mutants were run:\n{tail}")
    return found


def summary(statuses: list[str], sampled: bool) -> dict[str, Any]:
    """Count what became of mutants; of a sample, with the interval of Wilson (1927)."""
    counts, n = Counter(statuses), len(statuses)
    killed = sum(counts[status] for status in KILLED)
    told: dict[str, Any] = {"mutants": n, "killed": killed}
    told |= {status: counts[status] for status in (*KILLED[1:], "survived", "no tests")}
    if n:
        share = killed / n
        told["killed_percent"] = round(100 * share, 1)
        if sampled:
            middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
            half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
            low, high = (round(100 * bound, 1) for bound in (middle - half, middle + half))
            told["interval_95_percent"] = [low, high]
    return told


def report(mutants: list[Mutant], found: dict[str, str], sampled: bool) -> dict[str, Any]:
    """Return figures by folder and module, and the survivors."""
    folders: dict[str, list[str]] = {}
    files: dict[str, list[str]] = {}
    for mutant in mutants:
        folders.setdefault(mutant.file.parent.name, []).append(found[mutant.name])
        files.setdefault(mutant.file.as_posix(), []).append(found[mutant.name])
    return {
        "folders": {name: summary(every, sampled) for name, every in folders.items()},
        "modules": {name: summary(every, sampled) for name, every in files.items()},
        "survivors": [
            {
                "mutant": mutant.name.removeprefix(PACKAGE + "."),
                "what": found[mutant.name],
                "change": mutant.change,
            }
            for mutant in mutants
            if found[mutant.name] not in KILLED
        ],
    }


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(
        prog="make mutation", description="Change the code in small ways; do the tests notice?"
    )
    parser.add_argument("--module", action="append", default=[], metavar="NAME",
                        help="such as reaction or image.decode; may be given again")  # fmt: skip
    parser.add_argument("--sample", type=int, metavar="N",
                        help="a random part: so many mutants of each folder")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="mutants at a time")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of a new one")
    chosen = parser.parse_args()
    if chosen.sample is not None and chosen.sample < 1:
        parser.error(f"--sample: expected at least 1, got {chosen.sample}")

    files = modules(chosen.module)
    date = time.strftime("%Y-%m-%dT%H%M")
    output = (chosen.output or RESULTS / f"mutation-{date}.json").absolute()
    told = {"machine": machine(), "source": source(), "seed": chosen.seed, "sample": chosen.sample}
    began = time.monotonic()
    tests = copy_tree(files)
    os.chdir(WORK)
    mutants = [mutant for file in files for mutant in mutate(file)]
    told["of_mutants"] = dict(Counter(mutant.file.parent.name for mutant in mutants))
    if chosen.sample is not None:
        mutants = drawn(mutants, chosen.sample, chosen.seed)
    found = run(mutants, tests, chosen.workers)
    told["minutes"] = round((time.monotonic() - began) / 60, 1)
    told |= report(mutants, found, chosen.sample is not None)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    for name, figures in (*told["modules"].items(), *told["folders"].items()):
        print(name, figures)
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
