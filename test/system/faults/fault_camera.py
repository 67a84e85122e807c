# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A camera in a process of its own, which does what lines of JSON on its standard input say.

Keys: rate (Hz), show (a name of `shown_frames`, or null for nothing), size ([width, height]),
encoding, offset (seconds added to the stamps; null stamps zero), broken (step, size, encoding,
empty: what is wrong with the images), stamp (s, whatever the clock says), burst (how many images
to send at once, once).
"""

import json
import sys
import threading
import time

import cv2
import rclpy
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.nodes.messages import bgr_image

CONVERSIONS = {
    "bgr8": None, "rgb8": cv2.COLOR_BGR2RGB, "mono8": cv2.COLOR_BGR2GRAY,
    "bgra8": cv2.COLOR_BGR2BGRA, "rgba8": cv2.COLOR_BGR2RGBA,
}  # fmt: skip


def shown_frames():
    """Smiling, nobody, and another person who does not smile, 640x480."""
    every = list(demo_frames(5.0))
    spans = zip(("smile", "nobody", "other"), DEMO_SPANS, strict=True)
    return {name: every[int((span[0] + span[1]) / 2 * 5)] for name, span in spans}


class FaultCamera:
    def __init__(self, node):
        self.node = node
        self.publisher = node.create_publisher(Image, "image_raw", QoSProfile(depth=2))
        self.frames = shown_frames()
        self.does = {"rate": 30.0, "show": "smile", "size": [640, 480], "encoding": "bgr8",
                     "offset": 0.0, "broken": None}  # fmt: skip

    def stamp(self):
        does = self.does
        offset = does["offset"]
        now = self.node.get_clock().now().nanoseconds
        stamp = Time(nanoseconds=0 if offset is None else now + int(offset * 1e9)).to_msg()
        if "stamp" in does:
            stamp.sec = does["stamp"]
        return stamp

    def image(self):
        does = self.does
        frame = cv2.resize(self.frames[does["show"]], tuple(does["size"]))
        code = CONVERSIONS[does["encoding"]]
        frame = frame if code is None else cv2.cvtColor(frame, code)
        channels = 1 if frame.ndim == 2 else frame.shape[2]
        # As bytes of a BGR image that is as long, then named as what it is.
        message = bgr_image(
            Header(stamp=self.stamp(), frame_id="camera"),
            frame.reshape(frame.shape[0], -1, 1),
        )
        message.encoding, message.step = does["encoding"], frame.shape[1] * channels
        message.width = frame.shape[1]
        if does["broken"] == "step":
            message.step = 7
        elif does["broken"] == "size":
            message.height = 100_000
        elif does["broken"] == "encoding":
            message.encoding = "hologram8"
        elif does["broken"] == "empty":
            message.data = []
        return message

    def run(self):
        next_at = time.monotonic()
        while rclpy.ok():
            burst = self.does.pop("burst", 1)
            if self.does["show"] is not None:
                message = self.image()  # once: a burst is faster than the node
                for _ in range(burst):
                    message.header.stamp = self.stamp()
                    self.publisher.publish(message)
            next_at = max(next_at + 1 / self.does["rate"], time.monotonic() - 0.1)
            time.sleep(max(next_at - time.monotonic(), 0.0))


def main():
    rclpy.init()
    camera = FaultCamera(rclpy.create_node("camera"))

    def listen():
        for line in sys.stdin:
            camera.does = {**camera.does, **json.loads(line)}

    threading.Thread(target=listen, daemon=True).start()
    camera.run()


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, rclpy.exceptions.ROSInterruptException, RuntimeError):
        if rclpy.ok():
            raise
