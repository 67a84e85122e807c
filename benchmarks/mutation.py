#!/usr/bin/env python3
"""Test the tests: change the code in small ways and count how many changes a test notices.

    make mutation                                         # reaction/ and image/, all mutants
    make mutation ARGS="--module reaction.smoothing"      # one module
    make mutation ARGS="--sample 100 --seed 1"            # a random part of them

mutmut (3.8) makes the mutants and runs on each the tests that reach it, quick ones first. It works
on a copy of the checkout in .mutation/. What it does not change: module constants, functions with
a decorator (properties), annotations and docstrings. The result goes to benchmarks/results/ as
JSON, with each mutant that no test noticed.

A mutant counts as killed when a test fails, or when it runs so long that it is stopped. One that no
test reaches counts as survived.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, machine, source

PACKAGE = "emotion_perception"
PACKAGES = ("reaction", "image")
WORK = ROOT / ".mutation"
RESULTS = ROOT / "benchmarks" / "results"
Z = 1.96

CONFIGURATION = """
[tool.mutmut]
source_paths = ["{package}"]
only_mutate = {only}
also_copy = ["mutation_order.py"]
pytest_add_cli_args = [
  "-p", "mutation_order", "-p", "no:cacheprovider",
  "-p", "no:launch_testing", "-p", "no:launch_testing_ros_pytest_entrypoint",
]
pytest_add_cli_args_test_selection = {tests}
# Code that starts threads, as these libraries do, is not fit to be forked after it ran.
process_isolation = "forkserver"
timeout_multiplier = 5.0
timeout_constant = 2.0
use_git_change_detection = false

[tool.pytest.ini_options]
addopts = "--strict-markers"
markers = ["slow: takes more than ten seconds"]
"""


def modules(wanted: list[str]) -> list[Path]:
    """Return the source files to mutate, relative to the checkout; all without a wish."""
    every = [p for name in PACKAGES for p in sorted((ROOT / PACKAGE / name).glob("*.py"))]
    known = {".".join(p.relative_to(ROOT / PACKAGE).with_suffix("").parts): p for p in every}
    known = {name: path for name, path in known.items() if not name.endswith("__init__")}
    chosen = []
    for wish in wanted or list(PACKAGES):
        found = [p for name, p in known.items() if name == wish or name.startswith(wish + ".")]
        if not found:
            raise SystemExit(f"--module: expected some of {', '.join(known)}, got {wish}")
        chosen += found
    return [path.relative_to(ROOT) for path in chosen]


def copy_tree(files: list[Path]) -> None:
    """Make a fresh copy of what is mutated and of its tests."""
    shutil.rmtree(WORK, ignore_errors=True)
    unwanted = shutil.ignore_patterns("__pycache__")
    tests = [f"test/{name}" for name in PACKAGES if any(f.parent.name == name for f in files)]
    for folder in (PACKAGE, *tests):
        shutil.copytree(ROOT / folder, WORK / folder, ignore=unwanted)
    shutil.copy(ROOT / "test" / "conftest.py", WORK / "test")
    shutil.copy(ROOT / "benchmarks" / "mutation_order.py", WORK)
    only = [path.as_posix() for path in files]
    text = CONFIGURATION.format(package=PACKAGE, only=json.dumps(only), tests=json.dumps(tests))
    (WORK / "pyproject.toml").write_text(text, "utf-8")


def names(file: Path) -> list[str]:
    """Return the names that mutmut gives the mutants of a file; in WORK, where its options are."""
    from mutmut.mutation.file_mutation import mutate_file_contents
    from mutmut.utils.format_utils import get_mutant_name

    made = mutate_file_contents(str(file), file.read_text("utf-8")).mutant_names
    return [get_mutant_name(file, name) for name in made]


def drawn(files: list[Path], count: int, seed: int) -> list[str]:
    """Draw so many mutants of each package, or all if there are no more."""
    chosen = []
    for package in PACKAGES:
        every = [n for file in files if file.parent.name == package for n in names(file)]
        chosen += random.Random(seed).sample(every, min(count, len(every)))
    return chosen


def run(wanted: list[str], workers: int) -> None:
    """Let mutmut run; without names, on all mutants."""
    environment = dict(os.environ)
    # The built package would come before the mutated one.
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [path for path in paths if path and not (Path(path) / PACKAGE).is_dir()]
    environment["PYTHONPATH"] = os.pathsep.join(kept)
    environment["EMOTION_PERCEPTION_MODELS"] = str(ROOT / "models")
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(workers), *wanted]
    subprocess.run(command, cwd=WORK, env=environment, check=True)


def results(files: list[Path]) -> dict[str, dict[str, str]]:
    """Return what became of the mutants of each file, by their names."""
    from mutmut.stats import status_by_exit_code

    found = {}
    for file in files:
        told = WORK / "mutants" / f"{file}.meta"
        codes = json.loads(told.read_text("utf-8"))["exit_code_by_key"] if told.exists() else {}
        found[file.as_posix()] = {
            name: status_by_exit_code[code] for name, code in codes.items() if code is not None
        }
    return found


def change(file: str, name: str) -> str:
    """Return the lines by which a mutant differs."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    lines = get_diff_for_mutant(name, path=file).splitlines()
    return "\n".join(line for line in lines[2:] if line[:1] in "+-")


def summary(statuses: list[str], sampled: bool) -> dict[str, Any]:
    """Count what became of mutants; of a sample, with the interval of Wilson (1927)."""
    counts = Counter(statuses)
    killed = sum(counts.values()) - counts["survived"] - counts["no tests"]
    told: dict[str, Any] = {
        "mutants": sum(counts.values()),
        "killed": killed,
        "of_these_timeout": counts["timeout"],
        "survived": counts["survived"],
        "no_tests": counts["no tests"],
    }
    if n := told["mutants"]:
        share = killed / n
        told["killed_percent"] = round(100 * share, 1)
        if sampled:
            middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
            half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
            told["interval_95_percent"] = [
                round(100 * (middle - half), 1),
                round(100 * (middle + half), 1),
            ]
    return told


def report(files: list[Path], sampled: bool) -> dict[str, Any]:
    """Return figures by package and module, and the survivors; in WORK."""
    found = results(files)
    packages: dict[str, list[str]] = {}
    for file, statuses in found.items():
        packages.setdefault(Path(file).parent.name, []).extend(statuses.values())
    return {
        "packages": {name: summary(every, sampled) for name, every in packages.items()},
        "modules": {file: summary([*told.values()], sampled) for file, told in found.items()},
        "survivors": [
            {"file": file, "mutant": name.rpartition(".")[2], "what": status,
             "change": change(file, name)}
            for file, statuses in found.items()
            for name, status in statuses.items()
            if status in ("survived", "no tests")
        ],
    }  # fmt: skip


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(
        prog="make mutation", description="Change the code in small ways; do the tests notice?"
    )
    parser.add_argument("--module", action="append", default=[], metavar="NAME",
                        help="such as reaction or image.decode; may be given again")  # fmt: skip
    parser.add_argument("--sample", type=int, metavar="N",
                        help="a random part: so many mutants of each package")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N",
                        help="mutants at a time")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="instead of a new one")
    chosen = parser.parse_args()
    if chosen.sample is not None and chosen.sample < 1:
        parser.error(f"--sample: expected at least 1, got {chosen.sample}")

    files = modules(chosen.module)
    about = {"machine": machine(), "source": source(), "seed": chosen.seed, "sample": chosen.sample}
    date = time.strftime("%Y-%m-%dT%H%M")
    output = (chosen.output or RESULTS / f"mutation-{date}.json").absolute()
    copy_tree(files)
    os.chdir(WORK)
    began = time.monotonic()
    run(drawn(files, chosen.sample, chosen.seed) if chosen.sample else [], chosen.workers)
    told = report(files, sampled=chosen.sample is not None)
    told = {**about, "minutes": round((time.monotonic() - began) / 60, 1), **told}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    for name, figures in (*told["modules"].items(), *told["packages"].items()):
        print(name, figures)
    print(output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
