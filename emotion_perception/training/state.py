# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""States of training, which Lightning writes with torch (``last.ckpt``, ``best-*.ckpt``).

Such a file is a pickle inside a ZIP archive, and a pickle may run anything. torch's unpickler for
``weights_only`` makes tensors and plain values and nothing else; this is the only place that reads
one, besides Lightning itself, which is told the same.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, Final

import torch

from emotion_perception.training.faces import DataError

MOST_BYTES: Final = 4 << 30


def read_state(path: Path) -> dict[str, Any]:
    """Return a state of training, on the CPU.

    Raises:
        DataError: it is no such file, or holds more than tensors and plain values.
    """
    try:
        told = path.stat()
        if not stat.S_ISREG(told.st_mode) or told.st_size > MOST_BYTES:
            raise DataError(
                f"{path}: expected an ordinary file of at most {MOST_BYTES / 1e9:.1f} GB"
            )
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except DataError:
        raise
    except Exception as error:  # damaged archives and pickles raise many kinds
        said = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: not a state of training, or one with more than weights in it ({said})"
        ) from error
    if not (isinstance(found, dict) and isinstance(found.get("state_dict"), dict)):
        raise DataError(f"{path}: expected a state of training with a state_dict")
    return found
