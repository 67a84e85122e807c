# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""When a robot acted: from a CSV file or from a topic of a ROS 2 bag."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from emotion_perception.sessions import csv_files
from emotion_perception.sessions.table import SessionError, SessionInfo

_TIMES = ("time_s", "stamp_s", "time")
_NAMES = ("action_id", "data", "name")


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that the robot did.

    Attributes:
        action_id: its name.
        time: when it began, seconds since the recording's first frame.
        baseline: seconds before it that tell how the person was; None for the usual.
        watch: seconds after it that are watched; None for the usual.
    """

    action_id: str
    time: float
    baseline: float | None = None
    watch: float | None = None


def read_actions_csv(path: Path, info: SessionInfo) -> list[Action]:
    """Read the times of actions.

    The columns are ``action_id`` and one of ``time_s`` (seconds since the first frame), ``stamp_s``
    (ROS time in seconds) and ``time`` (ISO 8601); they may be ``baseline_s`` and ``watch_s``; a
    column ``session`` says of which recording a row speaks. Others are left alone.

    Args:
        path: of the CSV file.
        info: of the recording.

    Returns:
        In order of time.

    Raises:
        SessionError: it is no such file, or its times need something that is not known of the
            recording; names the line and the column.
        OSError: it cannot be read.
    """
    rows = csv_files.read_csv(path, ["action_id"])
    found = []
    for line, cells in rows:
        if "session" in cells and cells["session"] != info.session:
            continue

        def optional(name: str, line: int = line, cells: dict[str, str] = cells) -> float | None:
            if not cells.get(name):
                return None
            return csv_files.cell(path, line, cells, name, csv_files.number, "seconds or nothing")

        if not cells["action_id"]:
            raise SessionError(f"{path}: line {line}: action_id: expected a name, got nothing")
        found.append(
            Action(
                action_id=cells["action_id"],
                time=_time(path, line, cells, info),
                baseline=optional("baseline_s"),
                watch=optional("watch_s"),
            )
        )
    if not rows:
        raise SessionError(f"{path}: no action in it")
    return sorted(found, key=lambda action: action.time)


def sessions_named(path: Path) -> list[str]:
    """Return of which recordings a CSV file of actions says that it speaks; none if it does not.

    Raises:
        SessionError: it is no CSV file.
        OSError: it cannot be read.
    """
    rows = csv_files.read_csv(path, ["action_id"])
    return list(dict.fromkeys(cells["session"] for _, cells in rows if "session" in cells))


def _time(path: Path, line: int, cells: dict[str, str], info: SessionInfo) -> float:
    """Return the time of a row in seconds since the first frame."""
    there = [name for name in _TIMES if name in cells]
    if len(there) != 1:
        told = ", ".join(there) or "none"
        raise SessionError(f"{path}: expected one column of {', '.join(_TIMES)}, got {told}")
    name = there[0]
    if name == "time":
        moment = csv_files.cell(
            path, line, cells, name, csv_files.date_and_time,
            "a date and time as 2026-03-01T14:05:09.5+01:00",
        )  # fmt: skip
        return _since(path, line, moment, info)
    value = csv_files.cell(path, line, cells, name, csv_files.number, "seconds")
    if name == "time_s":
        return value
    if info.origin is None:
        raise SessionError(
            f"{path}: stamp_s: the ROS time of {info.recording} is not known; give time_s"
        )
    return value - info.origin


def _since(path: Path, line: int, moment: datetime, info: SessionInfo) -> float:
    try:
        started = csv_files.date_and_time(info.started)
    except ValueError:
        raise SessionError(
            f"{path}: time: when {info.recording} was recorded is not known; give time_s"
        ) from None
    if (moment.tzinfo is None) != (started.tzinfo is None):
        with_zone, without = "with", "without"
        if started.tzinfo is None:
            with_zone, without = without, with_zone
        raise SessionError(
            f"{path}: line {line}: time: expected it {with_zone} a time zone, as the recording's "
            f"({info.started}) is, got one {without}"
        )
    return (moment - started).total_seconds()


def read_actions_bag(path: Path, topic: str, info: SessionInfo) -> list[Action]:
    """Read the times of actions from a topic of a bag; any type of message will do.

    An action began when the message's header says, where it has a stamp, else when the message was
    recorded. Its name is the message's text ``action_id``, ``data`` or ``name``, else the topic.

    Args:
        path: of the bag.
        topic: that the robot's actions are published on.
        info: of the recording.

    Returns:
        In order of time.

    Raises:
        SessionError: rosbags is not installed, the bag is damaged or has no such topic, or the ROS
            time of the recording is not known.
    """
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise SessionError(
            f"{path}: reading ROS bags needs rosbags: pip install 'emotion_perception[capture]'"
        ) from None
    if info.origin is None:
        raise SessionError(f"{path}: the ROS time of {info.recording} is not known")
    found = []
    try:
        # Bags of Humble and before do not say how their messages are laid out.
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
            chosen = [item for item in reader.connections if item.topic == topic]
            if not chosen:
                topics = ", ".join(sorted({item.topic for item in reader.connections}))
                raise SessionError(f"{path}: topic: expected one of {topics}, got {topic}")
            for connection, recorded, raw in reader.messages(connections=chosen):
                try:
                    message = reader.deserialize(raw, connection.msgtype)
                except Exception:  # a type of the robot's own that the bag does not describe
                    message = None
                stamp, name = _stamp(message), _name(message)
                found.append(
                    Action(action_id=name or topic, time=(stamp or recorded * 1e-9) - info.origin)
                )
    except SessionError:
        raise
    except Exception as error:  # damaged files raise errors of SQLite, YAML, struct and others
        why = " ".join(str(error).split()) or type(error).__name__
        raise SessionError(f"{path}: not a readable bag, {why}") from None
    if not found:
        raise SessionError(f"{path}: {topic} holds no message")
    return sorted(found, key=lambda action: action.time)


def _stamp(message: Any) -> float:
    """Return the stamp of a message's header in seconds, 0 if it has none."""
    stamp = getattr(getattr(message, "header", None), "stamp", None)
    seconds = float(getattr(stamp, "sec", 0)) + float(getattr(stamp, "nanosec", 0)) * 1e-9
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _name(message: Any) -> str:
    texts = (getattr(message, name, None) for name in _NAMES)
    return next((text for text in texts if isinstance(text, str) and text), "")
