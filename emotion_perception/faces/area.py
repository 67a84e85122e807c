# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Exact area averages of a frame, for the pyramid and the crops of MTCNN.

MTCNN was trained on, and facenet-pytorch resizes with, adaptive average pooling: every output
pixel is the mean of a whole number of input pixels. `cv2.INTER_AREA` weights border pixels by
fractions instead, which moves boxes by pixels. One integral image serves all sizes exactly.
"""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.mtcnn_geometry import bin_edges

_CHANNELS = 4  # the fourth is ballast: 16-byte pixels are gathered and subtracted far faster
_BAND = 1 << 15  # output pixels computed at once, so that the scratch buffers stay in the cache


class _Scratch(threading.local):
    """Buffers of the thread that computes averages."""

    def __init__(self) -> None:
        self.grow(_BAND)

    def grow(self, pixels: int) -> None:
        self.size = pixels
        self.index = np.empty(pixels, np.intp)
        self.sums = np.empty((pixels, _CHANNELS), np.int32)
        self.corner = np.empty((pixels, _CHANNELS), np.int32)


_scratch = _Scratch()


class AreaImage:
    """Area averages of one frame at a time, normalised for MTCNN.

    The buffers are kept from frame to frame. Several threads may ask for averages at once, but not
    while a frame is being loaded.
    """

    def __init__(self) -> None:
        self._padded = np.empty((0, 0, _CHANNELS), np.uint8)
        self._integral = np.empty((0, 0, _CHANNELS), np.int32)
        self._pixels = np.empty(0, np.complex128)

    def load(self, frame_bgr: NDArray[np.uint8]) -> None:
        """Take a uint8 BGR frame (H, W, 3); a view of any layout will do, nothing is kept of it."""
        height, width = frame_bgr.shape[:2]
        if self._padded.shape[:2] != (height, width):
            self._padded = np.empty((height, width, _CHANNELS), np.uint8)
            self._integral = np.empty((height + 1, width + 1, _CHANNELS), np.int32)
            # One 16-byte item a pixel lets np.take copy pixels whole.
            self._pixels = self._integral.view(np.complex128).reshape(-1)
        cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2BGRA, dst=self._padded)
        # Sums of frames above 8 megapixels wrap around; differences of them are right again.
        cv2.integral(self._padded, sum=self._integral, sdepth=cv2.CV_32S)

    def resized(
        self, height: int, width: int, first: int = 0, count: int | None = None
    ) -> NDArray[np.float32]:
        """Return the frame at another size, or some rows of it.

        Args:
            height: of the whole image in pixels.
            width: of the image in pixels.
            first: first row that is wanted.
            count: of the rows; None for all that follow.

        Returns:
            float32 (1, 3, count, width), RGB, ``(x - 127.5) / 128``.
        """
        last = height if count is None else first + count
        top, bottom = (e[first:last] for e in bin_edges(self._integral.shape[0] - 1, height))
        left, right = bin_edges(self._integral.shape[1] - 1, width)
        image = np.empty((1, 3, len(top), width), np.float32)
        rows = max(1, _BAND // width)
        for start in range(0, len(top), rows):
            band = slice(start, start + rows)
            self._average(
                top[None, band], bottom[None, band], left[None], right[None], image[:, :, band]
            )
        return image

    def crops(self, windows: NDArray[np.intp], size: int) -> NDArray[np.float32]:
        """Return parts of the frame, each resized to a square.

        Args:
            windows: (N, 4) ``x1, y1, x2, y2`` in whole pixels, ends exclusive, not empty and
                inside the frame.
            size: side of the square in pixels.

        Returns:
            float32 (N, 3, size, size), RGB, ``(x - 127.5) / 128``.
        """
        crops = np.empty((len(windows), 3, size, size), np.float32)
        left, right = bin_edges(windows[:, 2:3] - windows[:, 0:1], size)
        top, bottom = bin_edges(windows[:, 3:4] - windows[:, 1:2], size)
        for edges, offset in ((left, 0), (right, 0), (top, 1), (bottom, 1)):
            edges += windows[:, offset : offset + 1]
        count = max(1, _BAND // size**2)
        for start in range(0, len(windows), count):
            part = slice(start, start + count)
            self._average(top[part], bottom[part], left[part], right[part], crops[part])
        return crops

    def _average(
        self,
        top: NDArray[np.intp],
        bottom: NDArray[np.intp],
        left: NDArray[np.intp],
        right: NDArray[np.intp],
        out: NDArray[np.float32],
    ) -> None:
        """Fill ``out`` (N, 3, h, w) from the bin edges (N, h) and (N, w)."""
        shape = (len(top), top.shape[1], left.shape[1])
        pixels = shape[0] * shape[1] * shape[2]
        if pixels > _scratch.size:  # one row of a very wide frame
            _scratch.grow(pixels)
        index = _scratch.index[:pixels]
        sums, corner = _scratch.sums[:pixels], _scratch.corner[:pixels]
        stride = self._integral.shape[1]

        def gather(
            rows: NDArray[np.intp], columns: NDArray[np.intp], to: NDArray[np.int32]
        ) -> None:
            np.add(rows[:, :, None] * stride, columns[:, None, :], out=index.reshape(shape))
            # All indices are valid; "clip" only spares NumPy the copy that "raise" makes.
            np.take(self._pixels, index, out=to.view(np.complex128).reshape(-1), mode="clip")

        gather(bottom, right, sums)
        gather(top, left, corner)
        sums += corner
        gather(top, right, corner)
        sums -= corner
        gather(bottom, left, corner)
        sums -= corner

        # Mean and normalisation in one factor: (sum / area - 127.5) / 128.
        down = 1 / (128 * (bottom - top).astype(np.float32))
        across = 1 / (right - left).astype(np.float32)
        factor = down[:, :, None] * across[:, None, :]
        planes = sums.reshape(*shape, _CHANNELS)
        for channel in range(3):
            np.multiply(
                planes[..., 2 - channel],
                factor,
                out=out[:, channel],
                dtype=np.float32,
                casting="unsafe",
            )
        out -= np.float32(127.5 / 128)
