#!/usr/bin/env python3
# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Compare how many faces MTCNN finds, at equal precision, with facenet-pytorch's.

    PYTHONPATH=. python -m benchmarks.recall WIDER_SUBSET [--output recall.json]

WIDER_SUBSET holds ``boxes.csv`` (file, x, y, w, h, invalid) and ``images/``. Three ways to search
the same photos: `detect`, as single images are searched; `search`, as the frames of a film are;
and facenet-pytorch 2.5.3 (`pip install --no-deps facenet-pytorch==2.5.3`, and requests). A face
counts from 40 pixels on (the root of its box's area); finding a smaller or invalid one is neither
right nor wrong. A box is right if its intersection over union with a face is at least a half.
Intervals are 95 % of 1,000 samples of photos drawn with replacement.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.face import Face
from emotion_perception.faces.mtcnn import MtcnnDetector

LEAST_SIDE = 40.0
LEAST_OVERLAP = 0.5
SAMPLES = 1000

Detect = Callable[[NDArray[np.uint8]], list[Face]]
Found = list[tuple[float, int]]
"""Of one photo: score of each found box, and 1 if right, 0 if wrong."""


def read_boxes(folder: Path) -> dict[str, tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Return, by photo, boxes x1, y1, x2, y2 (N, 4) and which of them count (N,)."""
    rows: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "boxes.csv").open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            rows[row["file"]].append(row)
    result = {}
    for name, faces in rows.items():
        box = np.array([[float(face[key]) for key in "xywh"] for face in faces])
        valid = np.array([face.get("invalid", "0") == "0" for face in faces])
        counts = valid & (np.sqrt(box[:, 2] * box[:, 3]) >= LEAST_SIDE)
        result[name] = (np.hstack([box[:, :2], box[:, :2] + box[:, 2:]]), counts)
    return result


def judge(
    found: Sequence[Face], boxes: NDArray[np.float64], counts: NDArray[np.bool_]
) -> list[tuple[float, int]]:
    """Match found faces, best first, to the labelled ones; those of faces that do not count go."""
    free = np.ones(len(boxes), np.bool_)
    answer = []
    for face in sorted(found, key=lambda face: -face.score):
        overlap = _overlaps(face.box.astype(np.float64), boxes)
        match = int(np.argmax(np.where(free, overlap, -1))) if len(boxes) else -1
        if match >= 0 and free[match] and overlap[match] >= LEAST_OVERLAP:
            free[match] = False
            if counts[match]:
                answer.append((face.score, 1))
        elif not (overlap[~counts] >= 0.3).any() and _side(face) >= LEAST_SIDE:
            answer.append((face.score, 0))
    return answer


def recall_at(found: Sequence[Found], faces: int, precision: float) -> float:
    """Return the greatest recall at a precision of at least so much."""
    every = sorted((item for photo in found for item in photo), reverse=True)
    right = np.cumsum([hit for _, hit in every])
    precise = right / np.arange(1, len(every) + 1) >= precision
    return float(right[precise].max() / faces) if precise.any() else 0.0


def operating_point(found: Sequence[Found], faces: int) -> tuple[float, float]:
    """Return precision and recall of all that was found."""
    hits = [hit for photo in found for _, hit in photo]
    return (sum(hits) / max(len(hits), 1), sum(hits) / faces)


def facenet(size: int) -> Detect:
    """Return facenet-pytorch's MTCNN."""
    from facenet_pytorch import MTCNN

    detector = MTCNN(keep_all=True, min_face_size=size, device="cpu")

    def detect(photo: NDArray[np.uint8]) -> list[Face]:
        try:
            boxes, scores = detector.detect(np.ascontiguousarray(photo[..., ::-1]))
        except (IndexError, RuntimeError):  # its own defect with boxes off the frame
            return []
        if boxes is None:
            return []
        blank = np.zeros((5, 2), np.float32)
        return [
            Face(box.astype(np.float32), float(score), blank)
            for box, score in zip(boxes, scores, strict=True)
        ]

    return detect


def ours(size: int) -> dict[str, Detect]:
    """Return this package's MTCNN, as it searches images and films."""
    detector = MtcnnDetector(min_face_size=size)
    nobody = np.empty((0, 4), np.float32)

    def film(photo: NDArray[np.uint8]) -> list[Face]:
        parts = range(len(detector.costs(*photo.shape[:2])))
        return detector.search(photo, parts, nobody)

    return {"image": detector.detect, "film": film}


def compare(folder: Path, detectors: dict[str, Detect], reference: str) -> dict[str, Any]:
    """Score detectors against the labels, at the precision of the reference."""
    labelled = read_boxes(folder)
    found: dict[str, list[Found]] = {name: [] for name in detectors}
    faces = []
    for name, (boxes, counts) in sorted(labelled.items()):
        photo = cv2.imread(str(folder / "images" / name))
        if photo is None:
            raise SystemExit(f"{folder / 'images' / name}: cannot be read")
        faces.append(int(counts.sum()))
        for who, detect in detectors.items():
            found[who].append(judge(detect(np.asarray(photo, np.uint8)), boxes, counts))
    total = np.array(faces)
    precision, _ = operating_point(found[reference], int(total.sum()))
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(faces), (SAMPLES, len(faces)))
    result: dict[str, Any] = {
        "photos": len(faces), "faces": int(total.sum()), "precision": round(precision, 4),
        "detectors": {},
    }  # fmt: skip
    sampled = {
        who: np.array([
            recall_at([photos[i] for i in draw], int(total[draw].sum()), precision)
            for draw in draws
        ])
        for who, photos in found.items()
    }  # fmt: skip
    for who, photos in found.items():
        own_precision, own_recall = operating_point(photos, int(total.sum()))
        more = sampled[who] - sampled[reference]
        result["detectors"][who] = {
            "recall_at_equal_precision": round(
                recall_at(photos, int(total.sum()), precision), 4
            ),
            "more_than_reference": [round(float(q), 4) for q in np.quantile(more, (0.025, 0.975))],
            "as_used": {"precision": round(own_precision, 4), "recall": round(own_recall, 4)},
        }  # fmt: skip
    return result


def _overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    corner = np.maximum(box[:2], boxes[:, :2])
    inside = np.clip(np.minimum(box[2:], boxes[:, 2:]) - corner, 0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(inside / np.maximum(areas - inside, 1e-9))


def _side(face: Face) -> float:
    return float(np.sqrt(np.prod(np.maximum(face.box[2:] - face.box[:2], 0))))


def main() -> None:
    """Parse the arguments, compare, and print or write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with boxes.csv and images/")
    parser.add_argument("--min-face-size", type=int, default=40)
    parser.add_argument("--output", type=Path, help="JSON file; default: standard output")
    chosen = parser.parse_args()
    if not (chosen.folder / "boxes.csv").is_file():
        parser.error(f"{chosen.folder}: expected boxes.csv in it")
    detectors = {**ours(chosen.min_face_size), "facenet-pytorch": facenet(chosen.min_face_size)}
    result = compare(chosen.folder, detectors, "facenet-pytorch")
    text = json.dumps({"min_face_size": chosen.min_face_size, **result}, indent=1)
    if chosen.output is None:
        print(text)
    else:
        chosen.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
