# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""This package's pipeline on films of one or several cameras, as a worker.

Each line of standard input asks for one film; the answer tells the times of its frames.
"""

import argparse
import json
import sys
import time
from typing import Any

import cv2
import numpy as np
from protocol import Frames, private_output

from emotion_perception.pipeline import ReactionPipeline, Shot

RATE_HZ = 30.0
STAGGER = 4
"""Frames by which the film of each camera is ahead of the one before."""
SEARCHES = 8
"""Frames of each film that are also searched as a whole."""
NOBODY = np.empty((0, 4), np.float32)


def main() -> None:
    """Play films until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--cameras", type=int, required=True)
    parser.add_argument("--length", type=int, required=True, help="frames of a film")
    chosen = parser.parse_args()
    answers = private_output()
    cv2.setNumThreads(chosen.threads)
    frames = Frames(chosen.frames)
    pipeline = ReactionPipeline(threads=chosen.threads, device=chosen.device)
    pipeline.warm_up(frames.shape[1], frames.shape[0])
    play(pipeline, frames, chosen.cameras, chosen.length)  # buffers
    print(json.dumps({}), file=answers, flush=True)
    for _ in sys.stdin:
        film = play(pipeline, frames, chosen.cameras, chosen.length)
        print(json.dumps(film), file=answers, flush=True)


def play(pipeline: ReactionPipeline, frames: Frames, cameras: int, length: int) -> dict[str, Any]:
    """Judge a film of each camera, one frame of each at a time.

    Returns:
        Milliseconds a frame: of the first, in which everybody is new; of all others; of searches of
        whole frames alone. And the faces found in each frame.
    """
    pipeline.reset()
    times, faces = [], []
    for number in range(length):
        pictures = [frames[there_and_back(number + STAGGER * c, len(frames))]
                    for c in range(cameras)]  # fmt: skip
        shots = [Shot(frame, number / RATE_HZ, f"camera {c}") for c, frame in enumerate(pictures)]
        before = time.perf_counter()
        found = pipeline.run_many(shots)
        times.append(1e3 * (time.perf_counter() - before) / cameras)
        faces += [len(reactions) for reactions in found]
    searches = []
    parts = range(len(pipeline.detector.costs(*frames.shape[:2])))
    for number in np.linspace(0, len(frames) - 1, min(SEARCHES, len(frames))).astype(int):
        picture = frames[number]
        before = time.perf_counter()
        pipeline.detector.search(picture, parts, NOBODY)
        searches.append(1e3 * (time.perf_counter() - before))
    return {"first_ms": times[0], "ms": times[1:], "search_ms": searches, "faces": faces}


def there_and_back(number: int, frames: int) -> int:
    """Return the frame to show if a film runs forwards and backwards in turns."""
    if frames == 1:
        return 0
    place = number % (2 * frames - 2)
    return min(place, 2 * frames - 2 - place)


if __name__ == "__main__":
    main()
