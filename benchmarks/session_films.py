# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings for the benchmark of `predict`: real H.264, of any length in no time.

A stretch of frames is encoded once; a long recording is its packets again and again, with shifted
time stamps. The frames run forwards and backwards in turns, so that nothing jumps between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 30
CODEC = "libx264"


@dataclass(frozen=True)
class Film:
    """A recording.

    Attributes:
        path: of the file, MP4.
        frames: in it.
        seconds: it plays.
    """

    path: Path
    frames: int

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return self.frames / RATE_HZ


def encode(path: Path, frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Film:
    """Encode frames forwards and back, with the encoder's own settings.

    Args:
        path: of the MP4 file to write.
        frames: uint8 BGR (N, H, W, 3), or N of (H, W, 3); an odd last row or column is cut off.
    """
    import av

    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])  # colours are of 2x2 pixels
    with av.open(str(path), "w") as container:
        stream = container.add_stream(CODEC, rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number, index in enumerate(order):
            image = np.ascontiguousarray(frames[index][:height, :width])
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = number, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Film(path, len(order))


def repeat(stretch: Film, path: Path, seconds: float) -> Film:
    """Write a recording of at least so many seconds: a stretch again and again, not encoded anew.

    Args:
        stretch: what to repeat; see `encode`.
        path: of the MP4 file to write.
        seconds: that it plays at least.
    """
    import av

    times = max(1, math.ceil(seconds / stretch.seconds - 1e-9))
    with av.open(str(stretch.path)) as source, av.open(str(path), "w") as container:
        told = source.streams.video[0]
        stream = container.add_stream_from_template(told)
        packets = [packet for packet in source.demux(told) if packet.pts is not None]
        base = packets[0].time_base
        shift = round(stretch.frames / RATE_HZ / base)
        stamps = [(packet.pts, packet.dts) for packet in packets]
        for turn in range(times):
            for packet, (pts, dts) in zip(packets, stamps, strict=True):
                packet.pts, packet.dts = pts + turn * shift, dts + turn * shift
                # The muxer turns the stamps of what it is given into its own.
                packet.time_base, packet.stream = base, stream
                container.mux(packet)
    return Film(path, times * stretch.frames)


def first_frame(path: Path, frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]) -> Film:
    """Write a recording of one frame: all that `predict` does with it is to start and to end."""
    return encode(path, frames[:1])
