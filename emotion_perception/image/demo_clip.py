# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A short video with two faces, for trying and testing the package without a camera.

It is made on the fly from two public-domain portraits that widely installed packages carry:
Eileen Collins (NASA, in scikit-image) and Grace Hopper (US Navy, in matplotlib). A camera looks
at the first, turns away to a bare wall and on to the second, while it zooms, drifts a little and
the light changes between dim and bright. The same pixels come out on every run.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.image.source import SourceError, open_source

DEMO_SECONDS = 12.0
DEMO_SIZE = (640, 480)
"""(width, height) of the frames in pixels."""

DEMO_SPANS: tuple[tuple[float, float, str], ...] = (
    (0.0, 4.2, "face"),
    (5.4, 6.8, "empty"),
    (8.0, 12.0, "face"),
)
"""(start, end, "face" or "empty") in seconds; between the spans a face leaves or enters."""

# The panorama: first portrait, bare wall, second portrait, side by side; all in its pixels.
_HEIGHT = 480
_WALL = 760
_FEATHER = 45  # over which a portrait's background becomes the wall

# (seconds, x and y of the view's centre, width of the view)
_PATH = (
    (0.0, 300.0, 215.0, 560.0),
    (1.6, 255.0, 190.0, 420.0),
    (3.0, 225.0, 150.0, 340.0),
    (4.2, 275.0, 190.0, 440.0),
    (5.4, 880.0, 230.0, 520.0),
    (6.8, 900.0, 235.0, 560.0),
    (8.0, 1400.0, 230.0, 560.0),
    (9.4, 1470.0, 205.0, 420.0),
    (10.8, 1420.0, 215.0, 520.0),
    (12.0, 1440.0, 210.0, 480.0),
)
# (seconds, brightness), where 1 leaves the portraits as they are
_LIGHT = ((0.0, 0.9), (1.6, 1.0), (3.0, 0.5), (4.2, 0.9), (8.0, 1.0), (9.6, 1.25), (12.0, 0.6))


def make_demo_clip(directory: Path, fps: float = 15.0) -> Path:
    """Write the demo clip.

    Args:
        directory: where to write ``demo.mp4``, or ``demo.avi`` where OpenCV can't write MPEG-4;
            made if missing.
        fps: frame rate in Hz.

    Returns:
        The path of the video: `DEMO_SECONDS` long, `DEMO_SIZE` large, faces as `DEMO_SPANS` says.

    Raises:
        SourceError: no portrait is installed, or OpenCV can write neither kind of video.
    """
    frames = demo_frames(fps)
    first = next(frames)
    directory.mkdir(parents=True, exist_ok=True)
    for name, codec in (("demo.mp4", "mp4v"), ("demo.avi", "MJPG")):
        path = directory / name
        fourcc = cv2.VideoWriter.fourcc(*codec)
        writer = cv2.VideoWriter(str(path), fourcc, fps, DEMO_SIZE)
        if not writer.isOpened():
            path.unlink(missing_ok=True)
            continue
        writer.write(first)
        for frame in frames:
            writer.write(frame)
        writer.release()
        return path
    raise SourceError(f"{directory}: OpenCV can write neither MPEG-4 nor Motion JPEG here")


def demo_frames(fps: float = 15.0) -> Iterator[NDArray[np.uint8]]:
    """Make the frames of the demo clip.

    Args:
        fps: frame rate in Hz; frame i shows the scene at ``i / fps`` seconds.

    Returns:
        An iterator over uint8 BGR arrays (480, 640, 3).

    Raises:
        SourceError: no portrait is installed, or fps is not above 0.
    """
    if not fps > 0:
        raise SourceError(f"fps: expected above 0, got {fps}")
    panorama = _panorama(*_portraits())
    return (_view(panorama, index / fps) for index in range(round(DEMO_SECONDS * fps)))


def _portraits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return both portraits as BGR; where only one is installed, it takes both parts."""
    wanted = (
        ("skimage", "data/astronaut.png"),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    )
    found: list[NDArray[np.uint8]] = []
    for package, file in wanted:
        spec = importlib.util.find_spec(package)  # without the seconds that importing takes
        for folder in (spec.submodule_search_locations or []) if spec else []:
            with contextlib.suppress(SourceError), open_source(Path(folder) / file) as source:
                found.append(next(source).image)
                break
    if not found:
        raise SourceError(
            "no portrait found for the demo clip; install scikit-image (astronaut.png)"
            " or matplotlib (grace_hopper.jpg)"
        )
    return found[0], found[-1]


def _panorama(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Join the portraits by a softly shaded wall in the colours of their backgrounds."""
    left, right = _fit(left), _fit(right)[:, ::-1]  # mirrored: her plain background faces the wall
    start, end = left.shape[1], left.shape[1] + _WALL
    ends = left[:200, -40:].mean((0, 1)), right[:200, :40].mean((0, 1))
    x = np.arange(end + right.shape[1], dtype=np.float32)
    across = _smooth((x - start) / _WALL)[None, :, None]
    shade = 1.0 - 0.18 * np.linspace(-0.5, 1, _HEIGHT, dtype=np.float32)[:, None, None] ** 2
    scene = ((1 - across) * ends[0] + across * ends[1]) * shade
    cover = np.zeros_like(scene)
    cover[:, :start], cover[:, end:] = left, right
    share = np.maximum(_smooth((start - x) / _FEATHER), _smooth((x - end) / _FEATHER))
    return np.asarray(scene + share[None, :, None] * (cover - scene), np.float32)


def _fit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale a tall portrait to the panorama's height, cut a square one at the bottom."""
    height, width = image.shape[:2]
    if height > 1.1 * width:
        size = (round(width * _HEIGHT / height), _HEIGHT)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return image[:_HEIGHT]


def _smooth(x: Any) -> Any:
    """Rise from 0 to 1 while x does, slowly at both ends."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _at(table: tuple[tuple[float, ...], ...], seconds: float) -> NDArray[np.float64]:
    """Move smoothly from row to row of a table whose first column is the time."""
    rows = np.asarray(table)
    after = int(np.clip(np.searchsorted(rows[:, 0], seconds, "right"), 1, len(rows) - 1))
    start, end = rows[after - 1], rows[after]
    values: NDArray[np.float64] = start + _smooth((seconds - start[0]) / (end[0] - start[0])) * (
        end - start
    )
    return values[1:]


def _view(panorama: NDArray[np.float32], seconds: float) -> NDArray[np.uint8]:
    """Show what the camera sees at a time."""
    x, y, width = _at(_PATH, seconds)
    x += 3.0 * math.sin(2.3 * seconds)
    y += 2.0 * math.sin(3.1 * seconds)
    # Never beyond the panorama's edges.
    half = width / 2, width * DEMO_SIZE[1] / DEMO_SIZE[0] / 2
    x = min(max(x, half[0]), panorama.shape[1] - half[0])
    y = min(max(y, half[1]), panorama.shape[0] - half[1])
    scale = DEMO_SIZE[0] / width
    move = np.array([[scale, 0, scale * (half[0] - x)], [0, scale, scale * (half[1] - y)]])
    view = cv2.warpAffine(
        panorama, move, DEMO_SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    # A sensor's noise, so that the wall is not a flat colour; seeded, so that runs agree.
    noise = np.random.default_rng(round(seconds * 1000)).normal(0.0, 2.0, (*view.shape[:2], 1))
    return np.rint(np.clip(view * _at(_LIGHT, seconds) + noise, 0, 255)).astype(np.uint8)
