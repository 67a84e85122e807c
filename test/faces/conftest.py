# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Photos, and facenet-pytorch as the reference that MTCNN must agree with."""

import importlib.util
import os
import random
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

DATA = Path(
    os.environ.get(
        "EMOTION_PERCEPTION_DATA", Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    )
)


def portrait(package, file):
    """A photo out of an installed package, whose other dependencies may be missing; BGR."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        pytest.skip(f"{package}, which carries the photo, is not installed")
    return cv2.imread(str(Path(spec.submodule_search_locations[0]) / file))


@pytest.fixture(scope="session")
def astronaut():
    """One frontal face."""
    return portrait("skimage", "data/astronaut.png")


@pytest.fixture(scope="session")
def hopper():
    """One frontal face with glasses and a hat."""
    return portrait("matplotlib", "mpl-data/sample_data/grace_hopper.jpg")


@pytest.fixture(scope="session")
def crowd_photos():
    """A few photos with many faces, the same ones in every run; BGR."""
    paths = [
        path
        for folder in ("test_images", "wider_val_subset")
        for path in sorted((DATA / folder).rglob("*"))
        if path.suffix in {".jpg", ".jpeg", ".png"}
    ]
    if not paths:
        pytest.skip(f"no photos in {DATA}; set EMOTION_PERCEPTION_DATA")
    return [cv2.imread(str(path)) for path in random.Random(2016).sample(paths, min(6, len(paths)))]


@pytest.fixture(scope="session")
def facenet():
    """Return a function (frame, min_face_size) -> faces found by facenet-pytorch."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        facenet_pytorch = pytest.importorskip("facenet_pytorch")
    from emotion_perception.faces.face import Face

    detectors = {}

    def detect(frame_bgr, min_face_size):
        if min_face_size not in detectors:
            detectors[min_face_size] = facenet_pytorch.MTCNN(
                keep_all=True, min_face_size=min_face_size, select_largest=False
            )
        boxes, scores, landmarks = detectors[min_face_size].detect(
            frame_bgr[..., ::-1], landmarks=True
        )
        if boxes is None:
            return []
        return [
            Face(box.astype(np.float32), float(score), points.astype(np.float32))
            for box, score, points in zip(boxes, scores, landmarks, strict=True)
        ]

    return detect


@pytest.fixture(scope="session")
def assert_same_faces():
    """Return a check that two lists hold the same faces within half a pixel, in any order."""

    def check(faces, expected):
        assert len(faces) == len(expected)
        left = list(faces)
        for wanted in expected:
            # Faces with all but equal scores may come in another order.
            nearest = min(left, key=lambda face: np.abs(face.box - wanted.box).max())
            left = [face for face in left if face is not nearest]
            np.testing.assert_allclose(nearest.box, wanted.box, atol=0.5)
            np.testing.assert_allclose(nearest.landmarks, wanted.landmarks, atol=0.5)
            assert nearest.score == pytest.approx(wanted.score, abs=1e-3)

    return check
