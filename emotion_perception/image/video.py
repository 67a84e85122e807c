# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recorded videos by FFmpeg (PyAV): exact times, damage skipped and told, upright, not interlaced.

OpenCV reads videos too, and the camera half of this package uses it. It ends at the first damaged
part, tells a variable frame rate only roughly, and leaves the combs of interlaced video.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.decode import MAX_PIXELS
from emotion_perception.image.source import (
    TIMES_JUMP,
    Frame,
    FrameSource,
    SourceError,
    Unreadable,
    check_samples,
    is_text,
    read_head,
)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from av.video.stream import VideoStream

_COMPLETE: Final = 0.9  # below this share of its stated length a video is truncated
_HELD: Final = 8  # frames between two that refer to no later one
_JUMP_S: Final = 1.0  # by which a time stamp may be early without a word
_NO: Final = np.empty((0, 0, 3), np.uint8)
_TURNS: Final = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE, -90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}  # fmt: skip


def open_video(
    path: Path, *, every: int = 1, after: Frame | None = None, threads: int = 2,
    max_side: int | None = None, seek: bool = True,
) -> FrameSource:  # fmt: skip
    """Open a video file.

    Args:
        path: of the file.
        every: of so many frames one is told; the others are decoded only as far as that needs.
        after: go on after this frame, of which only index and time count; every of its index must
            be what it was when that frame was told.
        threads: that decode.
        max_side: larger frames are shrunk to this longer side, pixels; see `Frame.scale`.
        seek: whether that frame may be looked for by its time, see `FrameSource.exact`; else all
            before it is decoded again.

    Returns:
        A source that skips what is damaged and lists it in ``unreadable``; times are those of the
        file, which may come at uneven distances. ``size`` is that of the upright frames before they
        are shrunk.

    Raises:
        SourceError: PyAV is not installed; the file is missing, of another kind or has no video.
    """
    try:
        import av  # noqa: F401 - to say in a line that it is missing
    except ImportError:
        raise SourceError(
            f"{path}: reading videos needs PyAV: pip install 'emotion_perception[sessions]'"
        ) from None
    # FFmpeg would render a text, or follow a playlist to other files.
    if is_text(read_head(path, "a video")):
        raise SourceError(f"{path}: a text file, expected a video")
    check_samples(path)
    logging.getLogger("libav").setLevel(logging.CRITICAL)  # we tell what went wrong ourselves
    reader = _Reader(path, every, max(1, threads), max_side, seek)
    try:
        if after is None:
            if next(reader.frames(None), None) is None:
                raise SourceError(f"{path}: a video without one readable frame")
            reader.reopen()
        reader.source._frames = reader.frames(after)
    except BaseException:
        reader.close()
        raise
    return reader.source


class _Reader:
    """Frames of one opened file; see open_video."""

    def __init__(
        self, path: Path, every: int, threads: int, max_side: int | None, seek: bool
    ) -> None:
        self._path = path
        self._seek = seek
        self._threads = threads
        self._every = every
        self._max_side = max_side
        self._container, self._stream = self._open()
        self.source = FrameSource(
            name=str(path),
            size=(0, 0),
            _frames=iter(()),
            fps=_rate(self._stream),
            frame_count=self._stream.frames or None,
            started=_started(self._container),
            exact=not _may_repeat(self._container),
            _release=self.close,
        )
        self._step = 1 / (self.source.fps or 30.0)
        self._origin: float | None = None
        self._reformatter: VideoReformatter | None = None

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def reopen(self) -> None:
        """Begin anew: seeking to the start does not lead there in every file."""
        self.close()
        self._container, self._stream = self._open()

    def _open(self) -> tuple[InputContainer, VideoStream]:
        import av

        try:
            # The scheme keeps "14:30.mp4" from being one.
            container = av.open(f"file:{self._path}", metadata_errors="ignore")
        except (av.FFmpegError, OSError, ValueError) as error:
            raise SourceError(f"{self._path}: not a readable video, {_line(error)}") from None
        try:
            stream = _video_stream(self._path, container)
            stream.thread_type = "AUTO"
            stream.codec_context.thread_count = self._threads
            # FFmpeg then refuses larger frames before it takes memory for them.
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            _check_size(str(self._path), stream)
        except BaseException:
            container.close()
            raise
        return container, stream

    def frames(self, after: Frame | None) -> Iterator[Frame]:
        """Yield the frames that are told, after one of them if there is one."""
        import av

        self.source.unreadable.clear()
        index, seconds = -1, -self._step
        bad, why = 0, ""
        told, told_at = (-1, -self._step) if after is None else (after.index, after.time)
        sought = None if after is None else self._sought(after)
        if after is not None and sought is not None:
            index, seconds = after.index, after.time
        for frame, problem in self._checked(sought or self._decoded()):
            index += 1
            if frame is None:
                if self._threads > 1:
                    # What several threads make of damage is not always the same.
                    self._threads, self._seek = 1, False
                    self.reopen()
                    yield from self.frames(Frame(max(told, index - 1), max(told_at, seconds), _NO))
                    return
                self.source.exact = False
                bad, why = bad + 1, problem
                continue
            before, seconds = seconds, self._time(frame, seconds)
            if bad:
                # What is behind the damage may be lost without a word.
                lost = max(bad, round((seconds - before) / self._step) - 1)
                index += lost - bad
                self._note(Unreadable(max(before, 0.0), max(seconds, 0.0), lost, why))
                bad = 0
            if index <= told or seconds <= told_at:
                self.source.unreadable.clear()  # told already
                continue
            if index % self._every:
                continue
            try:
                image, scale = self._image(frame)
            except (av.FFmpegError, OSError, ValueError) as error:  # colours that nobody converts
                self.source.exact = False
                bad, why = bad + 1, f"frames that can't be shown ({_line(error)})"
                continue
            yield Frame(index, seconds, image, scale)
        if index >= 0 or bad:
            self._check_end(index + 1, seconds, bad, why)

    def _decoded(self) -> Iterator[tuple[VideoFrame | None, str]]:
        """Yield frames in the order of time; None and why for one that cannot be read."""
        import av

        combed: _Deinterlacer | None = None
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.FFmpegError, OSError) as error:
                yield None, _line(error)
                return
            try:
                frames = packet.decode()
            except (av.FFmpegError, OSError) as error:
                yield None, _line(error)
                continue
            for frame in frames:
                if frame.is_corrupt:
                    yield None, "damaged frames"
                    continue
                _check_size(self.source.name, frame)
                if combed is not None and not combed.fits(frame):
                    yield from ((whole, "") for whole in combed.add(None))
                    combed = _Deinterlacer(self._stream, frame)
                if combed is None and frame.interlaced_frame:
                    combed = _Deinterlacer(self._stream, frame)
                    self._remark("interlaced: the combs were taken out")
                if combed is None:
                    yield frame, ""
                else:
                    yield from ((whole, "") for whole in combed.add(frame))
        if combed is not None:
            yield from ((whole, "") for whole in combed.add(None))

    def _checked(
        self, decoded: Iterator[tuple[VideoFrame | None, str]]
    ) -> Iterator[tuple[VideoFrame | None, str]]:
        """With several threads, hold back frames that refer to a later one until that is whole."""
        if self._threads == 1 or not self._stream.codec_context.has_b_frames:
            yield from decoded
            return
        held: deque[tuple[VideoFrame | None, str]] = deque()
        for item in decoded:
            if item[0] is None:
                yield item
                return
            held.append(item)
            if len(held) > _HELD:
                yield held.popleft()
        yield from held

    def _sought(self, after: Frame) -> Iterator[tuple[VideoFrame | None, str]] | None:
        """Go to just behind a frame by the file's index; None, at the start, if that fails."""
        if not self._seek:
            return None
        first = next((frame for frame, _ in self._decoded() if frame is not None), None)
        if first is None:
            raise SourceError(f"{self.source.name}: a video without one readable frame")
        self._time(first, -self._step)
        if first.time is not None and not first.interlaced_frame:
            wanted = (self._origin or 0.0) + after.time
            # A second before it, so that the frame itself is whole whatever it refers to.
            decoded = self._decoded_from(wanted - 1.0)
            for frame, _ in decoded:
                if frame is None:
                    continue
                seconds = self._time(frame, -self._step)
                if seconds > after.time + 1e-6:
                    break  # the index led too far
                if seconds > after.time - 1e-6:
                    return decoded
        self.reopen()
        return None

    def _decoded_from(self, seconds: float) -> Iterator[tuple[VideoFrame | None, str]]:
        """Seek to a frame that is whole, at or before a time of the file, and decode from there."""
        import av

        base = float(self._stream.time_base or 0)
        if seconds > (self._origin or 0.0) and base:
            try:
                self._container.seek(int(seconds / base), stream=self._stream)
            except (av.FFmpegError, OSError):
                self.reopen()
        else:
            self.reopen()
        return self._decoded()

    def _time(self, frame: VideoFrame, before: float) -> float:
        """Return when a frame is shown, seconds since the first; rising strictly."""
        stamp = frame.time if frame.time is not None else math.nan
        if self._origin is None:
            self._origin = 0.0 if math.isnan(stamp) else stamp
        seconds = stamp - self._origin
        if seconds <= before:
            self.source.exact = False
            if seconds < before - _JUMP_S:
                self._remark(TIMES_JUMP)
        return seconds if seconds > before else before + self._step

    def _image(self, frame: VideoFrame) -> tuple[NDArray[np.uint8], float]:
        """Return the upright image, uint8 BGR (H, W, 3), and what it was shrunk by."""
        turn = _TURNS.get(frame.rotation)
        width, height = frame.width, frame.height
        if self.source.size == (0, 0):  # it may change later on
            self.source.size = (height, width) if abs(frame.rotation) == 90 else (width, height)
        scale = min(1.0, (self._max_side or max(width, height)) / max(width, height))
        if self._reformatter is None:
            from av.video.reformatter import VideoReformatter

            self._reformatter = VideoReformatter()  # one for all: each needs to be set up
        bgr = self._reformatter.reformat(
            frame, max(2, round(width * scale)), max(2, round(height * scale)), "bgr24", threads=1
        )
        image: NDArray[Any] = bgr.to_ndarray()
        if turn is not None:
            self._remark("rotated by what its file says")
            image = cv2.rotate(image, turn)
        return np.asarray(image, np.uint8), scale

    def _remark(self, note: str) -> None:
        if note not in self.source.notes:
            self.source.notes.append(note)

    def _note(self, part: Unreadable) -> None:
        parts = self.source.unreadable
        before = parts[-1] if parts else None
        goes_on = before is not None and (before.end, before.why) == (part.start, part.why)
        if before is not None and goes_on and min(before.frames, part.frames) > 0:
            parts.pop()
            frames = before.frames + part.frames
            part = Unreadable(before.start, part.end, frames, part.why)
        parts.append(part)

    def _length(self, otherwise: float) -> float:
        """Return how long the file says its video is, seconds from the first frame."""
        import av

        base, stream, container = self._stream.time_base, self._stream, self._container
        if container.format.name == "avi" and stream.frames:
            return max(stream.frames * self._step, otherwise)  # its duration is a guess
        if stream.duration and base:
            end = float((stream.duration + (stream.start_time or 0)) * base)
        elif told := _seconds(stream.metadata.get("DURATION", "")):
            end = told  # Matroska's; its container's is that of the sound, if that is longer
        elif container.duration:
            end = (container.duration + (container.start_time or 0)) / av.time_base
        else:
            return otherwise
        return max(end - (self._origin or 0.0), otherwise)

    def _check_end(self, count: int, seconds: float, bad: int, why: str) -> None:
        """Note what is missing at the end: what was damaged, or if length and number say so."""
        expected = self.source.frame_count
        length = self._length(seconds)
        few = expected is None or count - bad < _COMPLETE * expected
        if few and seconds + self._step < _COMPLETE * length:
            missing = -1 if expected is None else expected - count + bad
            why = why if bad else "truncated: the end is missing"
            self._note(Unreadable(max(seconds, 0.0), length, missing, why))
        elif bad:
            self._note(Unreadable(max(seconds, 0.0), length, bad, why))


class _Deinterlacer:
    """FFmpeg's bwdif, which makes one whole frame of two half ones."""

    def __init__(self, stream: VideoStream, frame: VideoFrame) -> None:
        from av.filter import Graph

        self._kind = _kind(frame)
        self._graph = Graph()
        source = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=stream.time_base
        )
        weave = self._graph.add("bwdif", "mode=send_frame:deint=interlaced")
        sink = self._graph.add("buffersink")
        source.link_to(weave)
        weave.link_to(sink)
        self._graph.configure()

    def fits(self, frame: VideoFrame) -> bool:
        """Whether a frame is of the size and format of those before it."""
        return _kind(frame) == self._kind

    def add(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Yield what is ready after one more frame; None is the end."""
        import av

        self._graph.push(frame)
        while True:
            try:
                whole: Any = self._graph.pull()
            except (BlockingIOError, av.EOFError):
                return
            yield whole


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        kind = "only sound" if container.streams.audio else "no video"
        raise SourceError(f"{path}: {kind} in it, expected a video")
    stream = streams[0]
    if stream.codec_context is None:
        raise SourceError(f"{path}: its video is of a kind that FFmpeg can't decode")
    return stream


def _check_size(name: str, frame: VideoFrame | VideoStream) -> None:
    if frame.width * frame.height > MAX_PIXELS:
        raise SourceError(
            f"{name}: {frame.width}x{frame.height} pixels, expected at most {MAX_PIXELS} in all"
        )


def _may_repeat(container: InputContainer) -> bool:
    """Whether the same time stamp may come again, as in MPEG streams that were put together."""
    from av.format import Flags

    return Flags.ts_discont in Flags(container.format.flags)


def _rate(stream: VideoStream) -> float | None:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= 1000:
            return float(rate)
    return None


def _seconds(told: str) -> float:
    """Return the seconds of a text such as 00:01:02.500000000; 0 for any other."""
    try:
        hours, minutes, seconds = map(float, told.split(":"))
    except ValueError:
        return 0.0
    total = 3600 * hours + 60 * minutes + seconds
    return total if math.isfinite(total) else 0.0


def _started(container: InputContainer) -> str:
    told = container.metadata.get("creation_time", "")
    # 1970 and 1904 are what cameras write that do not know.
    return told if told[:2] == "20" and len(told) < 40 else ""


def _line(error: Exception) -> str:
    text = str(error)
    with contextlib.suppress(IndexError, AttributeError):
        text = getattr(error, "strerror", "") or text
    return " ".join(text.split()) or type(error).__name__
