#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A leaf for behaviour trees that waits for how the person before the robot received something.

Needs `pip install py_trees`. Copy the class into your tree, or watch it at work beside a running
reaction node: `python3 py_trees_leaf.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from typing import Any

import py_trees
import rclpy
from action_msgs.msg import GoalStatus
from py_trees.common import Access, Status
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.node import Node

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction

RESULT_S = 10.0
"""The result comes at the latest so long after the window, or the leaf fails."""

WINDOW_S = 4.0
"""What the node takes for a window of zero."""


class ObserveReactionLeaf(py_trees.behaviour.Behaviour):
    """RUNNING while the reaction is observed, then SUCCESS or FAILURE by the verdict.

    Run it in parallel with the leaf that acts, or put it right after one that only starts the act.
    It neither blocks nor spins: whoever ticks the tree also spins the node given to `setup`.

    Args:
        name: of the leaf.
        action_id: name of the robot's action, for the log; empty takes the leaf's name.
        window: how long to watch, seconds; 0 is the node's default.
        success: the reactions that are a SUCCESS; all others are a FAILURE. UNKNOWN is not among
            them, because "nobody saw it" is not "it went well": add it where the tree may go on.
            Where the node saw too little to judge, that is UNKNOWN, too.
        key: where on the blackboard the ObserveReaction.Result goes; None until there is one.
        action_name: of the server; a relative name is in the namespace of the node.
        server_timeout: how long `setup` waits for the server, seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        action_id: str = "",
        window: float = 0.0,
        success: Collection[int] = (UserReaction.POSITIVE, UserReaction.NEUTRAL),
        key: str = "reaction",
        action_name: str = "reaction_node/observe_reaction",
        server_timeout: float = 10.0,
    ) -> None:
        super().__init__(name)
        self._action_id = action_id or name
        self._window = window
        self._success = frozenset(success)
        self._key = key
        self._action_name = action_name
        self._server_timeout = server_timeout
        self._client: ActionClient | None = None
        self._sent: Any = None
        self._result: Any = None
        self._deadline = 0.0
        self._board = self.attach_blackboard_client(name=name)
        self._board.register_key(key, access=Access.WRITE)

    def setup(self, **kwargs: Any) -> None:
        """Find the server; `tree.setup(node=...)` hands the node on to every leaf.

        Raises:
            KeyError: no node was given.
            RuntimeError: there is no server.
        """
        self._node: Node = kwargs["node"]
        # Resolved here, because before Kilted an action's name is not remapped by itself.
        name = self._node.resolve_service_name(self._action_name)
        self._client = ActionClient(self._node, ObserveReaction, name)
        if not self._client.wait_for_server(timeout_sec=self._server_timeout):
            raise RuntimeError(f"{self.name}: no action server {name}; is the reaction node there?")

    def initialise(self) -> None:
        """Send the goal: the act begins now."""
        assert self._client is not None, "setup comes first"
        self._board.set(self._key, None)
        self._result = None
        self._deadline = time.monotonic() + (self._window or WINDOW_S) + RESULT_S
        goal = ObserveReaction.Goal(
            action_id=self._action_id,
            start=self._node.get_clock().now().to_msg(),
            window=Duration(seconds=self._window).to_msg(),
        )
        self._sent = self._client.send_goal_async(goal)

    def update(self) -> Status:
        """Look whether the result is there."""
        assert self._client is not None
        if self._sent.done():
            handle = self._sent.result()
            if not handle.accepted:
                return self._fail("refused; is the reaction node active?")
            if self._result is None:
                self._result = handle.get_result_async()
        if self._result is None or not self._result.done():
            if not self._client.server_is_ready():
                return self._fail("the server has gone")
            if time.monotonic() > self._deadline:
                self._cancel()
                return self._fail("no result came")
            self.feedback_message = "watching"
            return Status.RUNNING
        response = self._result.result()
        self._sent = None
        self.feedback_message = response.result.text
        self._board.set(self._key, response.result)
        observed = response.status == GoalStatus.STATUS_SUCCEEDED
        reaction = response.result.verdict.reaction if observed else UserReaction.UNKNOWN
        return Status.SUCCESS if reaction in self._success else Status.FAILURE

    def terminate(self, new_status: Status) -> None:
        """Stop watching when the tree goes elsewhere."""
        if new_status == Status.INVALID:
            self._cancel()

    def shutdown(self) -> None:
        """Stop watching and release the action client."""
        self._cancel()
        if self._client is not None:
            self._client.destroy()
            self._client = None

    def _fail(self, why: str) -> Status:
        self._sent = None
        self.feedback_message = why
        return Status.FAILURE

    def _cancel(self) -> None:
        sent, self._sent = self._sent, None
        if sent is None:
            return
        if sent.done():
            _cancel_if_accepted(sent)
        else:
            # Accepted later, it would go on, and nobody would be left to end it.
            sent.add_done_callback(_cancel_if_accepted)


def _cancel_if_accepted(sent: Any) -> None:
    if sent.result().accepted:
        sent.result().cancel_goal_async()


def main() -> int:
    """Observe once and print the verdict; 1 if it is not a success."""
    rclpy.init()
    node = rclpy.create_node("tree")
    leaf = ObserveReactionLeaf("greet")
    tree = py_trees.trees.BehaviourTree(leaf)
    try:
        tree.setup(node=node)
        tree.tick()
        while leaf.status == Status.RUNNING:
            rclpy.spin_once(node, timeout_sec=0.1)
            tree.tick()
        print(f"{leaf.status.value}: {leaf.feedback_message}")
        return int(leaf.status != Status.SUCCESS)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        tree.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
