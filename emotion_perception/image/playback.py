# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""When the frames of a recording are due: laps, still images and pacing, without ROS."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.demo_clip import DEMO_SECONDS, DEMO_SIZE, demo_frames
from emotion_perception.image.source import (
    Frame,
    FrameSource,
    SourceError,
    first_webcam,
    open_source,
)

DEMO_SOURCE = "demo"
"""Names the generated clip with two faces; a file of that name is ``./demo``."""

STILL_RATE = 10.0
"""A single still image is repeated this often, Hz."""

_DEMO_FPS = 15.0

_log = logging.getLogger(__name__)


def open_any_source(source: str | int, fps: float = 10.0) -> FrameSource:
    """Open a source as `open_source` does, or the generated clip, or the first webcam.

    Args:
        source: as for `open_source`; ``demo`` is the generated clip, an empty string the first
            webcam that delivers a frame.
        fps: frame rate in Hz of a folder of images.

    Raises:
        SourceError: nothing is there, or it can't be read.
    """
    if source == DEMO_SOURCE:
        images = demo_frames(_DEMO_FPS)
        return FrameSource(
            name="demo clip",
            size=DEMO_SIZE,
            _frames=(Frame(i, i / _DEMO_FPS, image) for i, image in enumerate(images)),
            fps=_DEMO_FPS,
            frame_count=round(DEMO_SECONDS * _DEMO_FPS),
        )
    if source == "":
        webcam = first_webcam()
        if webcam is None:
            raise SourceError("no webcam found; name a video, GIF, image or folder, or 'demo'")
        source = webcam
    return open_source(source, fps=fps)


def timed_frames(
    reopen: Callable[[], FrameSource],
    source: FrameSource,
    *,
    rate: float = 0.0,
    loop: bool = False,
    image_duration: float = 3.0,
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Play a recording, lap after lap.

    Args:
        reopen: opens the recording anew for the next lap.
        source: the recording as opened for the first lap; closed at its end.
        rate: frames a second; 0 keeps the recording's own times.
        loop: start again at the end.
        image_duration: seconds that a single still image is shown when not looping, at least
            once.

    Yields:
        Seconds since the first frame at which a frame is due, rising strictly, and its image,
        uint8 BGR (H, W, 3).

    Raises:
        SourceError: the recording breaks off. A looping one that was readable so far starts
            again, with a warning.
    """
    number, offset = 0, 0.0
    while True:
        last, step = 0.0, 1.0 / (source.fps or STILL_RATE)
        still: NDArray[np.uint8] | None = None
        with source:
            try:
                for frame in source:
                    if frame.time > last:
                        last, step = frame.time, frame.time - last
                    yield (number / rate if rate > 0 else offset + frame.time), frame.image
                    number += 1
                    still = frame.image if source.frame_count == 1 else None
            except SourceError as error:
                if not loop or number == 0:
                    raise
                _log.warning("%s; starting again", error)
        if still is not None:
            yield from _repeat(still, number, rate, math.inf if loop else image_duration)
        if not loop:
            return
        offset += last + step
        source = reopen()


def _repeat(
    image: NDArray[np.uint8], number: int, rate: float, seconds: float
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    rate = rate or STILL_RATE
    for index in itertools.count(number):
        if index / rate >= seconds:
            return
        yield index / rate, image


class Pacer:
    """Tells how long to wait for each frame, on a steady clock and without drift.

    A frame that comes late is shown at once, and the next ones catch up, never closer together
    than half their distance in the recording. After a stall of more than one frame the whole
    schedule moves instead: nothing is skipped and there is no burst.

    Args:
        clock: seconds of a clock that is never set.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._start: float | None = None
        self._last = (0.0, 0.0)  # time in the recording, when it was due on the clock

    def delay(self, seconds: float) -> float:
        """Return how many seconds from now the frame at ``seconds`` in the recording is due."""
        now = self._clock()
        if self._start is None:
            self._start, self._last = now - seconds, (seconds, now)
            return 0.0
        gap = max(0.0, seconds - self._last[0])
        due = max(self._start + seconds, self._last[1] + gap / 2)
        if now - due > gap:
            self._start += now - due
        due = max(due, now)
        self._last = (seconds, due)
        return due - now
