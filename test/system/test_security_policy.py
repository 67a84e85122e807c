# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The sros2 policy allows what the running nodes have, and nothing else."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

from emotion_perception.nodes.policy_file import Deployment, enclaves, main, policy_file
from emotion_perception.nodes.ros4hri import unavailable

POLICY = Path(__file__).parents[2] / "security" / "policy.xml"
ENCLAVES = ("reaction_node", "camera", "behaviour", "monitor", "operator")


def allowed(text, enclave):
    """What a policy allows one enclave: full names by kind and verb."""
    found = defaultdict(set)
    (element,) = ET.fromstring(text).findall(
        f"enclaves/enclave[@path='/emotion_perception/{enclave}']"
    )
    for profile in element.iter("profile"):
        ns, node = profile.attrib["ns"].rstrip("/"), profile.attrib["node"]
        for rule in profile:
            ((verb, value),) = rule.attrib.items()
            assert value == "ALLOW"
            for name in rule:
                full = name.text.replace("~", f"{ns}/{node}", 1)
                found[verb].add(full if full.startswith("/") else f"{ns}/{full}")
    return found


def running(node, name, ns):
    """What a running node has, as the graph tells it, in the policy's words."""
    have = {
        "publish": node.get_publisher_names_and_types_by_node(name, ns),
        "subscribe": node.get_subscriber_names_and_types_by_node(name, ns),
        "reply": node.get_service_names_and_types_by_node(name, ns),
        "request": node.get_client_names_and_types_by_node(name, ns),
    }
    found = defaultdict(set)
    for verb, entries in have.items():
        for topic, _ in entries:
            action, inside, _ = topic.partition("/_action/")
            if not inside:
                found[verb].add(topic)
            elif verb in ("reply", "request"):
                found["execute" if verb == "reply" else "call"].add(action)
    return found


@pytest.fixture
def start(domain_id, tmp_path):
    started = []

    def start(name, *arguments):
        started.append(subprocess.Popen(
            [sys.executable, "-m", f"emotion_perception.nodes.{name}", "--ros-args", *arguments],
            cwd=tmp_path, env=dict(os.environ), stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
        ))  # fmt: skip

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def observer(domain_id):
    rclpy.init(domain_id=domain_id)
    node = rclpy.create_node("observer")
    yield node
    node.destroy_node()
    rclpy.shutdown()


def test_the_file_is_what_the_program_writes():
    assert POLICY.read_text(encoding="utf-8") == policy_file(), (
        "python -m emotion_perception.nodes.policy_file > security/policy.xml"
    )
    assert tuple(enclave.name for enclave in enclaves(Deployment())) == ENCLAVES


def test_options_of_the_program(capsys):
    main(["--namespace", "robot/", "--image-topic", "/camera/color/image_raw", "--compressed",
          "--no-ros4hri", "--sim-time"])  # fmt: skip
    text = capsys.readouterr().out
    node = allowed(text, "reaction_node")
    assert node["subscribe"] == {"/camera/color/image_raw/compressed", "/clock"}
    assert "/robot/user_reaction" in node["publish"]
    assert not any("humans" in topic for topic in node["publish"])
    main(["--camera-topics", "front/image_raw,back/image_raw"])
    assert allowed(capsys.readouterr().out, "behaviour")["call"] == {
        "/reaction_node/front/observe_reaction", "/reaction_node/back/observe_reaction",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("deployment", "arguments"),
    [
        # The shipped file, but for ROS4HRI.
        (Deployment(ros4hri=False), []),
        (
            Deployment(namespace="/robot/head", camera_topics=("front/image_raw", "/back/image"),
                       compressed=True, sim_time=True, ros4hri=False),
            ["-r", "__ns:=/robot/head", "-p", "camera_topics:=[front/image_raw, /back/image]",
             "-p", "image_transport:=compressed", "-p", "use_sim_time:=true"],
        ),
        (
            Deployment(image_topic="/camera/color/image_raw", ros4hri=False),
            ["-r", "image_raw:=/camera/color/image_raw"],
        ),
    ],
    ids=["shipped", "cameras", "remapped"],
)  # fmt: skip
def test_the_reaction_node_has_what_it_may_and_nothing_else(
    start, observer, spin_until, deployment, arguments
):
    start("reaction_node", "-p", "autostart:=true", *arguments)
    may = allowed(policy_file(deployment), "reaction_node")
    check(observer, spin_until, "reaction_node", deployment.namespace, may)


@pytest.mark.skipif(bool(unavailable()), reason=unavailable())
def test_the_reaction_node_with_ros4hri(start, observer, spin_until):
    start("reaction_node", "-p", "autostart:=true", "-p", "ros4hri:=true")
    may = allowed(POLICY.read_text(encoding="utf-8"), "reaction_node")
    # Nobody is in sight, so no face has topics.
    may["publish"] = {name for name in may["publish"] if "*" not in name}
    check(observer, spin_until, "reaction_node", "/", may)


def test_the_camera_has_what_it_may_and_nothing_else(start, observer, spin_until):
    start("video_source_node", "-p", "source:=demo", "-p", "loop:=true", "-p", "rate:=2.0")
    check(observer, spin_until, "video_source_node", "/", allowed(policy_file(), "camera"))


def test_the_behaviour_may_hear_the_reactions_too(start, observer, spin_until):
    start("joke_behaviour")
    may = allowed(policy_file(), "behaviour")
    may["subscribe"].remove("/user_reaction")  # what this one is not interested in
    check(observer, spin_until, "joke_behaviour", "/", may)


def check(observer, spin_until, name, ns, may):
    """What a node has becomes what it may have: all of it, and no more a while later."""
    may = {verb: names for verb, names in may.items() if names}

    def has():
        try:
            return {verb: names for verb, names in running(observer, name, ns).items() if names}
        except rclpy.node.NodeNameNonExistentError:
            return {}

    def is_there():
        have = has()
        return all(have.get(verb, set()) >= names for verb, names in may.items())

    try:
        spin_until(observer, is_there)
    except AssertionError:
        assert has() == may
    for _ in range(20):
        rclpy.spin_once(observer, timeout_sec=0.05)
    assert has() == may


def test_nobody_else_may_publish_images_or_reactions():
    text = policy_file()
    for topic, owner in [("/image_raw", "camera"), ("/user_reaction", "reaction_node"),
                         ("/diagnostics", "reaction_node")]:  # fmt: skip
        assert [name for name in ENCLAVES if topic in allowed(text, name)["publish"]] == [owner]
    # Only the camera's images come in, and drawn ones go to nobody by default.
    readers = {"/image_raw": ["reaction_node"], "/user_reaction": ["behaviour"],
               "/reaction_node/debug_image": [], "/reaction_node/faces": []}  # fmt: skip
    for topic, expected in readers.items():
        found = [name for name in ENCLAVES if topic in allowed(text, name)["subscribe"]]
        assert found == expected
    changing = "/reaction_node/load_patient_model"
    assert [n for n in ENCLAVES if changing in allowed(text, n)["request"]] == ["operator"]


def test_only_faces_and_command_lines_are_allowed_by_pattern():
    found = {
        (enclave, verb, name)
        for enclave in ENCLAVES
        for verb, names in allowed(POLICY.read_text(encoding="utf-8"), enclave).items()
        for name in names
        if "*" in name or "?" in name or "[" in name
    }
    command_line = "/_ros2cli_*/get_type_description"
    assert found == {
        ("reaction_node", "publish", "/humans/faces/*/roi"),
        ("reaction_node", "publish", "/humans/faces/*/expression"),
        ("monitor", "reply", command_line), ("operator", "reply", command_line),
    }  # fmt: skip


def test_sros2_makes_keys_and_permissions_of_it(domain_id, tmp_path):
    pytest.importorskip("sros2", reason="sros2 is not here: sudo apt install ros-$ROS_DISTRO-sros2")
    from sros2.api._artifact_generation import generate_artifacts
    from sros2.policy import load_policy

    load_policy(POLICY)  # raises where its schema is not met
    generate_artifacts(tmp_path / "keys", [], [POLICY])
    may = {}
    for name in ENCLAVES:
        folder = tmp_path / "keys" / "enclaves" / "emotion_perception" / name
        made = {path.name for path in folder.iterdir()}
        assert made >= {"cert.pem", "key.pem", "governance.p7s", "permissions.p7s"}
        (grant,) = ET.parse(folder / "permissions.xml").getroot().iter("grant")
        assert grant.findtext("subject_name") == f"CN=/emotion_perception/{name}"
        assert grant.findtext("default") == "DENY"
        assert {item.text for item in grant.iter("id")} == {str(domain_id)}
        may[name] = {
            verb: {topic.text for topic in grant.findall(f"allow_rule/{verb}/topics/topic")}
            for verb in ("publish", "subscribe")
        }
    for topic, verb, expected in [
        ("rt/image_raw", "publish", ["camera"]),
        ("rt/image_raw", "subscribe", ["reaction_node"]),
        ("rt/user_reaction", "publish", ["reaction_node"]),
        ("rt/user_reaction", "subscribe", ["behaviour"]),
        ("rq/reaction_node/observe_reaction/_action/send_goalRequest", "publish", ["behaviour"]),
        ("rq/reaction_node/load_patient_modelRequest", "publish", ["operator"]),
        ("rt/humans/faces/*/expression", "publish", ["reaction_node"]),
    ]:
        assert [name for name in ENCLAVES if topic in may[name][verb]] == expected
    wild = {topic for name in ENCLAVES for verb in may[name].values() for topic in verb
            if "*" in topic}  # fmt: skip
    command_line = "_ros2cli_*/get_type_description"
    assert wild == {
        "rt/humans/faces/*/roi", "rt/humans/faces/*/expression",
        f"rq/{command_line}Request", f"rr/{command_line}Reply",
    }  # fmt: skip
