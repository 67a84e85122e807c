# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The demo's launch file starts the nodes and a viewer whose layout has the node's topics."""

import ast
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")

import yaml

from emotion_perception.nodes.reaction_node import ReactionNode

ROOT = Path(__file__).resolve().parents[2]
LAUNCH_FILE = ROOT / "launch" / "demo.launch.py"
RVIZ = ROOT / "config" / "demo.rviz"
RQT = ROOT / "config" / "demo.perspective"

needs_ros2 = pytest.mark.skipif(shutil.which("ros2") is None, reason="ros2cli is not here")


def rviz_topics(file):
    """Topic and QoS of each display."""
    displays = yaml.safe_load(file.read_text(encoding="utf-8"))["Visualization Manager"]["Displays"]
    return {display["Topic"]["Value"]: display["Topic"] for display in displays}


def rqt_plugins(file):
    """Settings of each plugin that runs."""
    manager = json.loads(file.read_text(encoding="utf-8"))["groups"]["pluginmanager"]
    running = ast.literal_eval(manager["keys"]["running-plugins"]["repr"])
    plugins = {}
    for name, instances in running.items():
        for number in instances:
            group = manager["groups"].get(f"plugin__{name.replace('/', '__')}__{number}", {})
            keys = group.get("groups", {}).get("plugin", {}).get("keys", {})
            assert all(value["type"] == "repr" for value in keys.values())
            plugins[name] = {key: ast.literal_eval(keys[key]["repr"]) for key in keys}
    return plugins


@pytest.fixture
def published(domain_id):
    """Types of the topics that a configured node publishes, by name."""
    rclpy.init(domain_id=domain_id)
    node = ReactionNode()
    try:
        node.trigger_configure()
        yield dict(node.get_publisher_names_and_types_by_node("reaction_node", "/"))
    finally:
        node.destroy_node()
        rclpy.shutdown()


def test_layouts_show_what_the_node_publishes(published):
    ((topic, qos),) = rviz_topics(RVIZ).items()
    assert published[topic] == ["sensor_msgs/msg/Image"]
    # Large best-effort images get lost.
    assert qos["Reliability Policy"] == "Reliable"
    plugins = rqt_plugins(RQT)
    assert plugins == {
        "rqt_image_view/ImageView": {"topic": topic},
        "rqt_runtime_monitor/RuntimeMonitor": {},
    }
    # Which is what the runtime monitor listens to; it has no setting for it.
    assert published["/diagnostics"] == ["diagnostic_msgs/msg/DiagnosticArray"]


def test_rviz_asks_for_no_transforms():
    layout = yaml.safe_load(RVIZ.read_text(encoding="utf-8"))
    manager = layout["Visualization Manager"]
    assert manager["Transformation"]["Current"]["Class"] == "rviz_common/Identity"
    # A dock of the display's name, in UTF-16: without it the picture is a window of its own.
    (display,) = manager["Displays"]
    name = display["Name"].encode("utf-16-be").hex()
    assert name in layout["Window Geometry"]["QMainWindow State"]


@pytest.fixture
def demo():
    """The launch file, where launch is installed."""
    pytest.importorskip("launch", reason="launch is not here")
    pytest.importorskip("launch_ros", reason="launch_ros is not here")
    spec = importlib.util.spec_from_file_location("demo_launch", LAUNCH_FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_takes_every_argument_of_the_reaction_launch_file(demo):
    arguments = {a.name: a for a in demo.generate_launch_description().get_launch_arguments()}
    spec = importlib.util.spec_from_file_location(
        "reaction_launch", LAUNCH_FILE.with_name("reaction.launch.py")
    )
    reaction = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reaction)
    passed_on = {a.name for a in reaction.generate_launch_description().get_launch_arguments()}
    assert set(arguments) == passed_on | {"view"}
    for argument in arguments.values():
        assert argument.description.strip().endswith((".", "]")), argument.name
    defaults = {name: a.default_value[0].text for name, a in arguments.items() if a.default_value}
    assert (defaults["video_source"], defaults["loop"], defaults["view"]) == (
        "demo", "true", "rviz",
    )  # fmt: skip
    assert set(arguments["view"].choices) == {"rviz", "rqt", "none"}


@pytest.mark.parametrize(
    ("installed", "screen", "why"),
    [
        ((), ":0", "rqt_gui and rqt_image_view not installed"),
        # rqt without its image view would show an empty window.
        (("rqt_gui",), ":0", "left out: rqt_image_view not installed (apt install ros-"),
        (("rqt_gui", "rqt_image_view"), "", "no screen here"),
    ],
)
def test_a_viewer_that_can_not_be_is_left_out_in_one_line(
    demo, monkeypatch, installed, screen, why
):
    from launch.actions import LogInfo, OpaqueFunction

    from launch import LaunchContext

    monkeypatch.setattr(demo, "_is_installed", installed.__contains__)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if screen:
        monkeypatch.setenv("DISPLAY", screen)
    context = LaunchContext()
    context.launch_configurations.update(view="rqt", namespace="")
    (function,) = (
        entity
        for entity in demo.generate_launch_description().entities
        if isinstance(entity, OpaqueFunction)
    )
    (action,) = function.execute(context)
    assert isinstance(action, LogInfo)
    line = "".join(part.perform(context) for part in action.msg)
    assert why in line
    assert "\n" not in line


@pytest.fixture
def viewers(tmp_path, monkeypatch):
    """Packages that look like the viewers; their executables show what they were given."""
    prefix = tmp_path / "viewers"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    for package in ("rviz2", "rqt_gui", "rqt_image_view"):
        (index / package).touch()
        program = prefix / "lib" / package / package
        program.parent.mkdir(parents=True)
        program.write_text(f"#!{sys.executable}\nimport sys\nprint('viewer:', *sys.argv[1:3])\n")
        program.chmod(0o755)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix), prepend=os.pathsep)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    # What a viewer prints goes to the launch's log; here it is wanted on the screen.
    monkeypatch.setenv("OVERRIDE_LAUNCH_PROCESS_OUTPUT", "screen")


@needs_ros2
@pytest.mark.parametrize(
    ("view", "read", "namespace"),
    [
        ("rviz", lambda file: set(rviz_topics(file)), ""),
        ("rviz", lambda file: set(rviz_topics(file)), "/robot/head/"),
        ("rqt", lambda file: {rqt_plugins(file)["rqt_image_view/ImageView"]["topic"]}, "robot"),
    ],
)
@pytest.mark.usefixtures("viewers")
def test_the_viewer_gets_a_layout_for_the_namespace(domain_id, tmp_path, view, read, namespace):
    arguments = [f"view:={view}", "video_source:=nothing.mp4"]
    arguments += [f"namespace:={namespace}"] if namespace else []
    lines = run_launch(tmp_path, arguments, {"viewer: ", "active: images from"})
    (line,) = (line for line in lines if "viewer: " in line)
    option, file = line.rpartition("viewer: ")[2].split()
    assert option == {"rviz": "--display-config", "rqt": "--perspective-file"}[view]
    node = f"/{namespace.strip('/')}/reaction_node".replace("//", "/")
    assert read(Path(file)) == {f"{node}/debug_image"}
    # The installed file stays as it is.
    assert (Path(file).parent == ROOT / "config") == (not namespace)


@needs_ros2
def test_it_plays_the_clip_and_ends_at_ctrl_c(domain_id, tmp_path):
    wanted = {"demo clip (640x480", "active: images from /camera/color"}
    lines = run_launch(tmp_path, ["view:=none", "image_topic:=/camera/color"], wanted)
    assert not any("left out" in line for line in lines)


@needs_ros2
def test_it_starts_no_source_where_the_camera_has_a_node(domain_id, tmp_path):
    arguments = ["view:=none", "video_source:=none", "image_topic:=/camera/color"]
    lines = run_launch(tmp_path, arguments, {"active: images from /camera/color"})
    assert not any("video_source_node" in line for line in lines)


@needs_ros2
def test_it_knows_no_other_viewer(domain_id, tmp_path):
    done = subprocess.run(
        ["ros2", "launch", str(LAUNCH_FILE), "view:=gazebo"], cwd=tmp_path, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "['rviz', 'rqt', 'none']" in done.stdout + done.stderr
    assert "process started" not in done.stdout + done.stderr


def run_launch(folder, arguments, wanted):
    """Launch until each wanted text was seen, interrupt, and return all lines; it ends cleanly."""
    process = subprocess.Popen(
        ["ros2", "launch", str(LAUNCH_FILE), *arguments], cwd=folder, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    lines = []
    watchdog = threading.Timer(60.0, process.kill)
    try:
        watchdog.start()
        missing = set(wanted)
        for line in process.stdout:
            lines.append(line)
            missing = {text for text in missing if text not in line}
            if not missing:
                break
        assert not missing, "".join(lines)
        process.send_signal(signal.SIGINT)
        lines += process.communicate(timeout=30)[0].splitlines()
        assert process.returncode == 0
        assert not any("Traceback" in line for line in lines)
        return lines
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
