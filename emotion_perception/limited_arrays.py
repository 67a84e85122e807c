# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading NumPy's files of others: no pickle, and nothing larger than the file really holds.

An ``.npz`` is a ZIP archive, which may unpack to a thousand times its size; the head of an array
may declare terabytes, which NumPy would ask for before it looks at the data.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray


def read_arrays(source: Path | IO[bytes], most: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by their names.

    Args:
        source: the file.
        most: bytes that they may have together.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, too large, or holds something else than numbers and texts.
    """
    if isinstance(source, Path) and not source.is_file():
        raise FileNotFoundError(2, "No such file", str(source))
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > most or len(members) > 1000:
                raise ValueError(f"{total / 1e6:.1f} MB unpacked, expected at most {most / 1e6:g}")
            found = {}
            for member in members:
                with archive.open(member) as file:
                    name = member.filename.removesuffix(".npy")
                    found[name] = _array(file, member.file_size, name)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"not a readable archive of arrays ({error})") from error
    return found


def read_array(path: Path, most: int) -> NDArray[Any]:
    """Return the array of an ``.npy`` file.

    Raises:
        OSError: it cannot be read.
        ValueError: as `read_arrays`.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "No such file", str(path))
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"{size / 1e6:.1f} MB, expected at most {most / 1e6:g}")
    with path.open("rb") as file:
        return _array(file, size, path.name)


def _array(file: IO[bytes], size: int, name: str) -> NDArray[Any]:
    """Read one array from a file that has ``size`` bytes."""
    try:
        version = np.lib.format.read_magic(file)
        head = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if head is None:
            raise ValueError(f"version {version}")
        shape, by_column, kind = head(file)
    except Exception as error:  # NumPy's parser of heads raises many kinds, such as TokenError
        raise ValueError(f"{name}: {error}") from error
    if kind.hasobject or kind.names is not None:
        raise ValueError(f"{name}: holds {kind}, expected numbers or texts")
    count = math.prod(shape)
    if any(side < 0 for side in shape) or count * kind.itemsize > size:
        raise ValueError(f"{name}: declares the shape {shape}, which its {size} bytes cannot hold")
    data = file.read(count * kind.itemsize)
    if len(data) != count * kind.itemsize:
        raise ValueError(f"{name}: ends too early")
    # A copy, which can be written to.
    values: NDArray[Any] = np.frombuffer(data, kind, count).copy()
    values = values.reshape(shape, order="F" if by_column else "C")
    return values
