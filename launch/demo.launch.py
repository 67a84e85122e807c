# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Show the reaction node at work on a generated clip, a camera or a recording, in a window.

Examples:
    ros2 launch emotion_perception demo.launch.py
    ros2 launch emotion_perception demo.launch.py video_source:=0 view:=rqt
    ros2 launch emotion_perception demo.launch.py video_source:=none image_topic:=/camera/image_raw

Takes every argument of reaction.launch.py. Without the viewer, or a screen, the nodes run alone.
"""

from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import launch_config
from launch.substitutions import EqualsSubstitution, LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from launch import LaunchDescription

HERE = Path(__file__).absolute().parent

# Needed packages, of which the first has an executable of its name; option and layout file.
VIEWERS = {
    "rviz": (("rviz2",), "--display-config", "demo.rviz"),
    "rqt": (("rqt_gui", "rqt_image_view"), "--perspective-file", "demo.perspective"),
}


def generate_launch_description() -> LaunchDescription:
    """Start the nodes as reaction.launch.py does, with other defaults, and a viewer."""
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "view", default_value="rviz", choices=[*VIEWERS, "none"],
                description="Window that shows the frames with what the node sees in them; rqt "
                "shows the diagnostics, too. Left out where its package or a screen is missing.",
            ),
            # Declared first, these defaults count.
            DeclareLaunchArgument(
                "video_source", default_value="demo",
                description="Webcam index, video, GIF, image, folder, or 'demo' for a generated "
                "clip. 'none': the camera has its own node, which publishes image_topic.",
            ),
            DeclareLaunchArgument(
                "loop", default_value="true",
                description="Start a recording named by video_source again at its end.",
            ),
            # The command line can't set an argument to nothing.
            SetLaunchConfiguration(
                "video_source", "", condition=IfCondition(
                    EqualsSubstitution(LaunchConfiguration("video_source"), "none")
                ),
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(HERE / "reaction.launch.py"))
            ),
            OpaqueFunction(function=_viewer),
        ]
    )  # fmt: skip


def _viewer(context):
    given = context.launch_configurations
    view = given["view"]
    if view == "none":
        return []
    packages, option, layout = VIEWERS[view]
    missing = [package for package in packages if not _is_installed(package)]
    if missing:
        distribution = context.environment.get("ROS_DISTRO", "$ROS_DISTRO")
        names = " ".join(f"ros-{distribution}-{name.replace('_', '-')}" for name in missing)
        why = f"{' and '.join(missing)} not installed (apt install {names})"
    elif not {"DISPLAY", "WAYLAND_DISPLAY"} & context.environment.keys():
        why = "no screen here (DISPLAY is not set)"
    else:
        # The nodes', as launch_ros makes it when this file is included in a group.
        namespace = prefix_namespace(given.get("ros_namespace"), given["namespace"])
        arguments = [option, str(_layout_file(layout, namespace))]
        return [Node(package=packages[0], executable=packages[0], arguments=arguments)]
    return [LogInfo(msg=f"view:={view} left out: {why}; the nodes run without a window")]


def _is_installed(package):
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def _layout_file(name, namespace):
    """Return the layout, or for a namespace a copy with its topics, beside the launch's log."""
    layout = HERE.parent / "config" / name
    namespace = make_namespace_absolute(namespace or "").rstrip("/")
    if not namespace:
        return layout
    copy = Path(launch_config.get_log_file_path(name))
    text = layout.read_text(encoding="utf-8")
    copy.write_text(text.replace("/reaction_node/", f"{namespace}/reaction_node/"), "utf-8")
    return copy
