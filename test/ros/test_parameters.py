# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The table of parameters, the YAML file and the launch arguments say the same."""

import importlib.util
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

import rclpy
import yaml
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import Parameter, parameter_value_to_python

from emotion_perception.nodes.launch_arguments import launch_arguments, launch_values
from emotion_perception.nodes.parameter_file import parameter_file
from emotion_perception.nodes.parameters import PARAMETERS, declare_parameters, unknown_overrides
from emotion_perception.nodes.video_source_node import VIDEO_SOURCE_PARAMETERS

ROOT = Path(__file__).resolve().parents[2]
YAML_FILE = ROOT / "config" / "reaction.yaml"
LAUNCH_FILE = ROOT / "launch" / "reaction.launch.py"
TABLES = {"reaction_node": PARAMETERS, "video_source_node": VIDEO_SOURCE_PARAMETERS}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_table_makes_sense(table):
    assert len({spec.name for spec in table}) == len(table)
    for spec in table:
        assert spec.problem(spec.default) is None, spec.name
        assert spec.description.endswith("."), spec.name
        assert (spec.low is None) == (spec.high is None), spec.name


def test_yaml_file_is_what_the_table_says():
    assert YAML_FILE.read_text(encoding="utf-8") == parameter_file(), (
        "python -m emotion_perception.nodes.parameter_file > config/reaction.yaml"
    )
    ((name, content),) = yaml.safe_load(parameter_file()).items()
    assert name == "/**/reaction_node"
    assert content == {"ros__parameters": {spec.name: spec.default for spec in PARAMETERS}}
    assert max(map(len, parameter_file().splitlines())) <= 100


@pytest.mark.parametrize("namespace", ["/", "/robot/head"])
def test_yaml_file_reaches_the_node_in_any_namespace(domain_id, tmp_path, spin_until, namespace):
    file = tmp_path / "my.yaml"
    text = YAML_FILE.read_text(encoding="utf-8")
    file.write_text(text.replace("image_timeout: 5.0", "image_timeout: 7.5"), encoding="utf-8")
    command = [sys.executable, "-m", "emotion_perception.nodes.reaction_node", "--ros-args"]
    command += ["--params-file", str(file), "-r", f"__ns:={namespace}"]
    rclpy.init(domain_id=domain_id)
    client_node = rclpy.create_node("client")
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        service = f"{namespace.rstrip('/')}/reaction_node/get_parameters"
        client = client_node.create_client(GetParameters, service)
        spin_until(client_node, client.service_is_ready, 30.0)
        request = GetParameters.Request(names=[s.name for s in PARAMETERS])
        answers = []

        def answered():
            # An answer is lost if the server had not found the client yet: ask again.
            if len(answers) < 1 + (time.monotonic() - started) / 5:
                answers.append(client.call_async(request))
            return any(answer.done() for answer in answers)

        started = time.monotonic()
        spin_until(client_node, answered)
        answer = next(answer for answer in answers if answer.done())
        values = [parameter_value_to_python(value) for value in answer.result().values]
        assert dict(zip((s.name for s in PARAMETERS), map(plain, values), strict=True)) == {
            **{spec.name: spec.default for spec in PARAMETERS},
            "image_timeout": 7.5,
        }
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=10)[0]
        assert "ERROR" not in output
    finally:
        process.kill()
        process.communicate()
        client_node.destroy_node()
        rclpy.shutdown()


def plain(value):
    return value if isinstance(value, str | int | float) else list(value)


def test_launch_arguments_are_the_table():
    arguments = {name: (default, text) for name, default, text in launch_arguments()}
    # autostart has an argument of its own, with another default.
    assert set(arguments) == {spec.name for spec in PARAMETERS} - {"autostart"}
    for spec in PARAMETERS:
        if spec.name in arguments:
            default, text = arguments[spec.name]
            assert default == ""  # which leaves it to the YAML file
            assert spec.description in text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"threads": "", "model": "", "patient_id": ""}, {}),
        ({"threads": " 4 "}, {"threads": 4}),
        # A whole number is a number too.
        ({"image_timeout": "5"}, {"image_timeout": 5.0}),
        # Not 7: a pseudonym is text, whatever it looks like.
        ({"patient_id": "007"}, {"patient_id": "007"}),
        ({"autostart": "true"}, {"autostart": True}),
        ({"autostart": "False"}, {"autostart": False}),
        ({"detection_thresholds": "[0.5, 0.6, 0.7]"}, {"detection_thresholds": [0.5, 0.6, 0.7]}),
        # Other arguments of the launch file.
        ({"namespace": "robot", "video_source": "0"}, {}),
    ],
)
def test_launch_values(given, expected):
    values = launch_values(given)
    assert values == expected
    assert {k: type(v) for k, v in values.items()} == {k: type(v) for k, v in expected.items()}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"threads": "many"}, "threads: expected a whole number, got 'many'"),
        ({"threads": "1.5"}, "threads: expected a whole number"),
        ({"threads": "0"}, "threads: expected 1 to 64, got 0"),
        ({"image_timeout": "nan"}, "image_timeout: expected 0.1 to 3600, got nan"),
        ({"autostart": "1"}, "autostart: expected true or false, got '1'"),
        ({"detection_thresholds": "[0.5]"}, "detection_thresholds: expected 3 numbers, got 1"),
        ({"detection_thresholds": "high"}, "detection_thresholds: expected numbers such as"),
        ({"device": "gpu"}, "device: expected a match of"),
    ],
)
def test_launch_values_that_are_none(given, message):
    with pytest.raises(ValueError, match="launch argument") as error:
        launch_values(given)
    assert message in str(error.value)


@pytest.fixture
def description():
    """The launch file's description, where launch is installed."""
    pytest.importorskip("launch", reason="launch is not here")
    pytest.importorskip("launch_ros", reason="launch_ros is not here")
    spec = importlib.util.spec_from_file_location("reaction_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def test_launch_file_declares_every_argument(description):
    declared = {argument.name for argument in description.get_launch_arguments()}
    assert declared >= {spec.name for spec in PARAMETERS}
    assert declared >= {
        "namespace", "image_topic", "params_file", "respawn", "log_level", "video_source", "loop",
        "rate", "fastdds_transports",
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2cli is not here")
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("threads:=many", "launch argument threads: expected a whole number, got 'many'"),
        ("params_file:=nothing.yaml", "params_file: no such file nothing.yaml"),
    ],
)
def test_launch_file_says_what_is_wrong(domain_id, tmp_path, argument, message):
    done = subprocess.run(
        ["ros2", "launch", str(LAUNCH_FILE), argument], cwd=tmp_path, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert "process started" not in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2cli is not here")
def test_launch_file_starts_the_nodes(domain_id, tmp_path):
    command = ["ros2", "launch", str(LAUNCH_FILE), "video_source:=nothing.mp4", "patient_id:=007"]
    command += ["namespace:=robot", "image_topic:=/camera/color"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wanted = {
        "nothing.mp4: no such file",
        "robot.reaction_node]: active: images from /camera/color",
    }
    try:
        watchdog = threading.Timer(60.0, process.kill)
        watchdog.start()
        for line in process.stdout:
            wanted = {text for text in wanted if text not in line}
            if not wanted:
                break
        assert not wanted
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=20)[0]
        assert process.returncode == 0
        assert "Traceback" not in output
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


@pytest.fixture
def context(domain_id):
    rclpy.init(domain_id=domain_id)
    yield
    rclpy.shutdown()


def test_a_whole_number_is_a_fine_value_of_a_float_parameter(context):
    node = rclpy.create_node("n", parameter_overrides=[
        Parameter("max_rate", value=5), Parameter("image_timeout", value=0)])  # fmt: skip
    refused = declare_parameters(node)
    assert node.get_parameter("max_rate").value == 5.0
    assert isinstance(node.get_parameter("max_rate").value, float)
    # Out of range stays out of range.
    assert node.get_parameter("image_timeout").value == 5.0
    assert len(refused) == 1
    node.destroy_node()


def test_misspelt_parameters_are_told_of(context):
    node = rclpy.create_node("n", parameter_overrides=[
        Parameter("patner", value="locked"), Parameter("partner", value="centre"),
        Parameter("qos_overrides./image_raw.subscription.durability", value="volatile"),
    ])  # fmt: skip
    declare_parameters(node)
    assert unknown_overrides(node) == [
        "parameter patner: unknown, and ignored; did you mean partner?"
    ]
    node.destroy_node()


@pytest.mark.parametrize("name", ["reaction_node", "video_source_node"])
def test_unreadable_arguments_end_the_node_with_their_reason(tmp_path, name):
    broken = tmp_path / "broken.yaml"
    broken.write_text("reaction_node:\n  ros__parameters: [\n")
    done = subprocess.run(
        [sys.executable, "-m", f"emotion_perception.nodes.{name}", "--ros-args", "--params-file",
         str(broken)],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "broken.yaml" in done.stderr
    assert "Traceback" not in done.stderr
