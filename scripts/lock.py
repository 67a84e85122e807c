#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Write `requirements/locked`: every package of a set-up, with the hashes of its files.

    python3 scripts/lock.py           # after a change in requirements/; locks what has changed
    python3 scripts/lock.py --check   # only says what is out of date

uv resolves each requirement file for CPython 3.10 to 3.13 on x86-64 Linux at once. All files
together are resolved first, so that one version of a package serves all of them. The bootstrap
installs exactly what a locked file says, with `--require-hashes`, and refuses one that is older
than its requirement file. Packages that are not pinned keep the version that was locked last.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from bootstrap_locks import COMPLETE, LOCKED, REQUIREMENTS, RESOLVED, is_current, lock_header

TOGETHER = "all.txt"
WHERE = (
    "[tool.uv]\nenvironments = [\"sys_platform == 'linux' and platform_machine == 'x86_64' and "
    "platform_python_implementation == 'CPython' and python_version < '3.14'\"]\n"
)


def make_uv(folder: Path) -> Path:
    """Install uv into a virtual environment of its own; return its path."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    pip = [programs / "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", REQUIREMENTS / "uv.txt"], check=True)
    return programs / "uv"


def resolve(uv: Path, work: Path, sources: list[Path], output: Path, *options: str | Path) -> str:
    """Resolve requirement files; return the lines with hashes.

    Args:
        uv: the program.
        work: a folder; settings of uv anywhere else do not count.
        sources: requirement files.
        output: is written; the versions in it stay where they still fit.
        options: more options of ``uv pip compile``.
    """
    (work / "pyproject.toml").write_text(WHERE)
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.10"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url"]
    command += ["--no-emit-find-links", "--output-file", output, *options, *sources]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)
    return output.read_text()


def main() -> int:
    """Lock what is out of date."""
    parser = argparse.ArgumentParser(description="Pin what make installs by hashes.")
    parser.add_argument("--check", action="store_true", help="lock nothing; tell what is old")
    parser.add_argument("--all", action="store_true", help="lock everything again")
    parser.add_argument("--upgrade", action="store_true", help="forget what was locked before")
    chosen = parser.parse_args()

    old = [name for name in (*RESOLVED, *COMPLETE) if chosen.all or not is_current(name)]
    if not old:
        print("All locked files are current.")
        return 0
    print("Out of date:", ", ".join(old), flush=True)
    if chosen.check:
        return 1
    LOCKED.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        uv = make_uv(work)
        together = work / TOGETHER
        if any(name in RESOLVED for name in old):
            before = [LOCKED / name for name in RESOLVED if (LOCKED / name).is_file()]
            if before and not chosen.upgrade:
                together.write_text("\n".join(file.read_text() for file in before))
            constraints = ["-c", REQUIREMENTS / "constraints.txt"]
            files = [REQUIREMENTS / name for name in RESOLVED]
            resolve(uv, work, files, together, *constraints)
        for name in old:
            print("locking", name, flush=True)
            how = ["-c", together] if name in RESOLVED else ["--no-deps"]
            text = resolve(uv, work, [REQUIREMENTS / name], work / name, *how)
            (LOCKED / name).write_text(lock_header(name) + text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
