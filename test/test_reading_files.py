# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading small files of others costs small memory, and a file of no stated size is read whole."""

import tracemalloc
from pathlib import Path

import pytest

from emotion_perception.limited_files import read_bytes


def test_a_small_file_takes_no_large_buffer(tmp_path):
    """A buffer of the limit's size for each file made a long-running process grow."""
    path = tmp_path / "card.json"
    path.write_bytes(b"{}")
    read_bytes(path, 4 << 20)
    tracemalloc.start()
    try:
        assert read_bytes(path, 4 << 20) == b"{}"
        assert tracemalloc.get_traced_memory()[1] < 300_000
    finally:
        tracemalloc.stop()


def test_a_file_that_does_not_know_its_size():
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs /proc")
    assert status.stat().st_size == 0
    assert b"VmRSS" in read_bytes(status, 1 << 20)
    with pytest.raises(ValueError, match="larger than"):
        read_bytes(status, 100)
