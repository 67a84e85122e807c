#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Set up ROS 2 and everything else that `make` needs, then run the demonstration or the tests.

Only the standard library is used, because nothing else is there yet. Two kinds of set-up exist:

* No ROS 2 here: it is installed from the Python package index into `.venv/<distribution>`.
* A ROS 2 installation is sourced: it is used, with the rest in `.venv/<distribution>-installed`.

In that folder lie `env.sh` (source it to run what was installed), `setup.log` (what pip and colcon
said), `ws` (the folders of colcon) and `stamps` (which steps are done, and from what: a step whose
input has changed since is done again).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bootstrap_machine import PACKAGE, ROOT, Setup, SetupError, find_setup, has_nvidia_gpu
from bootstrap_steps import clean_environment, prepare

# As `python -m MODULE`, but with the checkout last on the path: the copy of the package in the
# checkout has no messages.
RUN_MODULE = """
import runpy, sys
sys.path[:1] = []
sys.path.append(".")
runpy.run_module("{}", run_name="__main__", alter_sys=True)
"""
TEST_EXTRAS = ("torch", "train", "sessions", "test", "docs")

# What else make runs: the entries of REQUIREMENTS that it takes, and a module or a command.
TOOLS: dict[str, tuple[tuple[str, ...], str | list[str]]] = {
    "bench": (TEST_EXTRAS, "benchmarks.run"),
    "soak": (TEST_EXTRAS, "benchmarks.soak"),
    "fuzz": ((*TEST_EXTRAS, "quality"), "fuzz.run"),
    "mutation": ((*TEST_EXTRAS, "quality"), "benchmarks.mutation"),
    "audit": ((*TEST_EXTRAS, "quality"), "scripts.audit"),
    # The modules are imported for their docstrings, so all that they import must be there.
    "docs": (TEST_EXTRAS, ["sphinx-build", "-W", "--keep-going", "-c", "docs", ".", "site"]),
}


def inside(env: Path, command: Sequence[str | Path]) -> list[str]:
    """Return a command that runs another one in the environment that `env.sh` makes."""
    return ["/bin/sh", "-c", '. "$0" && exec "$@"', str(env), *map(str, command)]


def become(setup: Setup, env: Path, command: Sequence[str | Path]) -> None:
    """Run a command in place of this process, so that Ctrl-C and its exit status go through."""
    os.chdir(ROOT)
    words = inside(env, command)
    os.execve(words[0], words, clean_environment(setup))


def run_tests(setup: Setup, env: Path, arguments: Sequence[str]) -> int:
    """Run the linters and then, whatever they say, pytest; return the exit status."""

    def succeeds(command: Sequence[str]) -> bool:
        words = inside(env, command)
        done = subprocess.run(words, cwd=ROOT, env=clean_environment(setup), check=False)
        return done.returncode == 0

    failed = []
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        print("==", *command, flush=True)
        if not succeeds(command):
            failed.append(" ".join(command))
    if failed:
        print("== FAILED:", ", ".join(failed), flush=True)
    # Not `python -m pytest`, which would find the copy of the package that has no messages.
    # The plugins of an installed ROS 2 test launch files and do not keep up with pytest.
    without = ["-p", "no:launch_testing", "-p", "no:launch_testing_ros_pytest_entrypoint"]
    # Tests of nodes mostly wait: others run beside them. `ARGS="-n 0"` undoes it.
    # Where a test ends its process, xdist would wait forever for what that had left to do.
    parallel = ["-n", "2", "--dist", "loadfile", "--max-worker-restart=0"]
    if not succeeds(["pytest", *(without if setup.installed else []), *parallel, *arguments]):
        failed.append("pytest")
    return 1 if failed else 0


def main() -> int:
    """Prepare what a command takes, and run it."""
    parser = argparse.ArgumentParser(description="Set up what make needs, and run a command.")
    parser.add_argument("command", choices=["build", "demo", "test", *TOOLS])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="handed to what is run")
    chosen = parser.parse_args()

    setup = find_setup()
    if setup.python.resolve() != Path(sys.executable).resolve() or sys.prefix != sys.base_prefix:
        os.execv(setup.python, [str(setup.python), *sys.argv])
    extras: tuple[str, ...] = ()
    if chosen.command == "test":
        extras = TEST_EXTRAS
    elif chosen.command in TOOLS:
        extras = TOOLS[chosen.command][0]
    elif chosen.command == "demo" and has_nvidia_gpu():
        extras = ("torch",)
    env = prepare(setup, extras)

    if chosen.command == "test":
        return run_tests(setup, env, chosen.arguments)
    if chosen.command == "demo":
        become(setup, env, [setup.prefix / "lib" / PACKAGE / "demo", *chosen.arguments])
    if chosen.command in TOOLS:
        what = TOOLS[chosen.command][1]
        if isinstance(what, str):
            what = [str(setup.venv_python), "-c", RUN_MODULE.format(what)]
        become(setup, env, [*what, *chosen.arguments])
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SetupError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
