# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.align import Outcome, align_files
from emotion_perception.training.capture_crop import cut_crop, encode_crop
from emotion_perception.training.face_finder import FaceFinder

FRAMING = FacePreprocessing()


@pytest.fixture(scope="module")
def landmarks(photo):
    return FaceFinder().find(photo, tight=False)


def save(path, image):
    assert cv2.imwrite(str(path), image)
    return path


def likeness(a, b):
    inner = np.s_[10:40, 10:38]
    return np.corrcoef(a[inner].ravel(), b[inner].ravel())[0, 1]


@pytest.mark.parametrize(
    ("corner", "side", "scale"),
    [
        ((0, 0), 512, 1.0),  # a whole photo
        ((150, 60), 140, 1.0),  # a crop that the face fills
        ((150, 60), 140, 0.5),
        ((165, 70), 120, 2.5),  # enlarged, cut at forehead and chin
    ],
)
def test_same_face_same_framing(tmp_path, photo, landmarks, corner, side, scale):
    x, y = corner
    image = cv2.resize(photo[y : y + side, x : x + side], None, fx=scale, fy=scale)
    found = FaceFinder().find(image, tight=None)
    # The face is a hundred pixels high: MTCNN is that exact.
    np.testing.assert_allclose(found / scale + corner, landmarks, atol=2.5)
    crops, outcomes = align_files([save(tmp_path / "a.png", image)], FRAMING)
    assert outcomes.tolist() == [Outcome.FOUND]
    assert likeness(crops[0], FRAMING.align(photo, landmarks)) > 0.85


def test_captured_crop_is_taken_as_it_is(tmp_path, photo, landmarks):
    path = tmp_path / "p_idx1.jpg"
    path.write_bytes(encode_crop(cut_crop(photo, landmarks, FRAMING), FRAMING))
    crops, outcomes = align_files([path], FRAMING)
    assert outcomes.tolist() == [Outcome.FRAMED]
    error = np.abs(crops[0].astype(float) - FRAMING.align(photo, landmarks)).mean()
    assert error < 3
    # Framed for another network: its face has to be found again.
    other = FacePreprocessing(side_ratio=2.2)
    assert align_files([path], other)[1].tolist() != [Outcome.FRAMED]


def test_lost_face_is_taken_to_be_at_the_usual_place(tmp_path, photo, landmarks):
    tight = photo[60:200, 150:290]
    files = [save(tmp_path / f"{i:02d}.png", tight) for i in range(20)]
    covered = np.full_like(tight, 90)
    covered[118:126, 60:90] = 20  # no face, but where a mouth would be
    files.append(save(tmp_path / "covered.png", covered))
    crops, outcomes = align_files(files, FRAMING, tight=True)
    assert outcomes.tolist() == [*[Outcome.FOUND] * 20, Outcome.FALLBACK]
    moved = landmarks - np.array([150, 60], np.float32)
    np.testing.assert_allclose(crops[20], FRAMING.align(covered, moved), atol=40)
    assert np.abs(crops[20].astype(int) - FRAMING.align(covered, moved)).mean() < 3


def test_photo_without_a_face_is_no_face(tmp_path, photo):
    files = [save(tmp_path / "a.png", photo), save(tmp_path / "b.png", photo[300:, 200:400])]
    crops, outcomes = align_files(files, FRAMING)
    assert outcomes.tolist() == [Outcome.FOUND, Outcome.NO_FACE]
    assert not crops[1].any()


def test_any_number_of_workers_gives_the_same(tmp_path, photo):
    rng = np.random.default_rng(0)
    files = []
    for index in range(6):
        x, y = rng.integers(140, 160), rng.integers(50, 70)
        files.append(save(tmp_path / f"{index}.png", photo[y : y + 140, x : x + 140]))
    one = align_files(files, FRAMING, workers=1)
    three = align_files(files, FRAMING, workers=3)
    np.testing.assert_array_equal(one[0], three[0])
    np.testing.assert_array_equal(one[1], three[1])
