# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Limits to what a bag may unpack to: a few kilobytes of zstd or lz4 can become gigabytes.

rosbags unpacks chunks, messages and whole files without a limit. Its two modules are given
unpackers with one, and what would be unpacked into a temporary file is looked at before.
"""

from __future__ import annotations

import mmap
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from emotion_perception.limited_files import read_text

MOST_UNPACKED: Final = 256 << 20
"""Bytes of one chunk or message: an image in colour of the largest size that is taken, and more."""

MOST_METADATA: Final = 16 << 20


class TooLargeError(ValueError):
    """Something unpacks to more than it may."""


class _LimitedZstd:
    """The module zstd, whose `decompress` has a limit."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def decompress(self, data: bytes) -> bytes:
        """Return what is packed, all frames of it.

        Raises:
            TooLargeError: it is more than MOST_UNPACKED.
        """
        parts, left = [], MOST_UNPACKED
        while data:
            unpacker = self._module.ZstdDecompressor()
            part: bytes = unpacker.decompress(data, left + 1)
            parts.append(part)
            left -= len(part)
            if left < 0:
                raise TooLargeError(f"unpacks to more than {MOST_UNPACKED >> 20} MB")
            if not unpacker.eof:
                raise ValueError("truncated zstd data")
            data = unpacker.unused_data
        return parts[0] if len(parts) == 1 else b"".join(parts)


def _limited_lz4(data: bytes) -> bytes:
    unpacker: Any = import_module("lz4.frame").LZ4FrameDecompressor()
    found: bytes = unpacker.decompress(data, max_length=MOST_UNPACKED + 1)
    if len(found) > MOST_UNPACKED:
        raise TooLargeError(f"unpacks to more than {MOST_UNPACKED >> 20} MB")
    if not unpacker.eof:
        raise ValueError("truncated lz4 data")
    return found


def limit_rosbags() -> None:
    """Give rosbags the unpackers that have a limit; doing so again changes nothing.

    Raises:
        ImportError: rosbags is not installed, or is one that unpacks by other means.
    """
    modules = [import_module(f"rosbags.rosbag2.{name}") for name in ("reader", "storage_mcap")]
    for module in modules:
        known = getattr(module, "zstd", None)
        if not hasattr(known, "ZstdDecompressor"):
            raise ImportError(f"{module.__name__}: unpacks by other means")
        if not isinstance(known, _LimitedZstd):
            module.__dict__["zstd"] = _LimitedZstd(known)
    modules[1].__dict__["lz4_decompress"] = _limited_lz4


def check_bag(path: Path) -> None:
    """Look at what opening a bag would unpack into a temporary folder.

    Args:
        path: of the bag, a folder or a file.

    Raises:
        OSError: a file of it cannot be read.
        ValueError: its metadata are too large, or it unpacks to more than the disk holds.
    """
    metadata = path / "metadata.yaml"
    if not metadata.is_file():
        return
    try:
        text = read_text(metadata, most=MOST_METADATA)
    except ValueError as error:
        raise ValueError(f"{metadata.name}: {error}") from error
    if "zstd" not in text:  # only rosbags reads the YAML itself
        return
    zstd = import_module("rosbags.rosbag2.reader").zstd
    total = 0
    for file in sorted(path.glob("*.zstd")):
        with (
            file.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as packed,
        ):
            size = zstd.get_frame_info(packed).decompressed_size
            if size is None or zstd.get_frame_size(packed) != len(packed):
                raise TooLargeError(
                    f"{file.name}: does not say how large it is unpacked; unpack it with zstd -d, "
                    "and take compression out of metadata.yaml"
                )
        total += size
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if total > free // 2:
        raise TooLargeError(
            f"unpacks to {total / 1e9:.1f} GB, and {tempfile.gettempdir()} has {free / 1e9:.1f} GB"
        )
