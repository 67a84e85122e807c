# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the tests of faults share."""

import time

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")
pytest.importorskip("matplotlib", reason="its photographs are the faces")

from rig import HERE, Rig, threads, wait


@pytest.fixture
def rig(domain_id):
    """Processes to hurt; all are ended with the test."""
    made = Rig(domain_id)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def freeze(rig):
    """Stop the node's worker while it waits for an image, then let images come.

    Not in the midst of one: it might have Python's lock, and then nobody can mend it from within.
    """

    def stop(node, camera):
        camera.tell(show=None)
        time.sleep(0.3)
        workers = threads(node, "reaction worker")
        debugger = rig.process(HERE / "freeze.py", max(workers))
        assert wait(lambda: debugger.lines), "no word from the debugger"
        if debugger.lines[0] != "frozen":
            pytest.skip(f"this machine lets nobody stop a thread: {debugger.lines[0]}")
        camera.tell(show="smile")
        return debugger

    return stop
