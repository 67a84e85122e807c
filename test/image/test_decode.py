# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Decoding: every encoding against OpenCV, every fault with a line that names the field."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import zlib
from array import array
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from emotion_perception.image.decode import (
    ENCODINGS,
    MAX_PIXELS,
    ImageError,
    decode_compressed,
    decode_image,
)


@dataclass(frozen=True)
class RawMessage:
    """The fields of sensor_msgs/Image."""

    height: Any = 4
    width: Any = 6
    encoding: Any = "bgr8"
    is_bigendian: Any = 0
    step: Any = 18
    data: Any = bytes(72)
    header: Any = None


@dataclass(frozen=True)
class CompressedMessage:
    """The fields of sensor_msgs/CompressedImage."""

    format: Any
    data: Any
    header: Any = None


def message_of(
    pixels: np.ndarray, encoding: str, *, padding: int = 0, big: bool = False, height: int = 0
) -> RawMessage:
    """Lay pixels (rows, columns[, channels]) out as a driver does."""
    rows = pixels.shape[0]
    ordered = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<"))
    body = np.frombuffer(ordered.tobytes(), np.uint8).reshape(rows, -1)
    padded = np.concatenate([body, np.full((rows, padding), 0xEE, np.uint8)], axis=1)
    return RawMessage(
        height=height or rows,
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big),
        step=padded.shape[1],
        data=array("B", padded.tobytes()),
    )


def noise(*shape: int, dtype: Any = np.uint8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def picture(height: int = 96, width: int = 128) -> np.ndarray:
    """A smooth BGR picture with a little noise, as a camera sees it."""
    coarse = cv2.resize(noise(5, 7, 3), (width, height), interpolation=cv2.INTER_CUBIC)
    return cv2.add(coarse, noise(height, width, 3, seed=1) // 16)


def scaled(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * (255.0 / 65535.0)).astype(np.uint8)


def mosaic(bgr: np.ndarray, pattern: str) -> np.ndarray:
    """What a sensor with this colour filter (named row by row) would see of a BGR picture."""
    raw = np.empty(bgr.shape[:2], bgr.dtype)
    for i, colour in enumerate(pattern):
        y, x = divmod(i, 2)
        raw[y::2, x::2] = bgr[y::2, x::2, "bgr".index(colour)]
    return raw


class TestImageEncodings:
    @pytest.mark.parametrize("padding", [0, 2, 7])
    @pytest.mark.parametrize("big", [False, True])
    @pytest.mark.parametrize(
        ("encoding", "channels", "dtype", "order"),
        [
            # colour orders: which channel in memory is blue, green, red
            ("bgr8", 3, np.uint8, [0, 1, 2]),
            ("8UC3", 3, np.uint8, [0, 1, 2]),
            ("rgb8", 3, np.uint8, [2, 1, 0]),
            # alpha is dropped, not blended
            ("bgra8", 4, np.uint8, [0, 1, 2]),
            ("8UC4", 4, np.uint8, [0, 1, 2]),
            ("rgba8", 4, np.uint8, [2, 1, 0]),
            # grey is repeated
            ("mono8", 1, np.uint8, [0, 0, 0]),
            ("8UC1", 1, np.uint8, [0, 0, 0]),
            # 16 bits are scaled, in the byte order that the message states
            ("mono16", 1, np.uint16, [0, 0, 0]),
            ("bgr16", 3, np.uint16, [0, 1, 2]),
            ("rgb16", 3, np.uint16, [2, 1, 0]),
            ("bgra16", 4, np.uint16, [0, 1, 2]),
            ("rgba16", 4, np.uint16, [2, 1, 0]),
        ],
    )
    def test_packed(self, encoding, channels, dtype, order, big, padding):
        pixels = noise(5, 6, channels, dtype=dtype)
        bgr = pixels[..., order]
        decoded = decode_image(message_of(pixels, encoding, padding=padding, big=big))
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, scaled(bgr) if dtype == np.uint16 else bgr)

    @pytest.mark.parametrize("padding", [0, 6])
    @pytest.mark.parametrize(
        ("encoding", "code"),
        [
            # luma second
            ("yuv422", cv2.COLOR_YUV2BGR_UYVY),
            ("uyvy", cv2.COLOR_YUV2BGR_UYVY),
            # luma first
            ("yuv422_yuy2", cv2.COLOR_YUV2BGR_YUY2),
            ("yuyv", cv2.COLOR_YUV2BGR_YUY2),
        ],
    )
    def test_yuv422(self, encoding, code, padding):
        pixels = noise(5, 6, 2)
        decoded = decode_image(message_of(pixels, encoding, padding=padding))
        np.testing.assert_array_equal(decoded, cv2.cvtColor(pixels, code))

    @pytest.mark.parametrize(
        ("encoding", "red"),
        [
            # a saturated red is Y=81, U=90, V=240: only the right byte order shows red
            ("yuv422", [[90, 81], [240, 81]]),
            ("yuyv", [[81, 90], [81, 240]]),
        ],
    )
    def test_yuv422_shows_red_as_red(self, encoding, red):
        pixels = np.tile(np.array(red, np.uint8), (4, 3, 1))
        blue, green, red_value = decode_image(message_of(pixels, encoding))[0, 0].astype(int)
        assert red_value > 240
        assert max(blue, green) < 15

    @pytest.mark.parametrize("padding", [0, 10])
    @pytest.mark.parametrize(
        ("encoding", "code"),
        [("nv12", cv2.COLOR_YUV2BGR_NV12), ("nv21", cv2.COLOR_YUV2BGR_NV21)],
    )
    def test_planar(self, encoding, code, padding):
        planes = noise(12, 6)  # 8 rows of luma, 4 of chroma
        decoded = decode_image(message_of(planes, encoding, padding=padding, height=8))
        assert decoded.shape == (8, 6, 3)
        np.testing.assert_array_equal(decoded, cv2.cvtColor(planes, code))

    @pytest.mark.parametrize("padding", [0, 4])
    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
    def test_bayer(self, pattern, bits, padding):
        # A flat colour survives any demosaicing: wrong pattern names would swap it.
        colour = np.array([200, 90, 30], np.uint8)
        flat = np.tile(colour, (8, 10, 1))
        pixels = flat if bits == 8 else flat.astype(np.uint16) * 257
        raw = message_of(mosaic(pixels, pattern), f"bayer_{pattern}{bits}", padding=padding)
        np.testing.assert_array_equal(decode_image(raw), flat)

    def test_bayer_of_a_picture_is_near_the_picture(self):
        bgr = cv2.GaussianBlur(picture(), (0, 0), 3)
        decoded = decode_image(message_of(mosaic(bgr, "grbg"), "bayer_grbg8"))
        assert np.abs(decoded.astype(int) - bgr).mean() < 2

    def test_every_encoding_is_listed_once(self):
        assert len(set(ENCODINGS)) == len(ENCODINGS) == 27

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_agrees_with_cv_bridge(self, encoding):
        try:  # a cv_bridge built for NumPy 1 raises more than ImportError under NumPy 2
            from cv_bridge import CvBridge
            from sensor_msgs.msg import Image

            bridge = CvBridge()
        except Exception as error:
            pytest.skip(f"no working cv_bridge: {error}")
        if encoding.startswith(("8UC", "nv")):
            pytest.skip("cv_bridge has no colour for this encoding")
        channels = next((n for key, n in CHANNELS if key in encoding), 1)
        dtype = np.uint16 if encoding.endswith("16") else np.uint8
        raw = message_of(noise(8, 10, channels, dtype=dtype), encoding)
        real = Image(height=8, width=10, encoding=encoding, step=raw.step, data=raw.data)
        try:
            expected = bridge.imgmsg_to_cv2(real, "bgr8")
        except Exception as error:
            pytest.skip(f"this cv_bridge can't convert {encoding}: {error}")
        np.testing.assert_array_equal(decode_image(raw), expected)


CHANNELS = [("bgra", 4), ("rgba", 4), ("bayer", 1), ("bgr", 3), ("rgb", 3), ("yu", 2), ("uy", 2)]


class TestImageMemory:
    @pytest.mark.parametrize("encoding", ["bgr8", "8UC3"])
    def test_bgr_is_a_read_only_view(self, encoding):
        message = message_of(noise(4, 6, 3), encoding, padding=5)
        decoded = decode_image(message)
        before = decoded[0, 0, 0]
        message.data[0] ^= 0xFF
        assert decoded[0, 0, 0] == before ^ 0xFF
        assert not decoded.flags.writeable

    def test_a_view_keeps_the_message_alive_and_feeds_opencv(self):
        pixels = noise(4, 6, 3)
        decoded = decode_image(message_of(pixels, "bgr8", padding=5))
        np.testing.assert_array_equal(
            cv2.cvtColor(decoded, cv2.COLOR_BGR2GRAY), cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)
        )

    @pytest.mark.parametrize(
        "container",
        [bytes, bytearray, memoryview, list, tuple, lambda data: np.frombuffer(data, np.uint8)],
    )
    def test_any_container_of_bytes(self, container):
        pixels = noise(4, 6, 3)
        message = message_of(pixels, "rgb8")
        decoded = decode_image(replace(message, data=container(bytes(message.data))))
        np.testing.assert_array_equal(decoded, pixels[..., ::-1])

    def test_padding_after_the_last_row_is_ignored(self):
        message = message_of(noise(4, 6, 3), "bgr8")
        expected = decode_image(message).copy()
        longer = replace(message, data=bytes(message.data) + bytes(17))
        np.testing.assert_array_equal(decode_image(longer), expected)

    def test_a_real_message(self):
        sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed")
        pixels = noise(4, 6, 3)
        raw = message_of(pixels, "rgb8", padding=3)
        real = sensor_msgs.Image(height=4, width=6, encoding="rgb8", step=raw.step, data=raw.data)
        np.testing.assert_array_equal(decode_image(real), pixels[..., ::-1])

    @settings(deadline=None)
    @given(
        height=st.integers(1, 9),
        width=st.integers(1, 9),
        padding=st.integers(0, 40),
        big=st.booleans(),
        mono=st.booleans(),
        seed=st.integers(0, 2**16),
    )
    def test_16_bit_round_trip(self, height, width, padding, big, mono, seed):
        pixels = noise(height, width, 1 if mono else 3, dtype=np.uint16, seed=seed)
        encoding = "mono16" if mono else "bgr16"
        decoded = decode_image(message_of(pixels, encoding, padding=padding, big=big))
        np.testing.assert_array_equal(decoded, np.broadcast_to(scaled(pixels), decoded.shape))

    @settings(deadline=None)
    @given(data=st.binary(max_size=200), step=st.integers(0, 40), rows=st.integers(0, 8))
    def test_decodes_or_refuses_but_never_reads_beyond_the_data(self, data, step, rows):
        message = RawMessage(height=rows, width=5, encoding="bgr8", step=step, data=data)
        if rows >= 1 and step >= 15 and step * rows <= len(data) < step * (rows + 1):
            assert decode_image(message).shape == (rows, 5, 3)
        else:
            with pytest.raises(ImageError):
                decode_image(message)


def assert_one_line(error: pytest.ExceptionInfo[ImageError]) -> None:
    assert "\n" not in str(error.value)


class TestImageFaults:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            # a driver that has not seen its first frame
            ({"width": 0}, "width: got 0, expected at least 1"),
            ({"height": 0}, "height: got 0, expected at least 1"),
            # a header of nonsense must not lead to an allocation
            ({"width": 20000, "height": 20000}, "20000x20000 is 400000000 pixels"),
            ({"width": 2**32 - 1, "height": 2**32 - 1}, f"at most {MAX_PIXELS}"),
            ({"height": -1}, "height: expected at least 0, got -1"),
            ({"width": 6.0}, "width: expected an integer, got float"),
            # rows that do not fit
            ({"step": 17}, "step: got 17, expected at least 18"),
            ({"step": 0}, "step: got 0"),
            ({"encoding": "mono16", "step": 11}, "step: got 11, expected at least 12"),
            # data and header disagree
            ({"data": bytes(71)}, "data: truncated, got 71 bytes, expected 72 (4 rows of 18)"),
            ({"data": b""}, "data: truncated, got 0 bytes"),
            ({"data": array("B")}, "data: truncated, got 0 bytes"),
            ({"data": bytes(90)}, "data: too long, got 90 bytes, expected 72"),
            ({"encoding": "nv12", "step": 6, "data": bytes(24)}, "truncated, got 24 bytes"),
            # data that is not bytes
            ({"data": None}, "data: expected bytes, got an unusable NoneType"),
            ({"data": "text"}, "data: expected bytes, got an unusable str"),
            ({"data": [256] * 72}, "data: expected bytes, got an unusable list"),
            ({"data": noise(144)[::2]}, "data: expected bytes, got an unusable ndarray"),
            # encodings
            ({"encoding": ""}, "encoding: '' is unknown, expected bgr8, "),
            ({"encoding": "BGR8"}, "encoding: 'BGR8' is unknown"),
            ({"encoding": "nv24"}, "encoding: 'nv24' is unknown"),
            ({"encoding": "16UC1"}, "encoding: '16UC1' is depth"),
            ({"encoding": "32FC1"}, "encoding: '32FC1' is depth"),
            # shared colour needs whole pairs of pixels
            ({"encoding": "yuv422", "width": 5}, "width: yuv422 shares colour"),
            ({"encoding": "nv21", "width": 5}, "4:2:0 needs even numbers, got 5x4"),
            ({"encoding": "nv21", "height": 3}, "4:2:0 needs even numbers, got 6x3"),
            # OpenCV answers with black
            ({"encoding": "bayer_rggb8", "width": 2}, "bayer_rggb8 needs at least 3x3, got 2x4"),
        ],
    )
    def test_names_the_field(self, changes, expected):
        with pytest.raises(ImageError, match=re.escape(expected)) as error:
            decode_image(replace(RawMessage(), **changes))
        assert_one_line(error)

    def test_a_compressed_message_is_not_an_image(self):
        with pytest.raises(ImageError, match="encoding: missing in a message of type Compressed"):
            decode_image(CompressedMessage("jpeg", b""))

    def test_an_error_is_a_value_error(self):
        assert issubclass(ImageError, ValueError)


def jpeg(bgr: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(".jpg", bgr, options)[1].tobytes()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def pillow_bytes(image: PillowImage.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


class TestCompressed:
    @pytest.mark.parametrize("container", [bytes, lambda data: array("B", data), list])
    @pytest.mark.parametrize(
        "options",
        [
            (),
            (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
            (cv2.IMWRITE_JPEG_RST_INTERVAL, 2),  # as webcams write
            (cv2.IMWRITE_JPEG_QUALITY, 20),
        ],
    )
    def test_jpeg_is_what_opencv_decodes(self, options, container):
        data = jpeg(picture(), *options)
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        decoded = decode_compressed(CompressedMessage("jpeg", container(data)))
        np.testing.assert_array_equal(decoded, expected)

    @pytest.mark.parametrize(
        ("pixels", "expected"),
        [
            (picture(), picture()),
            # grey
            (noise(5, 6), np.repeat(noise(5, 6)[..., None], 3, axis=2)),
            # alpha is dropped
            (noise(5, 6, 4), noise(5, 6, 4)[..., :3]),
            # 16 bits, in one, three and four channels
            (
                noise(5, 6, dtype=np.uint16),
                np.repeat(scaled(noise(5, 6, dtype=np.uint16))[..., None], 3, axis=2),
            ),
            (noise(5, 6, 3, dtype=np.uint16), scaled(noise(5, 6, 3, dtype=np.uint16))),
            (noise(5, 6, 4, dtype=np.uint16), scaled(noise(5, 6, 4, dtype=np.uint16))[..., :3]),
        ],
    )
    def test_png(self, pixels, expected):
        decoded = decode_compressed(CompressedMessage("bgr8; png compressed bgr8", png(pixels)))
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, expected)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_png_kinds_of_other_writers(self, mode):
        image = PillowImage.fromarray(picture()[..., ::-1]).convert(mode)
        decoded = decode_compressed(CompressedMessage("png", pillow_bytes(image, "PNG")))
        np.testing.assert_array_equal(decoded, np.asarray(image.convert("RGB"))[..., ::-1])

    @pytest.mark.parametrize("mode", ["L", "CMYK"])
    def test_jpeg_kinds_of_other_writers(self, mode):
        image = PillowImage.fromarray(picture()[..., ::-1]).convert(mode)
        data = pillow_bytes(image, "JPEG", quality=95)
        decoded = decode_compressed(CompressedMessage("jpeg", data))
        expected = np.asarray(image.convert("RGB"))[..., ::-1].astype(int)
        assert np.abs(decoded - expected).mean() < 4

    def test_the_data_wins_over_a_careless_format(self):
        decoded = decode_compressed(CompressedMessage("jpeg", png(picture())))
        np.testing.assert_array_equal(decoded, picture())

    @pytest.mark.parametrize("encode", [jpeg, png])
    @pytest.mark.parametrize(
        ("declared", "swapped"),
        [
            ("jpeg", False),
            ("rgb8; jpeg compressed bgr8", False),
            ("bgr8; png compressed bgr8", False),
            # the channels were compressed in the wrong places
            ("rgb8; jpeg compressed rgb8", True),
        ],
    )
    def test_channel_order_of_image_transport(self, encode, declared, swapped):
        data = encode(picture())
        plain = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        decoded = decode_compressed(CompressedMessage(declared, data))
        np.testing.assert_array_equal(decoded, plain[..., ::-1] if swapped else plain)

    def test_a_compressed_mosaic_is_demosaiced(self):
        flat = np.tile(np.array([200, 90, 30], np.uint8), (16, 16, 1))
        message = CompressedMessage("bayer_gbrg8; png compressed ", png(mosaic(flat, "gbrg")))
        np.testing.assert_array_equal(decode_compressed(message), flat)

    def test_exif_orientation_is_ignored_as_on_the_raw_topic(self):
        exif = PillowImage.Exif()
        exif[0x0112] = 6
        data = pillow_bytes(PillowImage.fromarray(picture()), "JPEG", exif=exif)
        assert decode_compressed(CompressedMessage("jpeg", data)).shape == picture().shape

    @pytest.mark.parametrize("tail", [bytes(512), b"\xff\xff", noise(300).tobytes()])
    def test_padding_after_the_end_of_a_jpeg(self, tail):
        data = jpeg(picture())
        decoded = decode_compressed(CompressedMessage("jpeg", data + tail))
        np.testing.assert_array_equal(decoded, decode_compressed(CompressedMessage("jpeg", data)))

    @pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)])
    @pytest.mark.parametrize("black_rows", [1, 40, 96])
    def test_a_truly_flat_bottom_is_no_fault(self, black_rows, options, capfd):
        bgr = picture()
        bgr[-black_rows:] = 0
        decoded = decode_compressed(CompressedMessage("jpeg", jpeg(bgr, *options)))
        assert np.abs(decoded.astype(int) - bgr).mean() < 8
        assert capfd.readouterr().err == ""  # a dark camera must not fill the log

    def test_a_real_message(self):
        sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="sensor_msgs is not installed")
        real = sensor_msgs.CompressedImage(format="png", data=array("B", png(picture())))
        np.testing.assert_array_equal(decode_compressed(real), picture())


def with_thumbnail() -> bytes:
    """A JPEG whose EXIF carries a whole small JPEG, end marker included."""
    thumbnail = jpeg(picture(16, 16))
    body = b"Exif\0\0" + thumbnail
    whole = jpeg(picture())
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + whole[2:]


class TestCompressedFaults:
    @pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
    @pytest.mark.parametrize(
        "whole",
        [
            jpeg(picture()),
            jpeg(picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
            jpeg(picture(), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
            # the end marker of the thumbnail is not the end of the picture
            with_thumbnail(),
            png(picture()),
        ],
        ids=["jpeg", "progressive", "restarts", "thumbnail", "png"],
    )
    def test_truncated(self, whole, kept):
        decode_compressed(CompressedMessage("", whole))
        with pytest.raises(ImageError, match="data: truncated") as error:
            decode_compressed(CompressedMessage("", whole[: int(len(whole) * kept)]))
        assert_one_line(error)

    @pytest.mark.parametrize("kept", [0.4, 0.6, 0.8])
    @pytest.mark.parametrize(
        "whole",
        [
            jpeg(picture(240, 320)),
            jpeg(picture(240, 320), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
            pillow_bytes(PillowImage.fromarray(picture(240, 320)), "JPEG", subsampling=0),
        ],
        ids=["420", "restarts", "444"],
    )
    def test_half_grey_with_an_end_marker(self, whole, kept):
        # A camera that loses packets still sends the end marker.
        grey = whole[: int(len(whole) * kept)] + b"\xff\xd9"
        with pytest.raises(ImageError, match="ends before its last rows"):
            decode_compressed(CompressedMessage("jpeg", grey))

    @pytest.mark.parametrize(
        ("declared", "data", "expected"),
        [
            ("jpeg", b"", "data: empty"),
            ("jpeg", b"\xff\xd8", "data: starts with ff d8, expected a JPEG or PNG"),
            ("h264", b"\0\0\0\1\x67", "data: starts with 00 00 00 01 67"),
            ("jpeg", b"\xff\xd8\xff\xe0", "data: truncated, 4 bytes of JPEG"),
            ("jpeg", b"\xff\xd8\xff\xd9", "the JPEG has no frame header"),
            ("png", b"\x89PNG\r\n\x1a\n", "data: truncated, 8 bytes of PNG"),
            # depth
            ("16UC1; compressedDepth", png(noise(4, 4)), "is a depth image"),
            ("32FC1; compressedDepth rvl", b"\0" * 20, "is a depth image"),
            ("16UC1; png compressed ", png(noise(4, 4, dtype=np.uint16)), "is a depth image"),
        ],
    )
    def test_names_the_fault(self, declared, data, expected):
        with pytest.raises(ImageError, match=re.escape(expected)) as error:
            decode_compressed(CompressedMessage(declared, data))
        assert_one_line(error)

    @pytest.mark.parametrize(
        ("height", "width", "expected"),
        [
            (20000, 20000, "20000x20000 is 400000000 pixels"),
            (65535, 65535, "65535x65535"),
            (0, 100, "height: got 0"),
        ],
    )
    def test_absurd_headers_are_refused_before_decoding(self, height, width, expected):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
        with pytest.raises(ImageError, match=expected):
            decode_compressed(CompressedMessage("png", bomb))
        data = bytearray(jpeg(picture()))
        frame = re.search(rb"\xff\xc0..\x08", data, re.DOTALL).end()
        data[frame : frame + 4] = struct.pack(">HH", height, width)
        with pytest.raises(ImageError, match=expected):
            decode_compressed(CompressedMessage("jpeg", data))

    @staticmethod
    def resized_jpeg(data: bytes, side: int) -> bytearray:
        changed = bytearray(data)
        frame = re.search(rb"\xff[\xc0\xc2]..\x08", data, re.DOTALL).end()
        changed[frame : frame + 4] = struct.pack(">HH", side, side)
        return changed

    @pytest.mark.parametrize("progressive", [0, 1])
    def test_a_few_bytes_do_not_buy_millions_of_pixels(self, progressive):
        small = jpeg(noise(16, 16), cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
        with pytest.raises(ImageError, match="bytes of JPEG can't hold 16777216 pixels"):
            decode_compressed(CompressedMessage("jpeg", self.resized_jpeg(small, 4096)))

    def test_the_emptiest_jpeg_of_many_pixels_is_decoded(self):
        flat = np.full((2048, 2048), 90, np.uint8)
        for progressive in (0, 1):
            data = jpeg(flat, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
            assert decode_compressed(CompressedMessage("jpeg", data)).shape == (2048, 2048, 3)

    def test_scans_without_end_are_refused(self):
        data = jpeg(picture(), cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
        last = data.rindex(b"\xff\xda")
        again = data[:-2] + data[last:-2] * 40_000 + data[-2:]
        with pytest.raises(ImageError, match="scans or more of 12288 pixels"):
            decode_compressed(CompressedMessage("jpeg", again))

    def test_markers_and_chunks_without_end_are_refused(self):
        data = jpeg(picture())
        with pytest.raises(ImageError, match="50000 markers in one JPEG"):
            decode_compressed(
                CompressedMessage("jpeg", data[:2] + b"\xff\xe1\0\2" * 60_000 + data[2:])
            )
        whole = png(picture())
        many = whole[:-12] + png_chunk(b"tEXt", b"") * 60_000 + whole[-12:]
        with pytest.raises(ImageError, match="50000 chunks in one PNG"):
            decode_compressed(CompressedMessage("png", many))

    @pytest.mark.parametrize(
        ("depth", "colour", "expected"),
        [(16, 6, "expected at most 134217728 in a PNG"), (8, 5, "colour type 5"),
         (3, 2, "colour type 2 with 3 bits")],
    )  # fmt: skip
    def test_a_png_of_too_many_bytes_or_no_known_kind(self, depth, colour, expected):
        header = struct.pack(">IIBBBBB", 8000, 8000, depth, colour, 0, 0, 0)
        bomb = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
        with pytest.raises(ImageError, match=expected):
            decode_compressed(CompressedMessage("png", bomb))

    def test_nobody_fills_the_log(self):
        for decode, message in (
            (decode_image, RawMessage(encoding="x" * 10**6)),
            (decode_compressed, CompressedMessage("x" * 10**6, b"nothing")),
            (decode_compressed, CompressedMessage("compressedDepth" * 10**5, b"nothing")),
        ):
            with pytest.raises(ImageError) as error:
                decode(message)
            assert len(str(error.value)) < 1000

    def test_a_flipped_byte_in_a_png(self):
        data = bytearray(png(picture()))
        data[len(data) // 2] ^= 1
        with pytest.raises(ImageError, match="fails its checksum"):
            decode_compressed(CompressedMessage("png", data))

    def test_a_png_without_pixels(self):
        header = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
        with pytest.raises(ImageError, match="data: corrupt"):
            decode_compressed(CompressedMessage("png", data))

    def test_an_image_is_not_a_compressed_message(self):
        with pytest.raises(ImageError, match="format: missing in a message of type RawMessage"):
            decode_compressed(RawMessage())

    @settings(deadline=None)
    @given(st.data())
    def test_damage_never_raises_anything_else(self, data):
        whole = bytearray(data.draw(st.sampled_from([jpeg(picture(32, 32)), png(picture(32, 32))])))
        for _ in range(data.draw(st.integers(1, 4))):
            whole[data.draw(st.integers(8, len(whole) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(ImageError):
            assert decode_compressed(CompressedMessage("", whole)).dtype == np.uint8
