# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What goes wrong with files, and that nothing is lost that was acknowledged."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from builtin_interfaces.msg import Duration
from rig import judged, not_looked, wait

import emotion_perception
from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction
from emotion_perception.srv import LoadPatientModel

MODEL = next((Path(emotion_perception.__file__).resolve().parents[1] / "models").glob("*valence*"))
SHORT = {"baseline": Duration(nanosec=500_000_000), "window": Duration(sec=1)}


@pytest.fixture
def full_disk(tmp_path):
    """A file system of 1 MB with nothing left; yields its folder and what fills it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"only root can make a small disk: {done.stderr.strip()}")
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
        yield folder, filler
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def observe(rig):
    return rig.result(rig.observe(**SHORT), 20.0).result


def test_a_full_disk_costs_lines_of_the_log_and_nothing_else(rig, full_disk):
    folder, filler = full_disk
    log = folder / "observed.jsonl"
    rig.camera()
    node = rig.node(f"observation_log:={log}", ROS_LOG_DIR=str(folder / "log"))
    rig.first(0.0, judged, 30.0)
    result = observe(rig)
    assert result.outcome == ObserveReaction.Result.OUTCOME_OBSERVED
    assert wait(lambda: node.said("observation not logged"))
    assert any("space" in line for line in node.lines)
    assert not log.exists() or log.read_text() == ""
    # With room again the next one is there, as a whole.
    filler.unlink()
    result = observe(rig)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["text"] for line in lines] == [result.text]
    rig.first(time.monotonic(), judged)


def test_what_was_answered_is_on_disk_when_the_node_is_killed(rig, tmp_path):
    log = tmp_path / "observed.jsonl"
    rig.camera()
    node = rig.node(f"observation_log:={log}")
    rig.first(0.0, judged, 30.0)
    told = []
    for _ in range(3):
        told.append(observe(rig).text)
        if len(told) == 3:
            node.kill()  # at once: the answer has come
    assert [json.loads(line)["text"] for line in log.read_text().splitlines()] == told


def test_an_accepted_goal_is_answered_when_the_camera_dies(rig):
    camera = rig.camera()
    rig.node()
    rig.first(0.0, judged, 30.0)
    answer = rig.observe(window=Duration(sec=2))
    time.sleep(0.2)
    camera.kill()
    result = rig.result(answer, 10.0).result
    # Hardly any frame after the action: it says so instead of guessing.
    assert result.verdict.reaction == UserReaction.UNKNOWN
    assert result.outcome != ObserveReaction.Result.OUTCOME_OBSERVED
    assert result.text


def test_an_accepted_goal_is_answered_when_the_worker_hangs(rig, freeze):
    camera = rig.camera()
    node = rig.node("hang_timeout:=0.5")
    rig.first(0.0, judged, 30.0)
    freeze(node, camera)
    answer = rig.observe(window=Duration(sec=3))
    result = rig.result(answer, 15.0).result
    assert result.response_frames > 0  # of the worker that was made anew
    assert node.said("judging again")


def test_an_accepted_goal_is_answered_when_the_node_is_deactivated(rig):
    rig.camera()
    rig.node()
    rig.first(0.0, judged, 30.0)
    answer = rig.observe(window=Duration(sec=5))
    time.sleep(0.5)
    assert rig.transition("deactivate")
    result = rig.result(answer, 5.0).result
    assert result.outcome == ObserveReaction.Result.OUTCOME_INTERRUPTED
    assert result.verdict.reaction == UserReaction.UNKNOWN


@pytest.mark.parametrize("how", ["garbage", "empty", "missing", "half"])
def test_a_model_that_is_damaged_while_it_judges(rig, tmp_path, how):
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    rig.camera()
    node = rig.node(f"model:={folder}")
    rig.first(0.0, judged, 30.0)
    for weights in folder.glob("*.onnx"):
        data = weights.read_bytes()
        if how == "missing":
            weights.unlink()
        else:
            content = {"garbage": b"\0" * len(data), "empty": b"", "half": data[: len(data) // 2]}
            weights.write_bytes(content[how])
    # What judges is in memory.
    rig.first(time.monotonic() + 0.2, judged, 5.0)
    # Nothing else is taken from there: the service refuses it, and so does configuring.
    answer = rig.call(rig.load, LoadPatientModel.Request(patient_id="", version=""))
    assert not answer.success
    assert str(folder) in answer.message
    rig.first(time.monotonic(), judged, 5.0)
    for step in ("deactivate", "cleanup"):
        assert rig.transition(step)
    assert not rig.transition("configure")
    assert wait(lambda: node.said("not configured:"))
    assert any(str(folder) in line for line in node.lines)
    assert not node.said("Traceback")
    # Mended, it is taken again.
    shutil.rmtree(folder)
    shutil.copytree(MODEL, folder)
    for step in ("configure", "activate"):
        assert rig.transition(step)
    rig.first(time.monotonic(), judged)


def test_a_model_that_went_bad_is_not_taken_when_the_worker_is_made_anew(rig, freeze, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(MODEL, folder)
    camera = rig.camera()
    node = rig.node(f"model:={folder}", "hang_timeout:=0.5")
    rig.first(0.0, judged, 30.0)
    kept = folder.rename(tmp_path / "kept")
    freeze(node, camera)
    frozen = time.monotonic()
    assert wait(lambda: node.said("the networks cannot be loaded again"), 15.0)
    assert all(m.reaction == UserReaction.UNKNOWN for at, m in rig.after(frozen + 0.6))
    assert rig.first(frozen, not_looked) < 2.0
    kept.rename(folder)
    rig.first(time.monotonic(), judged, 15.0)  # tried again every few seconds
