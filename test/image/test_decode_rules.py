# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What decoding refuses, at the very limits, and in which words."""

import re
import struct
import zlib
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from emotion_perception.image.decode import (
    ENCODINGS,
    MAX_PIXELS,
    ImageError,
    decode_compressed,
    decode_image,
)


def message(width=6, height=4, encoding="bgr8", step=18, data=bytes(72), big=0):
    return SimpleNamespace(
        width=width, height=height, encoding=encoding, step=step, data=data, is_bigendian=big
    )


def compressed(data, declared="jpeg"):
    return SimpleNamespace(format=declared, data=data)


def refused(decode, one):
    with pytest.raises(ImageError) as error:
        decode(one)
    return str(error.value)


NOISE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
JPEG = cv2.imencode(".jpg", NOISE)[1].tobytes()
PNG = cv2.imencode(".png", NOISE)[1].tobytes()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"width": 0}, "width: got 0, expected at least 1 pixel"),
        ({"height": -3}, "height: expected at least 0, got -3"),
        ({"height": "4"}, "height: expected an integer, got str"),
        ({"step": 17}, "step: got 17, expected at least 18 bytes a row"),
        ({"step": -1}, "step: expected at least 0, got -1"),
        (
            {"data": bytes(71)},
            "data: truncated, got 71 bytes, expected 72 (4 rows of 18)",
        ),
        ({"data": bytes(90)}, "data: too long, got 90 bytes, expected 72 (4 rows of 18)"),
        ({"encoding": "yuyv", "width": 5}, "width: yuyv shares colour between 2 pixels, got odd"),
        (
            {"encoding": "16UC1"},
            "encoding: '16UC1' is depth, expected a colour or grey image topic",
        ),
        (
            {"encoding": "x" * 60},
            f"encoding: {'x' * 60!r} is unknown, expected {', '.join(ENCODINGS)}",
        ),
        ({"encoding": "x" * 61}, f"encoding: {'x' * 60 + '...'!r} is unknown, expected bgr8, "),
        ({"encoding": "bayer_grbg8", "height": 2}, "width, height: bayer_grbg8 needs at least 3x3"),
        ({"encoding": "nv12", "height": 3}, "width, height: 4:2:0 needs even numbers, got 6x3"),
        ({"data": 5}, "data: expected bytes, got an unusable int (object of type 'int' has no len"),
        ({"width": MAX_PIXELS + 1, "height": 1}, f"width, height: {MAX_PIXELS + 1}x1 is "),
        (
            {"width": 8193, "height": 8192},
            "width, height: 8193x8192 is 67117056 pixels, expected at most 67108864",
        ),
        ({"width": 8192, "height": 8192}, "step: got 18, expected at least 24576 bytes a row"),
    ],
)
def test_what_an_image_is_refused_for(changes, expected):
    assert refused(decode_image, message(**changes)).startswith(expected)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"data": bytes(89)}, (4, 6, 3)),  # less than a row more
        ({"encoding": "bayer_rggb8", "width": 3, "height": 3, "step": 18}, None),
        ({"encoding": "bayer_rggb8", "width": 3, "height": 3, "data": bytes(54)}, (3, 3, 3)),
        ({"width": np.uint32(6), "height": np.int64(4)}, (4, 6, 3)),
        ({"width": 1, "height": 1, "step": 3, "data": bytes(3)}, (1, 1, 3)),
        ({"encoding": "nv12", "step": 6, "data": bytes(36)}, (4, 6, 3)),
    ],
)
def test_what_just_fits(changes, shape):
    if shape is None:
        assert refused(decode_image, message(**changes)).startswith("data: too long, got 72")
    else:
        assert decode_image(message(**changes)).shape == shape


@pytest.mark.parametrize("big", [0, 1])
def test_bytes_of_8_bits_have_no_order(big):
    data = NOISE[:4, :6].tobytes()
    np.testing.assert_array_equal(decode_image(message(data=data, big=big)), NOISE[:4, :6])


def test_a_message_without_a_field():
    for name in ("width", "height", "encoding", "step", "data"):
        one = message()
        delattr(one, name)
        expected = f"{name}: missing in a message of type SimpleNamespace"
        assert refused(decode_image, one) == expected
    one = message(encoding="mono16", step=12, data=bytes(48))
    del one.is_bigendian
    assert refused(decode_image, one).startswith("is_bigendian: missing")


@pytest.mark.parametrize(
    ("declared", "data", "expected"),
    [
        ("jpeg", b"", "data: empty, expected a JPEG or PNG"),
        (
            "h264", b"\0\0\0\1\x67abcdefgh",
            "data: starts with 00 00 00 01 67 61 62 63, expected a JPEG or PNG (format 'h264')",
        ),
        ("32FC1; x", JPEG, "format: '32FC1; x' is a depth image, expected a colour or grey one"),
        ("a; COMPRESSEDDEPTH", JPEG, "format: 'a; COMPRESSEDDEPTH' is a depth image"),
        ("jpeg", JPEG[:2] + b"\xff\xd9", "data: corrupt, the JPEG has no frame header"),
        ("jpeg", JPEG[:30], "data: truncated, 30 bytes of JPEG without an end marker"),
        ("png", PNG[:-1], f"data: truncated, {len(PNG) - 1} bytes of PNG without an end chunk"),
        ("bayer_rggb8; png", cv2.imencode(".png", NOISE[:2, :, 0])[1].tobytes(),
         "width, height: bayer_rggb8 needs at least 3x3, got 32x2"),
    ],
)  # fmt: skip
def test_what_compressed_data_is_refused_for(declared, data, expected):
    assert refused(decode_compressed, compressed(data, declared)).startswith(expected)


@pytest.mark.parametrize("declared", ["16SC1", "64FC1", " 16UC1 ; jpeg"])
def test_depth_is_refused_whatever_is_inside(declared):
    assert "is a depth image" in refused(decode_compressed, compressed(JPEG, declared))


def test_a_mosaic_in_colour_is_a_picture():
    decoded = decode_compressed(compressed(PNG, "bayer_rggb8; png compressed "))
    np.testing.assert_array_equal(decoded, NOISE)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


MAGIC = PNG[:8]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (MAGIC + chunk(b"IDAT", bytes(13)), "data: corrupt, the PNG starts with b'IDAT', expected"),
        (MAGIC + chunk(b"IHDR", bytes(12)), "data: corrupt, the PNG starts with b'IHDR', expected"),
        (MAGIC + bytes(11), "data: truncated, 19 bytes of PNG without an end chunk"),
        (PNG.replace(b"IEND", b"IENX"), "data: corrupt, the PNG's chunk b'IENX' fails its checks"),
    ],
)
def test_chunks_of_a_png(data, expected):
    assert refused(decode_compressed, compressed(data)).startswith(expected)


def test_what_follows_a_png_is_ignored():
    np.testing.assert_array_equal(decode_compressed(compressed(PNG + b"junk" * 9)), NOISE)


@pytest.mark.parametrize("colour", [0, 2, 3, 4, 6])
def test_kinds_of_png_by_their_header(colour):
    """A header without pixels passes the checks, and only the decoder finds nothing."""
    header = struct.pack(">IIBBBBB", 4, 4, 8, colour, 0, 0, 0)
    data = MAGIC + chunk(b"IHDR", header) + chunk(b"IEND", b"")
    assert refused(decode_compressed, compressed(data)).startswith("data: corrupt, OpenCV")


def test_markers_before_the_picture_are_passed_over():
    expected = decode_compressed(compressed(JPEG))
    comment = b"\xff\xfe" + struct.pack(">H", 2 + 6) + b"\xff\xd9\xff\xd9ab"
    for extra in (comment, b"\xff\x01", b"\xff\xff\xff" + comment[1:]):
        decoded = decode_compressed(compressed(JPEG[:2] + extra + JPEG[2:]))
        np.testing.assert_array_equal(decoded, expected)


def test_the_size_of_a_jpeg_is_that_of_its_frame():
    frame = re.search(rb"\xff\xc0..\x08", JPEG, re.DOTALL).end()
    data = JPEG[:frame] + struct.pack(">HH", 9000, 8000) + JPEG[frame + 4 :]
    assert refused(decode_compressed, compressed(data)) == (
        f"width, height: 8000x9000 is 72000000 pixels, expected at most {MAX_PIXELS}"
    )


def test_a_result_is_a_new_array_that_may_be_changed():
    one = decode_compressed(compressed(PNG))
    assert one.flags.writeable
    assert decode_image(message(encoding="rgb8")).flags.writeable
    assert not decode_image(message()).flags.writeable
