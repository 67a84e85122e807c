# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A real GPU whose memory somebody else takes: the node goes on with the CPU, and says so."""

import time

import pytest
from rig import judged, wait

torch = pytest.importorskip("torch", reason="torch is not installed")
if not torch.cuda.is_available():
    pytest.skip("there is no CUDA device", allow_module_level=True)

# Takes all the memory there is until its input ends.
GREEDY = """
import sys, torch
kept, size = [], 1 << 30
while size > 1 << 16:
    try:
        kept.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
    except torch.OutOfMemoryError:
        size //= 2
print("full", flush=True)
sys.stdin.read()
"""


def test_no_memory_left_at_the_start(rig):
    rig.camera()
    greedy = rig.process("-c", GREEDY)
    assert wait(lambda: greedy.said("full"), 60.0)
    node = rig.node("device:=cuda:0")
    rig.first(0.0, judged, 90.0)
    assert node.said("using the CPU")
    assert wait(lambda: rig.value("device") == "cpu")


def test_no_memory_left_for_frames_of_a_new_size(rig):
    camera = rig.camera()
    node = rig.node("device:=cuda:0")
    rig.first(0.0, judged, 90.0)
    greedy = rig.process("-c", GREEDY)
    assert wait(lambda: greedy.said("full"), 60.0)
    camera.tell(size=[1920, 1080])
    # Whether it fits into what the node holds already, or not: somebody judges.
    rig.first(time.monotonic() + 1.0, lambda m: judged(m) and m.roi.width > 250, 30.0)
    assert node.code is None
