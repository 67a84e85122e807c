# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One node, several cameras, over real DDS."""

import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.action", reason="the package is not built")

from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.action import ActionClient
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from robot import OnOneExecutor, looked_at, makes, seconds, shown_frames, until, wait
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import FaceReactionArray, UserReaction
from emotion_perception.nodes.camera import camera_names
from emotion_perception.nodes.messages import bgr_image

OK = TransitionCallbackReturn.SUCCESS
RATE = 10.0


class Ward(OnOneExecutor):
    """A node with cameras that never stop, each before another person, and who listens to all."""

    def __init__(self, shown, topics, **parameters):
        super().__init__({"camera_topics": topics, **parameters}.items())
        self.shown = shown
        self.reactions = {name: [] for name in shown}
        self.faces = {name: [] for name in shown}
        self.statuses = {}
        self.cameras = {}
        subscribe = self.other.create_subscription
        for name in shown:
            self.cameras[name] = self.other.create_publisher(Image, f"{name}/image_raw", 2)
            subscribe(UserReaction, f"{name}/user_reaction", looked_at(self.reactions[name]), 50)
            subscribe(FaceReactionArray, f"reaction_node/{name}/faces", self.faces[name].append, 50)
        subscribe(DiagnosticArray, "/diagnostics", self._note, 10)
        self.other.create_timer(1 / RATE, self._show)
        self.spin()

    def _note(self, message):
        self.statuses = {status.name: status for status in message.status}

    def _show(self):
        for name, frame in self.shown.items():
            if frame is not None:
                stamp = self.other.get_clock().now().to_msg()
                self.cameras[name].publish(bgr_image(Header(stamp=stamp, frame_id=name), frame))


@pytest.fixture(scope="module")
def frames():
    pytest.importorskip("matplotlib")
    return shown_frames()


@pytest.fixture
def ward(domain_id):
    with makes(Ward, domain_id) as make:
        yield make


def test_each_camera_has_topics_tracks_and_diagnostics_of_its_own(ward, frames):
    shown = {"bed_1": frames["smile"], "bed_2": frames["nobody"], "bed_3": frames["other"]}
    w = ward(shown, [f"{name}/image_raw" for name in shown]).start()
    assert wait(lambda: all(len(told) > 10 for told in w.reactions.values()), 20.0)
    assert w.reactions["bed_1"][-1].reaction == UserReaction.POSITIVE
    assert w.reactions["bed_2"][-1].reason == UserReaction.REASON_NO_FACE
    assert w.reactions["bed_3"][-1].reaction != UserReaction.POSITIVE
    ids = {told[-1].face_id for told in w.reactions.values()}
    assert len(ids) == 3  # two people and nobody
    assert {len(told[-1].faces) for told in w.faces.values()} == {0, 1}
    assert wait(lambda: len(w.statuses) == 3)
    assert {name.rpartition(" ")[2] for name in w.statuses} == set(shown)
    assert all(status.level == DiagnosticStatus.OK for status in w.statuses.values())


def test_more_than_eight_cameras_keep_their_ids(ward, frames):
    names = [f"c{n}" for n in range(10)]
    w = ward(dict.fromkeys(names, frames["smile"]), [f"{name}/image_raw" for name in names]).start()
    assert wait(lambda: all(len(told) > 8 for told in w.reactions.values()), 40.0)
    ids = [{told.face_id for told in w.reactions[name]} for name in names]
    assert [len(of_camera) for of_camera in ids] == [1] * 10
    assert len(set.union(*ids)) == 10


def test_one_camera_that_falls_silent_says_so_and_the_others_go_on(ward, frames):
    w = ward(
        {"left": frames["smile"], "right": frames["smile"]}, ["left/image_raw", "right/image_raw"],
        image_timeout=0.5,
    ).start()  # fmt: skip
    assert wait(lambda: all(w.reactions.values()), 20.0)
    w.shown["right"] = None

    def levels():
        return {name.rpartition(" ")[2]: status.level for name, status in w.statuses.items()}

    assert wait(
        lambda: levels() == {"left": DiagnosticStatus.OK, "right": DiagnosticStatus.ERROR}, 15.0
    )
    count = len(w.reactions["left"])
    assert wait(lambda: len(w.reactions["left"]) > count + 3)


def test_an_error_with_one_camera_costs_no_other(ward, frames, monkeypatch):
    w = ward(
        {"left": frames["smile"], "right": frames["smile"]}, ["left/image_raw", "right/image_raw"]
    ).start()
    assert wait(lambda: all(w.reactions.values()), 20.0)
    decode = w.node._decode

    def odd(message):
        if message.header.frame_id == "right":
            raise ZeroDivisionError("an error that nobody thought of")
        return decode(message)

    monkeypatch.setattr(w.node, "_decode", odd)
    failed = w.node._cameras[1].statistics
    assert wait(lambda: failed.snapshot().failed > 3)
    counts = {name: len(told) for name, told in w.reactions.items()}
    assert wait(lambda: len(w.reactions["left"]) > counts["left"] + 5)
    assert len(w.reactions["right"]) <= counts["right"] + 1  # one may have been under way
    assert w.node._cameras[0].statistics.snapshot().failed == 0
    assert "ZeroDivisionError" in failed.snapshot().last_error
    monkeypatch.setattr(w.node, "_decode", decode)
    assert wait(lambda: len(w.reactions["right"]) > counts["right"] + 3)


def test_actions_are_observed_by_each_camera(ward, frames):
    w = ward(
        {"left": frames["smile"], "right": frames["nobody"]}, ["left/image_raw", "right/image_raw"]
    ).start()
    assert wait(lambda: all(w.reactions.values()), 20.0)
    time.sleep(1.0)
    answers = {}
    for name in w.shown:
        client = ActionClient(w.other, ObserveReaction, f"reaction_node/{name}/observe_reaction")
        assert client.wait_for_server(10.0)
        goal = ObserveReaction.Goal(action_id=name, window=seconds(1))
        handle = until(client.send_goal_async(goal))
        answers[name] = until(handle.get_result_async(), 20.0)
        client.destroy()
    assert answers["left"].status == GoalStatus.STATUS_SUCCEEDED
    assert answers["left"].result.verdict.reaction == UserReaction.POSITIVE
    assert answers["right"].result.outcome == ObserveReaction.Result.OUTCOME_NO_FACE


def test_cameras_can_be_changed_while_unconfigured(ward, frames):
    w = ward({"a": frames["smile"], "b": frames["smile"]}, ["a/image_raw"]).start()
    assert wait(lambda: w.reactions["a"], 20.0)
    refused = w.node.set_parameters([Parameter("camera_topics", value=["b/image_raw"])])[0]
    assert not refused.successful
    for change in (w.node.trigger_deactivate, w.node.trigger_cleanup):
        assert until(w.executor.create_task(change)) == OK
    assert w.node.set_parameters([Parameter("camera_topics", value=["b/image_raw"])])[0].successful
    for change in (w.node.trigger_configure, w.node.trigger_activate):
        assert until(w.executor.create_task(change)) == OK
    assert wait(lambda: w.reactions["b"], 20.0)
    before = len(w.reactions["a"])
    time.sleep(0.5)
    assert len(w.reactions["a"]) == before


def test_two_cameras_of_one_name_are_refused(ward, frames):
    w = ward({"a": frames["smile"]}, ["a/image_raw", "a/other"])
    assert w.node.trigger_configure() == TransitionCallbackReturn.FAILURE


@pytest.mark.parametrize(
    ("topics", "names"),
    [
        ([""], {"": "image_raw"}),
        ([], {"": "image_raw"}),
        (["/front/image_raw"], {"front": "/front/image_raw"}),
        (["a/color/image", "b"], {"a/color": "a/color/image", "b": "b"}),
        (["~/in/image_raw"], {"in": "~/in/image_raw"}),
    ],
)
def test_names_of_cameras(topics, names):
    assert camera_names(topics) == names


def test_names_must_differ():
    with pytest.raises(ValueError, match="a/x and /a/y would both be called 'a'"):
        camera_names(["a/x", "/a/y"])
