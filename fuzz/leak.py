"""Read the known inputs of a target again and again: memory that only grows is a leak."""

from __future__ import annotations

import contextlib
import gc
import json
import sys
import tempfile
import tracemalloc
from pathlib import Path

from fuzz import corpus
from fuzz.child import hush, memory_folder, prepare, resident_mb
from fuzz.target import Finding, check


def main() -> None:
    """Read all inputs of a target so often; print what memory did as a line of JSON."""
    name, rounds = sys.argv[1], int(sys.argv[2])
    target = prepare(name, False)
    inputs = corpus.known(target)
    hush()
    levels: list[float] = []
    blocks: list[float] = []
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        for turn in range(rounds):
            if turn == rounds // 2:
                tracemalloc.start()
            for data in inputs:
                with contextlib.suppress(Finding):
                    check(target, data, Path(folder))
            gc.collect()
            (blocks if tracemalloc.is_tracing() else levels).append(
                tracemalloc.get_traced_memory()[0] / 1e6
                if tracemalloc.is_tracing() else resident_mb()
            )  # fmt: skip
    (before, after), (objects_before, objects_after) = _ends(levels), _ends(blocks)
    told = {
        "inputs": rounds * len(inputs), "findings": [],
        "memory_before_mb": before, "memory_after_mb": after, "memory_grew_mb": after - before,
        "python_objects_grew_mb": objects_after - objects_before,
    }  # fmt: skip
    print(json.dumps(told))


def _ends(levels: list[float]) -> tuple[float, float]:
    """Return the least of the second and of the last quarter: caches fill first."""
    quarter = max(1, len(levels) // 4)
    return min(levels[quarter : 2 * quarter] or levels), min(levels[-quarter:])


if __name__ == "__main__":
    main()
