# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Memory that is free is given back."""

import subprocess
import sys

import pytest

GAPS = """
import ctypes, sys
from emotion_perception.nodes import heap

if heap._trim() is None:
    sys.exit("no malloc_trim")

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

heap.EVERY_S = 0.0 if sys.argv[1] == "due" else 3600.0
keeper = heap.HeapKeeper()
libc = ctypes.CDLL(None)
libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD: all on the heap
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
size = 900_000
kept = []
for number in range(200):
    kept.append(libc.malloc(size))
    ctypes.memset(kept[-1], 1, size)
for gap in kept[:-1:2]:
    libc.free(gap)
before = anonymous()
keeper.tick()
print(before - anonymous())
"""


@pytest.mark.parametrize(("when", "least", "most"), [("due", 60, 200), ("not due", -5, 5)])
def test_gaps_are_given_back_when_it_is_time(when, least, most):
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    done = subprocess.run(
        [sys.executable, "-c", GAPS, when], capture_output=True, text=True, timeout=60, check=False
    )
    if "no malloc_trim" in done.stderr:
        pytest.skip("this C library gives back nothing")
    assert done.returncode == 0, done.stderr
    assert least < float(done.stdout) < most


def test_the_node_does_so(domain_id, monkeypatch):
    pytest.importorskip("emotion_perception.msg", reason="the package is not built")
    import rclpy

    from emotion_perception.nodes import heap
    from emotion_perception.nodes.reaction_node import ReactionNode

    trimmed = []
    monkeypatch.setattr(heap, "_trim", lambda: trimmed.append)
    monkeypatch.setattr(heap, "EVERY_S", 0.0)
    rclpy.init(domain_id=domain_id)
    node = ReactionNode()
    try:
        node._on_timer()
    finally:
        node.destroy_node()
        rclpy.shutdown()
    assert trimmed == [0]
