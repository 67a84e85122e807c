# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Camera frame in, /user_reaction out: player, node and listener are separate processes."""

import contextlib
import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

from rclpy.executors import SingleThreadedExecutor

from emotion_perception.image.demo_clip import DEMO_SPANS, make_demo_clip
from emotion_perception.msg import FaceReactionArray, UserReaction

VIDEOS = Path(os.environ.get("EMOTION_PERCEPTION_DATA", "../shared/data")).resolve() / "videos"
NAMES = {
    UserReaction.UNKNOWN: "unknown",
    UserReaction.NEGATIVE: "negative",
    UserReaction.NEUTRAL: "neutral",
    UserReaction.POSITIVE: "positive",
}


@contextlib.contextmanager
def process(*arguments, **environment):
    child = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **environment},
        cwd=Path(__file__).parent,  # -m in the checkout would find the package without messages
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield child
    finally:
        child.terminate()
        child.wait(15)


class Listener:
    """Collects what the node publishes, by the frame number in frame_id."""

    def __init__(self):
        self.node = rclpy.create_node("listener")
        self.reactions, self.faces = {}, {}
        subscribe = self.node.create_subscription
        subscribe(UserReaction, "/user_reaction", self.on_reaction, 1000)
        subscribe(FaceReactionArray, "/reaction_node/faces", self.on_faces, 1000)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)

    def on_reaction(self, message):
        if message.reason == UserReaction.REASON_NOT_LOOKED:
            return  # about no frame
        self.reactions[int(message.header.frame_id)] = message

    def on_faces(self, message):
        self.faces[int(message.header.frame_id)] = len(message.faces)

    def wait_for_node(self, node):
        end = time.monotonic() + 60
        topics = ("/user_reaction", "/reaction_node/faces")
        while not all(self.node.count_publishers(topic) for topic in topics):
            assert node.poll() is None, node.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(1.0)  # it has to discover this listener too

    def listen_until_end_of(self, child, node, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and child.poll() is None:
            assert node.poll() is None, node.communicate()[0]
            self.executor.spin_once(timeout_sec=0.1)
        # Fast DDS sends again what was lost with its next heartbeat, every 3 s.
        quiet_since, before = time.monotonic(), 0
        while time.monotonic() - quiet_since < 4:
            self.executor.spin_once(timeout_sec=0.05)
            count = len(self.reactions) + len(self.faces)
            if count != before:
                quiet_since, before = time.monotonic(), count
        assert child.poll() == 0, child.communicate()[0]


@pytest.fixture
def play(domain_id):
    """Return a function that plays a recording through the running node."""
    rclpy.init(domain_id=domain_id)
    domain = {"ROS_DOMAIN_ID": str(domain_id)}
    node = ["-m", "emotion_perception.nodes.reaction_node", "--ros-args", "-p", "autostart:=true"]

    def run(path, reliability="RELIABLE"):
        listener = Listener()
        with process(*node, **domain) as running:
            listener.wait_for_node(running)
            player = Path(__file__).with_name("play.py")
            with process(str(player), str(path), reliability, **domain) as child:
                listener.listen_until_end_of(child, running, 240)
        listener.executor.shutdown()
        listener.node.destroy_node()
        return listener

    yield run
    rclpy.shutdown()


def verdicts(listener, first, last):
    every = [NAMES[listener.reactions[i].reaction] for i in range(first, last + 1)]
    return {name: every.count(name) for name in NAMES.values()}


@pytest.mark.parametrize("reliability", ["RELIABLE", "BEST_EFFORT"])
def test_generated_clip(play, tmp_path, reliability):
    pytest.importorskip("matplotlib")
    fps = 3.0
    listener = play(make_demo_clip(tmp_path, fps), reliability)
    start, end = (round(t * fps) for t in DEMO_SPANS[0][:2])
    assert verdicts(listener, start, end - 1)["positive"] >= 0.9 * (end - start)
    start, end = (int(t * fps) for t in DEMO_SPANS[1][:2])
    for index in range(start + 1, end):
        message = listener.reactions[index]
        assert (message.reaction, message.reason) == (
            UserReaction.UNKNOWN, UserReaction.REASON_NO_FACE,
        )  # fmt: skip
        assert listener.faces[index] == 0


def video(name):
    path = VIDEOS / name
    if not path.is_file():
        pytest.skip(f"{name} is not here; EMOTION_PERCEPTION_DATA names the folder of videos/")
    return path


def test_smile(play):
    listener = play(video("pyfeat/single_face.mp4"))
    assert verdicts(listener, 0, 17)["neutral"] >= 15
    assert verdicts(listener, 20, 68)["positive"] >= 46


def test_cartoon_has_nobody(play):
    listener = play(video("pyfeat/no_face.mp4"))
    # OpenCV decodes 95 to 98 frames of it, depending on its version.
    assert sorted(listener.reactions) == list(range(len(listener.reactions)))
    assert len(listener.reactions) >= 95
    assert {m.reason for m in listener.reactions.values()} == {UserReaction.REASON_NO_FACE}
    assert {m.reaction for m in listener.reactions.values()} == {UserReaction.UNKNOWN}


def labelled_gifs():
    """The labelled Intel clips: name, first and last frame, faces, valence."""
    table = VIDEOS / "video_labels.csv"
    if not table.is_file():
        return [pytest.param("intel", 0, 0, 0, "", id="no data")]
    with table.open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["file"].startswith("intel/")]
    return [
        pytest.param(
            r["file"], int(r["first_frame"]), int(r["last_frame"]),
            int(r["visible_faces"]), r["valence"], id=Path(r["file"]).stem,
        )
        for r in rows
        if r["visible_faces"]
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "first", "last", "faces", "valence"), labelled_gifs())
def test_intel_clips(play, name, first, last, faces, valence):
    listener = play(video(name))
    count = last - first + 1
    found = [listener.faces[i] for i in range(first, last + 1)]
    assert found.count(faces) >= 0.9 * count
    if valence:
        assert verdicts(listener, first, last)[valence] >= 0.9 * count
