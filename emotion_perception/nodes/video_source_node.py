# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The node that publishes a webcam, a video, a GIF, an image or a folder as ``image_raw``."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from numpy.typing import NDArray
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.image.playback import Pacer, open_any_source, timed_frames
from emotion_perception.image.source import FrameSource, SourceError
from emotion_perception.nodes.discovery import joined
from emotion_perception.nodes.messages import bgr_image
from emotion_perception.nodes.parameters import (
    Change,
    Spec,
    declare_parameters,
    help_text,
    start_ros,
    unknown_overrides,
)

_PURPOSE = "Publishes a webcam, video, GIF, image or folder of images as image_raw."

RETRY_S = 1.0
"""A lost webcam is opened again this often."""

SETTLE_S = 0.2
"""So long after this node has found a subscriber, the subscriber has found this node, too."""

WARN_EVERY_S = 10.0
"""A webcam that stays lost is reported this often."""

RELIABILITY = {
    "reliable": ReliabilityPolicy.RELIABLE,
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
}


@dataclass(frozen=True)
class _SourceSpec(Spec):
    """A string that may also be given as a number, because ``source:=0`` is one in YAML."""

    def descriptor(self) -> ParameterDescriptor:
        result = super().descriptor()
        result.dynamic_typing = True
        return result


VIDEO_SOURCE_PARAMETERS: tuple[Spec, ...] = (
    _SourceSpec("source", "", "Webcam index, video, GIF, image or folder of images; 'demo' is a "
         "generated clip, empty the first webcam that opens.", Change.START),
    Spec("rate", 0.0, "Frames published a second; 0 keeps the source's own times (a folder of "
         "images: 10).", Change.START, low=0.0, high=1000.0),
    Spec("loop", False, "Start a recording again at its end; else the node ends with it.",
         Change.START),
    Spec("image_duration", 3.0, "Seconds that a single still image is shown, at 10 Hz, when not "
         "looping.", Change.START, low=0.0, high=86400.0),
    Spec("frame_id", "camera_optical_frame", "Coordinate frame of the images: z forward, x right, "
         "y down (REP 103).", Change.START),
    # No pattern: a read-only parameter can't be declared again with its default.
    Spec("qos_reliability", "reliable", "Reliability offered: reliable or best_effort.",
         Change.START),
    Spec("qos_depth", 5, "Images kept for a subscriber that is behind.", Change.START,
         low=1, high=100),
    Spec("wait_for_subscriber", False, "Hold the first frame until somebody subscribes.",
         Change.START),
    Spec("linger", 1.0, "Seconds to stay after the last frame, so that it is delivered.",
         Change.START, low=0.0, high=60.0),
)  # fmt: skip


class VideoSourceNode(Node):
    """Publishes frames at the pace of their source.

    A webcam's frame is stamped right after it was grabbed, a recording's at the moment when it is
    due and published. A recording that can't be published in time is shown late, never skipped
    and never in bursts (see `Pacer`).

    Threads: the main one answers parameter services, another one reads, waits and publishes.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("video_source_node", **node_arguments)
        for line in declare_parameters(self, VIDEO_SOURCE_PARAMETERS):
            self.get_logger().error(line)
        for line in unknown_overrides(self, VIDEO_SOURCE_PARAMETERS):
            self.get_logger().warning(line)
        self._stop = threading.Event()
        self._done = Future()
        self._thread: threading.Thread | None = None
        self._published = 0
        # Made first, because rclpy can't once a signal has come; kept to the end, because the
        # thread in which rclpy handles a signal still uses it while this node is destroyed.
        self._executor = SingleThreadedExecutor(context=self.context)

    def run(self) -> int:
        """Play the source; returns the exit code: 1 for a source or option that can't be used."""
        self._executor.add_node(self)
        try:
            source = self._open()
        except SourceError as error:
            self.get_logger().error(str(error))
            return 1
        reliability = RELIABILITY.get(self._parameter("qos_reliability"))
        if reliability is None:
            self.get_logger().error(
                f"qos_reliability: expected one of {', '.join(RELIABILITY)}, "
                f"got {self._parameter('qos_reliability')!r}"
            )
            return 1
        self._publisher = self.create_publisher(
            Image,
            "image_raw",
            QoSProfile(
                history=HistoryPolicy.KEEP_LAST,
                depth=self._parameter("qos_depth"),
                reliability=reliability,
            ),
        )
        rate = f", {source.fps:.3g} frames/s" if source.fps else ""
        self.get_logger().info(
            f"{source.name} ({source.size[0]}x{source.size[1]}{rate}) "
            f"goes to {self._publisher.topic_name}"
        )
        # A daemon: a webcam that hangs in the driver must not keep the process.
        self._thread = threading.Thread(
            target=self._run, args=(source,), name="player", daemon=True
        )
        self._thread.start()
        self._executor.spin_until_future_complete(self._done)
        return int(self._done.result()) if self._done.done() else 0

    def stop(self) -> None:
        """End the playing thread."""
        self._stop.set()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join(timeout=2.0)

    # The player's thread.

    def _run(self, source: FrameSource) -> None:
        code = 1
        try:
            with source:
                self._play(source)
            code = 0
        except SourceError as error:
            self.get_logger().error(str(error))
        except Exception as error:
            if self.context.ok():
                self.get_logger().fatal(f"{type(error).__name__}: {error}")
            else:
                code = 0  # told to stop: the publisher went first
        finally:
            self._done.set_result(code)

    def _play(self, source: FrameSource) -> None:
        if self._parameter("wait_for_subscriber"):
            while self._publisher.get_subscription_count() == 0:
                if self._stop.wait(0.02):
                    return
            if self._stop.wait(SETTLE_S):
                return
        if source.live:
            self._play_webcam(source)
            return
        pacer = Pacer()
        frames = timed_frames(
            self._open, source, rate=self._parameter("rate"), loop=self._parameter("loop"),
            image_duration=self._parameter("image_duration"),
        )  # fmt: skip
        for seconds, image in frames:
            if self._stop.wait(pacer.delay(seconds)):
                return
            self._publish(image)
        self.get_logger().info(f"end of {source.name}: {self._published} images published")
        self._stop.wait(self._parameter("linger"))

    def _play_webcam(self, source: FrameSource) -> None:
        rate, lost = self._parameter("rate"), False
        while not self._stop.is_set():
            due, slack = 0.0, 0.5 / (source.fps or 30.0)
            # What went wrong is one of a few things, and the user can do the same about each.
            with contextlib.suppress(SourceError), source:
                for frame in source:
                    stamp = self.get_clock().now().to_msg()
                    if self._stop.is_set():
                        return
                    if lost:
                        self.get_logger().info(f"{source.name} sends images again")
                        lost = False
                    if rate > 0:
                        if frame.time < due - slack:
                            continue
                        due = max(due + 1.0 / rate, frame.time)
                    self._publish(frame.image, stamp)
            lost = True
            self.get_logger().warning(
                f"{source.name} sends no images: unplugged, or used by another program; "
                f"opening it again every {RETRY_S:g} s",
                throttle_duration_sec=WARN_EVERY_S,
            )
            if self._stop.wait(RETRY_S):
                return
            with contextlib.suppress(SourceError):
                source = self._open()

    def _publish(self, image: NDArray[np.uint8], stamp: Any = None) -> None:
        header = Header(
            stamp=stamp or self.get_clock().now().to_msg(), frame_id=self._parameter("frame_id")
        )
        self._publisher.publish(bgr_image(header, image))
        self._published += 1

    def _open(self) -> FrameSource:
        return open_any_source(str(self._parameter("source")), fps=self._parameter("rate") or 10.0)

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> int:
    """Play the source until its end, or until the node is told to stop."""
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        print(help_text("video_source_node", _PURPOSE, VIDEO_SOURCE_PARAMETERS))
        return 0
    if not start_ros("video_source_node", args):
        return 1
    node = None
    try:
        with joined():
            node = VideoSourceNode()
        return node.run()
    except ExternalShutdownException:
        return 0
    except Exception:
        if rclpy.ok():
            raise
        return 0  # rclpy's complaint that it was told to stop before it began to spin
    finally:
        # A second signal must not break this; launch and the terminal may both send one.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.stop()
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
