# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Faces at the strongest moment of each event, cut from the recording; only if asked for."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.source import SourceError
from emotion_perception.sessions.events import Event
from emotion_perception.sessions.frames import Frames, check_recording
from emotion_perception.sessions.report_page import Picture
from emotion_perception.sessions.report_wording import clock
from emotion_perception.sessions.table import Session, SessionError

if TYPE_CHECKING:
    import pandas

SIDE: Final = 112
"""Longer side of a picture, pixels."""

_ROOM: Final = 0.25  # around a face, of its size
_NEAR_S: Final = 0.002
_BOX: Final = ("x1", "y1", "x2", "y2")


def event_pictures(
    recording: Path, session: Session, events: Sequence[Event]
) -> dict[int, Picture]:
    """Cut out the face of each event, by its number from 1.

    Args:
        recording: the video, bag or folder of images of the session.
        session: its table.
        events: of it, in the order of time.

    Returns:
        An event is left out if its frame cannot be read.

    Raises:
        SourceError: the recording cannot be read.
        SessionError: it is not the one that the table is of.
    """
    info = session.info
    if recording.name != info.recording:
        raise SessionError(
            f"{recording}: expected {info.recording}, which {session.path.name} was made of"
        )
    clock = session.rows[["frame", "time"]].drop_duplicates("frame").sort_values("frame")
    indices, times = clock["frame"].to_numpy(np.int64), clock["time"].to_numpy(np.float64)
    with Frames(recording, indices, times, rate=info.rate, seek=info.exact) as frames:
        check_recording(recording, frames.size, session)
        found = {
            number: _picture(frames, session.rows, number, event)
            for number, event in enumerate(events, 1)
        }
    return {number: picture for number, picture in found.items() if picture is not None}


def _picture(frames: Frames, rows: pandas.DataFrame, number: int, event: Event) -> Picture | None:
    """Return the face at the peak of an event; None if that frame cannot be read."""
    near = np.abs(rows["time"].to_numpy(np.float64) - event.peak) < _NEAR_S
    own = rows[near & (rows["face_id"] == event.face_id).to_numpy()]
    box = own[list(_BOX)].dropna().to_numpy(np.float64)
    if not len(box):
        return None
    try:
        frame = frames.at(event.peak + _NEAR_S)
    except SourceError:
        return None
    if abs(frame.time - event.peak) > _NEAR_S:
        return None
    face = cut_face(frame.image, box[0])
    return None if face is None else _embed(face, number, event)


def cut_face(image: NDArray[np.uint8], box: NDArray[np.float64]) -> NDArray[np.uint8] | None:
    """Return a face with a little room around it, or None if none of it is in the image.

    Args:
        image: uint8 BGR (H, W, 3).
        box: (4,), x1, y1, x2, y2 in pixels.
    """
    height, width = image.shape[:2]
    room = _ROOM * (box[2:] - box[:2])
    x1, y1 = np.floor(np.clip(box[:2] - room, 0, [width, height])).astype(int)
    x2, y2 = np.ceil(np.clip(box[2:] + room, 0, [width, height])).astype(int)
    if x2 - x1 < 2 or y2 - y1 < 2:
        return None
    part = image[y1:y2, x1:x2]
    scale = SIDE / max(part.shape[:2])
    size = (max(1, round((x2 - x1) * scale)), max(1, round((y2 - y1) * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, size, interpolation=how), np.uint8)


def _embed(face: NDArray[np.uint8], number: int, event: Event) -> Picture:
    good, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 85])
    if not good:
        raise SessionError("a picture could not be encoded as JPEG")
    height, width = face.shape[:2]
    return Picture(
        src="data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode(),
        alt=f"Face at {clock(event.peak, tenths=True)}, event {number}, {event.reaction}",
        width=width,
        height=height,
    )
