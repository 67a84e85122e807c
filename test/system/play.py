# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Play a recording to a topic from a process of its own, one frame at a time.

The number of each frame goes into its frame_id. The next frame is sent once the last one was
answered, so that a slow machine changes how long this takes, not what comes out.
"""

import sys
import threading

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.image.source import open_source
from emotion_perception.msg import UserReaction
from emotion_perception.nodes.messages import bgr_image


def main(path: str, reliability: str) -> None:
    # Fast DDS of Jazzy loses most best-effort images of 640x480, whatever its transports.
    step = 2 if reliability == "BEST_EFFORT" else 1
    rclpy.init()
    node = rclpy.create_node("player")
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability])
    publisher = node.create_publisher(Image, "image_raw", qos)
    answered, wanted = threading.Event(), [""]

    def note(message: UserReaction) -> None:
        # What was sent twice is answered twice: the second answer is not that of the next frame.
        if message.header.frame_id == wanted[0] and message.reason != message.REASON_NOT_LOOKED:
            answered.set()

    node.create_subscription(UserReaction, "user_reaction", note, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    spinning = threading.Thread(target=executor.spin)
    spinning.start()
    for frame in open_source(path):
        header = Header(stamp=node.get_clock().now().to_msg(), frame_id=str(frame.index))
        image = frame.image[::step, ::step]
        wanted[0] = header.frame_id
        answered.clear()
        for _ in range(100):
            publisher.publish(bgr_image(header, image))
            if answered.wait(0.5):
                break
    executor.shutdown()
    spinning.join()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
