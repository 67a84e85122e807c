# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Choosing what turns an image message into pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage

from emotion_perception.image.decode import ImageError, decode_compressed, decode_image

Decoder = Callable[[Any], NDArray[np.uint8]]


def decoder(name: str) -> Decoder:
    """Return a function from Image or CompressedImage to uint8 BGR (H, W, 3).

    Args:
        name: ``builtin``, or ``cv_bridge`` for encodings that only the distribution's has.

    Raises:
        ValueError: if cv_bridge is asked for and cannot be imported.
    """
    return _builtin if name == "builtin" else _cv_bridge()


def _builtin(message: Any) -> NDArray[np.uint8]:
    if isinstance(message, CompressedImage):
        return decode_compressed(message)
    return decode_image(message)


def _cv_bridge() -> Decoder:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as error:
        # Builds for NumPy 1 fail here when NumPy 2 is installed.
        raise ValueError(
            f"decoder: cv_bridge cannot be imported ({error}); use decoder:=builtin"
        ) from None
    bridge = CvBridge()

    def decode(message: Any) -> NDArray[np.uint8]:
        try:
            if isinstance(message, CompressedImage):
                return np.asarray(bridge.compressed_imgmsg_to_cv2(message, "bgr8"), np.uint8)
            return np.asarray(bridge.imgmsg_to_cv2(message, "bgr8"), np.uint8)
        except (CvBridgeError, TypeError, ValueError) as error:
            raise ImageError(f"cv_bridge: {error}") from error

    return decode
