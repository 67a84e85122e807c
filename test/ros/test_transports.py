# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What Fast DDS is told for images."""

import contextlib
import socket
import subprocess
import sys

import pytest

from emotion_perception.nodes import transports
from emotion_perception.nodes.transports import VARIABLE, advice, local, local_variables, network

VGA = 640 * 480 * 3
NETWORK = "DEFAULT?sockets_size=1MB"
TCP = "LARGE_DATA?sockets_size=1MB"
LOCAL = "SHM?sockets_size=1MB"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, f"set {VARIABLE}='{NETWORK}'"),
        ({VARIABLE: "LARGE_DATA"}, f"set {VARIABLE}='{TCP}'"),
        ({VARIABLE: "SHM"}, f"set {VARIABLE}='{LOCAL}'"),
        ({VARIABLE: TCP}, ""),
        ({VARIABLE: NETWORK}, ""),
        ({VARIABLE: LOCAL}, ""),
        ({VARIABLE: "UDPv4"}, ""),
        # It does not hold there.
        (
            {VARIABLE: NETWORK, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
            f"set ROS_AUTOMATIC_DISCOVERY_RANGE=SUBNET and {VARIABLE}='{LOCAL}'",
        ),
        ({"RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp"}, ""),
        ({"FASTRTPS_DEFAULT_PROFILES_FILE": "profiles.xml"}, ""),
    ],
)
def test_advice(environment, words):
    told = advice(VGA, environment)
    assert words in told
    assert bool(words) == bool(told)
    assert advice(320 * 240 * 3, environment) == ""


@pytest.mark.parametrize(
    ("setting", "better"),
    [
        ("LARGE_DATA?max_msg_size=1MB&sockets_size=1MB", TCP),
        ("DEFAULT?max_msg_size=60KB&sockets_size=1MB", ""),
        ("DEFAULT?sockets_size=1MB&max_msg_size=1MB", NETWORK),
        ("SHM?sockets_size=1MB&max_msg_size=100kb", LOCAL),
        ("SHM?max_msg_size=65501", LOCAL),
        ("SHM?max_msg_size=65500B&sockets_size=1MB", ""),
    ],
)
@pytest.mark.parametrize("size", [320 * 240 * 3, VGA])
def test_images_that_would_be_cut(setting, better, size):
    told = advice(size, {VARIABLE: setting})
    assert ("never arrives" in told, f"set {VARIABLE}='{better}'" in told) == (bool(better),) * 2
    assert advice(60_000, {VARIABLE: setting}) == ""


def test_room_is_a_little_more_than_the_image():
    assert [network(VGA), local(VGA)] == [NETWORK, LOCAL]
    assert local(950_000) == LOCAL
    assert local(960_000) == local(1_900_000) == LOCAL.replace("1MB", "2MB")
    assert local() == LOCAL.replace("1MB", "3MB")


def test_local_variables_follow_the_middleware():
    found = local_variables(VGA, {})
    assert found == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", VARIABLE: LOCAL}
    other = local_variables(VGA, {"RMW_IMPLEMENTATION": "rmw_zenoh_cpp"})
    assert other == {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def test_the_node_says_so_once(domain_id, monkeypatch):
    pytest.importorskip("rclpy", reason="ROS 2 is not here")
    pytest.importorskip("emotion_perception.msg", reason="the package is not built")
    pytest.importorskip("matplotlib")
    from rcl_interfaces.msg import Log
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from robot import Robot, makes, shown_frames, wait

    for name, value in (
        ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST"), ("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp")
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    with makes(Robot, domain_id) as make:
        robot, logged = make(shown_frames()), []
        qos = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        robot.other.create_subscription(Log, "/rosout", logged.append, qos)
        robot.start()

        def told():
            return [line.msg for line in logged if "images of 0.9 MB" in line.msg]

        assert wait(told)
        before = len(robot.reactions)
        assert wait(lambda: len(robot.reactions) > before + 10)
        (line,) = told()
        assert LOCAL in line


GREY_CAMERA = """
import array, time
import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node("camera")
publisher = node.create_publisher(Image, "image_raw", QoSProfile(depth=1))
image = Image(height=480, width=640, step=1920, encoding="bgr8")
image.data = array.array("B", bytes([128]) * (480 * 1920))
while True:
    publisher.publish(image)
    time.sleep(0.1)
"""


@pytest.mark.parametrize("transports_of", [network, local])
def test_a_grey_image_arrives_whole(domain_id, monkeypatch, spin_until, transports_of):
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
    from sensor_msgs.msg import Image

    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.setenv(VARIABLE, transports_of(VGA))
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    listener, images = rclpy.create_node("listener", context=context), []
    listener.create_subscription(Image, "image_raw", images.append, 1)
    camera = subprocess.Popen([sys.executable, "-c", GREY_CAMERA])
    try:
        spin_until(listener, lambda: len(images) > 2)
    finally:
        camera.kill()
        camera.wait()
        listener.destroy_node()
        rclpy.shutdown(context=context)
    assert all(bytes(image.data) == bytes([128]) * VGA for image in images)


def test_a_free_domain_is_one_in_which_nobody_listens(monkeypatch):
    monkeypatch.setattr(transports.random, "sample", lambda *_: [7, 8, 9, 10])
    with contextlib.ExitStack() as stack:
        # What all participants share, the first one's, and the second one's port.
        for domain, offset in ((7, 0), (8, 10), (9, 12)):
            taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            with contextlib.suppress(OSError):  # taken already
                taken.bind(("", 7400 + 250 * domain + offset))
        assert transports.free_domain() not in (7, 8, 9)


def test_who_has_shared_memory_alone_is_seen_too(domain_id):
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
        pytest.skip("another middleware")
    assert transports.is_free(domain_id)
    node = rclpy.create_node("somebody", context=context)
    assert not transports.is_free(domain_id)
    node.destroy_node()
    rclpy.shutdown(context=context)
    assert transports.is_free(domain_id)
