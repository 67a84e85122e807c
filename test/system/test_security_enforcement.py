# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""With security on, who has no right to it neither hears reactions nor gets images judged.

Needs sros2, and a middleware that was built with security.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")
pytest.importorskip("sros2", reason="sros2 is not here: sudo apt install ros-$ROS_DISTRO-sros2")

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
POLICY = ROOT / "security" / "policy.xml"
PREFIX = "/emotion_perception"
WITHOUT_SECURITY = ("doesn't have the security libraries", "does not have security support")
PROBE = "import rclpy; rclpy.init(); rclpy.create_node('reaction_node'); print('made')"
ENOUGH = 30  # messages that others get while a stranger gets none


@pytest.fixture
def make_keys(domain_id, tmp_path):
    """Make a keystore with all enclaves of the shipped policy, signed by an authority of its own.

    After `domain_id`: the keys are for that domain.
    """
    from sros2.api._artifact_generation import generate_artifacts

    def make(name):
        keystore = tmp_path / name
        generate_artifacts(keystore, [], [POLICY])
        return keystore

    return make


@pytest.fixture
def keys(make_keys):
    return make_keys("keys")


def environment(keystore, enclave):
    values = {k: v for k, v in os.environ.items() if not k.startswith("ROS_SECURITY")}
    if keystore is not None:
        values.update(ROS_SECURITY_ENABLE="true", ROS_SECURITY_STRATEGY="Enforce",
                      ROS_SECURITY_KEYSTORE=str(keystore), PYTHONUNBUFFERED="1")  # fmt: skip
        if enclave:
            values["ROS_SECURITY_ENCLAVE_OVERRIDE"] = f"{PREFIX}/{enclave}"
    return values


class Process:
    """A process and the lines that it has written."""

    def __init__(self, folder, command, keystore, enclave, program=(sys.executable, "-u")):
        self.path = folder / f"{len(list(folder.glob('*.txt')))}.txt"
        with self.path.open("w") as file:
            self.process = subprocess.Popen(
                [*program, *command], cwd=folder, env=environment(keystore, enclave),
                stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            )  # fmt: skip

    def lines(self, start=""):
        return [line for line in self.path.read_text().splitlines() if line.startswith(start)]

    def says(self, start, times=1, seconds=180.0):
        end = time.monotonic() + seconds
        while len(self.lines(start)) < times:
            assert time.monotonic() < end, self.path.read_text()
            time.sleep(0.05)
        return self.lines(start)[-1]


@pytest.fixture
def start(keys, tmp_path):
    """Start a module of the package or a role of `secured.py`, with the keys of an enclave."""
    probe = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment(keys, "reaction_node"), cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    said = " ".join((probe.stdout + probe.stderr).split())
    for reason in WITHOUT_SECURITY:
        if reason in said:
            pytest.skip(f"the middleware here was built without security: it says it {reason}")
    assert "made" in said, said
    started = []

    def start(enclave, *command, keystore=keys, **options):
        started.append(Process(tmp_path, command, keystore, enclave, **options))
        return started[-1]

    yield start
    for one in started:
        one.process.send_signal(signal.SIGINT)  # on which launch ends its nodes first
    for one in started:
        try:
            one.process.wait(30)
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()


def node(name, *parameters):
    arguments = [word for parameter in parameters for word in ("-p", parameter)]
    return ["-m", f"emotion_perception.nodes.{name}", "--ros-args", *arguments]


def role(name, as_node="stranger"):
    return [str(HERE / "secured.py"), name, as_node]


CAMERA = node("video_source_node", "source:=demo", "loop:=true", "rate:=10.0")


def test_reactions_are_heard_by_who_may_and_nobody_else(start, keys, make_keys):
    reaction_node = start("reaction_node", *node("reaction_node", "autostart:=true"))
    strangers = [
        start("", *role("listen"), keystore=None),
        start("monitor", *role("listen", "monitor")),
        start("behaviour", *role("listen", "joke_behaviour"), keystore=make_keys("other")),
    ]
    for stranger in strangers:
        stranger.says(("ready", "refused:"))
    behaviour = start("behaviour", *role("listen", "joke_behaviour"))
    start("camera", *CAMERA)
    behaviour.says("heard 3", ENOUGH)  # the clip begins with a smile
    for stranger in strangers:
        assert stranger.lines("heard") == []
    # No keys at all, and another authority's, let it start, alone; another enclave's do not.
    assert strangers[1].lines("refused:") != []
    assert "active" in reaction_node.path.read_text()


def test_images_are_judged_of_who_may_and_nobody_else(start, keys, make_keys):
    start("reaction_node", *node("reaction_node", "autostart:=true"))
    monitor = start("monitor", *role("watch", "monitor"))
    strangers = [
        start("", *role("inject"), keystore=None),
        start("behaviour", *role("inject", "joke_behaviour")),
        start("camera", *role("inject", "video_source_node"), keystore=make_keys("other")),
    ]
    monitor.says("received 0")
    strangers[0].says("sent", ENOUGH)
    strangers[1].says("refused:")
    strangers[2].says("sent", ENOUGH)
    count = len(monitor.lines("received"))
    monitor.says("received", count + 2)
    assert set(monitor.lines("received")) == {"received 0"}
    # The same images, from who has the camera's keys.
    start("camera", *role("inject", "video_source_node"))
    monitor.says(tuple(f"received {number}" for number in range(1, 10)))


def test_who_has_keys_can_do_all_that_is_theirs(start):
    reaction_node = start("reaction_node", *node("reaction_node", "autostart:=true"))
    start("camera", *CAMERA)
    behaviour = start("behaviour", *node("joke_behaviour", "jokes:=2", "window:=1.0", "pause:=0.1"))
    operator = start("operator", *role("operate", "operator"))
    assert operator.says("state") == "state active"
    assert operator.says("threshold") == "threshold True"
    assert operator.says("model").startswith("model True the base model ")
    assert operator.says("enable") == "enable True looking"
    assert behaviour.process.wait(60) == 0
    told = behaviour.path.read_text()
    assert "2 joke(s) told" in told
    assert reaction_node.path.read_text().count("]: action '") == 2
    # Whoever was there, and whatever they did, there was an answer to each goal.
    for fault in ("did not answer", "refused to watch", "no result came", "has gone"):
        assert fault not in told


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2cli is not here")
def test_the_launch_file_gives_each_node_its_enclave(start):
    launch = str(ROOT / "launch" / "reaction.launch.py")
    start("", "launch", launch, f"enclaves:={PREFIX}", "video_source:=demo", "loop:=true",
          "rate:=10.0", program=("ros2",))  # fmt: skip
    behaviour = start("behaviour", *role("listen", "joke_behaviour"))
    behaviour.says("heard 3")
