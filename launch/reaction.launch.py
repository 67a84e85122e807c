# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Start the reaction node, and a source of images where no camera node runs.

Examples:
    ros2 launch emotion_perception reaction.launch.py image_topic:=/camera/color/image_raw
    ros2 launch emotion_perception reaction.launch.py video_source:=demo loop:=true
"""

import difflib
from pathlib import Path

import yaml
from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from emotion_perception.nodes.launch_arguments import launch_arguments, launch_values
from emotion_perception.nodes.transports import VARIABLE, network
from launch import LaunchDescription

PACKAGE = "emotion_perception"
# In security/policy.xml.
ENCLAVES = {"reaction_node": "reaction_node", "video_source_node": "camera"}
CHOICES = {"log_level": ["debug", "info", "warn", "error", "fatal"]}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes follow once these are known."""
    params_file = Path(get_package_share_directory(PACKAGE)) / "config" / "reaction.yaml"
    arguments = [
        ("image_topic", "image_raw", "Topic of the camera's images."),
        ("namespace", "", "Of the nodes: user_reaction is then /NAMESPACE/user_reaction."),
        ("params_file", str(params_file), "YAML file with the reaction node's parameters."),
        ("autostart", "true", "Configure and activate the reaction node; false leaves that to a "
         "lifecycle manager."),
        ("respawn", "true", "Start the reaction node again when it dies; its watchdog may ask for "
         "it."),
        ("log_level", "info", "debug, info, warn, error or fatal."),
        ("video_source", "", "Start a node that publishes this on image_topic: webcam index, "
         "video, GIF, image, folder, or 'demo' for a generated clip. Empty: the camera has its "
         "own node."),
        ("loop", "false", "Start a recording named by video_source again at its end."),
        ("rate", "0.0", "Frames a second of video_source; 0 keeps its own times."),
        ("fastdds_transports", network(), f"Sets {VARIABLE} for the nodes unless it is set "
         "already: room for images of 1280x720 in shared memory. Empty leaves it as it comes. "
         "A camera's own node needs the same."),
        ("enclaves", "", "On a secured ROS 2, where the enclaves are: /emotion_perception as in "
         "the shipped policy. Empty: ROS_SECURITY_ENCLAVE_OVERRIDE or none."),
        *launch_arguments(),
    ]  # fmt: skip
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(
                    name, default_value=default, description=description, choices=CHOICES.get(name)
                )
                for name, default, description in arguments
            ),
            OpaqueFunction(function=_nodes),
        ]
    )


def _nodes(context):
    given = context.launch_configurations
    actions = []
    # launch_ros only warns and leaves everything at its default.
    if not Path(given["params_file"]).is_file():
        raise FileNotFoundError(f"params_file: no such file {given['params_file']}")
    _check_is_of_reaction_node(Path(given["params_file"]))
    # Names from an including launch file end here too, so that only what looks misspelt is told.
    known = {"image_topic", "namespace", "params_file", "autostart", "respawn", "log_level",
             "video_source", "loop", "rate", "fastdds_transports", "enclaves"}  # fmt: skip
    known |= {name for name, _, _ in launch_arguments()}
    for name in set(given) - known:
        if near := difflib.get_close_matches(name, known, 1, 0.8):
            actions.append(LogInfo(msg=f"no launch argument {name}; did you mean {near[0]}?"))
    if given["fastdds_transports"] and VARIABLE not in context.environment:
        actions.append(SetEnvironmentVariable(VARIABLE, given["fastdds_transports"]))
    # Of two values for a parameter the later one counts: the command line's, not the file's.
    actions.append(
        _node(
            given,
            "reaction_node",
            [given["params_file"], _typed(launch_values(given))],
            respawn=LaunchConfiguration("respawn"),
            respawn_delay=0.2,
        )
    )
    if given["video_source"]:
        from emotion_perception.nodes.video_source_node import VIDEO_SOURCE_PARAMETERS

        chosen = {"source": given["video_source"], "loop": given["loop"], "rate": given["rate"]}
        parameters = _typed(launch_values(chosen, VIDEO_SOURCE_PARAMETERS))
        actions.append(
            _node(given, "video_source_node", [parameters, {"wait_for_subscriber": True}])
        )
    return actions


def _check_is_of_reaction_node(params_file):
    """ROS passes over parameters of another node in silence."""
    content = yaml.safe_load(params_file.read_text(encoding="utf-8"))
    names = [str(name).rstrip("/").rpartition("/")[2] for name in content or {}]
    if names and not {"reaction_node", "**"} & set(names):
        raise ValueError(
            f"params_file: {params_file} is for {', '.join(names)}, expected reaction_node"
        )


def _node(given, executable, parameters, **options):
    enclaves = given["enclaves"].rstrip("/")
    enclave = ["--enclave", f"{enclaves}/{ENCLAVES[executable]}"] if enclaves else []
    return Node(
        package=PACKAGE,
        executable=executable,
        name=executable,
        namespace=given["namespace"],
        parameters=parameters,
        remappings=[("image_raw", given["image_topic"])],
        ros_arguments=["--log-level", given["log_level"], *enclave],
        output="screen",
        emulate_tty=True,
        **options,
    )


def _typed(values):
    """Keep launch from reading text such as 0 or true as a number or a truth value."""
    return {
        name: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for name, value in values.items()
    }
