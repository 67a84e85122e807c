# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Folders that appear complete or not at all, and never in the place of another."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def refuse_existing(directory: Path) -> None:
    """Refuse to write where something is.

    Raises:
        FileExistsError: naming it.
    """
    if directory.exists() or directory.is_symlink():
        raise FileExistsError(f"{directory} exists already; nothing is overwritten: name another")


@contextmanager
def new_folder(directory: Path) -> Iterator[Path]:
    """Yield a folder beside ``directory`` that becomes it, unless something goes wrong."""
    refuse_existing(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{directory.name[:40]}-", dir=directory.parent))
    try:
        yield work
        refuse_existing(directory)
        work.rename(directory)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
