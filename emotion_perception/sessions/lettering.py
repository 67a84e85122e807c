# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Letters on pictures: any alphabet that the font has, which OpenCV's own letters are not."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

WHITE: Final = (240, 240, 240)
GREY: Final = (165, 165, 165)


def hms(seconds: float, digits: int = 1) -> str:
    """Write a time as h:mm:ss with some digits after the point.

    Example:
        >>> hms(3723.46)
        '1:02:03.5'
    """
    sign, ticks = ("-" if seconds < 0 else ""), round(abs(seconds) * 10**digits)
    whole, rest = divmod(ticks, 10**digits)
    text = f"{sign}{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{text}.{rest:0{digits}}" if digits else text


def parse_time(text: str, name: str) -> float:
    """Read seconds, m:ss or h:mm:ss.

    Args:
        text: as the user wrote it.
        name: of the option, for the error.

    Raises:
        ValueError: it is something else.
    """
    parts = text.strip().split(":")
    try:
        values = [float(part) for part in parts]
        good = all(0 <= value < 1e9 for value in values) and len(parts) <= 3
        if good and all(value < 60 for value in values[1:]):
            return float(sum(v * 60**place for place, v in enumerate(reversed(values))))
    except ValueError:
        pass
    raise ValueError(f"{name}: expected seconds or h:mm:ss, got {text}")


def text_width(text: str, size: int) -> int:
    """Return how wide a text is, pixels."""
    return int(_mask(text, size).shape[1])


def put_text(
    canvas: NDArray[np.uint8], text: str, corner: tuple[int, int], size: int,
    colour: tuple[int, int, int] = WHITE, max_width: int | None = None,
) -> int:  # fmt: skip
    """Write on a picture.

    Args:
        canvas: uint8 BGR (H, W, 3), changed.
        text: one line.
        corner: x and y of its upper left corner.
        size: of the letters, pixels.
        colour: BGR.
        max_width: a longer text is cut and ends in dots.

    Returns:
        How wide it came out, pixels.
    """
    if max_width is not None and text_width(text, size) > max_width:
        while text and text_width(text + "…", size) > max_width:
            text = text[:-1]
        text = text + "…" if text else ""
    mask = _mask(text, size)
    left, top = corner
    part = canvas[max(top, 0) : max(top + mask.shape[0], 0), max(left, 0) :]
    mask = mask[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    part = part[: mask.shape[0], : mask.shape[1]]
    cover = mask[:, :, None].astype(np.float32) / 255
    part[:] = np.rint(part + cover * (np.array(colour, np.float32) - part)).astype(np.uint8)
    return int(mask.shape[1])


@lru_cache(maxsize=1)
def _font_file() -> Path | None:
    """Find a font with Greek and Cyrillic too, without the slow import of its home."""
    spec = importlib.util.find_spec("matplotlib")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "mpl-data/fonts/ttf/DejaVuSans.ttf"
        if file.is_file():
            return file
    return None


@lru_cache(maxsize=16)
def _font(size: int) -> Any:
    file = _font_file()
    return ImageFont.truetype(file, size) if file else ImageFont.load_default(size)


@lru_cache(maxsize=1024)
def _mask(text: str, size: int) -> NDArray[np.uint8]:
    font = _font(size)
    ascent, descent = font.getmetrics()
    width = int(np.ceil(font.getlength(text)))
    image = Image.new("L", (max(width, 1), ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, font=font, fill=255)
    mask = np.asarray(image, np.uint8)
    mask.flags.writeable = False
    return mask
