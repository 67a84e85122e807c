# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The demonstration's own node: manages the reaction node and listens to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage

from emotion_perception.image.decode import decode_compressed
from emotion_perception.live_view import Progress
from emotion_perception.msg import UserReaction
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.recording import Sample, VideoRecorder

_MANAGED_NODE = "reaction_node"
_MATCH_S = 5.0


class DemoClient(Node):
    """Collects reactions and annotated images.

    Args:
        progress: takes the reactions.
        recorder: takes the images.
    """

    def __init__(self, progress: Progress, recorder: VideoRecorder) -> None:
        super().__init__("reaction_demo")
        self._progress = progress
        self._recorder = recorder
        self.first_arrival = 0.0
        """When the first reaction came, seconds of time.monotonic; 0 before that."""
        self.last_arrival = 0.0
        """When something came last, seconds of time.monotonic; 0 before that."""
        self._last_image = 0.0
        self._matched: set[str] = set()
        self._manager = self.create_client(ChangeState, f"{_MANAGED_NODE}/change_state")
        self._listen(UserReaction, "user_reaction", self._on_reaction)
        self._listen(CompressedImage, f"{_MANAGED_NODE}/debug_image/compressed", self._on_image)

    @property
    def behind(self) -> bool:
        """Whether an image has come whose reaction has not."""
        samples = self._progress.samples
        return bool(self._last_image and (not samples or samples[-1].stamp < self._last_image))

    @property
    def others(self) -> bool:
        """Whether there is a reaction node that is not the demonstration's."""
        return bool(self.get_node_names().count(_MANAGED_NODE) > 1)

    def configure_and_activate(self, wait: Callable[[Callable[[], bool]], bool]) -> bool:
        """Bring the reaction node to work, as a lifecycle manager does.

        Args:
            wait: spins this node until a condition holds; returns False to give up.

        Returns:
            Whether it works now; its own log says why not.
        """
        if not wait(self._manager.service_is_ready):
            return False
        if not self._change(Transition.TRANSITION_CONFIGURE, wait):
            return False
        # Whatever comes before both sides know of each other is sent again only seconds later.
        end = time.monotonic() + _MATCH_S
        if not wait(lambda: len(self._matched) == 2 or time.monotonic() > end):
            return False
        return self._change(Transition.TRANSITION_ACTIVATE, wait)

    def _change(self, transition: int, wait: Callable[[Callable[[], bool]], bool]) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        answer = self._manager.call_async(request)
        return wait(answer.done) and bool(answer.result().success)

    def _listen(self, kind: Any, topic: str, callback: Callable[[Any], None]) -> None:
        self.create_subscription(
            kind,
            topic,
            callback,
            # A deep queue: the demonstration must not lose what it is to show.
            QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE),
            event_callbacks=SubscriptionEventCallbacks(matched=lambda _: self._matched.add(topic)),
        )

    def _on_reaction(self, message: UserReaction) -> None:
        if message.reason == UserReaction.REASON_NOT_LOOKED:
            return  # about no frame
        self.last_arrival = time.monotonic()
        self.first_arrival = self.first_arrival or self.last_arrival
        self._progress.add(sample_from(message), message.model_id)

    def _on_image(self, message: CompressedImage) -> None:
        self.last_arrival = time.monotonic()
        self._last_image = _seconds(message.header.stamp)
        self._recorder.add(self._last_image, decode_compressed(message))


def sample_from(message: UserReaction) -> Sample:
    """Take what the recording needs from a message."""
    return Sample(
        stamp=_seconds(message.header.stamp),
        reaction=Reaction(message.reaction),
        reason=Reason(message.reason),
        probabilities=(message.p_negative, message.p_neutral, message.p_positive),
        confidence=message.confidence,
        valence=message.valence,
        face_id=message.face_id,
        box=(message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height),
        latency=message.latency,
    )


def _seconds(stamp: Any) -> float:
    return float(stamp.sec + stamp.nanosec * 1e-9)
