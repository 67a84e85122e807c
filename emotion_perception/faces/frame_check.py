# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The one check of a frame that every detector makes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def check_frame(frame_bgr: NDArray[np.uint8]) -> None:
    """Refuse anything but a uint8 BGR frame (H, W, 3) with at least one pixel.

    Raises:
        ValueError: wrong type, dtype or shape; the message names what came.
    """
    if not isinstance(frame_bgr, np.ndarray):
        raise ValueError(f"frame: expected a NumPy array, got {type(frame_bgr).__name__}")
    if frame_bgr.dtype != np.uint8:
        raise ValueError(f"frame: expected dtype uint8, got {frame_bgr.dtype}")
    if frame_bgr.ndim != 3 or frame_bgr.shape[2] != 3 or 0 in frame_bgr.shape:
        raise ValueError(f"frame: expected shape (H, W, 3) in BGR, got {frame_bgr.shape}")
