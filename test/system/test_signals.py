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

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT] * 2])
@pytest.mark.parametrize("active", [True, False])
def test_reaction_node_ends_cleanly(domain_id, signals, active):
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
        time.sleep(2)
    for number in signals:
        child.send_signal(number)
        time.sleep(0.01)
    output = child.communicate(timeout=20)[0]
    assert "Traceback" not in output
    if not active and child.returncode == -signals[0]:
        pytest.skip("this machine was too slow: the signal came while Python was starting")
    assert child.returncode == 0, output
