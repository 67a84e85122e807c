# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What is late: images, answers, loading; and what the node takes for late."""

import threading
import time
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.msg", reason="the package is not built")
pytest.importorskip("matplotlib")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration as RosDuration
from robot import Robot, makes, shown_frames, wait
from std_srvs.srv import SetBool

from emotion_perception.msg import UserReaction
from emotion_perception.nodes import judge, statistics
from emotion_perception.nodes.judge import HungError
from emotion_perception.nodes.statistics import Statistics


@pytest.fixture
def robot(domain_id):
    with makes(Robot, domain_id) as make:
        yield lambda **parameters: make(shown_frames(), parameters.items())


def seconds_of(message):
    return message.header.stamp.sec + message.header.stamp.nanosec * 1e-9


def test_a_late_answer_is_taken_back_as_old_as_it_is(robot, monkeypatch):
    robot = robot(hang_timeout=20.0)
    told = []
    robot.other.create_subscription(UserReaction, "user_reaction", told.append, 50)
    robot.start()
    assert wait(lambda: len(robot.reactions) > 10)  # the pace of answers is known
    pipeline = robot.node._judge.loaded.pipeline
    run, slow = pipeline.run_many, 2.0
    begun = []

    def late(shots):
        begun.append(shots[0].stamp)
        time.sleep(slow)
        return run(shots)

    monkeypatch.setattr(pipeline, "run_many", late)
    assert wait(lambda: len(begun) > 1)
    monkeypatch.setattr(pipeline, "run_many", run)

    def place():
        return next(
            (n for n, one in enumerate(told) if abs(seconds_of(one) - begun[0]) < 1e-4), None
        )

    assert wait(lambda: place() is not None and len(told) > place() + 1)
    answer, following = told[place() : place() + 2]
    assert told[place() - 1].reason == UserReaction.REASON_NOT_LOOKED  # it was missed
    assert answer.reason != UserReaction.REASON_NOT_LOOKED
    # The next frame is late too: what came after two seconds is not good for another half.
    assert following.reason == UserReaction.REASON_NOT_LOOKED
    assert seconds_of(following) - seconds_of(answer) >= slow


def test_networks_that_load_for_ever_on_the_cpu_end_the_process(robot, monkeypatch):
    robot = robot().start()
    robot.closing.set()
    robot.thread.join()  # the node's own ticks would raise in its thread
    never = threading.Event()
    monkeypatch.setattr(robot.node._judge, "_load", lambda *words: never.wait(20.0))
    monkeypatch.setattr(judge, "LOADING_S", 0.2)
    try:
        robot.node._judge._make("cpu")
        robot.node._judge.tick(0.0)  # there is time yet
        time.sleep(0.3)
        with pytest.raises(HungError, match="not loaded within"):
            robot.node._judge.tick(0.0)
    finally:
        never.set()
        robot.node._judge._making.join()


@pytest.mark.parametrize("of", ["image", "answer"])
def test_a_burst_is_not_the_pace(monkeypatch, of):
    counters = Statistics()
    note, pace = {
        "image": (counters.image_received, counters.interval),
        "answer": (lambda: counters.image_judged(0.01), counters.answer_interval),
    }[of]
    assert pace() == 0.0
    for now in (100.0, 101.0, 102.0, 103.0, 103.01, 103.02):
        clock = SimpleNamespace(monotonic=lambda now=now: now)
        monkeypatch.setattr(statistics, "time", clock)
        note()
    assert pace() == pytest.approx(1.0)


def test_what_a_hung_worker_saw_is_not_told_when_it_comes_back(robot, monkeypatch):
    robot = robot(hang_timeout=0.5).start()
    pipeline = robot.node._judge.loaded.pipeline
    run, go, held = pipeline.run_many, threading.Event(), []

    def hang(shots):
        held.append(shots[0].stamp)
        assert go.wait(30.0)
        return run(shots)

    monkeypatch.setattr(pipeline, "run_many", hang)
    assert wait(lambda: robot.node._judge.loaded.pipeline is not pipeline, 20.0)
    (old,) = robot.node._judge._abandoned
    before = len(robot.reactions)
    go.set()
    assert wait(lambda: old.has_ended and len(robot.reactions) > before + 3)
    assert len(held) == 1
    assert all(abs(seconds_of(message) - held[0]) > 1e-4 for message in robot.reactions)


def level(robot):
    return robot.statuses[-1].level if robot.statuses else None


def test_diagnostics_say_error_while_no_answer_comes(robot, monkeypatch):
    robot = robot(hang_timeout=0.0).start()
    assert wait(lambda: level(robot) == DiagnosticStatus.OK)
    pipeline = robot.node._judge.loaded.pipeline
    run, go = pipeline.run_many, threading.Event()

    def hang(shots):
        assert go.wait(60.0)
        return run(shots)

    monkeypatch.setattr(pipeline, "run_many", hang)
    assert wait(lambda: level(robot) == DiagnosticStatus.ERROR)
    assert robot.statuses[-1].message == "answers are overdue"
    monkeypatch.setattr(pipeline, "run_many", run)
    go.set()
    assert wait(lambda: level(robot) == DiagnosticStatus.OK)


def test_diagnostics_say_why_old_images_are_not_judged(robot):
    robot = robot(max_frame_age=5.0).start()
    now = robot.other.get_clock().now
    robot.stamp = lambda: (now() - RosDuration(seconds=60.0)).to_msg()
    assert wait(lambda: robot.statuses and "max_frame_age" in robot.statuses[-1].message)
    assert level(robot) == DiagnosticStatus.ERROR
    robot.stamp = None
    assert wait(lambda: level(robot) == DiagnosticStatus.OK)
    # Who is told not to look is not late.
    assert robot.call(robot.enable, SetBool.Request(data=False)).success
    count = len(robot.statuses)
    assert wait(lambda: len(robot.statuses) > count + 2)
    assert level(robot) == DiagnosticStatus.OK
