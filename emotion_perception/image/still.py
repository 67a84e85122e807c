# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Reading image files of a data set: their size is looked at before a pixel is unpacked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emotion_perception.image.decode import MAX_PIXELS
from emotion_perception.limited_files import read_bytes

MOST_BYTES: Final = 256 << 20


def read_still(path: Path, flags: int = cv2.IMREAD_COLOR) -> NDArray[np.uint8] | None:
    """Read an image file, as cv2.imread does.

    Args:
        path: of the file.
        flags: of cv2.imread.

    Returns:
        The image, uint8: (H, W, 3) BGR by default, (H, W) with cv2.IMREAD_GRAYSCALE. None if it
        cannot be read, or has more than MAX_PIXELS pixels: a PNG of 100 kB may unpack to gigabytes.
    """
    try:
        data = read_bytes(path, MOST_BYTES)
        with Image.open(io.BytesIO(data)) as head:  # reads no pixels
            width, height = head.size
        if width * height > MAX_PIXELS:
            return None
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except Exception:  # Pillow and OpenCV raise almost anything on damaged files
        return None
    return None if image is None else np.asarray(image, np.uint8)
