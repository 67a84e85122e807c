# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.image.preprocess import FacePreprocessing, standardise, to_grey

# Eyes, nose and mouth of an upright face whose crop is the square (100, 60) to (148, 108).
SIDE = 48.0
EYES_Y = 60 + 0.39 * SIDE
HYPOT = SIDE / 1.88
UPRIGHT = np.array(
    [
        [100 + 0.505 * SIDE - 9, EYES_Y],
        [100 + 0.505 * SIDE + 9, EYES_Y],
        [124, EYES_Y + 9],
        [100 + 0.505 * SIDE - 7, EYES_Y + np.sqrt(HYPOT**2 - 18**2)],
        [100 + 0.505 * SIDE + 7, EYES_Y + np.sqrt(HYPOT**2 - 18**2)],
    ],
    np.float32,
)


def smooth_noise(height=240, width=320, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)


def turned(points, degrees, centre):
    angle = np.radians(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - centre) @ rotation.T + centre).astype(np.float32)


def test_align_of_an_upright_face_is_the_plain_cut():
    frame = smooth_noise()
    crop = FacePreprocessing().align(frame, UPRIGHT)
    expected = to_grey(frame)[60:108, 100:148]
    assert np.abs(crop.astype(int) - expected).max() <= 2


@settings(max_examples=30, deadline=None)
@given(degrees=st.floats(-180, 180), scale=st.floats(0.7, 3.0))
def test_align_undoes_roll_and_scale(degrees, scale):
    frame = smooth_noise(400, 400, seed=1)
    centre = np.array([124.0, 84.0])
    matrix = np.array(cv2.getRotationMatrix2D((124.0, 84.0), -degrees, scale))
    matrix[:, 2] += 200 - centre  # to the middle of a larger frame
    # getRotationMatrix2D works on pixel indices; landmarks are continuous coordinates.
    moved = cv2.warpAffine(frame, matrix, (400, 400), borderMode=cv2.BORDER_REPLICATE)
    landmarks = ((UPRIGHT - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5).astype(np.float32)
    straight = FacePreprocessing().align(frame, UPRIGHT).astype(int)
    again = FacePreprocessing().align(moved, landmarks).astype(int)
    assert np.abs(straight - again).mean() < 3


def test_align_keeps_the_aspect_ratio():
    # A circle in the frame stays one in the crop.
    frame = np.zeros((240, 320, 3), np.uint8)
    cv2.circle(frame, (124, 84), 15, (255, 255, 255), -1)
    crop = FacePreprocessing().align(frame, turned(UPRIGHT, 30, np.array([124.0, 84.0])))
    ys, xs = np.nonzero(crop > 127)
    assert abs(np.ptp(xs) - np.ptp(ys)) <= 1


def test_align_at_the_border_repeats_the_border():
    frame = np.full((80, 110, 3), 77, np.uint8)
    crop = FacePreprocessing().align(frame, UPRIGHT)
    assert (crop == 77).all()


def test_align_far_outside_the_frame_does_not_fail():
    crop = FacePreprocessing().align(np.full((40, 40, 3), 9, np.uint8), UPRIGHT + 5000)
    assert crop.shape == (48, 48)


def test_align_does_not_alias_large_faces():
    # Fine stripes of a large face must average out, not turn into moire.
    frame = np.zeros((600, 600), np.uint8)
    frame[:, ::2] = 255
    big = (UPRIGHT - UPRIGHT.mean(axis=0)) * 9 + 300
    crop = FacePreprocessing().align(frame, big.astype(np.float32))
    assert crop.std() < 8


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        (np.full((5, 2), np.nan, np.float32), "5 finite points"),  # a broken detector
        (np.zeros((5, 2), np.float32), "fall together"),  # all in one point
        (np.zeros((4, 2), np.float32), "5 finite points"),  # wrong shape
    ],
)
def test_align_refuses_landmarks_that_say_nothing(landmarks, words):
    with pytest.raises(ValueError, match=words):
        FacePreprocessing().align(smooth_noise(), landmarks)


def test_align_box_takes_the_square_as_high_as_the_box():
    frame = smooth_noise()
    crop = FacePreprocessing().align_box(frame, np.array([104, 60, 144, 108], np.float32))
    expected = to_grey(frame)[60:108, 100:148]
    assert np.abs(crop.astype(int) - expected).max() <= 2


def test_resize_keeps_a_crop_of_the_right_size():
    crop = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    assert (FacePreprocessing().resize(crop) == crop).all()


def test_resize_pads_instead_of_stretching():
    crop = np.zeros((96, 48), np.uint8)
    crop[:, :] = 50
    cv2.circle(crop, (24, 48), 20, 250, -1)
    out = FacePreprocessing().resize(crop)
    ys, xs = np.nonzero(out > 150)
    assert out.shape == (48, 48)
    assert abs(np.ptp(xs) - np.ptp(ys)) <= 1


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((0, 5), np.uint8),  # empty
        np.zeros((5, 5), np.float32),  # not pixels
        np.zeros((5, 5, 4), np.uint8),  # BGRA
    ],
)
def test_resize_refuses_what_is_no_crop(crop):
    with pytest.raises(ValueError, match="image: expected"):
        FacePreprocessing().resize(crop)


def test_batch_is_standardised_whatever_the_exposure():
    rng = np.random.default_rng(0)
    crop = rng.integers(60, 200, (48, 48)).astype(np.uint8)
    dim = (crop // 2).astype(np.uint8)
    batch = FacePreprocessing().batch([crop, dim])
    assert batch.shape == (2, 1, 48, 48)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(batch[0], batch[1], atol=0.05)


def test_batch_does_not_blow_up_a_flat_crop():
    batch = FacePreprocessing().batch([np.full((48, 48), 12, np.uint8)])
    assert (batch == 0).all()


def test_batch_of_nothing():
    assert FacePreprocessing().batch([]).shape == (0, 1, 48, 48)


def test_card_round_trip():
    preprocessing = FacePreprocessing(size=64, eyes_y=0.4)
    assert FacePreprocessing.from_card(preprocessing.to_card()) == preprocessing


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 4}, "size"),  # too small to hold a face
        ({"min_std": float("nan")}, "min_std"),
        ({"extra": 1}, "expected the fields"),  # written by another version
    ],
)
def test_card_with_wrong_fields_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        FacePreprocessing.from_card({**FacePreprocessing().to_card(), **change})


def test_training_standardises_exactly_as_the_robot_does():
    torch = pytest.importorskip("torch")
    pytest.importorskip("lightning")
    from emotion_perception.training.module import standardise as on_tensors

    crops = np.random.default_rng(3).integers(0, 256, (7, 48, 48)).astype(np.float32)
    crops[0] = 5  # flat
    expected = standardise(crops, 4.0)
    actual = on_tensors(torch.from_numpy(crops)[:, None], 4.0)[:, 0].numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-4)
