# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""An example behaviour: it tells jokes, watches how they are received, and tells more of that kind.

To make your own behaviour of it, replace `JOKES` and `JokeBehaviour._tell`.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient
from rclpy.duration import Duration
from rclpy.exceptions import NameValidationException
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_topic_name import validate_topic_name
from std_msgs.msg import String

from emotion_perception.action import ObserveReaction
from emotion_perception.nodes.parameters import (
    Change,
    Spec,
    declare_parameters,
    help_text,
    unknown_overrides,
)
from emotion_perception.reaction.chooser import ThompsonChooser
from emotion_perception.reaction.reaction import Reaction

_PURPOSE = "Tells jokes, and more of those kinds that are well received: an example behaviour."

WAIT_LOG_S = 5.0
"""A wait for the action server is reported this often."""

ANSWER_S = 5.0
"""The server accepts or refuses within this time, or is given up."""

RESULT_S = 10.0
"""The result comes at the latest so long after the window, or is given up."""

CANCEL_S = 2.0
"""A shutdown waits so long for the server to confirm that it has stopped watching."""

JOKES: dict[str, tuple[str, ...]] = {
    "animals": (
        "My neighbour's cat has taken up yoga. So far it has mastered one position: the nap.",
        "A hedgehog walked into a balloon shop. Everybody was very polite, and very still.",
        "The tortoise was late for the party. It said: I did leave in March.",
    ),
    "robots": (
        "I tried counting sheep to fall asleep. After a millisecond I had run out of sheep.",
        "I asked the vacuum cleaner about its day. It said: dusty, but things are picking up.",
        "My battery and I share the work. I do the talking, and it decides for how long.",
    ),
    "food": (
        "The soup is so good today that the spoon keeps coming back for more.",
        "I asked the pudding to stand still for a photo. It did its best.",
        "A biscuit said: be careful with the tea. I went in for a moment and came out soft.",
    ),
    "things": (
        "My umbrella and I get on well. I take it out, and it opens up.",
        "The clock on the wall works all day long, and still it finds time to wave.",
        "The pillow never says much, but it is always behind me.",
    ),
}
"""Kinds of jokes; the kind is the action_id of the goal."""

JOKE_PARAMETERS: tuple[Spec, ...] = (
    Spec("action_name", "reaction_node/observe_reaction", "Name of the action that observes the "
         "reaction.", Change.START),
    Spec("pause", 5.0, "Seconds between the verdict on a joke and the next joke.", Change.START,
         low=0.0, high=3600.0),
    Spec("window", 8.0, "Seconds to watch, from the moment at which the telling begins.",
         Change.START, low=0.5, high=120.0),
    Spec("jokes", 0, "Number of jokes after which the node ends; 0 goes on without end.",
         Change.START, low=0, high=100_000),
    Spec("seed", -1, "Seed of the choices, to repeat a run; -1 takes a new one each time.",
         Change.START, low=-1, high=100_000),
)  # fmt: skip


@dataclass(frozen=True)
class _Observation:
    """What became of one goal: a result, or a line on why there is none."""

    result: Any = None
    problem: str = ""


class JokeBehaviour(Node):
    """Chooses a kind of joke, tells one, watches, learns, and starts again.

    One thread and no callbacks: whatever it waits for, `_wait` spins the executor meanwhile.
    """

    def __init__(self, **node_arguments: Any) -> None:
        super().__init__("joke_behaviour", **node_arguments)
        for line in declare_parameters(self, JOKE_PARAMETERS):
            self.get_logger().error(line)
        for line in unknown_overrides(self, JOKE_PARAMETERS):
            self.get_logger().warning(line)
        seed = self._parameter("seed")
        generator = np.random.default_rng(None if seed < 0 else seed)
        self.chooser = ThompsonChooser(tuple(JOKES), generator)
        self._next = dict.fromkeys(JOKES, 0)
        self._say = self.create_publisher(String, "say", 10)
        self._client: Any = None
        self._server_name = ""
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)
        self._stopping = False

    def run(self) -> int:
        """Tell jokes until their number is reached, or until `stop`; returns the exit code."""
        name = self._parameter("action_name")
        try:
            validate_topic_name(name)
        except NameValidationException:
            self.get_logger().error(f"action_name: expected the name of an action, got {name!r}")
            return 1
        # Resolved here, because before Kilted an action's name is not remapped by itself.
        self._server_name = self.resolve_service_name(name)
        self._client = ActionClient(self, ObserveReaction, self._server_name)
        number = self._parameter("jokes")
        told = 0
        while self._wait_for_server():
            kind = self.chooser.choose()
            observation = self._tell(kind)
            told += 1
            if observation.result is None:
                if observation.problem:
                    self.get_logger().warning(f"{kind}: {observation.problem}; nothing learned")
            else:
                self.chooser.learn(kind, observation.result.verdict.reaction)
                self.get_logger().info(
                    f"{kind}: {Reaction(observation.result.verdict.reaction).name.lower()} "
                    f"({observation.result.text}); {self._ranking()}"
                )
            if told == number or not self._pause():
                break
        self.get_logger().info(f"{told} joke(s) told; {self._ranking()}")
        return 0

    def stop(self) -> None:
        """Make `run` come to its end; may be called by a signal handler."""
        self._stopping = True

    def destroy_node(self) -> None:
        """Release the action client and the executor with the node."""
        self._executor.shutdown()
        if self._client is not None:
            self._client.destroy()
        super().destroy_node()

    def _tell(self, kind: str) -> _Observation:
        """Tell the next joke of a kind and watch how it is received."""
        jokes = JOKES[kind]
        joke = jokes[self._next[kind] % len(jokes)]
        self._next[kind] += 1
        # The window begins with the telling, so the goal goes out with it and not after it.
        goal = ObserveReaction.Goal(
            action_id=kind,
            start=self.get_clock().now().to_msg(),
            window=Duration(seconds=self._parameter("window")).to_msg(),
        )
        answer = self._client.send_goal_async(goal)
        self._say.publish(String(data=joke))
        self.get_logger().info(f"{kind}: {joke}")
        return self._observe(answer)

    def _observe(self, answer: Any) -> _Observation:
        """Await the result of a goal that was sent; cancel it when told to stop."""
        if not self._wait(answer.done, ANSWER_S):
            if not self._stopping:
                return _Observation(problem="the server did not answer")
            # It may have been accepted all the same, and must not be left running then.
            self._wait(answer.done, CANCEL_S, even_when_stopping=True)
        if not answer.done():
            return _Observation()
        handle = answer.result()
        if not handle.accepted:
            return _Observation(problem="the server refused to watch; is the reaction node active?")
        # Asked for even when stopping, because a goal that is cancelled has a result too.
        result = handle.get_result_async()
        limit = self._parameter("window") + RESULT_S
        self._wait(lambda: result.done() or not self._client.server_is_ready(), limit)
        if not result.done():
            self._cancel(handle)
            if self._stopping:
                return _Observation()
            there = self._client.server_is_ready()
            return _Observation(problem="no result came" if there else "the server has gone")
        response = result.result()
        if response.status != GoalStatus.STATUS_SUCCEEDED:
            said = response.result.text or f"goal status {response.status}"
            return _Observation(problem=f"no verdict: {said}")
        return _Observation(result=response.result)

    def _cancel(self, handle: Any) -> None:
        answer = handle.cancel_goal_async()
        if self._wait(answer.done, CANCEL_S, even_when_stopping=True):
            self.get_logger().info("told the server to stop watching")

    def _wait_for_server(self) -> bool:
        """Return whether there is a server; False when told to stop first."""
        while not self._wait(self._client.server_is_ready, WAIT_LOG_S):
            if self._stopping or not self.context.ok():
                return False
            self.get_logger().info(f"waiting for the action server {self._server_name}")
        return not self._stopping

    def _pause(self) -> bool:
        """Return False when told to stop."""
        self._wait(lambda: False, self._parameter("pause"))
        return self.context.ok() and not self._stopping

    def _wait(
        self, done: Callable[[], bool], seconds: float, even_when_stopping: bool = False
    ) -> bool:
        """Spin until a condition holds; return whether it does."""
        end = time.monotonic() + seconds
        while not done():
            left = end - time.monotonic()
            if left <= 0 or not self.context.ok() or (self._stopping and not even_when_stopping):
                return done()
            self._executor.spin_once(timeout_sec=min(left, 0.05))
        return True

    def _ranking(self) -> str:
        kinds = sorted(JOKES, key=self.chooser.mean, reverse=True)
        return ", ".join(f"{kind} {self.chooser.mean(kind):.2f}" for kind in kinds)

    def _parameter(self, name: str) -> Any:
        return self.get_parameter(name).value


def main(args: list[str] | None = None) -> int:
    """Tell jokes until their number is reached, or until told to stop."""
    if {"-h", "--help"} & set(sys.argv[1:] if args is None else args):
        print(help_text("joke_behaviour", _PURPOSE, JOKE_PARAMETERS))
        return 0
    stopped = False
    node: JokeBehaviour | None = None

    def on_signal(*_: Any) -> None:
        nonlocal stopped
        stopped = True
        if node is not None:
            node.stop()

    # Not rclpy's handlers: they close the connection at once, and a goal could not be cancelled.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = JokeBehaviour()
        return 0 if stopped else node.run()
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
