# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writing a video by FFmpeg (PyAV): frames keep their own times; it appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.sessions.table import SessionError

TICK: Final = Fraction(1, 60_000)
"""Of a video's clock, seconds. All usual frame rates fall on it, those of NTSC too, and MPEG-4
knows no finer one."""

FORMATS: Final = {".mp4": "mp4", ".mkv": "matroska"}
_MADE_BY: Final = "emotion-perception playback"
_QUALITY: Final = {
    # Without B-frames the order of storing is that of time, and so the last frame's length counts.
    "libx264": {"crf": "20", "preset": "veryfast", "bf": "0"},
    "mpeg4": {"qmin": "2", "qmax": "6"},
}


def check_output(path: Path, *sources: Path) -> None:
    """Refuse a name that no video can be written to, or where something else is.

    Args:
        path: of the video.
        sources: that it is made from.

    Raises:
        SessionError: names what is wrong.
    """
    if path.suffix.lower() not in FORMATS:
        raise SessionError(f"{path}: expected a name that ends in {' or '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise SessionError(f"{path.parent}: no such folder")
    if not os.access(path.parent, os.W_OK):
        raise SessionError(f"{path.parent}: no permission to write in this folder")
    for source in sources:
        if path.exists() and source.exists() and path.samefile(source):
            raise SessionError(f"{path}: would overwrite the recording; choose another name")
    if path.exists() and not _is_ours(path):
        raise SessionError(f"{path}: is another file; move it away or choose another name")


def _is_ours(path: Path) -> bool:
    import av

    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            told = {name.lower(): value for name, value in container.metadata.items()}
    except (av.FFmpegError, OSError, ValueError):
        return False
    return told.get("comment") == _MADE_BY


class VideoFile:
    """A video that is being written; use inside ``with``.

    It is complete after `finish` and gets its name by `keep`; without that nothing is left of it.

    Args:
        path: of the video; see `check_output`.
        size: width and height, pixels, even.

    Raises:
        SessionError: PyAV is not installed.
        OSError: it cannot be written; also raised by the methods.
    """

    def __init__(self, path: Path, size: tuple[int, int]) -> None:
        try:
            import av
        except ImportError:
            raise SessionError(
                f"{path}: writing videos needs PyAV: pip install 'emotion_perception[sessions]'"
            ) from None
        from av.video.reformatter import ColorRange, Colorspace

        self.path = path
        self._beside = path.with_name(f".{path.name}.{os.getpid()}")
        self._last = -1
        self._durations: dict[int, int] = {}  # by time, of the frames that the encoder holds back
        self._errors = av.FFmpegError
        codec = _codec()
        with self._told():
            self._container = av.open(str(self._beside), "w", format=FORMATS[path.suffix.lower()])
        self._container.metadata["comment"] = _MADE_BY
        stream: Any = self._container.add_stream(codec, rate=30, options=_QUALITY[codec])
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        # How the colours are written; players guess differently, by the size.
        stream.codec_context.colorspace = Colorspace.SMPTE170M
        stream.codec_context.color_range = ColorRange.MPEG
        stream.time_base = stream.codec_context.time_base = TICK
        if codec == "mpeg4":
            stream.codec_context.bit_rate = 8 * size[0] * size[1]
        self._stream = stream

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError, ValueError, self._errors):
            self._container.close()
        self._beside.unlink(missing_ok=True)

    def add(self, seconds: float, image: NDArray[np.uint8], duration: float = 0.0) -> None:
        """Add a frame.

        Args:
            seconds: its time in the video; should rise.
            image: uint8 BGR (H, W, 3).
            duration: for how long it is shown, seconds; it counts for the last one.
        """
        import av

        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
        frame = frame.reformat(format="yuv420p")
        self._last = max(round(seconds / TICK), self._last + 1)
        frame.pts, frame.time_base = self._last, TICK
        self._durations[self._last] = max(1, round(duration / TICK))
        with self._told():
            self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is still held back."""
        with self._told():
            self._mux(self._stream.encode(None))
            self._container.close()

    def keep(self) -> None:
        """Give the finished file its name."""
        self._beside.replace(self.path)

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts, 1)
            self._container.mux(packet)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            why = " ".join(str(error.strerror or error).split())
            raise OSError(f"{self.path}: can't be written, {why}") from None


def _codec() -> str:
    """Return the best encoder that this FFmpeg has."""
    import av

    try:
        av.Codec("libx264", "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return "mpeg4"
    return "libx264"
