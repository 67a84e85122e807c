# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Somebody who listens to every topic of the node, reliably, until killed."""

import rclpy
from sensor_msgs.msg import Image

from emotion_perception.msg import FaceReactionArray, UserReaction

rclpy.init()
node = rclpy.create_node("listener")
for kind, topic in (
    (UserReaction, "user_reaction"),
    (FaceReactionArray, "reaction_node/faces"),
    (Image, "reaction_node/debug_image"),
):
    node.create_subscription(kind, topic, lambda _, topic=topic: print("heard", topic), 10)
rclpy.spin(node)
