# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings: ROS 2 bags, videos by FFmpeg, and what the camera half opens by OpenCV and Pillow."""

from __future__ import annotations

import functools
import io
import itertools
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from emotion_perception.image.bag import is_bag, open_bag
from emotion_perception.image.source import Frame, FrameSource, SourceError, open_source
from emotion_perception.image.video import open_video
from fuzz.images import small_picture
from fuzz.reader import Reader
from fuzz.target import Target

_MOST_FRAMES = 30
_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_BEGIN = 1_800_000_000


def _bag(data: bytes, scratch: Path) -> None:
    """A bag: its file of either kind, its metadata.yaml, or one of its messages."""
    reader = Reader(data)
    kind, options, content = reader.byte() % 5, reader.byte(), reader.rest()
    if kind < 2:
        path = scratch / ("bag.mcap", "bag.db3")[kind]
        path.write_bytes(content)
    elif kind == 2:
        path = scratch / "bag"
        path.mkdir()
        for name, good in _files("SQLITE3" if options & 8 else "MCAP").items():
            (path / name).write_bytes(content if name == "metadata.yaml" else good)
    else:
        path = scratch / "bag.mcap"
        path.write_bytes(_files("MCAP", kind - 3, bytes(content))["bag.mcap"])
    assert is_bag(path)
    after = Frame(0, 0.0, np.zeros((1, 1, 3), np.uint8)) if options & 1 else None
    with open_bag(path, "/a" if options & 2 else None, every=1 + (options >> 2 & 1),
                  after=after) as source:  # fmt: skip
        _watch(source)


def _bag_seeds() -> Iterator[bytes]:
    for kind, plugin in enumerate(("MCAP", "SQLITE3")):
        files = _files(plugin)
        for name, content in files.items():
            if name == "metadata.yaml":
                yield bytes([2, 8 * kind]) + content
            else:
                yield bytes([kind, 0]) + content
                yield bytes([kind, 3]) + content
    yield bytes([0, 0]) + _files("MCAP", compress=True)["bag.mcap"]
    for index, message in enumerate(_messages()):
        yield bytes([3 + index, 0]) + message


@functools.lru_cache(maxsize=4)
def _files(
    plugin: str, type_index: int = -1, message: bytes = b"", compress: bool = False
) -> dict[str, bytes]:
    """Write a small bag, with two images or one given message, and return its files."""
    from rosbags import rosbag2
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as made:
        path = Path(made) / "bag"
        bag = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin[plugin])
        if compress:
            bag.set_compression(rosbag2.CompressionMode.STORAGE, rosbag2.CompressionFormat.ZSTD)
        with bag as writer:
            wanted = (0, 1) if type_index < 0 else (type_index,)
            for index in wanted:
                link = writer.add_connection("/" + "ab"[index], _TYPES[index], typestore=store)
                for time in (_BEGIN, _BEGIN + 1):
                    raw = message if type_index >= 0 else _messages()[index]
                    writer.write(link, time * 10**9, raw)
        return {item.name: item.read_bytes() for item in path.iterdir()}


@functools.cache
def _messages() -> tuple[bytes, bytes]:
    """Return an Image and a CompressedImage as they lie in a bag."""
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](_BEGIN, 5), "c")
    image = small_picture(6, 4)
    jpeg = cv2.imencode(".jpg", small_picture(16, 16))[1].reshape(-1)
    made = (
        types[_TYPES[0]](header, 4, 6, "bgr8", 0, 18, image.reshape(-1)),
        types[_TYPES[1]](header, "bgr8; jpeg compressed bgr8", jpeg),
    )
    first, second = (
        bytes(store.serialize_cdr(message, name))
        for message, name in zip(made, _TYPES, strict=True)
    )
    return first, second


def _video(data: bytes, scratch: Path) -> None:
    """A video as recorded sessions read it."""
    reader = Reader(data)
    options, content = reader.byte(), reader.rest()
    path = scratch / "film.mp4"
    path.write_bytes(content)
    after = Frame(1, 0.05, np.zeros((1, 1, 3), np.uint8)) if options & 1 else None
    with open_video(path, every=1 + (options >> 1 & 1), after=after, threads=1 + (options >> 2 & 1),
                    max_side=32 if options & 8 else None) as source:  # fmt: skip
        _watch(source)


def _video_seeds() -> Iterator[bytes]:
    for index, content in enumerate(_clips()):
        yield bytes([0]) + content
        yield bytes([(5, 10, 7, 4)[index % 4]]) + content


def _clip(data: bytes, scratch: Path) -> None:
    """A video or GIF as the camera half reads it."""
    reader = Reader(data)
    path = scratch / f"clip.{('mp4', 'gif', 'avi', 'mkv')[reader.byte() % 4]}"
    path.write_bytes(reader.rest())
    with open_source(path) as source:
        _watch(source)


def _clip_seeds() -> Iterator[bytes]:
    for index, content in enumerate(_clips()):
        yield bytes([(0, 2, 3, 0, 1)[index]]) + content
    gif = _clips()[4]
    yield b"\1" + gif[:6] + struct.pack("<HH", 8192, 8192) + gif[10:]


@functools.cache
def _clips() -> tuple[bytes, ...]:
    """Make small videos: MPEG-4 in MP4, Motion JPEG in AVI, H.264 and VP8 in Matroska, a GIF."""
    import av

    frames = [np.roll(small_picture(32, 32), shift, axis=1) for shift in range(4)]
    made = []
    for codec, container, pixels in (
        ("mpeg4", "mp4", "yuv420p"), ("mjpeg", "avi", "yuvj420p"), ("libx264", "matroska",
        "yuv420p"), ("mpeg2video", "mpegts", "yuv420p"),
    ):  # fmt: skip
        target = io.BytesIO()
        with av.open(target, "w", format=container) as output:
            stream = output.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, pixels
            for frame in frames:
                output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "bgr24")))
            output.mux(stream.encode())
        made.append(target.getvalue())
    gif = io.BytesIO()
    first, *rest = [Image.fromarray(frame[:, :, ::-1]).quantize(8) for frame in frames]
    first.save(gif, "GIF", save_all=True, append_images=rest, duration=40, disposal=2)
    return (*made, gif.getvalue())


def _watch(source: FrameSource) -> None:
    last = -1.0
    for frame in itertools.islice(source, _MOST_FRAMES):
        assert frame.image.dtype == np.uint8, frame.image.dtype
        assert frame.image.ndim == 3, frame.image.shape
        assert frame.image.shape[2] == 3, frame.image.shape
        assert frame.time > last, (frame.time, last)
        last = frame.time
    for part in source.unreadable:
        assert part.start <= part.end, part


TARGETS = (
    Target(
        name="bag", read=_bag, allowed=(SourceError,), seeds=_bag_seeds, largest=32768,
        memory_mb=2048,
    ),
    Target(
        name="video", read=_video, allowed=(SourceError,), seeds=_video_seeds, largest=16384,
        memory_mb=2048,
    ),
    Target(
        name="clip", read=_clip, allowed=(SourceError,), seeds=_clip_seeds, largest=16384,
        memory_mb=2048,
    ),
)  # fmt: skip
