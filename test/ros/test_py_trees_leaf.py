# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The behaviour-tree leaf of the examples, ticked against a real action server."""

import importlib.util
import sys
import time
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not here")
pytest.importorskip("emotion_perception.action", reason="the package is not built")
py_trees = pytest.importorskip("py_trees", reason="py_trees is not here")

from observation_server import ObservationServer
from py_trees.common import Status

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "py_trees_leaf.py"


@pytest.fixture
def example(monkeypatch):
    spec = importlib.util.spec_from_file_location("py_trees_leaf", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "py_trees_leaf", module)
    spec.loader.exec_module(module)
    return module


class Bench:
    """A tree with one leaf, the node that it uses, and the server that answers it."""

    def __init__(self, example, answer, **options):
        self.answer = answer
        self.server = ObservationServer(lambda _: self.answer)
        self.node = rclpy.create_node("tree")
        self.leaf = example.ObserveReactionLeaf("greet", **options)
        self.tree = py_trees.trees.BehaviourTree(self.leaf)
        self.tree.setup(node=self.node)
        self.board = py_trees.blackboard.Client(name="test")
        for key in ("reaction", "mine"):
            self.board.register_key(key, access=py_trees.common.Access.READ)

    def tick(self):
        rclpy.spin_once(self.node, timeout_sec=0.02)
        self.tree.tick()
        return self.leaf.status

    def run(self, seconds=20.0):
        """Tick until the leaf has ended; return how."""
        end = time.monotonic() + seconds
        assert self.tick() == Status.RUNNING
        while self.tick() == Status.RUNNING:
            assert time.monotonic() < end, "still running"
        return self.leaf.status

    def until(self, condition, seconds=10.0, tick=True):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s"
            if tick:
                self.tick()
            else:
                rclpy.spin_once(self.node, timeout_sec=0.02)

    def close(self):
        self.tree.shutdown()
        if self.server:
            self.server.close()
        self.node.destroy_node()


@pytest.fixture
def bench(domain_id, example):
    rclpy.init(domain_id=domain_id)
    py_trees.blackboard.Blackboard.clear()
    made = []

    def make(answer, **options):
        made.append(Bench(example, answer, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
    rclpy.shutdown()


NEGATIVE, UNKNOWN = UserReaction.NEGATIVE, UserReaction.UNKNOWN


@pytest.mark.parametrize(
    ("answer", "options", "status"),
    [
        ("positive", {}, Status.SUCCESS),
        ("neutral", {}, Status.SUCCESS),
        ("negative", {}, Status.FAILURE),
        ("unknown", {}, Status.FAILURE),
        # Only a smile will do.
        ("neutral", {"success": (UserReaction.POSITIVE,)}, Status.FAILURE),
        # Go on unless it was clearly not welcome.
        ("unknown", {"success": (UNKNOWN, UserReaction.POSITIVE)}, Status.SUCCESS),
        # Nobody was there to see: that is unknown, too.
        ("abort", {}, Status.FAILURE),
        ("abort", {"success": (UNKNOWN,)}, Status.SUCCESS),
        # A leaf that looks for displeasure.
        ("negative", {"success": [NEGATIVE]}, Status.SUCCESS),
    ],
)
def test_verdict_becomes_status(bench, answer, options, status):
    b = bench(answer, **options)
    assert b.run() == status
    result = b.board.get("reaction")
    assert isinstance(result, ObserveReaction.Result)
    assert (result.action_id, result.text) == ("greet", f"told to say {answer}")
    assert b.leaf.feedback_message == result.text
    assert (result.outcome == ObserveReaction.Result.OUTCOME_OBSERVED) == (answer != "abort")


def test_goal_is_what_was_asked_for(bench):
    b = bench("positive", action_id="hug", window=2.5, key="mine")
    before = b.node.get_clock().now().nanoseconds
    b.run()
    (goal,) = b.server.goals
    assert goal.action_id == "hug"
    assert (goal.window.sec, goal.window.nanosec) == (2, 500_000_000)
    assert before < goal.start.sec * 10**9 + goal.start.nanosec < time.time_ns()
    assert b.board.get("mine").action_id == "hug"


def test_refusal_is_a_failure(bench):
    b = bench("reject", success=(UNKNOWN, UserReaction.POSITIVE))
    assert b.run() == Status.FAILURE
    assert b.leaf.feedback_message == "refused; is the reaction node active?"
    assert b.board.get("reaction") is None


def test_second_run_forgets_the_first(bench):
    b = bench("positive")
    assert b.run() == Status.SUCCESS
    b.answer = "reject"
    assert b.run() == Status.FAILURE
    assert b.board.get("reaction") is None
    b.answer = "negative"
    assert b.run() == Status.FAILURE
    assert b.board.get("reaction").verdict.reaction == NEGATIVE
    assert len(b.server.goals) == 3


def test_interrupted_leaf_cancels_its_goal(bench):
    b = bench("hang")
    b.tick()
    b.until(lambda: b.leaf.feedback_message == "watching" and b.server.goals)
    for _ in range(10):  # accepted by now
        assert b.tick() == Status.RUNNING
    b.tree.root.stop(Status.INVALID)
    assert b.leaf.status == Status.INVALID
    b.until(lambda: b.server.cancelled, tick=False)
    assert b.board.get("reaction") is None


def test_leaf_interrupted_before_acceptance_cancels_too(bench):
    b = bench("hang")
    b.tree.tick()
    b.tree.root.stop(Status.INVALID)  # nothing was spun, so nothing was heard of the server
    b.until(lambda: b.server.cancelled, tick=False)
    assert len(b.server.goals) == 1


def test_tree_that_is_shut_down_cancels_too(bench):
    b = bench("hang")
    b.tick()
    b.until(lambda: b.leaf.feedback_message == "watching" and b.server.goals)
    for _ in range(10):
        b.tick()
    b.tree.shutdown()
    b.until(lambda: b.server.cancelled, tick=False)


def test_leaf_that_has_ended_cancels_nothing(bench):
    b = bench("positive")
    b.run()
    b.answer = "hang"  # a cancel that came now would find no goal
    b.tree.root.stop(Status.INVALID)
    for _ in range(10):
        rclpy.spin_once(b.node, timeout_sec=0.02)
    assert b.server.cancelled == []


def test_server_that_goes_is_a_failure(bench):
    b = bench("hang")
    b.tick()
    b.until(lambda: b.server.goals)
    server, b.server = b.server, None
    server.close()
    b.until(lambda: b.leaf.status == Status.FAILURE)
    assert b.leaf.feedback_message == "the server has gone"


def test_silent_server_is_given_up_and_told_so(bench, example, monkeypatch):
    monkeypatch.setattr(example, "RESULT_S", 1.0)
    b = bench("hang", window=0.5)
    assert b.run() == Status.FAILURE
    assert b.leaf.feedback_message == "no result came"
    b.until(lambda: b.server.cancelled, tick=False)


def test_missing_server_is_found_out_in_setup(domain_id, example):
    rclpy.init(domain_id=domain_id)
    node = rclpy.create_node("tree")
    leaf = example.ObserveReactionLeaf("greet", server_timeout=0.2)
    with pytest.raises(RuntimeError, match="no action server /reaction_node/observe_reaction"):
        leaf.setup(node=node)
    leaf.shutdown()
    node.destroy_node()
    rclpy.shutdown()


def test_beside_the_leaf_that_acts(bench, example):
    """As the documentation has it: both at once, and the verdict decides."""
    b = bench("negative")
    leaf = example.ObserveReactionLeaf("wave")
    root = py_trees.composites.Parallel(
        "wave and watch",
        policy=py_trees.common.ParallelPolicy.SuccessOnAll(),
        children=[py_trees.behaviours.Success("act"), leaf],
    )
    tree = py_trees.trees.BehaviourTree(root)
    tree.setup(node=b.node)
    tree.tick()
    while root.status == Status.RUNNING:
        rclpy.spin_once(b.node, timeout_sec=0.02)
        tree.tick()
    assert root.status == Status.FAILURE
    tree.shutdown()


@pytest.mark.parametrize(("answer", "code"), [("positive", 0), ("negative", 1)])
def test_example_runs_by_itself(domain_id, example, capsys, monkeypatch, answer, code):
    rclpy.init(domain_id=domain_id)
    server = ObservationServer(lambda _: answer)
    # Here the one context serves both.
    monkeypatch.setattr(example.rclpy, "init", lambda: None)
    monkeypatch.setattr(example.rclpy, "try_shutdown", lambda: None)
    try:
        assert example.main() == code
    finally:
        server.close()
        rclpy.shutdown()
    assert f"told to say {answer}" in capsys.readouterr().out
