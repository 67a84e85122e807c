# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The frames of a recording at any moment: forwards as they come, elsewhere by seeking."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.source import Frame, FrameSource, SourceError
from emotion_perception.sessions.recording import open_recording
from emotion_perception.sessions.table import Session, SessionError

_KEPT_BYTES: Final = 200_000_000
_KEPT_FRAMES: Final = 48
_BACK: Final = 8
"""So many frames before the wanted one are read with it: the next key may well be a step back."""

_FORWARD_S: Final = 3.0
"""What lies further ahead is sought instead of read on to."""

_SAME_S: Final = 1e-6
"""Times in tables of text are rounded to that."""

_log = logging.getLogger(__name__)


def check_recording(recording: Path, size: tuple[int, int], session: Session) -> None:
    """Refuse a recording that a table cannot be of, and warn of one by another name.

    Args:
        recording: its path.
        size: width and height of its first frame, pixels.
        session: the table.

    Raises:
        SessionError: its frames have another size.
    """
    info = session.info
    expected = (info.width, info.height)
    if all(expected) and size != expected:
        raise SessionError(
            "{}: {}x{} pixels, but {} is of {}x{} pixels ({}); is it of another recording?".format(
                recording, *size, session.path, *expected, info.recording
            )
        )
    if recording.name != info.recording:
        _log.warning(
            "%s: %s was made of a recording named %s; is this the same one?",
            recording, session.path, info.recording,
        )  # fmt: skip


class Frames:
    """The frames of a recording, by time.

    Use inside ``with``. The frames read last are kept, so that single steps back cost nothing.

    Args:
        path: of the recording.
        indices: int64 (N,), of frames whose times are known, ascending.
        times: float64 (N,), theirs; seconds since the first frame.
        topic: of a bag that has several with images.
        rate: of a folder of images, frames a second; 0 if unknown.
        seek: whether frames can surely be found by their times; else all before them is read.

    Attributes:
        size: width and height of the first frame, pixels.

    Raises:
        SourceError: it cannot be read; also raised by the methods, if it breaks.
    """

    def __init__(
        self, path: Path, indices: NDArray[np.int64], times: NDArray[np.float64], *,
        topic: str | None = None, rate: float = 0.0, seek: bool = True,
    ) -> None:  # fmt: skip
        self._path, self._topic, self._rate = path, topic, rate
        self._may_seek = seek
        self._indices, self._times = indices, times
        self._source: FrameSource | None = None
        self._run: deque[Frame] = deque()  # one after another, without a gap
        self._first = self._ended = False
        self._blank = np.zeros((1, 1, 3), np.uint8)
        try:
            first = self.at(0.0).image
        except BaseException:
            self.close()
            raise
        self.size = (first.shape[1], first.shape[0])

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the recording."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def at(self, seconds: float) -> Frame:
        """Return the frame that is shown at a time: the last one that is not later."""
        if not self._has(seconds):
            ahead = bool(self._run) and seconds >= self._run[-1].time
            if not ahead or (seconds - self._run[-1].time > _FORWARD_S and not self._ended):
                self._seek(seconds)
            while not self._has(seconds):
                self._read()
        return self._run[self._place(seconds)]

    def before(self, frame: Frame) -> Frame:
        """Return the frame before one, or the first."""
        return self.at(max(0.0, frame.time - 1e-6))

    def after(self, frame: Frame) -> Frame | None:
        """Return the frame after one, None behind the last."""
        self.at(frame.time)
        place = self._place(frame.time) + 1
        return self._run[place] if place < len(self._run) else None

    def between(self, start: float, end: float) -> Iterator[tuple[Frame, float | None]]:
        """Yield each frame from ``start`` to before ``end``, and the time of the one after it.

        Where none lies between, it is the one on show at ``start``. The time is None behind the
        last frame of all.
        """
        shown = self.at(start)
        coming = self.after(shown)
        early = shown.time < start - _SAME_S
        frame: Frame | None = shown
        if early and coming is not None and coming.time < end - _SAME_S:
            frame = coming
        first = True
        while frame is not None and (first or frame.time < end - _SAME_S):
            following = self.after(frame)
            yield frame, None if following is None else following.time
            frame, first = following, False

    def _place(self, seconds: float) -> int:
        place = len(self._run) - 1
        while place > 0 and self._run[place].time > seconds + 1e-9:
            place -= 1
        return place

    def _has(self, seconds: float) -> bool:
        """Whether the frame on show at a time is kept, and the one after it."""
        if not self._run:
            return False
        early = self._run[0].time > seconds + 1e-9 and not self._first
        return not early and (self._ended or self._run[-1].time > seconds + 1e-9)

    def _read(self) -> None:
        assert self._source is not None
        try:
            frame = next(self._source, None)
        except SourceError as error:
            if not self._run:
                raise
            _log.warning("%s", error)
            frame = None
        if frame is None:
            self._ended = True
            if not self._run:
                raise SourceError(f"{self._path}: no frame could be read")
            return
        limit = max(_BACK + 2, min(_KEPT_FRAMES, _KEPT_BYTES // max(frame.image.nbytes, 1)))
        self._run.append(frame)
        while len(self._run) > limit:
            self._run.popleft()
            self._first = False

    def _seek(self, seconds: float) -> None:
        """Go to some frames before a time."""
        known = int(np.searchsorted(self._times, seconds + 1e-9, side="right")) - 1 - _BACK
        while True:
            after = None
            if known >= 0:
                after = Frame(int(self._indices[known]), float(self._times[known]), self._blank)
            self._open(after)
            self._read_one()
            if known < 0 or (self._run and self._run[0].time <= seconds + 1e-9):
                return
            known -= 1 + _BACK  # damaged here: what is on show was read longer ago

    def _open(self, after: Frame | None) -> None:
        self.close()
        self._run.clear()
        self._source = open_recording(
            self._path,
            topic=self._topic,
            fps=self._rate or 10.0,
            after=after,
            seek=self._may_seek,
        )
        self._first, self._ended = after is None, False

    def _read_one(self) -> None:
        """Read a first frame, if there is one: behind the last frame there is none."""
        assert self._source is not None
        try:
            frame = next(self._source, None)
        except SourceError:
            if self._first:
                raise
            return
        if frame is not None:
            self._run.append(frame)
        elif self._first:
            raise SourceError(f"{self._path}: no frame could be read")
