# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Counters of the node, shared between its threads."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

WINDOW_S = 10.0
"""Rates and latencies are those of this many last seconds."""


@dataclass(frozen=True)
class Snapshot:
    """The counters at one moment.

    Attributes:
        received: images that came since the node was activated.
        judged: images that were answered.
        dropped: images replaced by a newer one before anybody looked at them.
        skipped: images that max_rate left out.
        stale: images older than max_frame_age.
        bad: images that could not be decoded.
        failed: images on which the pipeline raised an error.
        not_looked: times that the node told that it had nothing new to tell.
        restarted: times that the worker and its networks were made anew.
        refused: parameters and models that were refused since the start.
        rate_in: images received a second.
        rate_out: answers a second.
        latency_p50: seconds from an image's stamp to its answer, median; NaN without answers.
        latency_p99: the same, 99th percentile.
        image_age: seconds since the last image came; infinite before the first.
        answer_age: seconds since the last answer; infinite before the first.
        last_error: the last line about a bad image or failure.
        error_age: seconds since then; infinite without one.
    """

    received: int
    judged: int
    dropped: int
    skipped: int
    stale: int
    bad: int
    failed: int
    not_looked: int
    restarted: int
    refused: int
    rate_in: float
    rate_out: float
    latency_p50: float
    latency_p99: float
    image_age: float
    answer_age: float
    last_error: str
    error_age: float


@dataclass
class Statistics:
    """Counts what happens to images; every method may be called from any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _counts: dict[str, int] = field(default_factory=dict)
    _received: deque[float] = field(default_factory=deque)
    _answers: deque[tuple[float, float]] = field(default_factory=deque)
    _last_image: float = -np.inf
    _last_answer: float = -np.inf
    _last_error: str = ""
    _last_error_at: float = -np.inf

    def reset(self) -> None:
        """Start over, except for what was refused."""
        with self._lock:
            self._counts = {"refused": self._counts.get("refused", 0)}
            self._received.clear()
            self._answers.clear()
            self._last_image = self._last_answer = -np.inf
            self._last_error, self._last_error_at = "", -np.inf

    def count(self, what: str, error: str = "") -> None:
        """Count one more of what `Snapshot` has; a line about it is kept as the last error."""
        with self._lock:
            self._counts[what] = self._counts.get(what, 0) + 1
        if error:
            self.note_error(error)

    def note_error(self, line: str) -> None:
        """Keep a line as the last error."""
        with self._lock:
            self._last_error, self._last_error_at = line, time.monotonic()

    def image_received(self) -> None:
        """Note that an image came."""
        now = time.monotonic()
        with self._lock:
            self._counts["received"] = self._counts.get("received", 0) + 1
            self._received.append(now)
            self._last_image = now
            self._forget(now)

    def image_judged(self, latency: float) -> None:
        """Note that an image was answered ``latency`` seconds after its stamp."""
        now = time.monotonic()
        with self._lock:
            self._counts["judged"] = self._counts.get("judged", 0) + 1
            self._answers.append((now, latency))
            self._last_answer = now
            self._forget(now)

    def snapshot(self) -> Snapshot:
        """Return the counters as they are now."""
        now = time.monotonic()
        with self._lock:
            self._forget(now)
            latencies = np.array([latency for _, latency in self._answers])
            p50, p99 = (
                (float(v) for v in np.percentile(latencies, [50, 99]))
                if len(latencies)
                else (np.nan, np.nan)
            )
            return Snapshot(
                **{
                    name: self._counts.get(name, 0)
                    for name in (
                        "received", "judged", "dropped", "skipped", "stale", "bad", "failed",
                        "not_looked", "restarted", "refused",
                    )
                },
                rate_in=_rate(list(self._received), now),
                rate_out=_rate([when for when, _ in self._answers], now),
                latency_p50=p50,
                latency_p99=p99,
                image_age=now - self._last_image,
                answer_age=now - self._last_answer,
                last_error=self._last_error,
                error_age=now - self._last_error_at,
            )  # fmt: skip

    def interval(self) -> float:
        """Return seconds between the last images, the median of five pauses; 0 without any."""
        with self._lock:
            last = list(itertools.islice(reversed(self._received), 6))
        return _median_pause(last)

    def answer_interval(self) -> float:
        """Return the same of the answers."""
        with self._lock:
            last = [at for at, _ in itertools.islice(reversed(self._answers), 6)]
        return _median_pause(last)

    def rate_out(self) -> float:
        """Return answers a second."""
        now = time.monotonic()
        with self._lock:
            return _rate([when for when, _ in self._answers], now)

    def _forget(self, now: float) -> None:
        while self._received and self._received[0] < now - WINDOW_S:
            self._received.popleft()
        while self._answers and self._answers[0][0] < now - WINDOW_S:
            self._answers.popleft()


def _median_pause(newest_first: list[float]) -> float:
    pauses = [later - at for later, at in itertools.pairwise(newest_first)]
    return float(np.median(pauses)) if pauses else 0.0


def _rate(times: list[float], now: float) -> float:
    """Return events a second; the window is shorter at the start."""
    if not times:
        return 0.0
    return len(times) / max(now - times[0], 1.0)
