#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compare MTCNN with facenet-pytorch's, in the same run: the time of a frame, and the boxes.

    PYTHONPATH=. python benchmarks/detector.py PHOTOS [PHOTOS ...] [--output detector.json]

Needs facenet-pytorch 2.5.3 (`pip install --no-deps facenet-pytorch==2.5.3`, and requests). The
detectors take turns frame by frame, so that other load on the machine meets both alike. Times
are taken on photos scaled to fill 640x480, boxes on the photos as they are.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import facenet_pytorch
import numpy as np
import onnxruntime
import torch

from emotion_perception.faces.face import Face

Detect = Callable[[np.ndarray], list[Face]]

WIDTH, HEIGHT = 640, 480
WARM_UP = 5
TOLERANCE = 0.5  # pixels


def ours(min_face_size: int, threads: int, device: str) -> Detect:
    """Return this package's detector."""
    if device == "cpu":
        from emotion_perception.faces.mtcnn import MtcnnDetector

        return MtcnnDetector(min_face_size=min_face_size, threads=threads).detect
    from emotion_perception.faces.mtcnn_torch import TorchMtcnnDetector

    return TorchMtcnnDetector(min_face_size=min_face_size, device=device).detect


def facenets(min_face_size: int, device: str) -> Detect:
    """Return facenet-pytorch's detector, wrapped to take BGR and to return faces."""
    detector = facenet_pytorch.MTCNN(
        keep_all=True, min_face_size=min_face_size, select_largest=False, device=device
    )

    def detect(frame_bgr: np.ndarray) -> list[Face]:
        boxes, scores, points = detector.detect(frame_bgr[..., ::-1], landmarks=True)
        if boxes is None:
            return []
        return [
            Face(box.astype(np.float32), float(score), point.astype(np.float32))
            for box, score, point in zip(boxes, scores, points, strict=True)
        ]

    return detect


def find_photos(folders: list[Path]) -> list[Path]:
    """Return all photos under some folders, sorted."""
    suffixes = {".jpg", ".jpeg", ".png"}
    return sorted(
        path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes
    )


def fill(photo: np.ndarray) -> np.ndarray:
    """Scale and crop a photo to 640x480."""
    height, width = photo.shape[:2]
    scale = max(WIDTH / width, HEIGHT / height)
    size = (max(WIDTH, round(width * scale)), max(HEIGHT, round(height * scale)))
    scaled = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    top, left = (size[1] - HEIGHT) // 2, (size[0] - WIDTH) // 2
    return np.ascontiguousarray(scaled[top : top + HEIGHT, left : left + WIDTH])


def milliseconds(times: list[float]) -> dict[str, float]:
    """Summarise the times of single frames, given in seconds."""
    values = 1e3 * np.array(times)
    return {
        "median": round(float(np.median(values)), 2),
        "p99": round(np.percentile(values, 99), 2),
    }


def compare_speed(frames: list[np.ndarray], detectors: dict[str, Detect]) -> dict[str, Any]:
    """Time the detectors in turns on frames of 640x480."""
    for frame in frames[:WARM_UP]:
        for detect in detectors.values():
            detect(frame)
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for frame in frames:
        for name, detect in detectors.items():
            start = time.perf_counter()
            detect(frame)
            times[name].append(time.perf_counter() - start)
    ratios = np.divide(times["facenet_pytorch"], times["emotion_perception"])
    return {
        "frames": len(frames),
        "ms": {name: milliseconds(values) for name, values in times.items()},
        "times_faster": {
            "median": round(float(np.median(ratios)), 2),
            "worst": round(float(ratios.min()), 2),
        },
    }


def compare_faces(paths: list[Path], detectors: dict[str, Detect]) -> dict[str, Any]:
    """Match the faces of the two detectors in every photo."""
    box, landmark, score = 0.0, 0.0, 0.0
    counts = {"emotion_perception": 0, "facenet_pytorch": 0, "matched": 0}
    unmatched, failures = [], []
    for path in paths:
        photo = cv2.imread(str(path))
        if photo is None:
            continue
        found = detectors["emotion_perception"](photo)
        try:
            expected = detectors["facenet_pytorch"](photo)
        except (IndexError, RuntimeError) as error:  # its own defect with boxes off the frame
            failures.append({"photo": path.name, "error": str(error)})
            continue
        counts["emotion_perception"] += len(found)
        counts["facenet_pytorch"] += len(expected)
        for face in expected:
            nearest = min(found, key=lambda other: distance(other, face), default=None)
            if nearest is None or distance(nearest, face) > TOLERANCE:
                unmatched.append(describe(path, "facenet_pytorch", face))
                continue
            found = [other for other in found if other is not nearest]
            counts["matched"] += 1
            box = max(box, float(np.abs(nearest.box - face.box).max()))
            landmark = max(landmark, float(np.abs(nearest.landmarks - face.landmarks).max()))
            score = max(score, abs(nearest.score - face.score))
        unmatched += [describe(path, "emotion_perception", face) for face in found]
    return {
        "photos": len(paths),
        "faces": counts,
        "max_difference": {"box_px": box, "landmark_px": landmark, "score": score},
        "unmatched": unmatched,
        "facenet_pytorch_failures": failures,
    }


def distance(face: Face, other: Face) -> float:
    """Return the largest difference of the edges of two boxes in pixels."""
    return float(np.abs(face.box - other.box).max())


def describe(path: Path, finder: str, face: Face) -> dict[str, Any]:
    """Describe a face that only one detector found."""
    return {
        "photo": path.name,
        "found_by": finder,
        "box": [round(float(value), 2) for value in face.box],
        "score": face.score,
    }


def main() -> None:
    """Parse the arguments, compare, and print or write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+", help="folders with photos")
    parser.add_argument("--min-face-size", type=int, nargs="+", default=[20, 40])
    parser.add_argument("--frames", type=int, default=100, help="frames to time; 0 for none")
    parser.add_argument("--compare", type=int, help="photos whose boxes to compare; default: all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="cpu, or a torch device for both")
    parser.add_argument("--output", type=Path, help="JSON file; default: standard output")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(arguments.threads)
    paths = find_photos(arguments.photos)
    if not paths:
        parser.error(f"no photos in {', '.join(map(str, arguments.photos))}")
    shuffled = random.Random(0).sample(paths, len(paths))
    frames = [fill(cv2.imread(str(shuffled[i % len(shuffled)]))) for i in range(arguments.frames)]
    compared = shuffled[: arguments.compare]

    result: dict[str, Any] = {
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "load_average": os.getloadavg()[0],
        "device": arguments.device,
        "threads": arguments.threads,
        "versions": {"onnxruntime": onnxruntime.__version__, "torch": torch.__version__},
    }
    for size in arguments.min_face_size:
        detectors = {
            "emotion_perception": ours(size, arguments.threads, arguments.device),
            "facenet_pytorch": facenets(size, arguments.device),
        }
        entry = result[f"min_face_size_{size}"] = {}
        if frames:
            entry["speed_640x480"] = compare_speed(frames, detectors)
        if compared:
            entry["faces"] = compare_faces(compared, detectors)
    text = json.dumps(result, indent=2)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
