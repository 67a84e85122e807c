# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The action server of ObserveReaction.

Everything here runs in the executor's thread except `add`, which the worker calls. What is kept of
the past is numbers: no image.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from emotion_perception.action import ObserveReaction
from emotion_perception.msg import UserReaction
from emotion_perception.observation_log import append_line, drop_old_lines
from emotion_perception.reaction.observation import (
    BASELINE_S,
    HISTORY_S,
    WINDOW_S,
    MomentRing,
    Observation,
    Outcome,
    describe,
    length_problem,
    mean_change,
    nothing,
    observe,
)
from emotion_perception.reaction.reaction import FaceReaction, Reason

TICK_S: Final = 0.05
FEEDBACK_S: Final = 0.25
GRACE_S: Final = 0.5
"""After the window, how long to wait for frames that are still on their way."""
DROP_EVERY_S: Final = 3600.0
"""How often old lines are looked for in the log."""

_MOST_GOALS: Final = 32
_CLOCKS_AGREE_S: Final = 2.0
_KEPT_S: Final = WINDOW_S[1]
_AHEAD_S: Final = 30.0
"""How old and how far ahead a start may be."""


@dataclass(eq=False)
class _Watch:
    """One goal that is being watched; times in seconds of the images' stamps."""

    handle: Any
    done: Future
    start: float
    baseline: float
    end: float
    face_id: str
    next_feedback: float = 0.0


@dataclass(eq=False)
class _Newest:
    """What the last frame said."""

    stamp: float = -math.inf
    offset: float = 0.0
    partner: str = ""
    message_of: Callable[[str], UserReaction] = field(default=lambda _: UserReaction())
    threshold: float = 1.0


class ObservationServer:
    """Answers ObserveReaction goals from what the worker has seen.

    Args:
        node: whose action it is.
        why_not_looking: says why no frames are looked at; empty while they are.
        log: file that results are appended to, or empty.
        on_failure: told when the log cannot be written.
        name: of the action.
        log_days: how long lines stay in the log; 0 keeps them.
    """

    def __init__(
        self, node: Node, why_not_looking: Callable[[], str], log: Callable[[], str],
        on_failure: Callable[[str], None], name: str = "~/observe_reaction",
        log_days: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self._node = node
        self._why_not_looking = why_not_looking
        self._log = log
        self._on_failure = on_failure
        self._log_days = log_days
        self._dropped_at = -math.inf
        self._lock = threading.Lock()
        self._ring = MomentRing(HISTORY_S + BASELINE_S[1] + _KEPT_S)
        self._newest = _Newest()
        self._jumped = False
        self._watches: list[_Watch] = []
        self._timer = node.create_timer(
            TICK_S, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._timer.cancel()
        self._drop_timer = node.create_timer(
            DROP_EVERY_S, self._drop_old, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        self._server = ActionServer(
            node, ObserveReaction, name, self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )  # fmt: skip

    # The worker's thread.

    def add(
        self, stamp: float, reactions: list[FaceReaction],
        message_of: Callable[[str], UserReaction], threshold: float,
    ) -> None:  # fmt: skip
        """Note what a frame said.

        Args:
            stamp: time of the frame, seconds.
            reactions: of its faces.
            message_of: says what is to be told of a face id, of nobody where it is not there.
            threshold: least probability that counts as an answer.
        """
        now = self._now()
        partner = next((r.face_id for r in reactions if r.is_partner), "")
        with self._lock:
            if not self._ring.add_frame(stamp, reactions):
                self._jumped = True
            self._newest = _Newest(stamp, stamp - now, partner, message_of, threshold)

    # The executor's thread.

    def interrupt(self, why: str) -> None:
        """End all goals: what is missing will not come."""
        for watch in list(self._watches):
            self._finish(watch, Outcome.INTERRUPTED, why)

    def forget(self) -> None:
        """Forget what was seen."""
        with self._lock:
            self._ring.clear()
            self._newest = _Newest()
            self._jumped = False

    def destroy(self) -> None:
        """End all goals and the action."""
        self.interrupt("the node ends")
        self._node.destroy_timer(self._timer)
        self._node.destroy_timer(self._drop_timer)
        self._server.destroy()

    async def _execute(self, handle: Any) -> Any:
        request = handle.request
        problem = self._why_not_looking() or _problem(request, self._image_now())
        if not problem and len(self._watches) >= _MOST_GOALS:
            problem = f"{_MOST_GOALS} actions are being observed already"
        if problem:
            return self._answer(handle, nothing(Outcome.REFUSED), problem)
        watch = self._watch(handle)
        self._watches.append(watch)
        self._timer.reset()
        return await watch.done

    def _watch(self, handle: Any) -> _Watch:
        request = handle.request
        with self._lock:
            if not self._watches:
                self._jumped = False  # a jump from before concerns nobody
        start = _seconds(request.start) or self._image_now()
        baseline = _seconds(request.baseline) or BASELINE_S[0]
        window = _seconds(request.window) or WINDOW_S[0]
        return _Watch(handle, Future(), start, baseline, start + window, request.face_id)

    def _tick(self) -> None:
        with self._lock:
            jumped, self._jumped = self._jumped, False
        if jumped:
            self.interrupt("time jumped back")
        for watch in list(self._watches):
            self._look_at(watch)
        if not self._watches:
            self._timer.cancel()

    def _look_at(self, watch: _Watch) -> None:
        with self._lock:
            newest = self._newest
        if watch.handle.is_cancel_requested:
            self._watches.remove(watch)
            # Before the first frame, and before the start, there is no time to look at.
            found = self._observe(watch, max(min(newest.stamp, watch.end), watch.start))
            watch.done.set_result(self._answer(watch.handle, found, "", watch, cancelled=True))
            return
        now = self._image_now()
        if newest.stamp >= watch.end or now >= watch.end + GRACE_S:
            self._finish(watch, None, "")
            return
        if not watch.face_id and newest.stamp >= watch.start:
            watch.face_id = newest.partner
        if now >= watch.next_feedback:
            watch.next_feedback = now + FEEDBACK_S
            self._tell(watch, newest, now)

    def _finish(self, watch: _Watch, outcome: Outcome | None, why: str) -> None:
        self._watches.remove(watch)
        found = self._observe(watch, watch.end) if outcome is None else nothing(outcome)
        watch.done.set_result(self._answer(watch.handle, found, why, watch))

    def _observe(self, watch: _Watch, end: float) -> Observation:
        with self._lock:
            moments = self._ring.between(watch.start - max(HISTORY_S, watch.baseline), end)
            threshold = self._newest.threshold
        return observe(moments, watch.face_id, watch.start, watch.baseline, end, threshold)

    def _tell(self, watch: _Watch, newest: _Newest, now: float) -> None:
        with self._lock:
            moments = self._ring.between(watch.start - watch.baseline, watch.end)
        change, frames = mean_change(moments, watch.face_id, watch.start)
        watch.handle.publish_feedback(
            ObserveReaction.Feedback(
                elapsed=max(now - watch.start, 0.0),
                now=newest.message_of(watch.face_id),
                change=change,
                response_frames=frames,
            )
        )

    def _answer(
        self, handle: Any, found: Observation, why: str, watch: _Watch | None = None,
        cancelled: bool = False,
    ) -> Any:  # fmt: skip
        """Fill the result, log it, and end the goal."""
        request = handle.request
        with self._lock:
            newest = self._newest
        last = newest.message_of(found.face_id)
        result = ObserveReaction.Result(
            outcome=int(found.outcome),
            action_id=request.action_id,
            verdict=_verdict(found, last),
            baseline=found.baseline,
            response=found.response,
            change=found.change,
            change_low=found.interval[0],
            change_high=found.interval[1],
            onset=found.onset,
            baseline_frames=found.baseline_frames,
            response_frames=found.response_frames,
            missed_frames=found.missed_frames,
            text=why or describe(found),
        )
        self._write(result, watch)
        # A client that went away must not take the others' answers with it.
        if cancelled:
            handle.canceled()
        elif found.outcome is Outcome.OBSERVED:
            handle.succeed()
        else:
            handle.abort()
        self._node.get_logger().info(f"action {request.action_id!r}: {result.text}")
        return result

    def _write(self, result: Any, watch: _Watch | None) -> None:
        path = self._log()
        if not path or watch is None:
            return
        verdict = result.verdict
        line = {
            "time": datetime.fromtimestamp(watch.start, timezone.utc).isoformat(),
            "action_id": result.action_id,
            "patient_id": verdict.patient_id,
            "model_id": verdict.model_id,
            "face_id": verdict.face_id,
            "outcome": Outcome(result.outcome).name,
            "reaction": ("UNKNOWN", "NEGATIVE", "NEUTRAL", "POSITIVE")[verdict.reaction],
            "reason": Reason(verdict.reason).name,
            "baseline": [_number(value) for value in result.baseline],
            "response": [_number(value) for value in result.response],
            "change": _number(result.change),
            "change_interval": [_number(result.change_low), _number(result.change_high)],
            "onset": _number(result.onset),
            "baseline_frames": result.baseline_frames,
            "response_frames": result.response_frames,
            "missed_frames": result.missed_frames,
            "text": result.text,
        }
        try:
            append_line(Path(path).expanduser(), json.dumps(line, ensure_ascii=False))
        except OSError as error:
            self._on_failure(f"observation_log {path}: {error.strerror or error}")
            return
        # The first line after a start: the robot may be off before the timer comes.
        if time.monotonic() - self._dropped_at >= DROP_EVERY_S:
            self._drop_old()

    def _drop_old(self) -> None:
        """Take lines out of the log that have been there for long enough."""
        path, days = self._log(), self._log_days()
        if not path or days <= 0:
            return
        self._dropped_at = time.monotonic()
        before = datetime.now(timezone.utc) - timedelta(days=days)
        try:
            drop_old_lines(Path(path).expanduser(), before)
        except FileNotFoundError:
            pass  # nothing was observed yet
        except OSError as error:
            self._on_failure(f"observation_log {path}: {error.strerror or error}")

    def _image_now(self) -> float:
        """Return the time that an image taken now would be stamped with."""
        with self._lock:
            offset = self._newest.offset
        # Another clock, as of a recording that is played without its time.
        return self._now() + (offset if abs(offset) > _CLOCKS_AGREE_S else 0.0)

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) * 1e-9


def _problem(request: Any, now: float) -> str:
    """Say what is wrong with a goal that comes ``now``, seconds of the images' clock."""
    if problem := length_problem(_seconds(request.baseline), _seconds(request.window)):
        return problem
    start = _seconds(request.start)
    if start < 0:
        return f"start: expected a time or 0 for now, got {start:g}"
    if start and start - now > _AHEAD_S:
        return f"start: is {start - now:.0f} s ahead, expected at most {_AHEAD_S:g} s"
    if start and now - start > _KEPT_S:
        return f"start: was {now - start:.0f} s ago, expected at most {_KEPT_S:g} s"
    return ""


def _verdict(found: Observation, last: UserReaction) -> UserReaction:
    negative, neutral, positive = (float(value) for value in found.verdict)
    return UserReaction(
        header=last.header,
        reaction=int(found.reaction),
        reason=int(found.reason),
        p_negative=negative,
        p_neutral=neutral,
        p_positive=positive,
        confidence=max(negative, neutral, positive),
        valence=positive - negative,
        face_id=found.face_id,
        patient_id=last.patient_id,
        roi=last.roi,
        model_id=last.model_id,
        latency=last.latency,
    )


def _seconds(value: Any) -> float:
    return float(value.sec) + float(value.nanosec) * 1e-9


def _number(value: float) -> float | None:
    return round(float(value), 4) if math.isfinite(value) else None
