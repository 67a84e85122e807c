# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What somebody else's network wants to see: size, colours, scaling and layout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.preprocess import FacePreprocessing, to_grey
from emotion_perception.valence.framing import Framing

COLOURS: Final = ("rgb", "bgr", "grey")
LAYOUTS: Final = ("nchw", "nhwc")


@dataclass(frozen=True, kw_only=True)
class NetworkInput:
    """What a network wants to see.

    Attributes:
        size: side of its square input, pixels.
        colour: order of its channels, ``rgb``, ``bgr`` or ``grey``.
        layout: ``nchw`` or ``nhwc``.
        scale: that a pixel of 0 to 255 is multiplied by first.
        mean: that is then taken off, of each channel in the network's order. Three for ``grey``
            mean the same grey three times.
        std: that it is then divided by.
        framing: how the face is cut out.
        name: of the network's input; empty if it does not matter.
    """

    size: int
    colour: str
    layout: str
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    framing: Framing
    name: str = ""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 512:
            raise ValueError(f"input.size: expected 16 to 512 pixels, got {self.size}")
        for name, known in (("colour", COLOURS), ("layout", LAYOUTS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"input.{name}: expected one of {list(known)}, got {getattr(self, name)!r}"
                )
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"input.scale: expected a positive number, got {self.scale}")
        allowed = (1, 3) if self.colour == "grey" else (3,)
        if len(self.mean) not in allowed or len(self.std) != len(self.mean):
            raise ValueError(
                f"input.mean, input.std: expected {' or '.join(map(str, allowed))} numbers each "
                f"for {self.colour}, got {len(self.mean)} and {len(self.std)}"
            )
        if not np.isfinite(self.mean).all():
            raise ValueError(f"input.mean: expected numbers, got {list(self.mean)}")
        if not (np.isfinite(self.std).all() and min(self.std) > 0):
            raise ValueError(f"input.std: expected positive numbers, got {list(self.std)}")

    @property
    def channels(self) -> int:
        """Channels of the network's input."""
        return len(self.mean)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one input."""
        if self.layout == "nchw":
            return self.channels, self.size, self.size
        return self.size, self.size, self.channels

    @property
    def blank(self) -> NDArray[np.uint8]:
        """An evenly grey crop."""
        shape = (self.size, self.size) if self.colour == "grey" else (self.size, self.size, 3)
        return np.full(shape, 128, np.uint8)

    def resize(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Bring a ready-made face crop to the network's size and colours.

        Args:
            crop: uint8 image, BGR (H, W, 3) or grey (H, W) or (H, W, 1), framed like a face box. If
                it is not square, it is padded with its border.

        Returns:
            uint8 BGR (size, size, 3), or grey (size, size) for a grey network.

        Raises:
            ValueError: for an empty crop, or one that is not uint8 with 1 or 3 channels.
        """
        resize = FacePreprocessing(size=self.size).resize
        grey = to_grey(crop)
        if self.colour == "grey":
            return resize(grey)
        if crop.ndim == 2 or crop.shape[2] == 1:
            return np.dstack([resize(grey)] * 3)
        return np.dstack([resize(np.ascontiguousarray(crop[:, :, c])) for c in range(3)])

    def batch(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Stack crops into network input.

        Args:
            crops: uint8, each BGR (size, size, 3), or grey (size, size) for a grey network.

        Returns:
            float32 (N, channels, size, size) or (N, size, size, channels).

        Raises:
            ValueError: for crops of another shape or type.
        """
        expected = self.blank.shape
        for crop in crops:
            if crop.shape != expected or crop.dtype != np.uint8:
                raise ValueError(
                    f"crops: expected uint8 of shape {expected}, got {crop.dtype} {crop.shape}"
                )
        if not crops:
            return np.empty((0, *self.shape), np.float32)
        stack = np.stack(crops)
        if self.colour == "grey":
            stack = np.repeat(stack[..., None], self.channels, axis=-1)
        elif self.colour == "rgb":
            stack = stack[..., ::-1]
        made = stack.astype(np.float32) * np.float32(self.scale)
        made = (made - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        if self.layout == "nchw":
            made = made.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(made, np.float32)
