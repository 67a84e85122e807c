# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The kinds of data sets that are understood, and how a command line names one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emotion_perception.training.faces import DataError
from emotion_perception.training.fer import FER_LAYOUT, is_fer
from emotion_perception.training.listing import Entry
from emotion_perception.training.sources_affectnet import (
    LAYOUT as AFFECTNET_LAYOUT,
)
from emotion_perception.training.sources_affectnet import (
    affectnet_entries,
    affectnet_splits,
    is_affectnet,
)
from emotion_perception.training.sources_emotions import LAYOUT as EMOTIONS_LAYOUT
from emotion_perception.training.sources_emotions import (
    emotion_entries,
    emotion_splits,
    is_emotion_folders,
)
from emotion_perception.training.sources_expw import LAYOUT as EXPW_LAYOUT
from emotion_perception.training.sources_expw import expw_entries, expw_splits, is_expw
from emotion_perception.training.sources_folders import LAYOUT as FOLDERS_LAYOUT
from emotion_perception.training.sources_folders import (
    folder_entries,
    folder_splits,
    imfdb_splits,
    is_folders,
    is_imfdb,
    table_entries,
)
from emotion_perception.training.sources_raf import LAYOUT as RAF_LAYOUT
from emotion_perception.training.sources_raf import is_raf_db, raf_entries, raf_splits


@dataclass(frozen=True)
class Source:
    """One data set and how much it counts.

    Attributes:
        kind: a key of ADAPTERS, or ``fer-plus``.
        path: folder.
        weight: factor on the weight of each of its images in training.
    """

    kind: str
    path: Path
    weight: float = 1.0


@dataclass(frozen=True)
class Adapter:
    """How one layout is read.

    Attributes:
        found: whether a folder has this layout.
        splits: the splits of a folder.
        entries: the images of a split.
        layout: the layout in words, for errors.
        tight: whether the images are face crops; None: judged by what is found in them.
        cached: whether aligned crops may be kept in the user's cache. Never those of patients.
    """

    found: Callable[[Path], bool]
    splits: Callable[[Path], tuple[str, ...]]
    entries: Callable[[Path, str], list[Entry]]
    layout: str
    tight: bool | None
    cached: bool


ADAPTERS: dict[str, Adapter] = {
    "raf-db": Adapter(is_raf_db, raf_splits, raf_entries, RAF_LAYOUT, True, True),
    "affectnet": Adapter(
        is_affectnet, affectnet_splits, affectnet_entries, AFFECTNET_LAYOUT, True, True
    ),
    "expw": Adapter(is_expw, expw_splits, expw_entries, EXPW_LAYOUT, True, True),
    "imfdb": Adapter(
        is_imfdb, imfdb_splits, lambda root, _split: table_entries(root),
        "images/ and labels.csv with the columns file, person, movie, valence", True, True,
    ),
    "emotions": Adapter(
        is_emotion_folders, emotion_splits, emotion_entries, EMOTIONS_LAYOUT, None, False
    ),
    "folders": Adapter(is_folders, folder_splits, folder_entries, FOLDERS_LAYOUT, None, False),
}  # fmt: skip

KINDS = ("fer-plus", *ADAPTERS)


def parse_source(text: str) -> Source:
    """Read ``KIND:PATH@WEIGHT``; KIND may be left out, and so may @WEIGHT.

    Example:
        >>> parse_source("raf-db:/data/RAF-DB@0.5")
        Source(kind='raf-db', path=PosixPath('/data/RAF-DB'), weight=0.5)

    Raises:
        DataError: if the folder does not exist or is of no known kind, or the weight is not
            a positive number.
    """
    rest, weight = text, 1.0
    # A folder may have an @ in its name.
    head, at, tail = text.rpartition("@")
    if at and "/" not in tail:
        try:
            weight = float(tail)
        except ValueError:
            raise DataError(f"{text}: weight: expected a number after @, got {tail!r}") from None
        rest = head
        if not (np.isfinite(weight) and weight > 0):
            raise DataError(f"{text}: weight: expected a positive number, got {tail}")
    kind, colon, path = rest.partition(":")
    if colon and "/" not in kind:
        if kind not in KINDS:
            raise DataError(f"{text}: kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    else:
        kind, path = "", rest
    root = Path(path).expanduser()
    if not path or not root.exists():
        raise DataError(f"{path or text}: no such folder; expected KIND:PATH or PATH")
    if not root.is_dir():
        raise DataError(f"{root}: expected the folder of a data set, got a file")
    return Source(kind or detect_kind(root), root, weight)


def detect_kind(root: Path) -> str:
    """Return the kind of a folder by what lies in it.

    Raises:
        DataError: if it is none that is known; the message lists the layouts.
    """
    if is_fer(root):
        return "fer-plus"
    for kind, adapter in ADAPTERS.items():
        if adapter.found(root):
            return kind
    layouts = {"fer-plus": FER_LAYOUT} | {kind: a.layout for kind, a in ADAPTERS.items()}
    known = "; ".join(f"{kind}: {layout}" for kind, layout in layouts.items())
    raise DataError(f"{root}: not a data set of a known layout. Known are: {known}")


def source_splits(source: Source) -> tuple[str, ...]:
    """Return the splits that a source has; ``all`` can always be asked for besides."""
    if source.kind == "fer-plus":
        return ("train", "validation", "test")
    return ADAPTERS[source.kind].splits(source.path)
