# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The demonstration as a user starts it: real processes, real ROS, real files."""

import contextlib
import csv
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console
from waiting import wait

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")
pytest.importorskip("matplotlib")

from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.nodes import demo

COMMAND = [sys.executable, "-m", "emotion_perception.nodes.demo"]
FPS = 10.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video of 1.5 s with a face and 1 s without one."""
    path = tmp_path_factory.mktemp("clip") / "face, then nobody.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    empty = DEMO_SPANS[1][0] + 0.2
    for index, frame in enumerate(demo_frames(FPS)):
        if index / FPS < 1.5 or empty <= index / FPS < empty + 0.999:
            writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def run(domain_id, tmp_path):
    """Start the demonstration in an empty folder; kills it and its children at the end."""
    started = []

    def start(*arguments, **options):
        process = subprocess.Popen(
            [*COMMAND, "--domain-id", str(domain_id), *arguments], cwd=tmp_path,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **options},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        for child in children(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.kill()
        if process.stdout:
            process.stdout.close()
        process.wait()


def children(pid):
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in text.split()]
    return []


def is_running(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def first_line_with(process, text):
    for line in process.stdout:
        if text in line:
            return line
    raise AssertionError(f"no {text!r} in the output")


def rows(folder):
    with (folder / "reactions.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def seconds_of(video):
    capture = cv2.VideoCapture(str(video))
    frames = 0
    while capture.read()[0]:
        frames += 1
    return frames / capture.get(cv2.CAP_PROP_FPS)


def test_clip_is_shown_to_its_end(run, clip, tmp_path):
    process = run("--source", str(clip))
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    folder = tmp_path / "demo_output"
    assert sorted(file.name for file in folder.iterdir()) == [
        "reactions.csv", "reactions.mp4", "timeline.png",
    ]  # fmt: skip
    table = rows(folder)
    # A busy machine drops frames; the times stay true.
    assert 10 <= len(table) <= 25
    assert {row["reason"] for row in table if float(row["time_s"]) < 1.3} <= {
        "NONE", "LOW_CONFIDENCE",
    }  # fmt: skip
    assert {row["reason"] for row in table if float(row["time_s"]) > 1.7} == {"NO_FACE"}
    length = float(table[-1]["time_s"])
    assert length == pytest.approx(2.4, abs=0.4)
    assert seconds_of(folder / "reactions.mp4") == pytest.approx(length + 1 / FPS, abs=0.25)
    assert cv2.imread(str(folder / "timeline.png")).shape[1] > 1000
    for text in ("face, then nobody.avi (as asked for)", "no face", "images judged", "wrote "):
        assert text in output
    assert "Traceback" not in output


def test_generated_clip_where_there_is_no_webcam(run, tmp_path):
    if Path("/dev/video0").exists():
        pytest.skip("there is a webcam here")
    process = run("--duration", "2", "--output", "out")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 0, output
    assert "demo clip (no webcam opens here)" in output
    assert float(rows(tmp_path / "out")[-1]["time_s"]) < 3


@pytest.mark.parametrize("arguments", [["--source", "nothing.mp4"], ["--output", "/proc/nothing"]])
def test_mistakes_are_one_line(run, tmp_path, arguments):
    process = run(*arguments, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "nothing" in errors
    assert len(errors.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("after", [0.7, 1.5, 3.0])
def test_ctrl_c_while_it_starts(run, clip, tmp_path, after):
    process = run("--source", str(clip))
    time.sleep(after)
    started = children(process.pid)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=15)[0]
    assert process.returncode in (0, 130)
    assert "Traceback" not in output
    assert not any(is_running(child) for child in started)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_the_outputs(run, tmp_path, number):
    process = run("--source", "demo", "--output", "out")
    first_line_with(process, "frames/s")
    started = children(process.pid)
    assert len(started) == 2
    first_line_with(process, "frames/s")
    process.send_signal(number)
    process.send_signal(number)  # an impatient user
    output = process.communicate(timeout=15)[0]
    assert process.returncode == 0, output
    assert "Traceback" not in output
    assert not any(is_running(child) for child in started)
    # On a busy machine one of the two may be behind when the end comes.
    assert seconds_of(tmp_path / "out" / "reactions.mp4") == pytest.approx(
        float(rows(tmp_path / "out")[-1]["time_s"]), abs=1.5
    )


def test_nothing_outlives_a_killed_demo(run, clip):
    process = run("--source", "demo", "--output", "out")
    first_line_with(process, "frames/s")
    started = children(process.pid)
    assert len(started) == 2
    process.kill()
    assert wait(lambda: not any(is_running(child) for child in started), 5.0)


@pytest.mark.parametrize(("index", "name"), [(0, "reaction_node"), (1, "video_source_node")])
def test_child_that_dies_is_reported(run, tmp_path, index, name):
    process = run("--source", "demo", "--output", "out", stderr=subprocess.PIPE)
    first_line_with(process, "frames/s")
    time.sleep(0.5)
    os.kill(children(process.pid)[index], signal.SIGKILL)
    _, errors = process.communicate(timeout=15)
    assert process.returncode == 1
    assert f"the {name} ended unexpectedly (exit code -9); its last lines:" in errors
    assert "Traceback" not in errors
    assert rows(tmp_path / "out")  # what there was until then


def test_model_that_cannot_be_loaded_is_reported(run, clip, tmp_path, monkeypatch):
    (tmp_path / "models" / "valence-base").mkdir(parents=True)
    monkeypatch.setenv("EMOTION_PERCEPTION_MODELS", str(tmp_path / "models"))
    process = run("--source", str(clip), stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the reaction_node can't start" in errors
    assert "not configured: " in errors
    assert "Traceback" not in errors


def test_terminal_shows_a_live_panel(run, clip):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
    process = run("--source", str(clip), stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while data := os.read(ours, 65536):
            output += data
    os.close(ours)
    assert process.wait(20) == 0
    text = output.decode()
    for part in ("waiting for the first image", "negative", "valence", "frames/s", "nobody in"):
        assert part in text


def test_demo_keeps_to_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "environ", {
        "HOME": "/proc", "ROS_STATIC_PEERS": "robot", "ROS_DISCOVERY_SERVER": "robot:11811",
        "ROS_LOCALHOST_ONLY": "0", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_DOMAIN_ID": "0",
    })  # fmt: skip
    told = demo._keep_to_this_machine(42, tmp_path)
    # Shared memory is on this machine alone, whatever the range.
    assert told == {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "ROS_DOMAIN_ID": "42",
        "FASTDDS_BUILTIN_TRANSPORTS": "SHM?sockets_size=3MB",
    }  # fmt: skip
    assert os.environ == {
        **told, "HOME": "/proc",
        # ROS does not start where it can't write its logs.
        "ROS_LOG_DIR": str(tmp_path / "log"),
    }  # fmt: skip


@pytest.mark.parametrize(("count", "rate"), [(3, 1.0), (61, 0.0)])
def test_pictures_can_be_looked_at(tmp_path, count, rate):
    for index in range(count):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.zeros((8, 8, 3), np.uint8))
    assert demo._choose_source(str(tmp_path), Console()).rate == rate


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2cli is not here")
def test_demo_can_be_watched_from_another_terminal(run, domain_id):
    process = run("--source", "demo", "--output", "out")
    first_line_with(process, "frames/s")
    command = ["ros2", "topic", "echo", "--no-daemon", "--spin-time", "3", "/user_reaction"]
    done = subprocess.run(  # by the variables that the demonstration tells, as this test has them
        [*command, "--once", "--field", "model_id"], timeout=30, text=True,
        stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    assert "valence" in done.stdout
