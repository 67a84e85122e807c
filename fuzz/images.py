# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Images: ROS messages, raw and compressed, and files."""

from __future__ import annotations

import io
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
from PIL import Image

from emotion_perception.image.decode import (
    ENCODINGS,
    ImageError,
    decode_compressed,
    decode_image,
)
from emotion_perception.image.source import IMAGE_SUFFIXES, SourceError, open_source
from fuzz.reader import Reader, block
from fuzz.target import Target

_MOST_FILLED = 1 << 20
_HEAD = struct.Struct("<IIIBBBBH")
_ODD_ENCODINGS = ("16UC1", "32FC1", "", "BGR8", "bgr8 ", "8UC2", "jpeg", "yuv422_uyvy", "\ud800")
_CONTAINERS: tuple[Callable[[bytes], Any], ...] = (
    lambda data: array("B", data), bytes, memoryview, lambda data: np.frombuffer(data, np.uint8),
    bytearray, list,
)  # fmt: skip
_SUFFIXES = sorted(IMAGE_SUFFIXES)
_FORMATS = ("jpeg", "png", "bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed rgb8", "mono16",
            "bayer_rggb8; png compressed", "16UC1; compressedDepth png", "")  # fmt: skip


def _image(data: bytes, _: Path) -> None:
    """``sensor_msgs/Image``: all its fields, and what its data lie in."""
    reader = Reader(data)
    height, width, step = reader.uint32(), reader.uint32(), reader.uint32()
    fit, big, encoding, container = reader.byte(), reader.byte(), reader.byte(), reader.byte()
    fill = int.from_bytes(reader.take(2), "little", signed=True)
    names = (*ENCODINGS, *_ODD_ENCODINGS)
    name = names[encoding % len(names)] if encoding < 255 else reader.text()
    pixels = reader.rest()
    if fit & 1:  # else nearly all sizes would be refused
        height, width = 1 + height % 40, 1 + width % 40
    if fit & 2 and name in ENCODINGS:
        step = width * _pixel_bytes(name) + step % 9
    if fit & 4:
        fill, pixels = 0, pixels or b"\x80"
    if fit & 8:
        container &= 127
    if pixels and abs(fill) < 1 << 14:
        # As many as the header asks for, or some more or fewer: else nearly all would be refused.
        rows = height * 3 // 2 if name in ("nv12", "nv21") else height
        wanted = step * rows + fill
        if 0 <= wanted <= _MOST_FILLED:
            pixels = (pixels * (wanted // len(pixels) + 1))[:wanted]
    message = SimpleNamespace(
        height=height, width=width, step=step, is_bigendian=big, encoding=name,
        data=_CONTAINERS[container % len(_CONTAINERS)](pixels),
    )  # fmt: skip
    if container & 128:  # a message of another type
        delattr(message, ("height", "width", "step", "encoding", "data")[container % 5])
    _check(decode_image(message), width, height)


def _image_seeds() -> Iterator[bytes]:
    rng = np.random.default_rng(0)
    for number, name in enumerate((*ENCODINGS, *_ODD_ENCODINGS)):
        wide = 2 if name.endswith("16") else 1
        channels = 4 if "a" in name[:4] and "bayer" not in name else 3
        row = 6 * wide * channels
        for fit in (0, 3, 15):
            yield _HEAD.pack(4, 6, row, fit, number % 2, number, number % 6, 0) + rng.bytes(16)
    yield _HEAD.pack(480, 640, 1920, 0, 0, 0, 0, 0) + b"\x10\x80\xf0"
    yield _HEAD.pack(4, 6, 18, 0, 0, 255, 0, 0) + block(b"bgr8") + bytes(72)


def _pixel_bytes(name: str) -> int:
    """Return the bytes of a pixel in a row."""
    if name in ("nv12", "nv21"):
        return 1
    channels = 4 if name[:4] in ("bgra", "rgba", "8UC4") else 3 if name[:3] in ("bgr", "rgb") else 1
    channels = 3 if name == "8UC3" else 2 if name[:3] in ("yuv", "uyv", "yuy") else channels
    return channels * (2 if name.endswith("16") else 1)


def _compressed(data: bytes, _: Path) -> None:
    """``sensor_msgs/CompressedImage``: the format, and JPEG or PNG bytes."""
    reader = Reader(data)
    told, mend = reader.byte(), reader.byte()
    name = reader.text() if told == 255 else _FORMATS[told % len(_FORMATS)]
    content = reader.rest()
    if mend & 1:  # else the checksums would refuse nearly all
        content = mended_png(content)
    if mend & 16 and content.startswith(b"\xff\xd8"):
        content += b"\xff\xd9"
    container = _CONTAINERS[(mend >> 1) % 4]
    _check(decode_compressed(SimpleNamespace(format=name, data=container(content))), None, None)


def _compressed_seeds() -> Iterator[bytes]:
    for number, (kind, content) in enumerate(small_files()):
        if kind in ("jpg", "png"):
            yield bytes([number % 4, 1 if kind == "png" else 16]) + content


def _file(data: bytes, scratch: Path) -> None:
    """An image file of any kind, alone or in a folder of several."""
    reader = Reader(data)
    choice, mend = reader.byte(), reader.byte()
    content = reader.rest()
    if mend & 1:
        content = mended_png(content)
    suffix = _SUFFIXES[choice % len(_SUFFIXES)]
    (scratch / f"2{suffix}").write_bytes(content)
    path: Path = scratch / f"2{suffix}"
    if mend & 2:
        (scratch / "10.png").write_bytes(content[::-1])
        path = scratch
    with open_source(path) as source:
        for frame in source:
            _check(frame.image, None, None)


def _file_seeds() -> Iterator[bytes]:
    for kind, content in small_files():
        if f".{kind}" in _SUFFIXES:
            index = _SUFFIXES.index(f".{kind}")
            yield bytes([index, kind == "png"]) + content
            yield bytes([index, 2]) + content


def _check(image: Any, width: int | None, height: int | None) -> None:
    assert image.dtype == np.uint8, image.dtype
    assert image.ndim == 3, image.shape
    assert image.shape[2] == 3, image.shape
    assert image.size, image.shape
    if width is not None:
        assert image.shape[:2] == (height, width), image.shape
    int(image[-1, -1].sum())  # the memory behind it is there


def mended_png(data: bytes) -> bytes:
    """Return a PNG whose chunks have the right lengths and checksums, as far as it is one."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, at = [data[:8]], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind = data[at + 4 : at + 8]
        length = min(length, max(0, len(data) - at - 12))
        body = data[at + 8 : at + 8 + length]
        check = zlib.crc32(kind + body).to_bytes(4, "big")
        parts.append(length.to_bytes(4, "big") + kind + body + check)
        at += 12 + length
    return b"".join(parts)


def small_picture(width: int = 24, height: int = 16) -> np.ndarray[Any, Any]:
    """Return a drawn face, uint8 BGR (height, width, 3)."""
    image = np.full((48, 72, 3), (90, 120, 60), np.uint8)
    cv2.ellipse(image, (36, 24), (16, 20), 0, 0, 360, (150, 180, 230), -1)
    for x in (30, 42):
        cv2.circle(image, (x, 19), 3, (60, 40, 20), -1)
    cv2.ellipse(image, (36, 32), (8, 5), 0, 0, 180, (60, 60, 190), 2)
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))


def small_files() -> Iterator[tuple[str, bytes]]:
    """Make small images of many kinds: suffix and content."""
    bgr = small_picture()
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    for flags in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]):
        yield "jpg", _encoded(".jpg", bgr, [*flags, cv2.IMWRITE_JPEG_QUALITY, 60])
    yield "jpg", _encoded(".jpg", grey, [])
    yield "png", _encoded(".png", bgr, [])
    yield "png", _encoded(".png", grey.astype(np.uint16) * 257, [])
    yield "png", _encoded(".png", np.dstack([bgr, grey]), [])
    pillow = Image.fromarray(bgr[:, :, ::-1])
    for image, kind, options in (
        (pillow.quantize(8), "png", {"transparency": 0}),
        (pillow.convert("1"), "png", {}),
        (pillow, "jpg", {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
                                 b"\0\0\0\0"}),
        (pillow.convert("CMYK"), "jpg", {}),
        (pillow, "webp", {"quality": 50}), (pillow, "webp", {"lossless": True}),
        (pillow, "bmp", {}), (pillow, "ppm", {}), (pillow.convert("L"), "pgm", {}),
        (pillow, "tif", {}), (pillow, "tif", {"compression": "tiff_lzw"}),
        (pillow.convert("L"), "tiff", {"compression": "tiff_adobe_deflate"}),
    ):  # fmt: skip
        made = io.BytesIO()
        name = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(kind, kind.upper())
        image.save(made, name, **options)
        yield kind, made.getvalue()


def _encoded(suffix: str, image: Any, options: list[int]) -> bytes:
    good, content = cv2.imencode(suffix, image, options)
    assert good, suffix
    return bytes(content.tobytes())


TARGETS = (
    Target(
        name="image", read=_image, allowed=(ImageError,), seeds=_image_seeds, largest=512,
        memory_mb=2048,
    ),
    Target(
        name="compressed", read=_compressed, allowed=(ImageError,), seeds=_compressed_seeds,
        memory_mb=2048,
    ),
    Target(
        name="image-file", read=_file, allowed=(SourceError,), seeds=_file_seeds, memory_mb=2048,
    ),
)  # fmt: skip
