# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Any recording, frame by frame: videos, GIFs, folders of images, ROS 2 bags."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from emotion_perception.image.bag import is_bag, open_bag
from emotion_perception.image.source import (
    IMAGE_SUFFIXES,
    Frame,
    FrameSource,
    SourceError,
    open_source,
)
from emotion_perception.image.video import open_video

VIDEO_SUFFIXES = frozenset(
    {
        ".avi",
        ".gif",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".ts",
        ".webm",
        ".wmv",
    }
)
"""What is looked for in folders; a file that is named may end in anything."""


def open_recording(
    path: Path, *, topic: str | None = None, fps: float = 10.0, every: int = 1,
    after: Frame | None = None, threads: int = 2, max_side: int | None = None,
    seek: bool = True,
) -> FrameSource:  # fmt: skip
    """Open a recording.

    Args:
        path: a video or GIF, a bag (a folder with ``metadata.yaml``, ``.mcap`` or ``.db3``), an
            image or a folder of images (in natural order).
        topic: image topic of a bag that has several.
        fps: frames a second of a folder of images.
        every: of so many frames one is told.
        after: go on after this frame, of which only index and time count.
        threads: that decode a video.
        max_side: larger frames are shrunk to this longer side, pixels; see `Frame.scale`.
        seek: whether that frame of a video may be looked for by its time, see `FrameSource.exact`.

    Raises:
        SourceError: one line that names it; nothing is there, or it can't be read.
    """
    if every < 1:
        raise ValueError(f"every: expected at least 1, got {every}")
    if is_bag(path):
        source = open_bag(path, topic, every=every, after=after)
    elif path.is_dir():
        source = open_source(path, fps=fps, every=every, after=after)
    elif path.suffix.lower() in IMAGE_SUFFIXES or path.suffix.lower() == ".gif":
        source = open_source(path, fps=fps)
        source._frames = _wanted(source._frames, every, after)
    else:
        return open_video(
            path, every=every, after=after, threads=threads, max_side=max_side, seek=seek
        )
    if max_side is not None:
        source._frames = _shrunk(source._frames, max_side)
    return source


def find_recordings(folder: Path) -> list[Path]:
    """Return what a folder holds, and those in it: itself if it is a bag, else videos and bags.

    Only a folder that holds neither but images is taken as one recording.

    Raises:
        SourceError: nothing is there.
    """
    if not folder.is_dir() or is_bag(folder):
        return [folder]
    found = _inside(folder)
    if found:
        return found
    if any(entry.suffix.lower() in IMAGE_SUFFIXES for entry in folder.iterdir()):
        return [folder]
    raise SourceError(f"{folder}: a folder without videos, bags or images")


def _inside(folder: Path) -> list[Path]:
    found = []
    for entry in sorted(folder.iterdir()):
        if entry.name[0] == ".":
            continue
        if is_bag(entry) or (entry.is_file() and entry.suffix.lower() in VIDEO_SUFFIXES):
            found.append(entry)
        elif entry.is_dir() and not entry.is_symlink():
            found += _inside(entry)
    return found


def _wanted(frames: Iterator[Frame], every: int, after: Frame | None) -> Iterator[Frame]:
    least = -1 if after is None else after.index
    return (frame for frame in frames if frame.index > least and not frame.index % every)


def _shrunk(frames: Iterator[Frame], max_side: int) -> Iterator[Frame]:
    for frame in frames:
        height, width = frame.image.shape[:2]
        scale = min(1.0, max_side / max(height, width))
        if scale == 1:
            yield frame
            continue
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
        yield Frame(frame.index, frame.time, np.asarray(small, np.uint8), scale)
