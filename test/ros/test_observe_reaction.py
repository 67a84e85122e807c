# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ObserveReaction, patients' models and ~/enable on the real node, with real frames over DDS."""

import json
import time

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.action", reason="the package is not built")

from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration, Time
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from robot import Robot, seconds, shown_frames, until, wait
from std_srvs.srv import SetBool

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction
from emotion_perception.srv import LoadPatientModel

Result = ObserveReaction.Result


@pytest.fixture(scope="module")
def frames():
    pytest.importorskip("matplotlib")
    return shown_frames()


@pytest.fixture
def robot(domain_id, frames):
    rclpy.init(domain_id=domain_id)
    made = []

    def make(*args, **kwargs):
        made.append(Robot(frames, *args, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.shutdown()


def test_a_smile_that_stays_is_positive_without_a_change(robot, tmp_path):
    log = tmp_path / "log.jsonl"
    r = robot([("observation_log", str(log))]).start()
    assert wait(lambda: len(r.reactions) > 25)
    status, result = r.observe(window=seconds(2))
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert result.outcome == Result.OUTCOME_OBSERVED
    assert result.action_id == "joke"
    assert result.verdict.reaction == UserReaction.POSITIVE
    assert result.verdict.model_id == r.reactions[-1].model_id
    assert result.verdict.face_id == r.reactions[-1].face_id != ""
    assert abs(result.change) < 0.2
    assert result.change_low <= result.change <= result.change_high
    assert result.onset != result.onset  # NaN: there was none
    assert sum(result.response) == pytest.approx(1, abs=1e-4)
    assert result.response_frames >= 10
    assert result.baseline_frames >= 10
    assert "received positively" in result.text
    assert r.feedback
    assert r.feedback[-1].feedback.response_frames > 0
    line = json.loads(log.read_text())
    assert (line["action_id"], line["reaction"]) == ("joke", "POSITIVE")
    assert line["response_frames"] == result.response_frames
    assert line["onset"] is None
    assert log.stat().st_mode & 0o077 == 0


def test_nobody_there_aborts_with_a_reason(robot):
    r = robot().start()
    r.shown = "nobody"
    assert wait(lambda: r.reactions[-1].reason == UserReaction.REASON_NO_FACE)
    time.sleep(1.6)
    status, result = r.observe(window=seconds(1))
    assert status == GoalStatus.STATUS_ABORTED
    assert result.outcome == Result.OUTCOME_NO_FACE
    assert result.verdict.reaction == UserReaction.UNKNOWN
    assert "nobody" in result.text


def test_the_person_leaves(robot):
    r = robot().start()
    handle = r.send(window=seconds(3))
    time.sleep(0.4)
    r.shown = "nobody"
    answer = until(handle.get_result_async(), 20)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.outcome == Result.OUTCOME_LEFT
    assert "left" in answer.result.text


def test_several_at_once_and_cancel(robot):
    r = robot().start()
    long = r.send(window=seconds(60))
    short = r.send(window=seconds(1))
    assert until(short.get_result_async(), 20).status == GoalStatus.STATUS_SUCCEEDED
    result = long.get_result_async()
    until(long.cancel_goal_async())
    answer = until(result)
    assert answer.status == GoalStatus.STATUS_CANCELED
    # What was seen until then is told all the same.
    assert answer.result.response_frames > 0


def test_cancelled_before_the_first_frame(robot, tmp_path):
    log = tmp_path / "log.jsonl"
    r = robot([("observation_log", str(log))])
    r.shown = None
    assert r.node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert r.node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    handle = r.send(window=seconds(60))
    result = handle.get_result_async()
    until(handle.cancel_goal_async())
    answer = until(result)
    assert answer.status == GoalStatus.STATUS_CANCELED
    assert answer.result.outcome == Result.OUTCOME_NO_FACE
    assert json.loads(log.read_text())["outcome"] == "NO_FACE"
    r.shown = "smile"
    assert wait(lambda: r.reactions)
    assert r.observe(window=seconds(1))[0] == GoalStatus.STATUS_SUCCEEDED


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"window": Duration(sec=-1)}, "window: expected 0.5 to 120 s"),
        ({"window": Duration(sec=2_000_000_000)}, "window: expected"),
        ({"baseline": Duration(sec=-3, nanosec=5)}, "baseline: expected"),
        ({"baseline": Duration(sec=31)}, "baseline: expected 0.5 to 30 s"),
        ({"start": Time(sec=-5)}, "start: expected"),
        ({"start": Time(sec=2_000_000_000)}, "ahead, expected at most 30 s"),
        ({"start": Time(sec=1_000_000_000)}, "s ago, expected at most 120 s"),
    ],
)
def test_bad_goals_are_answered_and_change_nothing(robot, fields, words):
    r = robot().start()
    status, result = r.observe(**fields)
    assert status == GoalStatus.STATUS_ABORTED
    assert result.outcome == Result.OUTCOME_REFUSED
    assert words in result.text
    assert r.observe(window=seconds(1))[0] == GoalStatus.STATUS_SUCCEEDED


def test_a_face_that_was_never_there(robot):
    r = robot().start()
    status, result = r.observe(window=seconds(1), face_id="f99")
    assert status == GoalStatus.STATUS_ABORTED
    assert result.outcome == Result.OUTCOME_NO_FACE


def test_an_inactive_node_answers(robot):
    r = robot()
    status, result = r.observe()
    assert status == GoalStatus.STATUS_ABORTED
    assert "unconfigured" in result.text


def test_deactivating_ends_the_goal(robot):
    r = robot().start()
    handle = r.send(window=seconds(60))
    result = handle.get_result_async()
    time.sleep(0.3)
    assert r.node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    answer = until(result)
    assert answer.status == GoalStatus.STATUS_ABORTED
    assert answer.result.outcome == Result.OUTCOME_INTERRUPTED
    assert "stopped looking" in answer.result.text


def test_time_that_jumps_back_interrupts_and_the_node_goes_on(robot):
    r = robot().start()
    first = r.reactions[-1].face_id
    handle = r.send(window=seconds(60))
    result = handle.get_result_async()
    time.sleep(0.3)
    started = time.monotonic()

    def old():
        passed = time.monotonic() - started
        return Time(sec=1000 + int(passed), nanosec=int(passed % 1 * 1e9))

    r.stamp = old
    answer = until(result)
    assert answer.result.outcome == Result.OUTCOME_INTERRUPTED
    assert "jumped back" in answer.result.text
    assert wait(lambda: r.reactions[-1].header.stamp.sec < 2000)
    assert r.reactions[-1].face_id not in ("", first)  # ids are never used again
    # The recording's own clock is understood.
    time.sleep(1.5)
    assert r.observe(window=seconds(1))[0] == GoalStatus.STATUS_SUCCEEDED


def test_stamps_of_zero_are_taken_as_now(robot):
    r = robot()
    r.stamp = Time
    r.start()
    assert wait(lambda: len(r.reactions) > 15)
    assert r.reactions[-1].reaction == UserReaction.POSITIVE
    assert r.reactions[-1].face_id == r.reactions[3].face_id
    assert r.observe(window=seconds(1))[0] == GoalStatus.STATUS_SUCCEEDED


def test_enable_stops_and_starts_looking(robot):
    r = robot().start()
    model = r.reactions[-1].model_id
    answer = r.call(r.enable, SetBool.Request(data=False))
    assert answer.success
    assert answer.message == "not looking"
    assert wait(lambda: r.camera.get_subscription_count() == 0)
    assert wait(lambda: r.statuses and r.statuses[-1].message.startswith("active, not looking"))
    time.sleep(0.3)
    seen = len(r.reactions)
    time.sleep(0.5)
    assert len(r.reactions) == seen
    assert r.observe()[1].text == "the node was told not to look: call ~/enable"
    assert r.call(r.enable, SetBool.Request(data=True)).success
    assert wait(lambda: len(r.reactions) > seen)
    assert r.reactions[-1].model_id == model


def test_max_rate_saves_power(robot):
    r = robot([("max_rate", 4.0)]).start()
    seen = len(r.reactions)
    time.sleep(3.0)
    assert 9 <= len(r.reactions) - seen <= 15


def test_unknown_patients_are_refused_and_the_old_model_stays(robot, tmp_path):
    r = robot([("patients", str(tmp_path))]).start()
    model = r.reactions[-1].model_id
    answer = r.call(r.load, LoadPatientModel.Request(patient_id="P-404"))
    assert not answer.success
    assert "unknown patient 'P-404'" in answer.message
    assert answer.model_id == model
    answer = r.call(r.load, LoadPatientModel.Request(version="0001"))
    assert not answer.success
    assert "of whom" in answer.message
    assert r.call(r.load, LoadPatientModel.Request()).success


def test_partner_can_be_named_while_running(robot):
    r = robot().start()
    face = r.reactions[-1].face_id
    parameters = [
        Parameter("partner", value="face_id"),
        Parameter("partner_face_id", value="f99"),
    ]
    assert r.node.set_parameters_atomically(parameters).successful
    assert wait(lambda: r.reactions[-1].reason == UserReaction.REASON_NO_FACE)
    r.node.set_parameters([Parameter("partner_face_id", value=face)])
    assert wait(lambda: r.reactions[-1].face_id == face)
    refused = r.node.set_parameters([Parameter("partner", value="tallest")])[0]
    assert not refused.successful
    assert "largest" in refused.reason


def test_simulated_time_that_starts_over(robot):
    from rosgraph_msgs.msg import Clock

    r = robot([("use_sim_time", True)])
    clock = r.other.create_publisher(Clock, "/clock", 10)
    began = [time.monotonic(), 100.0]

    def now():
        passed = began[1] + 2.0 * (time.monotonic() - began[0])  # twice as fast as real time
        return Time(sec=int(passed), nanosec=int(passed % 1 * 1e9))

    r.other.create_timer(0.02, lambda: clock.publish(Clock(clock=now())))
    r.stamp = now
    r.start()
    assert wait(lambda: len(r.reactions) > 20)
    assert -0.2 <= r.reactions[-1].latency < 2  # the simulated clock ticks every 40 ms of its own
    status, result = r.observe(window=seconds(2))
    assert status == GoalStatus.STATUS_SUCCEEDED
    # Two simulated seconds are one of ours, at ten images a second.
    assert 6 <= result.response_frames <= 14
    began[:] = [time.monotonic(), 5.0]
    assert wait(lambda: r.reactions[-1].header.stamp.sec < 60)
    assert wait(lambda: r.reactions[-1].reaction == UserReaction.POSITIVE)
    assert r.observe(window=seconds(2))[0] == GoalStatus.STATUS_SUCCEEDED


def test_more_actions_than_can_be_observed_are_refused(robot, monkeypatch):
    monkeypatch.setattr("emotion_perception.nodes.observations._MOST_GOALS", 2)
    r = robot().start()
    first = [r.send(window=seconds(3)).get_result_async() for _ in range(2)]
    status, result = r.observe(window=seconds(1))
    assert status == GoalStatus.STATUS_ABORTED
    assert result.outcome == Result.OUTCOME_REFUSED
    assert "2 actions are being observed already" in result.text
    for answer in first:
        assert until(answer, 20.0).status == GoalStatus.STATUS_SUCCEEDED
    # There is room again.
    assert r.observe(window=seconds(1))[0] == GoalStatus.STATUS_SUCCEEDED
