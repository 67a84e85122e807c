# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A session as MCAP, for the dashboards that people have: Foxglove, RViz, and ros2 bag play.

Topics: ``image/compressed`` (sensor_msgs/CompressedImage), ``image_annotated/compressed``, the same
with boxes and bars drawn on it, for RViz, which shows no annotations; ``annotations``
(foxglove_msgs/ImageAnnotations), for Foxglove; ``user_reaction`` (emotion_perception/UserReaction),
the partner's reaction. The pictures are those of the recording: it is as private as that is.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timezone
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.drawing import COLOURS, draw_reactions
from emotion_perception.image.source import Frame, SourceError
from emotion_perception.models import find_shared
from emotion_perception.reaction.reaction import FaceReaction, Reason
from emotion_perception.sessions.csv_files import date_and_time
from emotion_perception.sessions.predict import PredictOptions
from emotion_perception.sessions.recording import open_recording
from emotion_perception.sessions.seen import Seen
from emotion_perception.sessions.table import SessionInfo, read_session

MAX_SIDE: Final = 1280
"""Larger frames are shrunk, pixels."""

_QUALITY: Final = 85
_LINE_LOOP: Final = 2  # of foxglove_msgs/PointsAnnotation
_TOPICS: Final = (
    ("/image/compressed", "sensor_msgs/msg/CompressedImage"),
    ("/image_annotated/compressed", "sensor_msgs/msg/CompressedImage"),
    ("/annotations", "foxglove_msgs/msg/ImageAnnotations"),
    ("/user_reaction", "emotion_perception/msg/UserReaction"),
)
_TYPES: Final = {
    "foxglove_msgs/msg/Point2": "float64 x\nfloat64 y",
    "foxglove_msgs/msg/Color": "float64 r\nfloat64 g\nfloat64 b\nfloat64 a",
    "foxglove_msgs/msg/CircleAnnotation": (
        "builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\nfloat64 diameter\n"
        "float64 thickness\nfoxglove_msgs/Color fill_color\nfoxglove_msgs/Color outline_color"
    ),
    "foxglove_msgs/msg/PointsAnnotation": (
        "uint8 UNKNOWN=0\nuint8 POINTS=1\nuint8 LINE_LOOP=2\nuint8 LINE_STRIP=3\n"
        "uint8 LINE_LIST=4\nbuiltin_interfaces/Time timestamp\nuint8 type\n"
        "foxglove_msgs/Point2[] points\nfoxglove_msgs/Color outline_color\n"
        "foxglove_msgs/Color[] outline_colors\nfoxglove_msgs/Color fill_color\nfloat64 thickness"
    ),
    "foxglove_msgs/msg/TextAnnotation": (
        "builtin_interfaces/Time timestamp\nfoxglove_msgs/Point2 position\nstring text\n"
        "float64 font_size\nfoxglove_msgs/Color text_color\nfoxglove_msgs/Color background_color"
    ),
    "foxglove_msgs/msg/ImageAnnotations": (
        "foxglove_msgs/CircleAnnotation[] circles\nfoxglove_msgs/PointsAnnotation[] points\n"
        "foxglove_msgs/TextAnnotation[] texts"
    ),
}


def write_mcap(
    recording: Path, table: Path, path: Path, options: PredictOptions | None = None
) -> None:
    """Write a recording and what was seen in it; the file appears whole or not at all.

    Args:
        recording: that was judged.
        table: what was seen.
        path: of the MCAP.
        options: that it was judged with.

    Raises:
        SourceError: the recording can't be read, or rosbags is not installed.
    """
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
    except ImportError:
        raise SourceError(
            f"{path}: writing MCAP needs rosbags: pip install 'emotion_perception[capture]'"
        ) from None
    if path.resolve() == recording.resolve():
        raise SourceError(f"{path}: the recording itself; name another --output folder for --mcap")
    session = read_session(table, landmarks=True)
    seen = Seen(session)
    options = options or PredictOptions()
    work = path.with_name(f".{path.stem}.mcap.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    try:
        with (
            Writer(work, version=9, storage_plugin=StoragePlugin.MCAP) as writer,
            open_recording(
                recording, topic=options.topic, fps=options.fps, every=session.info.every,
                max_side=MAX_SIDE,
            ) as source,
        ):  # fmt: skip
            topics = _Topics(writer, session.info)
            for frame in _readable(source):
                topics.write(frame, seen.faces(frame.index))
        (written,) = work.glob("*.mcap")
        written.replace(path)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def is_ours(path: Path) -> bool:
    """Whether a file is what `write_mcap` writes, and not a recording."""
    try:
        from rosbags.highlevel import AnyReader

        with AnyReader([path]) as reader:
            return {(c.topic, c.msgtype) for c in reader.connections} == set(_TOPICS)
    except Exception:  # whatever a damaged or foreign file leads to
        return False


def _readable(frames: Iterator[Frame]) -> Iterator[Frame]:
    """Yield the frames up to where the recording breaks off, which its table has told already."""
    try:
        yield from frames
    except SourceError:
        return


class _Topics:
    """Writes what belongs to one frame."""

    def __init__(self, writer: Any, info: SessionInfo) -> None:
        from rosbags.typesys import Stores, get_types_from_msg, get_typestore

        self._writer = writer
        self._start = _start(info)
        self._store = get_typestore(Stores.ROS2_JAZZY)
        reaction = find_shared("msg/UserReaction.msg").read_text(encoding="utf-8")
        texts = {**_TYPES, "emotion_perception/msg/UserReaction": reaction}
        for name, text in texts.items():
            self._store.register(get_types_from_msg(text, name))
        self._connections = {
            topic: writer.add_connection(topic, kind, typestore=self._store)
            for topic, kind in _TOPICS
        }
        self._info = info

    def write(self, frame: Frame, reactions: Sequence[FaceReaction]) -> None:
        """Write a frame, which may be shrunk, and reactions in pixels of the recording."""
        nanoseconds = self._start + round(frame.time * 1e9)
        stamp = self._make("builtin_interfaces/msg/Time", sec=nanoseconds // 10**9,
                           nanosec=nanoseconds % 10**9)  # fmt: skip
        header = self._make("std_msgs/msg/Header", stamp=stamp, frame_id="camera")
        small = [_scaled(reaction, frame.scale) for reaction in reactions]
        drawn = draw_reactions(frame.image, small)
        for topic, image in (("/image/compressed", frame.image),
                             ("/image_annotated/compressed", drawn)):  # fmt: skip
            self._send(
                topic, nanoseconds,
                self._make("sensor_msgs/msg/CompressedImage", header=header, format="jpeg",
                           data=_jpeg(image)),
            )  # fmt: skip
        self._send("/annotations", nanoseconds, self._annotations(stamp, small))
        self._send("/user_reaction", nanoseconds, self._reaction(header, reactions))

    def _send(self, topic: str, nanoseconds: int, message: Any) -> None:
        connection = self._connections[topic]
        raw = self._store.serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, nanoseconds, raw)

    def _make(self, kind: str, **fields: Any) -> Any:
        return self._store.types[kind](**fields)

    def _annotations(self, stamp: Any, reactions: Sequence[FaceReaction]) -> Any:
        points, texts = [], []
        clear = self._make("foxglove_msgs/msg/Color", r=0.0, g=0.0, b=0.0, a=0.0)
        dark = self._make("foxglove_msgs/msg/Color", r=0.1, g=0.1, b=0.1, a=0.8)
        for reaction in reactions:
            blue, green, red = (value / 255 for value in COLOURS[reaction.reaction])
            colour = self._make("foxglove_msgs/msg/Color", r=red, g=green, b=blue, a=1.0)
            x1, y1, x2, y2 = (float(value) for value in reaction.face.box)
            corners = [self._point(x, y) for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))]
            points.append(
                self._make(
                    "foxglove_msgs/msg/PointsAnnotation", timestamp=stamp, type=_LINE_LOOP,
                    points=corners, outline_color=colour, outline_colors=[], fill_color=clear,
                    thickness=3.0 if reaction.is_partner else 1.5,
                )
            )  # fmt: skip
            text = f"{reaction.face_id} {reaction.reaction.name.lower()}"
            if reaction.reaction:
                text += f" {reaction.confidence:.0%}"
            texts.append(
                self._make(
                    "foxglove_msgs/msg/TextAnnotation", timestamp=stamp, position=corners[3],
                    text=text, font_size=14.0, text_color=colour, background_color=dark,
                )
            )  # fmt: skip
        return self._make(
            "foxglove_msgs/msg/ImageAnnotations", circles=[], points=points, texts=texts
        )

    def _point(self, x: float, y: float) -> Any:
        return self._make("foxglove_msgs/msg/Point2", x=x, y=y)

    def _reaction(self, header: Any, reactions: Sequence[FaceReaction]) -> Any:
        found = next((reaction for reaction in reactions if reaction.is_partner), None)
        told = np.zeros(3) if found is None else found.probabilities
        box = np.zeros(4) if found is None else found.face.box.clip(0, None)
        x1, y1, x2, y2 = (float(value) for value in box)
        roi = self._make(
            "sensor_msgs/msg/RegionOfInterest", x_offset=round(x1), y_offset=round(y1),
            height=round(y2 - y1), width=round(x2 - x1), do_rectify=False,
        )  # fmt: skip
        return self._make(
            "emotion_perception/msg/UserReaction", header=header,
            reaction=0 if found is None else int(found.reaction),
            reason=int(Reason.NO_FACE if found is None else found.reason),
            p_negative=float(told[0]), p_neutral=float(told[1]), p_positive=float(told[2]),
            confidence=float(max(told)), valence=float(told[2] - told[0]),
            face_id="" if found is None else found.face_id, patient_id=self._info.participant,
            roi=roi, model_id=self._info.models[0].model_id, latency=0.0,
        )  # fmt: skip


def _scaled(reaction: FaceReaction, scale: float) -> FaceReaction:
    if scale == 1:
        return reaction
    face = reaction.face
    moved = replace(face, box=face.box * np.float32(scale),
                    landmarks=face.landmarks * np.float32(scale))  # fmt: skip
    return replace(reaction, face=moved)


def _jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    good, content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not good:
        raise OSError("OpenCV can't write JPEG")
    return np.asarray(content, np.uint8).ravel()


def _start(info: SessionInfo) -> int:
    """Return the time of the first frame, nanoseconds; 0 where nobody knows it."""
    if info.origin is not None:
        return round(info.origin * 1e9)
    if not info.started:
        return 0
    try:
        told = date_and_time(info.started)
    except ValueError:
        return 0
    if told.tzinfo is None:
        told = told.replace(tzinfo=timezone.utc)
    return round(told.timestamp() * 1e9)
