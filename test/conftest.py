# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What tests on real ROS share: a domain of their own, and waiting without sleeping."""

import contextlib
import fcntl
import itertools
import os
import signal
import socket
import tempfile
import time
from pathlib import Path

import pytest

from emotion_perception.nodes.transports import local_variables

# Started in the background of a shell, this process ignores Ctrl-C, and all that it starts would.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of a parallel run are processes of their own.
_candidates = itertools.count(os.getpid() * 13)


# What starts nodes, or waits for them: one after the other in a parallel run, beside the others.
_WITH_NODES = {"ros", "system", "test_readme_commands_run.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Tell pytest-xdist what one worker has to run."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        path = item.path.relative_to(Path(__file__).parent)
        group = "nodes" if path.parts[0] in _WITH_NODES else str(path)
        item.add_marker(pytest.mark.xdist_group(group))


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
        if _is_free(domain):
            return held
    held.close()
    return None


def _is_free(domain):
    """Whether nobody listens on the ports that participants of the domain would take."""
    for offset in (0, 10, 12, 14, 16):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain + offset))
            except OSError:
                return False
    return True
