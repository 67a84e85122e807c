# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS4HRI output with real rclpy and the real hri_msgs, where it is installed."""

import importlib
import sys
import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")

from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time
from std_msgs.msg import Header

from emotion_perception.faces.face import Face
from emotion_perception.nodes.ros4hri import FACES, GRACE_S, Ros4Hri, unavailable
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason

SIZE = (640, 480)
HAPPY = ((0.1, 0.1, 0.8), Reaction.POSITIVE)
SAD = ((0.6, 0.3, 0.1), Reaction.NEGATIVE)
UNSURE = ((0.4, 0.3, 0.3), Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)
UNSEEN = ((0.0, 0.0, 0.0), Reaction.UNKNOWN, Reason.LOW_QUALITY)


def reaction(
    face_id, probabilities, verdict, reason=Reason.NONE, box=(64, 48, 320, 240), score=0.9
):
    face = Face(np.array(box, np.float32), score, np.zeros((5, 2), np.float32))
    return FaceReaction(
        face=face, probabilities=np.array(probabilities, np.float32), reaction=verdict,
        reason=reason, stamp=0.0, face_id=face_id,
    )  # fmt: skip


def header(seconds):
    return Header(stamp=Time(seconds=seconds).to_msg(), frame_id="camera_optical_frame")


@pytest.fixture
def without_hri_msgs(monkeypatch):
    """As if nobody had installed it."""
    for name in ("hri_msgs", "hri_msgs.msg"):
        monkeypatch.setitem(sys.modules, name, None)


class Bench:
    """A lifecycle node that publishes, spun by a thread, and another node that listens.

    Like the consumers of libhri, it listens to the topics of ids that it is told of; unlike them,
    beforehand, so that no message is lost.
    """

    def __init__(self, *face_ids):
        self.messages = importlib.import_module("hri_msgs.msg")
        self.node = LifecycleNode("publisher")
        self.other = rclpy.create_node("other")
        self.executor = SingleThreadedExecutor()
        for node in (self.node, self.other):
            self.executor.add_node(node)
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.spin, daemon=True)
        self.thread.start()
        self.tracked, self.rois, self.expressions = [], {}, {}
        subscribe, messages = self.other.create_subscription, self.messages
        subscribe(messages.IdsList, f"{FACES}/tracked", self.tracked.append, 100)
        for id_ in face_ids:
            roi, expression = self.rois.setdefault(id_, []), self.expressions.setdefault(id_, [])
            subscribe(messages.NormalizedRegionOfInterest2D, topics(id_)[0], roi.append, 100)
            subscribe(messages.Expression, topics(id_)[1], expression.append, 100)
        self.ros4hri = Ros4Hri(self.node)
        self.seconds = 100.0

    def show(self, *reactions, after=0.02):
        """Publish the next frame."""
        self.seconds += after
        self.ros4hri.update(header(self.seconds), reactions, SIZE)

    def introduce(self, *reactions):
        """Show faces until their topics have found the listener; forget what was heard so far."""

        def found():
            known = [r.face_id for r in reactions if r.reaction != Reaction.UNKNOWN]
            return all(self.rois[r.face_id] for r in reactions) and all(
                self.expressions[id_] for id_ in known
            )

        assert self.until(found, lambda: self.show(*reactions))
        assert self.until(lambda: self.tracked)
        self.settle()
        for heard in (self.tracked, *self.rois.values(), *self.expressions.values()):
            heard.clear()

    def ids(self):
        """Return the last list."""
        return list(self.tracked[-1].ids) if self.tracked else None

    def said(self, face_id):
        return [(m.expression, round(m.confidence, 3)) for m in self.expressions[face_id]]

    def until(self, predicate, again=lambda: None, seconds=20.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if predicate():
                return True
            again()
            time.sleep(0.02)
        return False

    def settle(self):
        """Wait for messages under way."""
        seen = (self.seconds, -1)
        while (now := (self.seconds, sum(map(len, (self.tracked, *self.rois.values()))))) != seen:
            seen = now
            time.sleep(0.2)

    def spin(self):
        # Not executor.spin: rclpy's shutdown beside a thread that spins fails or hangs at times.
        while not self.closing.is_set():
            self.executor.spin_once(timeout_sec=0.1)

    def close(self):
        self.closing.set()
        self.thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
        self.other.destroy_node()


@pytest.fixture
def bench(domain_id):
    if why := unavailable():
        pytest.skip(why)
    rclpy.init(domain_id=domain_id)
    made = []

    def make(*face_ids):
        made.append(Bench(*face_ids))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.shutdown()


def topics(face_id):
    return f"{FACES}/{face_id}/roi", f"{FACES}/{face_id}/expression"


def test_without_hri_msgs_it_says_what_to_install(without_hri_msgs, monkeypatch):
    monkeypatch.setenv("ROS_DISTRO", "jazzy")

    assert unavailable() == "hri_msgs is not installed: sudo apt install ros-jazzy-hri-msgs"


def test_a_face_arrives_with_region_and_expression(bench):
    bench = bench("f1")
    bench.introduce(reaction("f1", *HAPPY))

    bench.show(reaction("f1", *HAPPY))

    assert bench.until(lambda: bench.expressions["f1"] and bench.rois["f1"] and bench.tracked)
    roi, expression = bench.rois["f1"][0], bench.expressions["f1"][0]
    assert bench.ids() == ["f1"]
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax) == pytest.approx((0.1, 0.1, 0.5, 0.5))
    assert roi.c == pytest.approx(0.9)
    assert expression.expression == bench.messages.Expression.HAPPY
    assert expression.valence == pytest.approx(0.7)
    assert expression.arousal == 0.0
    assert expression.confidence == pytest.approx(0.8)
    # A reader that pairs the topics does so by their stamps.
    assert roi.header == expression.header == bench.tracked[0].header == header(bench.seconds)


@pytest.mark.parametrize(
    ("probabilities", "verdict", "word", "valence"),
    [
        ((0.7, 0.2, 0.1), Reaction.NEGATIVE, "sad", -0.6),
        ((0.1, 0.8, 0.1), Reaction.NEUTRAL, "neutral", 0.0),
        ((0.1, 0.2, 0.7), Reaction.POSITIVE, "happy", 0.6),
    ],
)
def test_each_class_has_a_word(bench, probabilities, verdict, word, valence):
    bench = bench("f1")
    bench.introduce(reaction("f1", probabilities, verdict))

    bench.show(reaction("f1", probabilities, verdict))

    assert bench.until(lambda: bench.expressions["f1"])
    message = bench.expressions["f1"][0]
    assert message.expression == word
    assert message.valence == pytest.approx(valence, abs=1e-6)


def test_a_box_that_reaches_outside_is_cut(bench):
    bench = bench("f1")
    box = reaction("f1", *HAPPY, box=(-50, 400, 700, 600), score=1.2)
    bench.introduce(box)

    bench.show(box)

    assert bench.until(lambda: bench.rois["f1"])
    roi = bench.rois["f1"][0]
    assert (roi.xmin, roi.ymin, roi.xmax, roi.ymax, roi.c) == pytest.approx((0, 400 / 480, 1, 1, 1))


@pytest.mark.parametrize("unknown", [UNSURE, UNSEEN])
def test_nothing_is_said_of_a_face_that_nobody_could_judge(bench, unknown):
    bench = bench("f1")
    bench.introduce(reaction("f1", *unknown))

    for _ in range(5):
        bench.show(reaction("f1", *unknown))

    assert bench.until(lambda: len(bench.rois["f1"]) == 5)
    assert bench.ids() == ["f1"]
    assert bench.said("f1") == []


@pytest.mark.parametrize("unknown", [UNSURE, UNSEEN])
def test_an_expression_that_no_longer_holds_is_taken_back_once(bench, unknown):
    bench = bench("f1")
    bench.introduce(reaction("f1", *HAPPY))

    for seen in (HAPPY, unknown, unknown, unknown, SAD):
        bench.show(reaction("f1", *seen))

    assert bench.until(lambda: len(bench.expressions["f1"]) == 3)
    assert bench.said("f1") == [("happy", 0.8), ("happy", 0.0), ("sad", 0.6)]
    assert bench.expressions["f1"][1].valence == 0.0


def test_a_face_unseen_for_a_moment_stays(bench):
    bench = bench("f1")
    bench.introduce(reaction("f1", *HAPPY))

    bench.show(after=GRACE_S * 0.9)

    assert bench.until(lambda: bench.tracked)
    assert bench.ids() == ["f1"]
    assert bench.rois["f1"] == []  # nobody knows where it is


def test_a_face_unseen_for_longer_leaves_and_its_topics_vanish(bench):
    bench = bench("f1", "f2")
    bench.introduce(reaction("f1", *HAPPY), reaction("f2", *SAD))
    assert all(bench.other.count_publishers(t) for id_ in ("f1", "f2") for t in topics(id_))

    bench.show(reaction("f2", *SAD), after=GRACE_S * 0.6)
    bench.show(reaction("f2", *SAD), after=GRACE_S * 0.6)

    assert bench.until(lambda: bench.ids() == ["f2"])
    assert bench.until(lambda: not any(bench.other.count_publishers(t) for t in topics("f1")))
    assert all(bench.other.count_publishers(t) for t in topics("f2"))
    assert len(bench.said("f2")) == 2


def test_who_left_may_come_back_under_the_same_name(bench):
    bench = bench("f1")
    bench.introduce(reaction("f1", *HAPPY))
    bench.show(after=GRACE_S * 2)
    assert bench.until(lambda: bench.ids() == [])

    bench.introduce(reaction("f1", *SAD))
    bench.show(reaction("f1", *SAD))

    assert bench.until(lambda: bench.said("f1") == [("sad", 0.6)])
    assert bench.ids() == ["f1"]


def test_nobody_is_told_too(bench):
    bench = bench()
    bench.until(lambda: bench.tracked, bench.show)

    assert bench.ids() == []
    assert bench.tracked[-1].header.frame_id == "camera_optical_frame"


def test_a_film_that_starts_over_leaves_nobody_of_its_end(bench):
    bench = bench("f1", "f2")
    bench.introduce(reaction("f1", *HAPPY))

    bench.show(reaction("f2", *HAPPY), after=-50.0)

    assert bench.until(lambda: bench.ids() == ["f2"])


def test_without_stamps_faces_leave_too(bench):
    bench = bench("f1")
    nothing = Header()
    for _ in range(2):
        bench.ros4hri.update(nothing, [reaction("f1", *HAPPY)], SIZE)
    assert bench.until(lambda: bench.ids() == ["f1"])

    time.sleep(GRACE_S + 0.1)
    bench.ros4hri.update(nothing, [], SIZE)

    assert bench.until(lambda: bench.ids() == [])


def test_a_face_without_a_track_is_left_out(bench):
    bench = bench("f1")

    assert bench.until(
        lambda: bench.ids() == ["f1"],
        lambda: bench.show(reaction("", *HAPPY), reaction("f1", *HAPPY)),
    )


@pytest.mark.parametrize("face_id", ["1f", "_f1", "f-1", "f/1", "f 1", "é"])
def test_a_name_that_no_topic_can_have_is_refused(bench, face_id):
    bench = bench()

    with pytest.raises(ValueError, match="expected a letter"):
        bench.show(reaction(face_id, *HAPPY))


def test_closing_tells_that_nobody_is_there_and_removes_every_topic(bench):
    bench = bench("f1", "f2")
    bench.introduce(reaction("f1", *HAPPY), reaction("f2", *SAD))
    names = [f"{FACES}/tracked", *topics("f1"), *topics("f2")]

    bench.ros4hri.close()

    assert bench.until(lambda: bench.ids() == [])
    assert bench.until(lambda: not any(bench.other.count_publishers(name) for name in names))


def test_when_nothing_is_seen_any_more_nobody_is_tracked_until_somebody_is(bench):
    bench = bench("f1")
    bench.introduce(reaction("f1", *HAPPY))
    bench.show(reaction("f1", *HAPPY))
    assert bench.until(lambda: bench.ids() == ["f1"])

    bench.ros4hri.withdraw()

    assert bench.until(lambda: bench.ids() == [])
    assert bench.until(lambda: not bench.other.count_publishers(topics("f1")[1]))
    bench.introduce(reaction("f1", *HAPPY))
    bench.show(reaction("f1", *HAPPY))
    assert bench.until(lambda: bench.ids() == ["f1"])


def test_it_can_be_opened_again_after_closing(bench):
    bench = bench("f1")
    bench.introduce(reaction("f1", *HAPPY))
    bench.ros4hri.close()
    bench.ros4hri = Ros4Hri(bench.node)

    bench.introduce(reaction("f1", *SAD))
    bench.show(reaction("f1", *SAD))

    assert bench.until(lambda: bench.said("f1") == [("sad", 0.6)])


def test_closing_after_ros_was_shut_down_is_quiet(domain_id):
    if why := unavailable():
        pytest.skip(why)
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain_id)
    node = LifecycleNode("publisher", context=context)
    ros4hri = Ros4Hri(node)
    ros4hri.update(header(1.0), [reaction("f1", *HAPPY)], SIZE)
    rclpy.shutdown(context=context)

    ros4hri.close()

    node.destroy_node()


def test_faces_come_and_go_in_a_thread_while_the_node_spins(bench):
    """What the executor waits on must not change under it."""
    bench = bench("f1")
    bench.node.create_timer(0.001, lambda: None)
    failures = []

    def work():
        try:
            for number in range(40):
                bench.show(
                    reaction(f"g{number}", *HAPPY), reaction("f1", *HAPPY), after=GRACE_S * 1.1
                )
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60.0)

    assert not thread.is_alive()
    assert failures == []
    assert bench.thread.is_alive()
    assert bench.until(lambda: bench.ids() == ["f1", "g39"])
