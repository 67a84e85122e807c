# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A real action server that answers as it is told, for tests of what its clients do then.

It stands for the reaction node, which looks at faces, and can neither be told what to see nor to
break its word.
"""

import contextlib
import sys
import threading
import time

import rclpy
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction

REACTIONS = {
    "unknown": UserReaction.UNKNOWN,
    "negative": UserReaction.NEGATIVE,
    "neutral": UserReaction.NEUTRAL,
    "positive": UserReaction.POSITIVE,
}


class ObservationServer:
    """Serves ObserveReaction in threads of its own until `close`.

    Args:
        answer: takes a goal's action_id; returns one of REACTIONS, "reject", "abort", or "hang",
            which watches until it is cancelled.
        name: of the action.
    """

    def __init__(self, answer, name="/reaction_node/observe_reaction"):
        self.goals, self.cancelled = [], []
        self._answer = answer
        self._closed = threading.Event()
        self._node = rclpy.create_node("observation_server")
        self._server = ActionServer(
            self._node, ObserveReaction, name, self._execute,
            goal_callback=self._on_goal, cancel_callback=lambda _: CancelResponse.ACCEPT,
            callback_group=ReentrantCallbackGroup(),
        )  # fmt: skip
        self._executor = MultiThreadedExecutor(3)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def close(self):
        self._closed.set()
        self._executor.shutdown()
        self._thread.join()
        self._server.destroy()
        self._node.destroy_node()

    def _spin(self):
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_goal(self, goal):
        self.goals.append(goal)
        reject = self._answer(goal.action_id) == "reject"
        return GoalResponse.REJECT if reject else GoalResponse.ACCEPT

    def _execute(self, handle):
        action_id = handle.request.action_id
        answer = self._answer(action_id)
        result = ObserveReaction.Result(action_id=action_id, text=f"told to say {answer}")
        if answer == "abort":
            result.outcome = ObserveReaction.Result.OUTCOME_NO_FACE
            result.verdict.reason = UserReaction.REASON_NO_FACE
            handle.abort()
        elif answer == "hang":
            result.outcome = ObserveReaction.Result.OUTCOME_INTERRUPTED
            while not handle.is_cancel_requested:
                handle.publish_feedback(ObserveReaction.Feedback(elapsed=0.5))
                if self._closed.wait(0.05):
                    return result
            self.cancelled.append(action_id)
            handle.canceled()
        else:
            result.verdict.reaction = REACTIONS[answer]
            if answer == "unknown":
                result.verdict.reason = UserReaction.REASON_LOW_CONFIDENCE
            handle.succeed()
        return result


def main():
    """Answer every goal with the first argument; print each goal and each cancel.

    The second argument is the name of the action, if it is not the node's.
    """
    rclpy.init()
    server = ObservationServer(lambda _: sys.argv[1], *sys.argv[2:3])
    print("ready", flush=True)
    said = 0
    while rclpy.ok():
        lines = [f"goal {g.action_id}" for g in server.goals]
        lines += [f"cancelled {c}" for c in server.cancelled]
        for line in lines[said:]:
            print(line, flush=True)
        said = len(lines)
        time.sleep(0.02)


if __name__ == "__main__":
    main()
