# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a session leaves behind: a table, an annotated video and a timeline; no ROS."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.valence.checkpoint import write_atomically

MAX_SIDE = 1280
"""Larger frames are scaled down for the video, pixels."""

MAX_GAP_S = 60.0
"""A pause between two frames longer than this, or a clock that was set back, is cut out."""

CSV_FIELDS = (
    "time_s", "stamp_s", "reaction", "reason", "p_negative", "p_neutral", "p_positive",
    "confidence", "valence", "face_id", "x", "y", "width", "height", "latency_s",
)  # fmt: skip

_CODECS = ((".mp4", "mp4v"), (".avi", "MJPG"))  # the second is built into every OpenCV


@dataclass(frozen=True, slots=True)
class Sample:
    """How the partner reacted in one image.

    Attributes:
        stamp: of the image, seconds.
        reaction: the verdict.
        reason: why the verdict is UNKNOWN, else NONE.
        probabilities: negative, neutral, positive; all zero when no face was judged.
        confidence: probability of the judged class.
        valence: in [-1, 1].
        face_id: track of the face, or empty.
        box: x, y, width and height of the face in pixels; zero without a face.
        latency: seconds from the stamp to the verdict.
    """

    stamp: float
    reaction: Reaction
    reason: Reason = Reason.NONE
    probabilities: tuple[float, float, float] = (0.0, 0.0, 0.0)
    confidence: float = 0.0
    valence: float = 0.0
    face_id: str = ""
    box: tuple[int, int, int, int] = (0, 0, 0, 0)
    latency: float = 0.0

    @property
    def judged(self) -> bool:
        """Whether the probabilities mean anything."""
        return self.reason in (Reason.NONE, Reason.LOW_CONFIDENCE)

    @property
    def label(self) -> str:
        """The verdict in words: ``positive``, ``no face``, ``low confidence``, ..."""
        named = self.reason if self.reaction == Reaction.UNKNOWN else self.reaction
        return named.name.lower().replace("_", " ")


def write_csv(path: Path, samples: Sequence[Sample]) -> None:
    """Write one row a sample, with a header; the file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_FIELDS)
    for sample in samples:
        writer.writerow(
            [
                f"{sample.stamp - samples[0].stamp:.6f}",
                f"{sample.stamp:.6f}",
                sample.reaction.name,
                sample.reason.name,
                *(f"{p:.4f}" for p in sample.probabilities),
                f"{sample.confidence:.4f}",
                f"{sample.valence:.4f}",
                sample.face_id,
                *sample.box,
                f"{sample.latency:.6f}",
            ]
        )
    write_atomically(path, text.getvalue())


class VideoRecorder:
    """Writes frames that come at uneven times as a video of constant rate.

    Each frame is shown from its own time until that of the next one, to the nearest tick of the
    video, so that a second of the video is a second of the session. The file has its final name
    only once it is complete.

    Args:
        directory: where to write; must exist.
        name: of the file, without its suffix: ``.mp4``, or ``.avi`` where OpenCV can't write it.
        fps: frame rate of the video in Hz.
    """

    def __init__(self, directory: Path, name: str, fps: float = 30.0) -> None:
        self._directory = directory
        self._name = name
        self._fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._suffix = ""
        self._size = (0, 0)
        self._origin = 0.0
        self._tick = 0
        self._step = 1
        self._held: NDArray[np.uint8] | None = None

    def add(self, stamp: float, frame: NDArray[np.uint8]) -> None:
        """Add a uint8 BGR frame (H, W, 3); ``stamp`` in seconds should not fall.

        The first frame decides the video's size; others are fitted into it.

        Raises:
            OSError: OpenCV can write neither kind of video.
        """
        if self._writer is None:
            self._open(frame)
            self._origin = stamp
        elif self._held is not None:
            tick = round((stamp - self._origin) * self._fps)
            if not -self._fps <= tick - self._tick <= MAX_GAP_S * self._fps:
                tick = self._tick + 1
                self._origin = stamp - tick / self._fps
            if tick > self._tick:
                self._step, self._tick = tick - self._tick, tick
                self._write(self._step)
        self._held = _fit(frame, self._size)

    def close(self) -> Path | None:
        """Finish the video and return its path, None without frames."""
        if self._writer is None:
            return None
        # Nobody knows how long the last frame would have lasted: as long as the one before it.
        self._write(min(self._step, round(self._fps)))
        self._writer.release()
        path = self._directory / f"{self._name}{self._suffix}"
        self._partial(self._suffix).replace(path)
        for suffix, _ in _CODECS:
            if suffix != self._suffix:  # of an earlier run
                path.with_suffix(suffix).unlink(missing_ok=True)
        self._writer = None
        return path

    def _write(self, times: int) -> None:
        if self._writer is not None and self._held is not None:
            for _ in range(times):
                self._writer.write(self._held)

    def _open(self, frame: NDArray[np.uint8]) -> None:
        height, width = frame.shape[:2]
        scale = min(1.0, MAX_SIDE / max(height, width))
        # Video codecs halve the resolution of colours and ask for even sides.
        self._size = (
            max(2, round(width * scale) // 2 * 2),
            max(2, round(height * scale) // 2 * 2),
        )
        for suffix, codec in _CODECS:
            path = self._partial(suffix)
            writer = cv2.VideoWriter(
                str(path), cv2.VideoWriter.fourcc(*codec), self._fps, self._size
            )
            if writer.isOpened():
                self._writer, self._suffix = writer, suffix
                return
            path.unlink(missing_ok=True)
        raise OSError(f"{self._directory}: OpenCV can write neither MPEG-4 nor Motion JPEG here")

    def _partial(self, suffix: str) -> Path:
        return self._directory / f"{self._name}.partial{suffix}"


def _fit(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a frame into ``size`` (width, height), with black bars where the shape differs."""
    height, width = frame.shape[:2]
    if (width, height) == size:
        return frame
    scale = min(size[0] / width, size[1] / height)
    if abs(width * scale - size[0]) < 2 and abs(height * scale - size[1]) < 2:
        return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), np.uint8)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = scaled
    return canvas
