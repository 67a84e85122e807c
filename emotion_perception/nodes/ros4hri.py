# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS4HRI (REP-155) output: the faces in sight and their expressions, for robots that speak it.

What goes where, and what is left out, is in docs/ros4hri.md.
"""

from __future__ import annotations

import importlib
import os
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.exceptions import NoTypeSupportImportedException
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rclpy.type_support import check_for_type_support
from std_msgs.msg import Header

from emotion_perception.faces.face import Face
from emotion_perception.reaction.reaction import FaceReaction, Reaction

FACES: Final = "/humans/faces"

GRACE_S: Final = 1.0
"""A face that is unseen for longer leaves the list; detectors miss a frame now and then."""

_QOS: Final = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_FAREWELL_S: Final = 0.2
"""How long the last list may take. Without waiting, 7 of 20 were lost over Fast DDS; with 0.02 s
none. It confirms only every 3 s, so this is mostly waited out."""


def unavailable() -> str:
    """Return why hri_msgs can't be used here, or an empty string when it can."""
    try:
        messages = importlib.import_module("hri_msgs.msg")
        for name in ("Expression", "IdsList", "NormalizedRegionOfInterest2D"):
            check_for_type_support(getattr(messages, name))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hri_msgs":
            distribution = os.environ.get("ROS_DISTRO", "jazzy")
            return f"hri_msgs is not installed: sudo apt install ros-{distribution}-hri-msgs"
        return f"hri_msgs can't be imported: {error}"
    except (ImportError, AttributeError) as error:
        return f"hri_msgs can't be used: {error}"
    except NoTypeSupportImportedException:
        return "hri_msgs can't be used: it was built for another Python or another ROS 2"
    return ""


@dataclass
class _Published:
    """One face on the topics.

    Attributes:
        roi: publisher.
        expression: publisher.
        seen: time of the last frame that showed it, ns.
        said: the expression that subscribers now take for true, or empty.
    """

    roi: Any
    expression: Any
    seen: int
    said: str = ""


class Ros4Hri:
    """Publishes reactions the ROS4HRI way while the node is active.

    Threads: `update` may be called from another thread than the executor's; `close` when `update`
    is over. The publishers have no event handlers, so the executor knows nothing of them, and none
    of the lists that it walks changes when a face comes or goes.

    Args:
        node: that publishes.

    Raises:
        ImportError: without hri_msgs; see `unavailable`.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._messages: Any = importlib.import_module("hri_msgs.msg")
        expression = self._messages.Expression
        # There is no word for "negative", and `sad` is the one that every consumer knows.
        self._words = {
            Reaction.NEGATIVE: expression.SAD,
            Reaction.NEUTRAL: expression.NEUTRAL,
            Reaction.POSITIVE: expression.HAPPY,
        }
        self._faces: dict[str, _Published] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._tracked = self._publisher(self._messages.IdsList, f"{FACES}/tracked")

    def update(
        self, header: Header, reactions: Sequence[FaceReaction], size: tuple[int, int]
    ) -> None:
        """Publish what one frame shows.

        Args:
            header: of the image.
            reactions: of every face in it; those without a face_id are left out.
            size: width and height of the image.

        Raises:
            ValueError: for a face_id that can't be part of a topic name.
        """
        with self._lock:
            if not self._closed:  # by somebody who did not wait for a worker that hung
                self._update(header, reactions, size)

    def withdraw(self) -> None:
        """Tell that nobody is tracked: nothing has been seen for a while."""
        # Whoever hangs in `update` keeps the lock.
        if not self._lock.acquire(timeout=0.05):
            return
        try:
            header = Header(stamp=self._node.get_clock().now().to_msg())
            self._tracked.publish(self._messages.IdsList(header=header))
            for face in self._faces.values():
                self._destroy(face)
            self._faces.clear()
        finally:
            self._lock.release()

    def _update(
        self, header: Header, reactions: Sequence[FaceReaction], size: tuple[int, int]
    ) -> None:
        # A stamp of zero is no time: count from now.
        now = Time.from_msg(header.stamp).nanoseconds or self._node.get_clock().now().nanoseconds
        reactions = [reaction for reaction in reactions if reaction.face_id]
        for reaction in reactions:
            if reaction.face_id not in self._faces:
                self._faces[reaction.face_id] = self._announce(reaction.face_id, now)
            self._faces[reaction.face_id].seen = now
        # Of both signs: a bag that starts over leaves no faces of its end behind.
        gone = [id_ for id_, f in self._faces.items() if abs(now - f.seen) > GRACE_S * 1e9]
        left = [self._faces.pop(id_) for id_ in gone]
        self._tracked.publish(self._messages.IdsList(header=header, ids=list(self._faces)))
        for face in left:
            self._destroy(face)
        for reaction in reactions:
            face = self._faces[reaction.face_id]
            face.roi.publish(self._region(header, reaction.face, size))
            self._say(face, header, reaction)

    def close(self) -> None:
        """Tell that nobody is tracked any more and remove the topics; the end of this object."""
        if self._node.context.ok():
            header = Header(stamp=self._node.get_clock().now().to_msg())
            self._tracked.publish(self._messages.IdsList(header=header))
            # What is not delivered when its publisher goes never arrives.
            self._tracked.wait_for_all_acked(Duration(seconds=_FAREWELL_S))
        has_lock = self._lock.acquire(timeout=0.05)
        self._closed = True
        for face in self._faces.values():
            self._destroy(face)
        self._faces.clear()
        self._node.destroy_publisher(self._tracked)
        if has_lock:
            self._lock.release()

    def _announce(self, face_id: str, now: int) -> _Published:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", face_id):
            raise ValueError(
                f"face_id {face_id!r}: expected a letter, then letters, digits or underscores"
            )
        names = f"{FACES}/{face_id}"
        return _Published(
            roi=self._publisher(self._messages.NormalizedRegionOfInterest2D, f"{names}/roi"),
            expression=self._publisher(self._messages.Expression, f"{names}/expression"),
            seen=now,
        )

    def _publisher(self, message_type: Any, topic: str) -> Any:
        no_handlers = PublisherEventCallbacks(use_default_callbacks=False)
        return self._node.create_publisher(message_type, topic, _QOS, event_callbacks=no_handlers)

    def _destroy(self, face: _Published) -> None:
        self._node.destroy_publisher(face.roi)
        self._node.destroy_publisher(face.expression)

    def _region(self, header: Header, face: Face, size: tuple[int, int]) -> Any:
        xmin, ymin, xmax, ymax = (float(v) for v in np.clip(face.box / (size * 2), 0, 1))
        return self._messages.NormalizedRegionOfInterest2D(
            header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax,
            c=float(np.clip(face.score, 0, 1)),
        )  # fmt: skip

    def _say(self, face: _Published, header: Header, reaction: FaceReaction) -> None:
        message = self._messages.Expression(header=header)
        if reaction.reaction != Reaction.UNKNOWN:
            face.said = message.expression = self._words[reaction.reaction]
            message.valence, message.confidence = reaction.valence, reaction.confidence
        elif face.said:
            # The list of words has none for "unknown", and subscribers keep the last one they
            # heard: take it back, once.
            message.expression, face.said = face.said, ""
        else:
            return
        face.expression.publish(message)
