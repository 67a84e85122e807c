# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""However the reaction node is told to stop, it ends without a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from waiting import wait

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")


@pytest.fixture
def watcher(domain_id):
    """A node that sees who is there."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = rclpy.create_node("watcher", context=context)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
@pytest.mark.parametrize("active", [True, False])
def test_reaction_node_ends_cleanly(domain_id, watcher, signals, active):
    child = subprocess.Popen(
        [sys.executable, "-m", "emotion_perception.nodes.reaction_node", "--ros-args",
         "-p", f"autostart:={str(active).lower()}"],
        cwd=Path(__file__).parent, env={**os.environ, "ROS_DOMAIN_ID": str(domain_id)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if active:
        line = child.stdout.readline()
        while "active: images from" not in line:
            assert line, "the node ended"
            line = child.stdout.readline()
    else:
        assert wait(lambda: "reaction_node" in watcher.get_node_names(), 60.0)
    for number in signals:
        child.send_signal(number)
        time.sleep(0.01)
    output = child.communicate(timeout=20)[0]
    assert "Traceback" not in output
    assert child.returncode == 0, output


WHILE_IT_IS_MADE = """
import os, sys, time
from emotion_perception.nodes import observations, reaction_node
make = observations.ActionServer
def make_late(*arguments, **options):
    os.kill(os.getpid(), {number})
    time.sleep(0.3)  # rclpy closes the context in a thread of its own
    return make(*arguments, **options)
observations.ActionServer = make_late
sys.exit(reaction_node.main([]))
"""
WHILE_IT_JOINS = """
import os, sys
from emotion_perception.nodes import discovery, reaction_node
os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "DEFAULT"
make = discovery._participant
def make_and_stop(domain):
    os.kill(os.getpid(), {number})
    return make(domain)
discovery._participant = make_and_stop
sys.exit(reaction_node.main([]))
"""
WHILE_IT_CLEANS_UP = """
import os, signal, sys, threading
from emotion_perception.nodes import reaction_node
set_handler = signal.signal
def set_late(number, handler):
    if handler == signal.SIG_IGN:
        os.kill(os.getpid(), {number})
    return set_handler(number, handler)
signal.signal = set_late
threading.Timer(1.0, os.kill, (os.getpid(), {number})).start()
sys.exit(reaction_node.main([]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "program", [WHILE_IT_JOINS, WHILE_IT_IS_MADE, WHILE_IT_CLEANS_UP], ids=["join", "made", "end"]
)
def test_told_to_stop_at_a_bad_moment(domain_id, program, number):
    ended = subprocess.run(
        [sys.executable, "-c", program.format(number=int(number))],
        cwd=Path(__file__).parent, env={**os.environ, "ROS_DOMAIN_ID": str(domain_id)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
