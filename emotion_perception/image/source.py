# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames from a webcam, a video, a GIF, an image or a folder of images, without ROS."""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from emotion_perception.image.decode import MAX_PIXELS

IMAGE_SUFFIXES = frozenset(
    {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)

# In stsz: version, size of all samples, their number. In trun, of a fragment: version, number.
_SAMPLES = re.compile(rb"(?:stsz.{8}|trun.{4})(.{4})", re.DOTALL)
_SAMPLES_ALWAYS = 1_000_000
_MOST_INDEX_BYTES = 1 << 26

# A kilobyte may ask for many frames of any size; 8192x8192 took 1.1 s and 1.1 GB for each.
_MOST_GIF_PIXELS = 8 * 2**20

_GIF_DEFAULT_S = 0.1  # what browsers show for the delays of 0 and 10 ms that careless writers leave
_COMPLETE = 0.9  # containers often estimate their length; below this share a video is truncated

TIMES_JUMP = "its time stamps jump back"
"""Noted of a recording in which a time occurs twice."""

_log = logging.getLogger(__name__)


class SourceError(ValueError):
    """A source that can't be opened or read; one line that names it."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    Attributes:
        index: position in the source, from 0; a skipped image of a folder leaves a gap.
        time: seconds since the first frame (a webcam: since it was opened), rising strictly.
        image: uint8 BGR array (H, W, 3).
        scale: that it was shrunk by; its original size is its own divided by it.
    """

    index: int
    time: float
    image: NDArray[np.uint8]
    scale: float = 1.0


@dataclass(frozen=True)
class Unreadable:
    """A part of a recording that could not be read.

    Attributes:
        start: seconds since the first frame.
        end: where it could be read again, or the last known time.
        frames: how many are missing, -1 if nobody can say.
        why: in words.
    """

    start: float
    end: float
    frames: int
    why: str


@dataclass(eq=False)
class FrameSource:
    """An opened source: iterate over it once, inside ``with``.

    Attributes:
        name: what to call it in messages.
        size: (width, height) of the first frame in pixels; later images of a folder may differ.
        live: whether frames come at their own pace and are lost when nobody reads them.
        fps: nominal frame rate in Hz, None when unknown; `Frame.time` is the truth.
        frame_count: frames expected, None when unknown; a container may only estimate it.
        skipped_files: images of a folder that could not be read so far.
        unreadable: parts that could not be read so far, where the kind of source can tell.
        origin: time of the first frame on the clock of whoever recorded it, seconds; None where
            that is unknown.
        started: when it was recorded, ISO 8601, or empty.
        notes: anything else worth knowing of the recording.
        exact: whether the frames so far can surely be found again by their times; not behind
            damage, nor where time stamps jumped back, nor in MPEG streams, where they yet may.
    """

    name: str
    size: tuple[int, int]
    _frames: Iterator[Frame] = field(repr=False)
    live: bool = False
    fps: float | None = None
    frame_count: int | None = None
    skipped_files: list[Path] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    origin: float | None = None
    started: str = ""
    notes: list[str] = field(default_factory=list)
    exact: bool = True
    _release: Callable[[], None] | None = field(default=None, repr=False)

    @property
    def skipped(self) -> int:
        """How many images of a folder could not be read so far."""
        return len(self.skipped_files)

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

    def __enter__(self) -> FrameSource:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the camera or file; further iteration ends at once."""
        self._frames = iter(())
        if self._release is not None:
            self._release()


def open_source(
    source: str | int | Path, *, fps: float = 10.0, every: int = 1, after: Frame | None = None
) -> FrameSource:
    """Open whatever ``source`` names.

    Args:
        source: a webcam (``0``, ``"0"`` or ``"/dev/video0"``), the path of a video, a GIF or an
            image, or a folder of images (taken in natural order, ``2.png`` before ``10.png``).
        fps: frame rate in Hz given to a folder of images; other sources know their own.
        every: of a folder, of so many images one is read.
        after: of a folder, go on after this frame, of which only the index counts.

    Returns:
        A `FrameSource` whose first frame is known to be readable, except for a webcam.

    Raises:
        SourceError: nothing is there, or it can't be read. Also raised while iterating: by a
            video or GIF that ends well before its stated length, after its last good frame; by a
            webcam that stops sending, which may be opened again.
    """
    webcam = _webcam_index(source)
    if webcam is not None:
        return _open_webcam(webcam)
    path = Path(str(source))
    if path.is_dir():
        return _open_folder(path, fps, every, -1 if after is None else after.index)
    if path.exists() and not path.is_file():
        raise SourceError(f"{path}: neither a file, a folder nor a webcam")
    head = read_head(path, "a video or an image")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _open_image(path)
    if head.startswith(b"GIF8") and path.suffix.lower() == ".gif":
        return _open_gif(path)
    if is_text(head):  # FFmpeg would render it, or follow a playlist to other files
        raise SourceError(f"{path}: a text file, expected a video or an image")
    check_samples(path)
    return _open_video(path)


def read_head(path: Path, expected: str) -> bytes:
    """Return how a file begins.

    Args:
        path: of the file.
        expected: what should be there, for the message.

    Raises:
        SourceError: nothing is there, or it is empty or can't be read.
    """
    if not path.exists():
        raise SourceError(f"{path}: no such file or folder")
    if not path.is_file():  # reading a pipe or device would wait for ever
        raise SourceError(f"{path}: not a file, expected {expected}")
    try:
        with path.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise SourceError(f"{path}: can't be read, {error.strerror}") from None
    if not head:
        raise SourceError(f"{path}: empty file, expected {expected}")
    return head


def check_samples(path: Path) -> None:
    """Refuse an MP4 that announces more samples than it can hold.

    FFmpeg makes a list of them as it opens the file, whether they are there or not: 1.5 kB that
    announce fifty million samples took 3 GB and 10 s.

    Raises:
        SourceError: it is such a file.
    """
    length = path.stat().st_size
    most = max(_SAMPLES_ALWAYS, length)
    announced = 0
    with path.open("rb") as file:
        while len(head := file.read(8)) == 8:
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            if size == 1:
                size = int.from_bytes(file.read(8), "big") - 8
            if not kind.isascii() or (size < 8 and size != 0) or size > length:
                return  # no MP4, or damaged from here on
            if kind == b"mdat" or size > _MOST_INDEX_BYTES:
                if size == 0:
                    return
                file.seek(size - 8, os.SEEK_CUR)
                continue
            box = file.read(size - 8 if size else _MOST_INDEX_BYTES)
            announced += sum(int.from_bytes(found[1], "big") for found in _SAMPLES.finditer(box))
            if announced > most:
                raise SourceError(
                    f"{path}: announces {announced} samples, which it can't hold; it is damaged"
                )


def first_webcam(limit: int = 4) -> int | None:
    """Return the first webcam index below ``limit`` that delivers a frame, else None.

    One camera often has several device files, of which only one delivers images.
    """
    for index in range(limit):
        try:
            with _open_webcam(index) as camera:
                next(camera)
        except SourceError:
            continue
        return index
    return None


def _webcam_index(source: str | int | Path) -> int | None:
    if isinstance(source, int):
        return source
    text = str(source)
    if text.isascii() and text.isdigit():
        return int(text)
    if text.startswith("/dev/"):
        # udev's stable names, /dev/v4l/by-id/..., are links to /dev/videoN
        found = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(text))
        return int(found.group(1)) if found else None
    return None


def _open_webcam(index: int) -> FrameSource:
    name = f"webcam {index}"
    if index < 0:
        raise SourceError(f"{name}: expected an index of at least 0")
    linux = sys.platform.startswith("linux")
    if linux:
        device = Path(f"/dev/video{index}")
        if not device.exists():
            raise SourceError(f"{name}: no {device}; ls /dev/video* shows what is connected")
        if not os.access(device, os.R_OK | os.W_OK):
            raise SourceError(f"{name}: no permission for {device}; join the group 'video'")
    with _quiet_opencv():
        capture = cv2.VideoCapture(index, cv2.CAP_V4L2 if linux else cv2.CAP_ANY)
    if not capture.isOpened():
        raise SourceError(
            f"{name}: can't be opened; try another index (ls /dev/video*), close programs that"
            " use it, or join the group 'video'"
        )
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, where the driver can
    return FrameSource(
        name=name,
        size=(
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        ),
        _frames=_webcam_frames(capture, name),
        live=True,
        fps=_rate(capture),
        _release=capture.release,
    )


def _webcam_frames(capture: cv2.VideoCapture, name: str) -> Iterator[Frame]:
    start = time.monotonic()
    for index in itertools.count():
        image = _read(capture)
        if image is None:
            raise SourceError(f"{name}: sends no frames; unplugged, or used by another program")
        yield Frame(index, time.monotonic() - start, image)


def _open_video(path: Path) -> FrameSource:
    with _quiet_opencv():
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise SourceError(f"{path}: not a video that OpenCV can read, or corrupt or truncated")
        width, height = (
            int(capture.get(what)) for what in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if width * height > MAX_PIXELS:
            capture.release()
            raise SourceError(
                f"{path}: {width}x{height} pixels, expected at most {MAX_PIXELS} in all"
            )
        first = _read(capture)
    if first is None:
        capture.release()
        raise SourceError(f"{path}: a video without one readable frame")
    fps = _rate(capture)
    count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
    frame_count = int(count) if 0 < count < 1e9 else None
    return FrameSource(
        name=str(path),
        size=(first.shape[1], first.shape[0]),
        _frames=_video_frames(capture, first, str(path), fps, frame_count),
        fps=fps,
        frame_count=frame_count,
        _release=capture.release,
    )


def _video_frames(
    capture: cv2.VideoCapture,
    first: NDArray[np.uint8],
    name: str,
    fps: float | None,
    frame_count: int | None,
) -> Iterator[Frame]:
    step = 1.0 / (fps or 30.0)
    origin, index, seconds = _stamp(capture), 0, 0.0
    image: NDArray[np.uint8] | None = first
    while image is not None:
        yield Frame(index, seconds, image)
        image = _read(capture)
        stamp = _stamp(capture) - origin
        # Variable frame rates have true stamps; some containers have none, or repeat them.
        last, seconds = seconds, stamp if stamp > seconds else seconds + step
        index += 1
    if frame_count is None or fps is None:
        return
    # Both must say so: either alone may be the container's guess.
    if index < _COMPLETE * frame_count and last + step < _COMPLETE * frame_count / fps:
        raise SourceError(f"{name}: truncated or corrupt, {index} of {frame_count} frames readable")


def _read(capture: cv2.VideoCapture) -> NDArray[np.uint8] | None:
    try:
        good, image = capture.read()
    except cv2.error:  # GStreamer and V4L2 raise where FFmpeg returns False
        return None
    return np.asarray(image, np.uint8) if good else None


def _stamp(capture: cv2.VideoCapture) -> float:
    """Return the time stamp of the frame just read in seconds, NaN where there is none."""
    stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
    return stamp if abs(stamp) < 1e9 else math.nan


def _rate(capture: cv2.VideoCapture) -> float | None:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate <= 1000 else None


def _open_gif(path: Path) -> FrameSource:
    # Pillow, because it gives whole frames and their delays however OpenCV was built.
    try:
        gif = Image.open(path)
        _check_pixels(gif, _MOST_GIF_PIXELS)
        size, count = gif.size, getattr(gif, "n_frames", 1)
        gif.seek(0)
        gif.load()
    except Exception as error:  # Pillow raises almost anything on damaged files
        raise SourceError(f"{path}: not a readable GIF, {line_of(error)}") from None
    return FrameSource(
        name=str(path),
        size=size,
        _frames=_gif_frames(gif, count, str(path)),
        fps=1.0 / _gif_delay(gif),
        frame_count=count,
        _release=gif.close,
    )


def _gif_frames(gif: Image.Image, count: int, name: str) -> Iterator[Frame]:
    seconds = 0.0
    for index in range(count):
        try:
            gif.seek(index)
            image = _to_bgr(gif)
        except Exception as error:
            raise SourceError(
                f"{name}: truncated or corrupt, {index} of {count} frames readable,"
                f" {line_of(error)}"
            ) from None
        yield Frame(index, seconds, image)
        seconds += _gif_delay(gif)


def _gif_delay(gif: Image.Image) -> float:
    """Return how long the current frame is shown, in seconds."""
    delay = float(gif.info.get("duration", 0)) / 1000.0
    return delay if delay > 0.01 else _GIF_DEFAULT_S


def _open_image(path: Path) -> FrameSource:
    image = _read_image(path)
    return FrameSource(
        name=str(path),
        size=(image.shape[1], image.shape[0]),
        _frames=iter([Frame(0, 0.0, image)]),
        frame_count=1,
    )


def _open_folder(folder: Path, fps: float, every: int, after: int) -> FrameSource:
    if not (math.isfinite(fps) and fps > 0):
        raise SourceError(f"{folder}: fps of a folder of images must be above 0, got {fps}")
    try:
        names = sorted(folder.iterdir(), key=_natural)
    except OSError as error:
        raise SourceError(f"{folder}: can't be read, {error.strerror}") from None
    files = [f for f in names if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != "."]
    if not files:
        kinds = " ".join(sorted(IMAGE_SUFFIXES))
        raise SourceError(f"{folder}: a folder without images, expected some of {kinds}")
    source = FrameSource(
        name=str(folder), size=(0, 0), _frames=iter(()), fps=fps, frame_count=len(files)
    )
    frames = _folder_frames(files, fps, source, every, after)
    first = next(frames, None)
    if first is None:
        if after >= 0:  # the last image was told already
            return source
        raise SourceError(f"{folder}: none of {len(files)} images can be read")
    source.size = (first.image.shape[1], first.image.shape[0])
    source._frames = itertools.chain([first], frames)
    return source


def _folder_frames(
    files: list[Path], fps: float, source: FrameSource, every: int, after: int
) -> Iterator[Frame]:
    for index, file in enumerate(files):
        if index <= after or index % every:
            continue
        try:
            image = _read_image(file)
        except SourceError as error:
            source.skipped_files.append(file)
            source.unreadable.append(
                Unreadable(index / fps, (index + 1) / fps, 1, f"{file.name}: not a readable image")
            )
            _log.warning("skipped %s", error)
            continue
        yield Frame(index, index / fps, image)


def _natural(path: Path) -> tuple[list[str | int], str]:
    """Sort key by the numbers in a name: frame2 before frame10."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], path.name


def _read_image(path: Path) -> NDArray[np.uint8]:
    """Read a still image upright (EXIF) as BGR; unlike OpenCV, Pillow refuses truncated ones."""
    try:
        with Image.open(path) as image:
            _check_pixels(image)
            image.load()
            return _to_bgr(ImageOps.exif_transpose(image) or image)
    except Exception as error:  # Pillow raises almost anything on damaged files
        raise SourceError(f"{path}: not a readable image, {line_of(error)}") from None


def _check_pixels(image: Image.Image, most: int = MAX_PIXELS) -> None:
    width, height = image.size
    if width * height > most:
        raise ValueError(f"{width}x{height} pixels, expected at most {most} in all")


def _to_bgr(image: Image.Image) -> NDArray[np.uint8]:
    """Convert any Pillow image to BGR: 16 bits are scaled, transparency shows white."""
    if image.mode.startswith("I"):
        grey = np.asarray(image).clip(0, 65535).astype(np.uint16)
        image = Image.fromarray(cv2.convertScaleAbs(grey, alpha=255.0 / 65535.0))
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)


def is_text(head: bytes) -> bool:
    """Whether a file that begins so is a text."""
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # only cut within its last character
    return True


def line_of(error: Exception) -> str:
    """Return what an error says in one line; its kind where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep what OpenCV prints while it probes for backends off stderr: we raise instead."""
    # FFmpeg's level is read once, when OpenCV loads it; -8 is AV_LOG_QUIET.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    utils = getattr(cv2, "utils", None)
    module: Any = getattr(utils, "logging", cv2)  # OpenCV 4.6 has the functions on top
    if not hasattr(module, "setLogLevel"):
        yield
        return
    before = module.setLogLevel(0)
    try:
        yield
    finally:
        module.setLogLevel(before)
