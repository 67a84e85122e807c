# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The files of `requirements/locked`, which `scripts/lock.py` writes: are they current?"""

from __future__ import annotations

import hashlib
from pathlib import Path

from bootstrap_machine import ROOT, SetupError

REQUIREMENTS = ROOT / "requirements"
LOCKED = REQUIREMENTS / "locked"

# Requirement files whose dependencies are looked for, and those that are complete as they are.
RESOLVED = (
    "build.txt", "colcon.txt", "run.txt", "torch.txt", "train.txt", "sessions.txt", "test.txt",
    "quality.txt", "docs.txt",
)  # fmt: skip
COMPLETE = ("ros-jazzy.txt", "ros-kilted.txt", "photos.txt", "test-nodeps.txt")


def lock_header(name: str) -> str:
    """Return the first lines of the locked file of a requirement file: what it was made from."""
    digest = hashlib.sha256()
    for file in (name, "constraints.txt") if name in RESOLVED else (name,):
        digest.update((REQUIREMENTS / file).read_bytes())
    return f"# By scripts/lock.py; change requirements/{name} instead.\n# {digest.hexdigest()}\n"


def is_current(name: str) -> bool:
    """Return whether the locked file of a requirement file was made from what that says now."""
    file = LOCKED / name
    return file.is_file() and file.read_text().startswith(lock_header(name))


def locked_file(name: str) -> Path:
    """Return the locked file of a requirement file.

    Raises:
        SetupError: it is older than the requirement file.
    """
    if not is_current(name):
        raise SetupError(
            f"requirements/{name} or constraints.txt has changed since it was locked; run: "
            "python3 scripts/lock.py"
        )
    return LOCKED / name
