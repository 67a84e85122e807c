# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What tests on real ROS share: a domain of their own, and waiting without sleeping."""

import contextlib
import fcntl
import itertools
import os
import signal
import tempfile
import time
from pathlib import Path

import pytest

from emotion_perception.nodes.transports import is_free, local_variables

# Started in the background of a shell, this process ignores Ctrl-C, and all that it starts would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of a parallel run are processes of their own.
_candidates = itertools.count(os.getpid() * 13)


@pytest.fixture
def domain_id(monkeypatch):
    """A ROS domain for this test alone, set for this process and those that it starts."""
    domain, held = next(
        (d, held) for d in (n % 101 + 1 for n in _candidates) if (held := _take(d)) is not None
    )
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    for name, value in local_variables().items():
        monkeypatch.setenv(name, value)
    for name in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS", "ROS_DISCOVERY_SERVER"):
        monkeypatch.delenv(name, raising=False)
    yield domain
    held.close()


@pytest.fixture
def spin_until():
    """Spin a node until a condition holds; fails the test when it takes too long."""
    executors = pytest.importorskip("rclpy.executors", reason="ROS 2 is not here")

    def spin(node, predicate, timeout=30.0):
        end = time.monotonic() + timeout
        # An executor of its own: the global one may be busy with another node of the test.
        executor = executors.SingleThreadedExecutor(context=node.context)
        executor.add_node(node)
        try:
            while not predicate():
                assert time.monotonic() < end, f"not within {timeout:g} s"
                executor.spin_once(timeout_sec=0.05)
        finally:
            executor.remove_node(node)
            executor.shutdown()

    return spin


def _take(domain):
    """Return what holds a domain against other runs of these tests; None if it is not free."""
    lock = Path(tempfile.gettempdir()) / f"emotion_perception_domain_{domain}.{os.getuid()}"
    held = lock.open("w")
    with contextlib.suppress(OSError):
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_free(domain):
            return held
    held.close()
    return None
