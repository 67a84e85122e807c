"""The worker that always takes the newest."""

import threading

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not here")

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
