# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""ROS image messages -> uint8 BGR arrays, without rclpy, sensor_msgs or cv_bridge.

Messages are read by their field names only (``sensor_msgs/Image``: height, width, encoding,
is_bigendian, step, data; ``sensor_msgs/CompressedImage``: format, data), so that this module
works and is tested on a machine without ROS. Encoding names and their meaning are those of
``sensor_msgs/image_encodings.hpp``; results equal cv_bridge's conversion to ``bgr8``.
"""

from __future__ import annotations

import io
import operator
import re
import struct
import zlib
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_PIXELS = 64 * 2**20  # a larger header is a fault or an attack: refused before allocating

# What a small file can ask of a decoder; without these limits 4 MB keep it busy for an hour.
_MAX_SCAN_PIXELS = 4 * MAX_PIXELS  # a progressive JPEG goes over the image once for each scan
_MAX_PNG_BYTES = 2 * MAX_PIXELS  # of uncompressed pixels
_MAX_SEGMENTS = 50_000  # markers or chunks; a PNG of 128 MB has 16,000
_PIXELS_A_BYTE = 8 * 64  # of a JPEG: each block of 8x8 pixels takes one bit at least

_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

# name -> (channels in memory, dtype, cv2 conversion to BGR or None where it is BGR already)
_PACKED: dict[str, tuple[int, str, int | None]] = {
    "bgr8": (3, "u1", None),
    "8UC3": (3, "u1", None),
    "rgb8": (3, "u1", cv2.COLOR_RGB2BGR),
    "bgra8": (4, "u1", cv2.COLOR_BGRA2BGR),
    "8UC4": (4, "u1", cv2.COLOR_BGRA2BGR),
    "rgba8": (4, "u1", cv2.COLOR_RGBA2BGR),
    "mono8": (1, "u1", cv2.COLOR_GRAY2BGR),
    "8UC1": (1, "u1", cv2.COLOR_GRAY2BGR),
    "bgr16": (3, "u2", None),
    "rgb16": (3, "u2", cv2.COLOR_RGB2BGR),
    "bgra16": (4, "u2", cv2.COLOR_BGRA2BGR),
    "rgba16": (4, "u2", cv2.COLOR_RGBA2BGR),
    "mono16": (1, "u2", cv2.COLOR_GRAY2BGR),
    "yuv422": (2, "u1", cv2.COLOR_YUV2BGR_UYVY),
    "uyvy": (2, "u1", cv2.COLOR_YUV2BGR_UYVY),
    "yuv422_yuy2": (2, "u1", cv2.COLOR_YUV2BGR_YUYV),
    "yuyv": (2, "u1", cv2.COLOR_YUV2BGR_YUYV),
}
# ROS names the first two pixels of the first row, OpenCV the second and third of the second row.
_BAYER = {
    "bayer_rggb8": ("u1", cv2.COLOR_BayerBG2BGR),
    "bayer_bggr8": ("u1", cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg8": ("u1", cv2.COLOR_BayerGR2BGR),
    "bayer_grbg8": ("u1", cv2.COLOR_BayerGB2BGR),
    "bayer_rggb16": ("u2", cv2.COLOR_BayerBG2BGR),
    "bayer_bggr16": ("u2", cv2.COLOR_BayerRG2BGR),
    "bayer_gbrg16": ("u2", cv2.COLOR_BayerGR2BGR),
    "bayer_grbg16": ("u2", cv2.COLOR_BayerGB2BGR),
}
_PLANAR = {"nv12": cv2.COLOR_YUV2BGR_NV12, "nv21": cv2.COLOR_YUV2BGR_NV21}
_DEPTH = frozenset({"16UC1", "16SC1", "32FC1", "64FC1"})
# (channels OpenCV decoded, whether they are red first) -> cv2 conversion to BGR or None
_DECODED: dict[tuple[int, bool], int | None] = {
    (1, False): cv2.COLOR_GRAY2BGR,
    (1, True): cv2.COLOR_GRAY2BGR,
    (3, False): None,
    (3, True): cv2.COLOR_RGB2BGR,
    (4, False): cv2.COLOR_BGRA2BGR,
    (4, True): cv2.COLOR_RGBA2BGR,
}

ENCODINGS = (*_PACKED, *_BAYER, *_PLANAR)
"""Every ``encoding`` that `decode_image` accepts."""


class ImageError(ValueError):
    """An image message that can't be decoded; the message names the field at fault."""


def decode_image(message: Any) -> NDArray[np.uint8]:
    """Decode a ``sensor_msgs/Image``.

    16-bit values are scaled by 255/65535 and rounded, as cv_bridge does. ``data`` must hold
    ``step * height`` bytes (half as much again for nv12 and nv21); less than one further row is
    taken as the padding of the driver's buffer, more means that the header is wrong.

    Args:
        message: anything with the fields of ``sensor_msgs/Image``; ``data`` may be an
            ``array.array``, bytes, a NumPy array or a list of integers.

    Returns:
        uint8 BGR array (height, width, 3). For ``bgr8`` and ``8UC3`` a read-only view of
        ``message.data`` whose rows may be padded (not contiguous), else a new array.

    Raises:
        ImageError: a field is missing, absurd or contradicts another, or the encoding is not
            one of `ENCODINGS`.
    """
    encoding = _encoding(message)
    width, height = _checked_size(_uint(message, "width"), _uint(message, "height"))
    if encoding in _PLANAR:
        return _to_bgr8(_planar(message, width, height), _PLANAR[encoding])
    if encoding in _BAYER:
        dtype, code = _BAYER[encoding]
        _check_bayer(width, height, encoding)
        return _to_bgr8(_packed(message, width, height, 1, dtype), code)
    channels, dtype, conversion = _PACKED[encoding]
    if channels == 2 and width % 2:
        raise ImageError(f"width: {encoding} shares colour between 2 pixels, got odd width {width}")
    return _to_bgr8(_packed(message, width, height, channels, dtype), conversion)


def decode_compressed(message: Any) -> NDArray[np.uint8]:
    """Decode a ``sensor_msgs/CompressedImage`` with a JPEG or PNG inside.

    The kind is told by the data itself, as many drivers write ``format`` carelessly. ``format``
    is honoured where image_transport gives it a meaning: "compressed rgb" (channels swapped),
    ``bayer_...`` (a mosaic stored as grey) and depth images (refused). Alpha is dropped, 16-bit
    values are scaled as in `decode_image`, and a JPEG's EXIF orientation is ignored, so that
    pixels agree with the raw topic.

    Args:
        message: anything with the fields of ``sensor_msgs/CompressedImage``.

    Returns:
        uint8 BGR array (height, width, 3), newly allocated.

    Raises:
        ImageError: not a JPEG or PNG, truncated, corrupt, too large, or a depth image.
    """
    declared = str(_field(message, "format"))
    encoding = declared.split(";")[0].strip()
    if "compresseddepth" in declared.lower() or encoding in _DEPTH:
        raise ImageError(
            f"format: {_shown(declared)} is a depth image, expected a colour or grey one"
        )
    buffer = _data(message)
    if buffer.size == 0:
        raise ImageError("data: empty, expected a JPEG or PNG")
    raw = buffer.data
    head = bytes(raw[:8])
    end_of_jpeg = 0
    if head.startswith(_JPEG_MAGIC):
        end_of_jpeg = _check_jpeg(raw)
    elif head == _PNG_MAGIC:
        _check_png(raw)
    else:
        raise ImageError(
            f"data: starts with {head.hex(' ')}, expected a JPEG or PNG (format {_shown(declared)})"
        )
    image = _imdecode(buffer)
    if end_of_jpeg and _lacks_pixels(raw, end_of_jpeg, image):
        raise ImageError("data: truncated, the JPEG ends before its last rows of pixels")
    if encoding in _BAYER and image.ndim == 2:
        _check_bayer(image.shape[1], image.shape[0], encoding)
        return _to_bgr8(image, _BAYER[encoding][1])
    # Old publishers compressed RGB memory as if it were BGR, and said so.
    swapped = "compressed rgb" in declared
    channels = image.shape[2] if image.ndim == 3 else 1
    return _to_bgr8(image, _DECODED[channels, swapped])


def _to_bgr8(image: NDArray[Any], conversion: int | None) -> NDArray[np.uint8]:
    """Convert colours with a cv2 code, then scale uint16 to uint8."""
    bgr: NDArray[Any] = image if conversion is None else cv2.cvtColor(image, conversion)
    if bgr.dtype == np.uint16:
        bgr = cv2.convertScaleAbs(bgr, alpha=255.0 / 65535.0)
    if bgr.dtype != np.uint8:
        raise ImageError(f"data: pixels are {bgr.dtype}, expected uint8 or uint16")
    return bgr


def _field(message: Any, name: str) -> Any:
    try:
        return getattr(message, name)
    except AttributeError:
        raise ImageError(f"{name}: missing in a message of type {type(message).__name__}") from None


def _shown(text: str) -> str:
    """Quote the start of a text from a message: nobody may fill the log with it."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _uint(message: Any, name: str) -> int:
    value = _field(message, name)
    try:
        number = operator.index(value)
    except TypeError:
        raise ImageError(f"{name}: expected an integer, got {type(value).__name__}") from None
    if number < 0:
        raise ImageError(f"{name}: expected at least 0, got {number}")
    return number


def _encoding(message: Any) -> str:
    encoding = str(_field(message, "encoding"))
    if encoding in _DEPTH:
        raise ImageError(f"encoding: {encoding!r} is depth, expected a colour or grey image topic")
    if encoding not in ENCODINGS:
        raise ImageError(
            f"encoding: {_shown(encoding)} is unknown, expected {', '.join(ENCODINGS)}"
        )
    return encoding


def _checked_size(width: int, height: int) -> tuple[int, int]:
    for name, value in (("width", width), ("height", height)):
        if value == 0:
            raise ImageError(f"{name}: got 0, expected at least 1 pixel")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"width, height: {width}x{height} is {width * height} pixels,"
            f" expected at most {MAX_PIXELS}"
        )
    return width, height


def _check_bayer(width: int, height: int, encoding: str) -> None:
    if width < 3 or height < 3:  # OpenCV leaves such images black
        raise ImageError(f"width, height: {encoding} needs at least 3x3, got {width}x{height}")


def _data(message: Any) -> NDArray[np.uint8]:
    """Return ``message.data`` as a flat uint8 array, a view wherever the type allows one."""
    data = _field(message, "data")
    try:
        if len(data) == 0:  # np.frombuffer refuses an empty buffer
            return np.empty(0, np.uint8)
        buffer = bytes(data) if isinstance(data, (list, tuple)) else data
        flat: NDArray[np.uint8] = np.frombuffer(buffer, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        kind = type(data).__name__
        raise ImageError(f"data: expected bytes, got an unusable {kind} ({error})") from None
    return flat


def _rows(message: Any, rows: int, row_bytes: int) -> tuple[NDArray[np.uint8], int]:
    """Check ``step`` and the length of ``data`` against what ``rows`` rows need."""
    step = _uint(message, "step")
    if step < row_bytes:
        raise ImageError(f"step: got {step}, expected at least {row_bytes} bytes a row")
    buffer = _data(message)
    needed = step * rows
    if buffer.size < needed:
        raise ImageError(
            f"data: truncated, got {buffer.size} bytes, expected {needed} ({rows} rows of {step})"
        )
    if buffer.size >= needed + step:
        raise ImageError(
            f"data: too long, got {buffer.size} bytes, expected {needed} ({rows} rows of {step})"
        )
    return buffer, step


def _packed(message: Any, width: int, height: int, channels: int, dtype: str) -> NDArray[Any]:
    """View ``data`` as (height, width, channels) in native byte order, rows padded by step."""
    order = ">" if dtype == "u2" and _field(message, "is_bigendian") else "<"
    pixel = np.dtype(order + dtype)
    buffer, step = _rows(message, height, width * channels * pixel.itemsize)
    strides = (step, channels * pixel.itemsize, pixel.itemsize)
    view: NDArray[Any] = np.ndarray((height, width, channels), pixel, buffer, strides=strides)
    view.flags.writeable = False  # the message belongs to every subscriber
    if not (pixel.isnative and view.flags.aligned):  # OpenCV misreads uint16 rows of odd step
        view = view.astype(pixel.newbyteorder("="))
    return view


def _planar(message: Any, width: int, height: int) -> NDArray[np.uint8]:
    """View 4:2:0 data (luma rows, then half as many of chroma) as (height * 3 / 2, width)."""
    if width % 2 or height % 2:
        raise ImageError(f"width, height: 4:2:0 needs even numbers, got {width}x{height}")
    rows = height * 3 // 2
    buffer, step = _rows(message, rows, width)
    planes: NDArray[np.uint8] = np.ndarray((rows, width), np.uint8, buffer, strides=(step, 1))
    return planes


def _imdecode(buffer: NDArray[np.uint8]) -> NDArray[Any]:
    # UNCHANGED keeps 16 bits and, as image_transport does, ignores EXIF orientation.
    try:
        image: NDArray[Any] | None = cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f"data: corrupt, {' '.join(str(error).split())}") from None
    if image is None:
        raise ImageError("data: corrupt, OpenCV can't decode it")
    return image


# The next JPEG marker: neither a stuffed FF00, nor a restart, nor a fill byte.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_JPEG_END = 0xD9
_JPEG_SCAN = 0xDA
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _check_jpeg(raw: memoryview) -> int:
    """Walk a JPEG's markers to its end; decoders would paint a missing end grey.

    Returns:
        The offset of the end marker. Bytes after it are the padding that webcams send.
    """
    position, pixels, scans = 2, 0, 0
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.search(raw, position)
        if found is None:
            break
        marker, position = found.group(1)[0], found.end()
        if marker == _JPEG_END:
            if not pixels:
                raise ImageError("data: corrupt, the JPEG has no frame header")
            if pixels > _PIXELS_A_BYTE * found.start():
                raise ImageError(
                    f"data: truncated, {found.start()} bytes of JPEG can't hold {pixels} pixels"
                )
            return found.start()
        if marker == 0x01:  # the only other one without a length
            continue
        segment = raw[position : position + 7]
        if len(segment) < 7:
            break
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", segment[3:7])
            _checked_size(width, height)
            pixels = max(pixels, width * height)
        if marker == _JPEG_SCAN:
            scans += 1
            if scans * pixels > _MAX_SCAN_PIXELS:
                raise ImageError(
                    f"data: {scans} scans or more of {pixels} pixels, expected a JPEG of fewer"
                )
        position += struct.unpack(">H", segment[:2])[0]
    else:
        raise ImageError(f"data: corrupt, {_MAX_SEGMENTS} markers in one JPEG")
    raise ImageError(f"data: truncated, {len(raw)} bytes of JPEG without an end marker")


def _lacks_pixels(raw: memoryview, end: int, image: NDArray[Any]) -> bool:
    """Whether a complete-looking JPEG ran out of coded pixels (a USB camera lost packets).

    The decoder then repeats the last colour, so only a flat last row is suspect. It is decoded
    again with noise before the end marker: a decoder that had all its pixels never reads it.
    A progressive JPEG loses sharpness rather than rows, and passes; cameras do not write these.
    """
    if not bool((image[-1] == image[-1, 0]).all()):
        return False
    noise = b"".join(b"\x5a\x93\x17\xc8" * 8 + bytes([0xFF, 0xD0 + i]) for i in range(8))
    try:
        plain, noisy = _thumbnail(bytes(raw)), _thumbnail(b"".join((raw[:end], noise, raw[end:])))
    except Exception:  # whatever Pillow dislikes, OpenCV could decode it
        return False
    return not np.array_equal(plain, noisy)


def _thumbnail(data: bytes) -> NDArray[np.uint8]:
    # Pillow, because OpenCV would print libjpeg's warning about the noise for every frame.
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        image.draft("L", (1, 1))  # an eighth of the size: no inverse transform
        return np.asarray(image, np.uint8)


_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def _check_png(raw: memoryview) -> None:
    """Check a PNG's size, its chunks' checksums and that it ends; decoders may skip these."""
    position = len(_PNG_MAGIC)
    for count in range(_MAX_SEGMENTS):
        if position + 12 > len(raw):
            break
        (length,) = struct.unpack(">I", raw[position : position + 4])
        kind = bytes(raw[position + 4 : position + 8])
        end = position + 12 + length
        if end > len(raw):
            break
        if zlib.crc32(raw[position + 4 : end - 4]) != struct.unpack(">I", raw[end - 4 : end])[0]:
            raise ImageError(f"data: corrupt, the PNG's chunk {kind!r} fails its checksum")
        if count == 0:
            if kind != b"IHDR" or length != 13:
                raise ImageError(f"data: corrupt, the PNG starts with {kind!r}, expected IHDR")
            _check_png_header(bytes(raw[position + 8 : position + 21]))
        if kind == b"IEND":
            return
        position = end
    else:
        raise ImageError(f"data: corrupt, {_MAX_SEGMENTS} chunks in one PNG")
    raise ImageError(f"data: truncated, {len(raw)} bytes of PNG without an end chunk")


def _check_png_header(header: bytes) -> None:
    """Check what IHDR says: 13 bytes."""
    width, height, depth, colour = struct.unpack(">IIBB", header[:10])
    _checked_size(width, height)
    channels = _PNG_CHANNELS.get(colour)
    if channels is None or depth not in (1, 2, 4, 8, 16):
        raise ImageError(f"data: corrupt, a PNG of colour type {colour} with {depth} bits")
    size = width * height * channels * depth // 8
    if size > _MAX_PNG_BYTES:
        raise ImageError(
            f"data: {width}x{height} pixels of {channels * depth} bits are {size} bytes,"
            f" expected at most {_MAX_PNG_BYTES} in a PNG"
        )
