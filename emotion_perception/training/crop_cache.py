# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Aligned crops of a public data set on disk, so that its faces are looked for once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.limited_arrays import read_arrays
from emotion_perception.training.align import Box

logger = logging.getLogger(__name__)

# To be raised when align.py gives other crops from the same files.
_VERSION = 1


def cache_directory() -> Path:
    """Return the folder of this user's cached crops; it may not exist yet."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG standard: a path that is not absolute is to be ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "emotion_perception"


def cache_file(
    root: Path, files: Sequence[Path], boxes: Sequence[Box | None], tight: bool | None,
    preprocessing: FacePreprocessing,
) -> Path:  # fmt: skip
    """Return where the crops of these files are cached.

    The name depends on each file's path below ``root``, size and time of change, and on how the
    faces are framed: where any of it changes the old crops are not found.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([_VERSION, tight, preprocessing.to_card()]).encode())
    for path, box in zip(files, boxes, strict=True):
        try:
            about = path.stat()
            known = [about.st_size, about.st_mtime_ns]
        except OSError:
            known = []
        digest.update(json.dumps([os.path.relpath(path, root), known, box]).encode())
    return cache_directory() / f"faces-{digest.hexdigest()[:24]}.npz"


def read_crops(
    path: Path, count: int, size: int
) -> tuple[NDArray[np.uint8], NDArray[np.int8]] | None:
    """Read crops (N, S, S) and outcomes (N,); None where there are none or they are damaged."""
    if not path.is_file():
        return None
    try:
        # The crops, the outcomes and the heads of both, and no more.
        stored = read_arrays(path, most=count * (size * size + 8) + 4096)
        crops, outcomes = stored["crops"], stored["outcomes"]
    except (OSError, ValueError, KeyError) as error:
        logger.warning("%s: damaged, the faces are looked for again (%s)", path, error)
        return None
    if crops.shape != (count, size, size) or crops.dtype != np.uint8 or outcomes.shape != (count,):
        logger.warning("%s: not what was stored, the faces are looked for again", path)
        return None
    return crops, outcomes.astype(np.int8)


def write_crops(path: Path, crops: NDArray[np.uint8], outcomes: NDArray[np.int8]) -> None:
    """Store crops so that nobody ever reads half of them; a full disk costs only the cache."""
    beside = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(
            prefix=f".{path.stem}-", dir=path.parent, delete=False
        ) as file:
            beside = file.name
            np.savez(file, crops=crops, outcomes=outcomes)
        Path(beside).replace(path)
    except OSError as error:
        logger.warning("%s: the aligned faces could not be cached (%s)", path, error)
    finally:
        if beside:
            Path(beside).unlink(missing_ok=True)
