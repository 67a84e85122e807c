# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One camera of the reaction node: its images in, what is told of them out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from rclpy.duration import Duration
from rclpy.event_handler import QoSRequestedIncompatibleQoSInfo, SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import (
    HistoryPolicy,
    LivelinessPolicy,
    QoSPolicyKind,
    QoSProfile,
    ReliabilityPolicy,
)
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from emotion_perception.msg import FaceReactionArray, UserReaction
from emotion_perception.nodes import transports
from emotion_perception.nodes.messages import not_looked
from emotion_perception.nodes.observations import ObservationServer
from emotion_perception.nodes.statistics import Statistics

RELIABILITY: Final = {
    "best_effort": ReliabilityPolicy.BEST_EFFORT,
    "auto": ReliabilityPolicy.RELIABLE,
    "reliable": ReliabilityPolicy.RELIABLE,
    "system_default": ReliabilityPolicy.SYSTEM_DEFAULT,
}

LEASE_S: Final = 1.0
"""Whoever asks for a liveliness lease of this learns of the node's death that soon."""

_END_OF_TIME: Final = 2**31 * 1_000_000_000
_REPEAT_S: Final = 1.0
_FAREWELL_S: Final = 0.2

# Reliability and depth are parameters of this node; these are left to the usual qos_overrides.
_OVERRIDABLE: Final = (
    QoSPolicyKind.HISTORY,
    QoSPolicyKind.DURABILITY,
    QoSPolicyKind.DEADLINE,
    QoSPolicyKind.LIVELINESS,
)


class Camera:
    """The topics, the action and the counters of one camera.

    Args:
        node: whose they are.
        name: under which its topics are found; empty for the only camera.
        topic: of its images.
        parameter: returns the value of a parameter of the node.
        why_not_looking: says why no frames are looked at; empty while they are.
        refused: told what was refused, and why.

    Attributes:
        name: see above.
        statistics: its counters.
        observations: its action.
        subscription: to its images, while they are looked at.
        last_judged: when an image was last passed on, as max_rate counts.
        reactions, faces, debug, debug_jpeg: publishers, between `open` and `close`.
    """

    reactions: Any
    faces: Any
    debug: Any
    debug_jpeg: Any

    def __init__(
        self, node: LifecycleNode, name: str, topic: str, parameter: Callable[[str], Any],
        why_not_looking: Callable[[], str], refused: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self.name = name
        self.statistics = Statistics()
        self.subscription: Any = None
        self.last_judged = -1e9
        self._node = node
        self._topic = topic
        self._parameter = parameter
        self._reliability = ReliabilityPolicy.RELIABLE
        self._publishers: list[Any] = []
        self._telling = threading.Lock()
        self._header = Header()
        self._answered_at = 0.0
        self._image_at = 0.0
        self._first_at: float | None = None
        self._silent_since: float | None = None
        self._said_at = 0.0
        self.observations = ObservationServer(
            node, why_not_looking, lambda: parameter("observation_log"),
            lambda line: refused("observation not logged", line), self._own("observe_reaction"),
            lambda: int(parameter("observation_log_days")),
        )  # fmt: skip

    def open(self) -> None:
        """Create the publishers."""
        create = self._node.create_lifecycle_publisher
        # Deep enough that what a loaded machine lost is still there to be sent again: Fast DDS
        # asks for it only every 3 s.
        answers = QoSProfile(
            depth=200, reliability=ReliabilityPolicy.RELIABLE,
            liveliness=LivelinessPolicy.AUTOMATIC,
            liveliness_lease_duration=Duration(nanoseconds=int(LEASE_S * 1e9)),
        )  # fmt: skip
        images = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
        prefix = f"{self.name}/" if self.name else ""
        self.reactions = create(UserReaction, f"{prefix}user_reaction", answers)
        self.faces = create(FaceReactionArray, self._own("faces"), answers)
        self.debug = create(Image, self._own("debug_image"), images)
        self.debug_jpeg = create(CompressedImage, self._own("debug_image/compressed"), images)
        self._publishers = [self.reactions, self.faces, self.debug, self.debug_jpeg]

    def close(self) -> None:
        """Remove the publishers."""
        if self._publishers and self._node.context.ok():
            # What is not delivered when its publisher goes never arrives.
            self.reactions.wait_for_all_acked(Duration(nanoseconds=int(_FAREWELL_S * 1e9)))
        for publisher in self._publishers:
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = []

    def look(self, on_image: Callable[[Camera, Image | CompressedImage], None]) -> None:
        """Subscribe to the images."""
        self._reliability = RELIABILITY[self._parameter("qos_reliability")]
        self._on_image = on_image
        self._first_at = self._silent_since = None
        self._subscribe()

    def image_received(self) -> bool:
        """Note that an image came; returns whether it is the first."""
        self.statistics.image_received()
        self._image_at = time.monotonic()
        is_first = self._first_at is None
        if is_first:
            self._first_at = self._image_at
        return is_first

    @property
    def is_overdue(self) -> bool:
        """Whether the last answer was taken back and none has come since."""
        return self._silent_since is not None

    def tell(self, told: UserReaction, arrived: float, still: Callable[[], bool]) -> bool:
        """Publish what a frame says, unless the caller is no longer wanted.

        Args:
            told: about the partner.
            arrived: when the frame came, on the steady clock: its answer is as old as it is.
            still: whether the caller may speak; asked when nobody else can.

        Returns:
            Whether it was published.
        """
        with self._telling:
            if not still():
                return False
            self._header, self._answered_at = told.header, arrived
            self._silent_since = None
            self.reactions.publish(told)
        return True

    def watch(self, model_id: str, patient_id: str) -> bool:
        """Say NOT_LOOKED when answers are overdue, and then once a second; returns if it is news.

        Who keeps the last message must not take an old smile for today's. Before the first image
        there is nothing to take back.
        """
        if self._first_at is None:
            return False
        now = time.monotonic()
        if self._silent_since is not None:
            if now - self._said_at < _REPEAT_S:
                return False
        else:
            most = self._parameter("max_rate")
            for_image = max(self._parameter("reaction_timeout"), 2.5 * self.statistics.interval())
            pace = max(self.statistics.answer_interval(), 1 / most if most > 0 else 0.0)
            for_answer = max(for_image, 2.5 * pace)
            answered = max(self._answered_at, self._first_at)
            if now - self._image_at < for_image and now - answered < for_answer:
                return False
        return self.say_not_looked(model_id, patient_id)

    def say_not_looked(self, model_id: str, patient_id: str) -> bool:
        """Take back the last answer; returns whether this is news.

        While a worker that hangs holds the lock nothing is published: the next tick tries again.
        """
        # A worker that hangs while it publishes has the lock.
        if not self._telling.acquire(timeout=0.05):
            return False
        try:
            now = time.monotonic()
            news = self._silent_since is None
            if news:
                self._silent_since = now
            self._said_at = now
            header = Header(stamp=self._image_time(now), frame_id=self._header.frame_id)
            self.reactions.publish(not_looked(header, model_id, patient_id))
            if self.faces.get_subscription_count() > 0:
                self.faces.publish(FaceReactionArray(header=header, model_id=model_id))
        finally:
            self._telling.release()
        self.statistics.count("not_looked")
        return news

    def _image_time(self, now: float) -> Any:
        """Return the time on the clock that stamps the images, at ``now`` of the steady clock."""
        stamp = self._header.stamp
        passed = int((now - self._answered_at) * 1e9)
        nanoseconds = stamp.sec * 1_000_000_000 + stamp.nanosec + passed
        # A camera may stamp nothing, or nonsense.
        if (stamp.sec, stamp.nanosec) == (0, 0) or not 0 <= nanoseconds < _END_OF_TIME:
            return self._node.get_clock().now().to_msg()
        return Time(nanoseconds=nanoseconds).to_msg()

    def look_away(self, why: str) -> None:
        """End the subscription, and the goals that wait for frames."""
        if self.subscription is not None:
            self._node.destroy_subscription(self.subscription)
            self.subscription = None
        self.observations.interrupt(why)

    def destroy(self) -> None:
        """Remove everything."""
        self.look_away("the node ends")
        self.close()
        self.observations.destroy()

    def why_silent(self) -> str:
        """Say why no image comes, and what to do."""
        topic = self.subscription.topic_name
        line = f"no image on {topic} for {self._parameter('image_timeout'):g} s: "
        publishers = self._node.get_publishers_info_by_topic(topic)
        if not publishers:
            kind = self.subscription.msg_type.__name__
            others = sorted(
                name
                for name, types in self._node.get_topic_names_and_types()
                if f"sensor_msgs/msg/{kind}" in types
                and name != topic
                and "/debug_image" not in name
            )
            seen = f"; topics with images: {', '.join(others)}" if others else ""
            what_to_do = (
                "change camera_topics" if self.name
                else "remap image_raw to the camera's topic (the launch file's image_topic)"
            )  # fmt: skip
            return f"{line}nobody publishes it; {what_to_do}{seen}"
        setting = f"{transports.VARIABLE}='{transports.network()}'"
        return (
            f"{line}it has {len(publishers)} publisher(s), but nothing arrives; if images are "
            f"large, set {setting} for the camera and this node"
        )

    def _own(self, topic: str) -> str:
        return f"~/{self.name}/{topic}" if self.name else f"~/{topic}"

    def _subscribe(self) -> None:
        compressed = self._parameter("image_transport") == "compressed"
        # As image_transport does it: the base topic is remapped, then the suffix is added.
        topic = self._node.resolve_topic_name(self._topic) + ("/compressed" if compressed else "")
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._parameter("qos_depth"),
            reliability=self._reliability,
        )
        self.subscription = self._node.create_subscription(
            CompressedImage if compressed else Image, topic,
            lambda message: self._on_image(self, message), qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos),
            qos_overriding_options=QoSOverridingOptions(_OVERRIDABLE),
        )  # fmt: skip

    def _on_incompatible_qos(self, event: QoSRequestedIncompatibleQoSInfo) -> None:
        if self._parameter("qos_reliability") == "auto":
            # Not here: the subscription whose event this is can't be destroyed under it.
            self._node.executor.create_task(self._fall_back_to_best_effort)
            return
        topic = self.subscription.topic_name if self.subscription else self._topic
        self._node.get_logger().warning(
            f"a publisher of {topic} does not offer the QoS that this node asks for; set "
            f"qos_reliability to auto or best_effort ({event.last_policy_kind!s})"
        )

    def _fall_back_to_best_effort(self) -> None:
        if self.subscription is None or self._reliability is ReliabilityPolicy.BEST_EFFORT:
            return
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        self._node.destroy_subscription(self.subscription)
        self._subscribe()
        self._node.get_logger().info(
            f"a publisher of {self.subscription.topic_name} is best-effort: so is this node now"
        )


def camera_names(topics: Sequence[str]) -> dict[str, str]:
    """Return the image topic of each camera by the camera's name.

    The name is the topic without its last part: ``front`` for ``/front/image_raw``.

    Args:
        topics: of the images; without one that is not empty there is one camera without a name.

    Raises:
        ValueError: two cameras would have one name.
    """
    names: dict[str, str] = {}
    for topic in filter(None, topics):
        path = topic.strip("/").removeprefix("~/")
        name = path.rpartition("/")[0] or path
        if name in names:
            raise ValueError(
                f"camera_topics: {names[name]} and {topic} would both be called {name!r}; give "
                "each camera a namespace of its own, by remapping"
            )
        names[name] = topic
    return names or {"": "image_raw"}
