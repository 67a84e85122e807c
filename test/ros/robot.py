# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A robot for tests: the real node, a camera that never stops, and clients, over real DDS."""

import threading
from contextlib import contextmanager

import rclpy
from builtin_interfaces.msg import Duration
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from waiting import wait

from emotion_perception.action import ObserveReaction
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.msg import UserReaction
from emotion_perception.nodes.messages import bgr_image
from emotion_perception.nodes.reaction_node import ReactionNode
from emotion_perception.srv import LoadPatientModel

RATE = 10.0


def shown_frames():
    """Smiling, nobody, and another person who does not smile, 640x480."""
    every = list(demo_frames(5.0))
    return {
        name: every[int((span[0] + span[1]) / 2 * 5)]
        for name, span in zip(("smile", "nobody", "other"), DEMO_SPANS, strict=True)
    }


class OnOneExecutor:
    """A reaction node and somebody else, on one executor in a background thread.

    Subclasses make what the other one has, then call `spin`.
    """

    def __init__(self, parameters=(), arguments=()):
        overrides = [Parameter(name, value=value) for name, value in parameters]
        self.node = ReactionNode(parameter_overrides=overrides, cli_args=list(arguments))
        self.other = rclpy.create_node("other")
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.executor.add_node(self.other)

    def spin(self):
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self):
        while not self.closing.is_set():
            self.executor.spin_once(timeout_sec=0.1)

    def start(self):
        assert self.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert self.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return self

    def close(self):
        # Not the other way round: rclpy may hang when an executor is shut down while it spins.
        self.closing.set()
        self.thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
        self.other.destroy_node()


@contextmanager
def makes(kind, domain_id):
    """Let a test make as many as it likes; all are closed at its end."""
    rclpy.init(domain_id=domain_id)
    made = []

    def make(*args, **kwargs):
        made.append(kind(*args, **kwargs))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.close()
        rclpy.shutdown()


class Robot(OnOneExecutor):
    """The node, a camera that never stops, and an action client."""

    def __init__(self, frames, parameters=(), arguments=()):
        super().__init__(parameters, arguments)
        self.frames = frames
        self.shown = "smile"
        self.stamp = None
        self.camera = self.other.create_publisher(Image, "image_raw", 2)
        self.reactions, self.feedback, self.statuses = [], [], []
        self.other.create_subscription(UserReaction, "user_reaction", looked_at(self.reactions), 50)
        self.other.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: self.statuses.append(m.status[0]), 10
        )
        self.client = ActionClient(self.other, ObserveReaction, "reaction_node/observe_reaction")
        self.enable = self.other.create_client(SetBool, "reaction_node/enable")
        self.load = self.other.create_client(LoadPatientModel, "reaction_node/load_patient_model")
        self.other.create_timer(1 / RATE, self._show)
        self.spin()

    def start(self):
        super().start()
        assert wait(lambda: self.reactions)
        return self

    def _show(self):
        if self.shown is None:
            return
        stamp = self.other.get_clock().now().to_msg() if self.stamp is None else self.stamp()
        self.camera.publish(bgr_image(Header(stamp=stamp, frame_id="c"), self.frames[self.shown]))

    def send(self, **fields):
        assert self.client.wait_for_server(10.0)
        goal = ObserveReaction.Goal(action_id="joke", **fields)
        handle = until(self.client.send_goal_async(goal, self.feedback.append))
        assert handle.accepted
        return handle

    def observe(self, **fields):
        answer = until(self.send(**fields).get_result_async(), 30.0)
        return answer.status, answer.result

    def call(self, client, request):
        assert client.wait_for_service(10.0)
        return until(client.call_async(request))


def looked_at(kept):
    """Return a listener that keeps what is about a frame: a slow machine says NOT_LOOKED too."""

    def listen(message):
        if message.reason != UserReaction.REASON_NOT_LOOKED:
            kept.append(message)

    return listen


def until(future, seconds=15.0):
    assert wait(future.done, seconds), "no answer"
    return future.result()


def seconds(value):
    return Duration(sec=int(value), nanosec=int(value % 1 * 1e9))
