# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images out of a recorded ROS 2 bag (MCAP or SQLite), without ROS."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from emotion_perception.image.bag_limits import check_bag, limit_rosbags
from emotion_perception.image.decode import ImageError, decode_compressed, decode_image
from emotion_perception.image.source import (
    TIMES_JUMP,
    Frame,
    FrameSource,
    SourceError,
    Unreadable,
    line_of,
)

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

BAG_SUFFIXES = frozenset({".mcap", ".db3"})
BAD_IMAGES_SHOWN = 3

_JUMP_NS: Final = 10**9  # by which a stamp may be early without a word
_LEAST_NS: Final = 10**6

_DECODERS: dict[str, Callable[[Any], NDArray[uint8]]] = {
    "sensor_msgs/msg/Image": decode_image,
    "sensor_msgs/msg/CompressedImage": decode_compressed,
}

_log = logging.getLogger(__name__)


def is_bag(path: Path) -> bool:
    """Whether a path is a bag: a folder with ``metadata.yaml``, or a single storage file."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file()
    return path.suffix in BAG_SUFFIXES and path.is_file()


def open_bag(
    path: Path, topic: str | None = None, *, every: int = 1, after: Frame | None = None
) -> FrameSource:
    """Open the images of one topic.

    Frames are timed by their header's stamp, where it has one, else by when they were recorded.
    Where stamps jump back, as when a simulation or a looped bag began anew, time goes on. Images
    that cannot be decoded are logged and left out.

    Args:
        path: of the bag.
        topic: which one, if the bag has several with images.
        every: of so many messages one is decoded.
        after: go on after this frame, of which only index and time count.

    Returns:
        A source whose first frame has time 0.

    Raises:
        SourceError: rosbags is not installed; the topic is missing or not named although there are
            several (the message lists them); the bag is damaged or holds no readable image. That
            it is damaged is also raised while iterating, after the last good frame.
    """
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        limit_rosbags()
    except ImportError:
        raise SourceError(
            f"{path}: reading ROS bags needs rosbags: pip install 'emotion_perception[capture]'"
            " (0.11.7 or newer, but not 0.12)"
        ) from None
    stack = ExitStack()
    try:
        check_bag(path)
        # Bags of Humble and before do not say how their messages are laid out.
        known = get_typestore(Stores.ROS2_JAZZY)
        reader = stack.enter_context(AnyReader([path], default_typestore=known))
    except Exception as error:  # damaged files raise errors of SQLite, YAML, struct and others
        raise SourceError(f"{path}: not a readable bag, {line_of(error)}") from None
    try:
        topics = {
            connection.topic: connection.msgtype
            for connection in reader.connections
            if connection.msgtype in _DECODERS and not connection.topic.endswith("compressedDepth")
        }
        chosen = _choose(path, topics, topic)
        connections = [item for item in reader.connections if item.topic == chosen]
        source = FrameSource(
            name=f"{path} {chosen}",
            size=(0, 0),
            _frames=iter(()),
            frame_count=sum(connection.msgcount for connection in connections),
            _release=stack.close,
        )
        frames = _frames(reader, connections, source, every, _Clock())
        first = next(frames, None)
        if first is not None and after is not None:
            source.unreadable.clear()
            frames = _frames(reader, connections, source, every, _Clock(), after)
            first = next(frames, None)
            if first is None:
                return source
        if first is None:
            raise SourceError(f"{path}: {chosen} holds no readable image")
    except BaseException:
        stack.close()
        raise
    source.size = (first.image.shape[1], first.image.shape[0])
    source._frames = _chain(first, frames)
    return source


def _choose(path: Path, topics: dict[str, str], wanted: str | None) -> str:
    if not topics:
        raise SourceError(f"{path}: a bag without image topics")
    listed = ", ".join(sorted(topics))
    if wanted is None:
        if len(topics) > 1:
            raise SourceError(f"{path}: several image topics; choose one with --topic: {listed}")
        return next(iter(topics))
    if wanted not in topics:
        raise SourceError(f"{path}: topic: expected one of {listed}, got {wanted}")
    return wanted


def _frames(
    reader: Any, connections: list[Any], source: FrameSource, every: int, clock: _Clock,
    after: Frame | None = None,
) -> Iterator[Frame]:  # fmt: skip
    bad = 0
    messages = reader.messages(connections=connections)
    index = -1
    while True:
        try:
            connection, recorded, raw = next(messages)
        except StopIteration:
            break
        except Exception as error:
            raise SourceError(f"{source.name}: truncated or corrupt, {line_of(error)}") from None
        index += 1
        if index % every:
            continue
        stamp = _stamp(raw)
        nanoseconds = clock.read(stamp, recorded)
        if clock.jumped and TIMES_JUMP not in source.notes:
            source.notes.append(TIMES_JUMP)
        if after is not None and index <= after.index:
            if index == after.index:
                clock.zero = nanoseconds - round(after.time * 1e9)
            continue
        try:
            message = reader.deserialize(raw, connection.msgtype)
            image = _DECODERS[connection.msgtype](message)
        except Exception as error:  # deserialize raises whatever a damaged message leads to
            bad += 1
            what = str(error) if isinstance(error, ImageError) else line_of(error)
            if bad <= BAD_IMAGES_SHOWN:
                _log.warning("%s: image %d left out: %s", source.name, index, what)
            seconds = 0.0 if clock.zero is None else (nanoseconds - clock.zero) / 1e9
            note_unreadable(source.unreadable, seconds, what)
            continue
        if clock.zero is None:
            clock.zero = nanoseconds
        if source.origin is None:
            source.origin = (stamp or recorded) * 1e-9
        yield Frame(index, (nanoseconds - clock.zero) / 1e9, image)
    if bad > BAD_IMAGES_SHOWN:
        _log.warning("%s: %d images left out in all", source.name, bad)


class _Clock:
    """Makes of the stamps of messages, nanoseconds, a time that rises strictly."""

    def __init__(self) -> None:
        self.zero: int | None = None  # the time of the first frame
        self.jumped = False
        self._last = self._recorded = 0
        self._shift: int | None = None

    def read(self, stamp: int, recorded: int) -> int:
        """Return the time of the next message; a stamp of 0 is none."""
        going_on = self._last + max(recorded - self._recorded, _LEAST_NS)
        now = going_on if not stamp or self._shift is None else stamp + self._shift
        if now <= self._last - _JUMP_NS:
            self.jumped = True
            now = going_on
            self._shift = now - stamp
        elif stamp and self._shift is None:
            self._shift = now - stamp
        # A driver with several threads may exchange two.
        self._last, self._recorded = max(now, self._last + _LEAST_NS), recorded
        return self._last


def _stamp(raw: Any) -> int:
    """Return the stamp of a message's header, nanoseconds; 0 for none, or one that is damaged."""
    if len(raw) < 12:  # how bytes are laid out, seconds, nanoseconds
        return 0
    order: Literal["little", "big"] = "little" if raw[1] & 1 else "big"
    seconds = int.from_bytes(raw[4:8], order, signed=True)
    nanoseconds = int.from_bytes(raw[8:12], order)
    good = seconds >= 0 and nanoseconds < 10**9
    return seconds * 10**9 + nanoseconds if good else 0


def note_unreadable(parts: list[Unreadable], seconds: float, why: str) -> None:
    """Add one frame that could not be read, to the part before it if that goes on."""
    if parts and parts[-1].why == why and seconds - parts[-1].end < 1.0:
        before = parts.pop()
        parts.append(Unreadable(before.start, seconds, before.frames + 1, why))
    else:
        parts.append(Unreadable(seconds, seconds, 1, why))


def _chain(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest
