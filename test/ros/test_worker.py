# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The worker that always takes the newest."""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

from emotion_perception.nodes.watchdog import Lateness
from emotion_perception.nodes.worker import NewestItemWorker


def worker(work):
    return NewestItemWorker(work, lambda keys, error: None, "test")


def test_what_waits_is_worked_on_together_and_only_the_newest_of_each_kind():
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    batches = []

    def work(items):
        batches.append(items)
        begun.set()
        assert go.wait(10.0)
        if len(batches) == 2:
            done.set()

    one = worker(work)
    assert one.put("a", 1)
    assert begun.wait(10.0)
    assert one.put("a", 2)
    assert one.put("b", 1)
    assert not one.put("a", 3)
    go.set()
    assert done.wait(10.0)
    one.stop()
    assert batches == [{"a": 1}, {"a": 3, "b": 1}]


def test_an_error_is_told_and_the_worker_goes_on():
    done, told, errors = threading.Event(), threading.Event(), []

    def work(items):
        if items.get("a") == "bad":
            raise ValueError("bad")
        done.set()

    def note(keys, error):
        errors.append((keys, error))
        told.set()

    one = NewestItemWorker(work, note, "test")
    one.put("a", "bad")
    assert told.wait(10.0)
    one.put("b", "good")
    assert done.wait(10.0)
    one.stop()
    assert errors[0][0] == ["a"]
    assert str(errors[0][1]) == "bad"


def test_what_waits_when_it_is_stopped_is_forgotten():
    begun, go, seen = threading.Event(), threading.Event(), []

    def work(items):
        seen.append(items)
        begun.set()
        assert go.wait(10.0)

    one = worker(work)
    one.put("a", 1)
    assert begun.wait(10.0)
    one.put("a", 2)
    threading.Timer(0.1, go.set).start()
    one.stop()
    assert seen == [{"a": 1}]


def test_a_worker_that_does_not_end_is_left_behind():
    begun, go, said = threading.Event(), threading.Event(), []

    def work(items):
        begun.set()
        assert go.wait(10.0)
        said.append(one.is_me)

    one = worker(work)
    one.put("a", 1)
    assert begun.wait(10.0)
    assert not one.stop(0.05)
    assert "work" in one.where()
    assert "test_worker.py" in one.where()
    go.set()
    assert one.stop()
    assert said == [False]  # nobody listens to it any more
    assert one.where() == "it has ended"


def test_only_the_worker_itself_may_speak_for_it():
    said, done = [], threading.Event()

    def work(items):
        said.append(one.is_me)
        done.set()

    one = worker(work)
    one.put("a", 1)
    assert done.wait(10.0)
    assert not one.is_me
    one.stop()
    assert said == [True]


class Steady:
    """A worker as `Lateness` sees it."""

    def __init__(self, idle=False, done=1):
        self.idle, self.done = idle, done


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("emotion_perception.nodes.watchdog.time.monotonic", lambda: now[0])

    def advance(lateness, worker, seconds, step=0.1):
        for _ in range(round(seconds / step)):
            now[0] += step
            lateness.tick(worker)

    return advance


def test_a_worker_that_gets_on_is_not_late(clock):
    lateness, busy = Lateness(), Steady()
    for _ in range(50):
        clock(lateness, busy, 0.4)
        busy.done += 1
    assert not lateness.is_hung(1.0)


def test_a_worker_without_work_is_not_late(clock):
    lateness, idle = Lateness(), Steady(idle=True)
    clock(lateness, idle, 100.0)
    assert not lateness.is_hung(1.0)
    clock(lateness, None, 100.0)
    assert not lateness.is_hung(1.0)


def test_a_worker_that_finishes_nothing_is_hung_unless_nobody_minds(clock):
    lateness, stuck = Lateness(), Steady()
    clock(lateness, stuck, 0.9)
    assert not lateness.is_hung(1.0)
    clock(lateness, stuck, 0.4)
    assert lateness.is_hung(1.0)
    assert not lateness.is_hung(0.0)
    # Another one begins at nothing.
    clock(lateness, Steady(), 0.5)
    assert not lateness.is_hung(1.0)


def test_the_first_frame_may_take_longer(clock):
    lateness, new = Lateness(), Steady(done=0)
    clock(lateness, new, 4.0)
    assert not lateness.is_hung(1.0)
    clock(lateness, new, 2.0)
    assert lateness.is_hung(1.0)


def test_a_computer_that_slept_has_no_worker_that_hangs(clock):
    lateness, busy = Lateness(), Steady()
    clock(lateness, busy, 0.2)
    clock(lateness, busy, 3600.0, step=3600.0)
    assert not lateness.is_hung(1.0)
