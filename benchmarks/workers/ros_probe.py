# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A camera, a node that only echoes, and a listener, for measuring the reaction node.

Each ends when its standard input does.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.msg import UserReaction
from emotion_perception.nodes.messages import bgr_image


def camera(node: Node, frames: str, rate: float) -> None:
    """Publish frames, uint8 BGR (N, H, W, 3), again and again, stamped as they are published."""
    every = np.load(frames)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
    publisher = node.create_publisher(Image, "image_raw", qos)
    print(json.dumps({"role": "camera"}), flush=True)
    due, index = time.monotonic(), 0
    while rclpy.ok():
        stamp = node.get_clock().now().to_msg()
        header = Header(stamp=stamp, frame_id="camera_optical_frame")
        publisher.publish(bgr_image(header, every[index % len(every)]))
        index += 1
        due = max(due + 1 / rate, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def echo(node: Node) -> None:
    """Answer every image at once: what is left is the transport."""
    publisher = node.create_publisher(
        UserReaction, "user_reaction", QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    )
    node.create_subscription(
        Image,
        "image_raw",
        lambda image: publisher.publish(UserReaction(header=image.header)),
        QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
    )
    rclpy.spin(node)


def listen(node: Node, everything: bool) -> None:
    """Print when each reaction came and how old its image was; if told to, NOT_LOOKED too."""

    def note(message: UserReaction) -> None:
        looked = message.reason != UserReaction.REASON_NOT_LOOKED
        if not (looked or everything):
            return
        arrived, now = time.monotonic(), time.time_ns()
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        line = {
            "arrived": arrived,
            "latency_ms": (now - stamp) / 1e6,
            "looked": looked,
            "face": message.reason != UserReaction.REASON_NO_FACE,
        }
        print(json.dumps(line), flush=True)

    node.create_subscription(
        UserReaction, "user_reaction", note,
        QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE),
    )  # fmt: skip
    print(json.dumps({"role": "listen"}), flush=True)
    rclpy.spin(node)


def main() -> None:
    """Play one role."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["camera", "echo", "listen"])
    parser.add_argument("--frames")
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--all", action="store_true")
    chosen = parser.parse_args()
    rclpy.init()
    node = rclpy.create_node(f"benchmark_{chosen.role}")

    def end_with_input() -> None:
        sys.stdin.read()
        rclpy.try_shutdown()

    threading.Thread(target=end_with_input, daemon=True).start()
    try:
        if chosen.role == "camera":
            camera(node, chosen.frames, chosen.rate)
        elif chosen.role == "echo":
            echo(node)
        else:
            listen(node, chosen.all)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


if __name__ == "__main__":
    main()
