# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A behaviour, the reaction node and a camera as separate processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.action", reason="the package is not built")
pytest.importorskip("matplotlib")


def start(name, *parameters, **options):
    command = [sys.executable, "-m", f"emotion_perception.nodes.{name}", "--ros-args"]
    for parameter in parameters:
        command += ["-p", parameter]
    return subprocess.Popen(
        command, cwd=Path(__file__).parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, **options,
    )  # fmt: skip


def test_jokes_are_told_observed_and_logged(domain_id, tmp_path):
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain_id)}
    log = tmp_path / "observations.jsonl"
    children = []
    try:
        children.append(start("reaction_node", "autostart:=true", f"observation_log:={log}",
                              env=environment))  # fmt: skip
        children.append(start("video_source_node", "source:=demo", "loop:=true", "rate:=10.0",
                              env=environment))  # fmt: skip
        # The clip shows a smile for its first four seconds.
        line = children[0].stdout.readline()
        while "active: images from" not in line:
            assert line, "the reaction node ended"
            line = children[0].stdout.readline()
        behaviour = start("joke_behaviour", "jokes:=3", "window:=2.0", "pause:=0.2", "seed:=1",
                          env=environment)  # fmt: skip
        children.append(behaviour)
        output = behaviour.communicate(timeout=60)[0]
        assert behaviour.returncode == 0, output
        assert "3 joke(s) told" in output
        assert "Traceback" not in output
    finally:
        for child in children:
            child.terminate()
        ended = [child.communicate(timeout=20)[0] for child in children[:2]]
    assert not any("Traceback" in text for text in ended)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 3
    assert all(line["model_id"].startswith("valence-base-") for line in lines if line["face_id"])
    assert {line["outcome"] for line in lines} <= {"OBSERVED", "NO_FACE", "LEFT", "TOO_FEW_FRAMES"}
    assert "OBSERVED" in {line["outcome"] for line in lines}
