# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The frames that everything is measured on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.image.source import open_source

DEMO_FPS = 15.0
MOST_FRAMES = 600


def write_frames(path: Path, clip: Path | None, most: int | None) -> dict[str, Any]:
    """Write frames to an .npy file, uint8 BGR (N, H, W, 3).

    Args:
        path: where to.
        clip: a recording; None takes those frames of the demo clip that show one face.
        most: number of frames at most, evenly spread over the clip.

    Returns:
        What they are, for the report.

    Raises:
        SourceError: the clip can't be read.
    """
    if clip is None:
        frames = [
            frame
            for index, frame in enumerate(demo_frames(DEMO_FPS))
            if any(a <= index / DEMO_FPS < b for a, b, what in DEMO_SPANS if what == "face")
        ]
        name = "demo clip, the frames with one face"
    else:
        with open_source(clip) as source:
            frames = [frame.image for frame, _ in zip(source, range(MOST_FRAMES), strict=False)]
        name = clip.name
    if most is not None and len(frames) > most:
        frames = [frames[i] for i in np.linspace(0, len(frames) - 1, most).astype(int)]
    stack = np.stack(frames)
    np.save(path, stack)
    return {"name": name, "frames": len(stack), "width": stack.shape[2], "height": stack.shape[1]}
