# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Pictures of what is reviewed: the frame with a box around the face, and the face larger.

They are made when somebody looks and are never written to disk.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.source import Frame, FrameSource, SourceError
from emotion_perception.sessions.frames import check_recording
from emotion_perception.sessions.recording import open_recording
from emotion_perception.sessions.review_items import Item
from emotion_perception.sessions.table import Session

if TYPE_CHECKING:
    import pandas

BEFORE_S: Final = 1.0
"""Shown before an event, so that one sees how the face changed; and after it."""

LONGEST_S: Final = 12.0
"""Of a longer event the start is shown."""

RATE: Final = 12.0
"""Pictures a second at most."""

FRAME_SIDE: Final = 720
"""Longer side of a shown frame at most, pixels."""

FACE_SIDE: Final = 320
"""Longer side of a shown face, pixels."""

_ROOM: Final = 0.35  # around a face, of its size
_KEPT: Final = 4  # clips in memory: the one before, this one, the next
_STEADY: Final = 2.2  # a face that moves more than so many sizes is followed
_LOST_S: Final = 0.5  # without a row of the face for so long no box is drawn


@dataclass(frozen=True, eq=False)
class Clip:
    """Pictures of an item, in order.

    Attributes:
        times: seconds since the first frame.
        frames: JPEG files, the face in a box.
        faces: JPEG files of the face alone.
        why: why there are none, or fewer, in words; or empty.
    """

    times: list[float] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    faces: list[bytes] = field(default_factory=list)
    why: str = ""


class Pictures:
    """Reads the recording of a session, here and there.

    Args:
        recording: a video, an image, a folder of images or a bag.
        session: its table.

    Raises:
        SourceError: it cannot be read.
        SessionError: it is not the one that the table is of.
    """

    def __init__(self, recording: Path, session: Session) -> None:
        self._recording = recording
        self._rows = session.rows
        self._rate = session.info.rate
        self._seek = session.info.exact
        with self._open(None) as source:
            next(source)
            check_recording(recording, source.size, session)
        frames = session.rows[["frame", "time"]].drop_duplicates("frame").sort_values("frame")
        self._numbers = frames.frame.to_numpy(np.int64)
        self._times = frames.time.to_numpy(np.float64)
        self._clips: OrderedDict[Item, Clip] = OrderedDict()
        self._lock = threading.Lock()

    def clip(self, item: Item) -> Clip:
        """Return the pictures of an item; threads take turns."""
        with self._lock:
            clip = self._clips.get(item)
            if clip is None:
                clip = self._read(item)
                self._clips[item] = clip
            self._clips.move_to_end(item)
            while len(self._clips) > _KEPT:
                self._clips.popitem(last=False)
            return clip

    def _read(self, item: Item) -> Clip:
        if item.kind == "frame":
            start = end = item.time
        else:
            start = max(0.0, item.onset - BEFORE_S)
            end = min(item.offset, item.onset + LONGEST_S) + BEFORE_S
        half = 0.25 / RATE
        clip, track = Clip(), _Track(self._rows, item.face_id, start, end)
        try:
            with self._open(self._frame_before(start - half)) as source:
                for frame in source:
                    if frame.time > end + half:
                        break
                    due = not clip.times or frame.time >= clip.times[-1] + 1 / RATE - 1e-3
                    if frame.time < start - half or not due:
                        continue
                    clip.times.append(frame.time)
                    clip.frames.append(_jpeg(_with_box(frame.image, track.box(frame.time))))
                    clip.faces.append(_jpeg(_cut(frame.image, track.window(frame.time))))
        except (SourceError, OSError) as error:
            return Clip(clip.times, clip.frames, clip.faces, str(error))
        if not clip.times:
            return Clip(why="this part of the recording cannot be read")
        return clip

    def _open(self, after: Frame | None) -> FrameSource:
        return open_recording(self._recording, fps=self._rate or 10.0, after=after, seek=self._seek)

    def _frame_before(self, time: float) -> Frame | None:
        """Return the last frame of the table before a time, as open_video wants it."""
        at = int(np.searchsorted(self._times, time)) - 1
        if at < 0:
            return None
        return Frame(int(self._numbers[at]), float(self._times[at]), np.empty((0, 0, 3), np.uint8))


class _Track:
    """Where a face is between two times.

    Args:
        rows: of the table.
        face_id: whose.
        start: seconds.
        end: seconds.
    """

    def __init__(self, rows: pandas.DataFrame, face_id: str, start: float, end: float) -> None:
        near = (rows.time >= start - _LOST_S) & (rows.time <= end + _LOST_S)
        mine = rows[near & (rows.face_id == face_id) & rows.x1.notna()]
        self._times = mine.time.to_numpy(np.float64)
        self._boxes = mine[["x1", "y1", "x2", "y2"]].to_numpy(np.float64)
        self._steady: NDArray[np.float64] | None = None
        self._side = 0.0
        if not len(self._boxes):
            return
        sides = self._boxes[:, 2:] - self._boxes[:, :2]
        self._side = float(np.median(sides.max(axis=1)))
        whole = np.concatenate([self._boxes[:, :2].min(axis=0), self._boxes[:, 2:].max(axis=0)])
        if (whole[2:] - whole[:2]).max() <= _STEADY * self._side:
            self._steady = whole

    def box(self, time: float) -> NDArray[np.float64] | None:
        """Return x1, y1, x2, y2 of the face at a time, pixels; None where it was not seen."""
        at = self._nearest(time)
        if at is None or abs(self._times[at] - time) > _LOST_S:
            return None
        return np.asarray(self._boxes[at], np.float64)

    def window(self, time: float) -> NDArray[np.float64] | None:
        """Return the part of the frame to show larger; it holds still if the face about does."""
        at = self._nearest(time)
        if at is None:
            return None
        box = self._boxes[at]
        if self._steady is not None:
            box = self._steady
        middle = (box[:2] + box[2:]) / 2
        half = np.maximum(box[2:] - box[:2], self._side) / 2 + _ROOM * self._side
        return np.concatenate([middle - half, middle + half])

    def _nearest(self, time: float) -> int | None:
        return int(np.abs(self._times - time).argmin()) if len(self._times) else None


def _with_box(image: NDArray[np.uint8], box: NDArray[np.float64] | None) -> NDArray[np.uint8]:
    """Shrink a BGR frame (H, W, 3) and draw the box, light on dark, so that it shows anywhere."""
    scale = min(1.0, FRAME_SIDE / max(image.shape[:2]))
    shown = _resized(image, scale)
    if box is not None:
        x1, y1, x2, y2 = (round(float(value) * scale) for value in box)
        for colour, width in (((0, 0, 0), 4), ((255, 255, 255), 2)):
            cv2.rectangle(shown, (x1, y1), (x2, y2), colour, width, cv2.LINE_AA)
    return shown


def _cut(image: NDArray[np.uint8], window: NDArray[np.float64] | None) -> NDArray[np.uint8]:
    """Return a part of a BGR frame (H, W, 3), enlarged; the whole frame if the face is unknown."""
    height, width = image.shape[:2]
    if window is None:
        return _resized(image, FACE_SIDE / max(height, width))
    x1, y1, x2, y2 = np.clip(np.rint(window), 0, [width, height] * 2).astype(int)
    part = image[y1:y2, x1:x2]
    if part.size == 0:
        part = image
    return _resized(part, FACE_SIDE / max(part.shape[:2]))


def _resized(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if size == (width, height):
        return np.array(image, np.uint8)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    good, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not good:
        raise SourceError("a picture could not be encoded as JPEG")
    return bytes(data)
