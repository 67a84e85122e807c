# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Feed a target many different inputs and watch its memory: what only grows is a leak.

The plain mutator makes the inputs, as libFuzzer keeps some. The allocator is told to give memory
back at once (`ENVIRONMENT`), as it else keeps holes that look like a leak.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Final

from fuzz import corpus
from fuzz.child import hush, memory_folder, prepare, resident_mb
from fuzz.mutate import mutants
from fuzz.target import Finding, check

ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536",
}  # fmt: skip

_PARTS: Final = 20


def main() -> None:
    """Feed a target; print what memory did as a line of JSON."""
    name, inputs = sys.argv[1], int(sys.argv[2])
    target = prepare(name, False)
    seeds = [data for data in corpus.known(target) if len(data) <= target.largest]
    made = mutants(seeds, target.largest, seed=1)
    levels = []
    hush()
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder:
        for _ in range(_PARTS):
            for data in itertools.islice(made, inputs // _PARTS):
                with contextlib.suppress(Finding):
                    check(target, data, Path(folder))
            gc.collect()
            levels.append(resident_mb())
    tenth, end = levels[_PARTS // 10 - 1], levels[-1]
    told = {
        "inputs": inputs // _PARTS * _PARTS, "findings": [], "memory_at_tenth_mb": tenth,
        "memory_at_end_mb": end, "memory_grew_mb": end - tenth,
    }  # fmt: skip
    print(json.dumps(told))


if __name__ == "__main__":
    main()
