# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What every face detector returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Face:
    """One detected face, in pixels of the frame it was found in.

    Attributes:
        box: float32 array (4,), ``x1, y1, x2, y2``; may reach outside the frame.
        score: detector confidence in [0, 1].
        landmarks: float32 array (5, 2) of ``x, y``: the eye at the left of the image, the eye at
            the right of the image, nose tip, left and right corner of the mouth (image sides).
    """

    box: NDArray[np.float32]
    score: float
    landmarks: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.box.shape != (4,):
            raise ValueError(f"Face.box: expected shape (4,), got {self.box.shape}")
        if self.landmarks.shape != (5, 2):
            raise ValueError(f"Face.landmarks: expected shape (5, 2), got {self.landmarks.shape}")


class FaceDetector(Protocol):
    """Anything that finds faces in one frame."""

    def detect(self, frame_bgr: NDArray[np.uint8]) -> list[Face]:
        """Find faces in a uint8 BGR frame (H, W, 3), best score first."""
        ...
