# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The preprocessing against plain arithmetic."""

import cv2
import numpy as np
import pytest

from emotion_perception.image.preprocess import FacePreprocessing, standardise, to_grey, warp


def picture(height, width, channels=3, seed=0):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def face(eyes, across, down):
    """Landmarks with the eyes around a point, `across` from left to right and `down` apart."""
    eyes, across, down = (np.array(v, float) for v in (eyes, across, down))
    mouth = eyes + down
    return np.stack(
        [eyes - across / 2, eyes + across / 2, eyes + down / 2, mouth - across / 3,
         mouth + across / 3]
    ).astype(np.float32)  # fmt: skip


def sampled(frame, matrix, size):
    """Look every pixel of a crop up in the frame, between its four neighbours."""
    rows, columns = np.mgrid[0:size, 0:size] + 0.5
    points = np.stack([columns.ravel(), rows.ravel(), np.ones(size * size)])
    x, y = (matrix @ points).reshape(2, size, size) - 0.5
    height, width = frame.shape[:2]

    def at(x, y):
        return frame[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(float)

    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = x - left, y - top
    if frame.ndim == 3:
        across, down = across[..., None], down[..., None]
    upper = (1 - across) * at(left, top) + across * at(left + 1, top)
    lower = (1 - across) * at(left, top + 1) + across * at(left + 1, top + 1)
    return (1 - down) * upper + down * lower


@pytest.mark.parametrize(
    "changes", [{}, {"size": 64, "eyes_x": 0.4, "eyes_y": 0.3, "side_ratio": 2.5}]
)
@pytest.mark.parametrize(
    ("across", "down", "axis"),
    [
        ((30, 0), (0, 40), (1, 0)),
        ((0, 30), (-40, 0), (0, 1)),  # turned by 90 degrees
        ((-30, 0), (0, -40), (-1, 0)),
        ((0.1, 0.1), (0, 40), (1, 0)),  # in profile the line from eyes to mouth tells the roll
        ((30, 40), (-40, 30), (0.6, 0.8)),
    ],
)
def test_the_eyes_come_where_the_card_says(across, down, axis, changes):
    preprocessing = FacePreprocessing(**changes)
    matrix, side = preprocessing._crop_to_frame(face((200, 100), across, down))
    assert side == pytest.approx(
        preprocessing.side_ratio * np.hypot(np.hypot(*across), np.hypot(*down)), rel=1e-5
    )
    x, y = preprocessing.eyes_x * preprocessing.size, preprocessing.eyes_y * preprocessing.size
    np.testing.assert_allclose(matrix @ [x, y, 1], (200, 100), atol=1e-3)
    scale = side / preprocessing.size
    np.testing.assert_allclose(matrix[:, 0], np.multiply(axis, scale), atol=0.01 * scale)
    np.testing.assert_allclose(matrix[:, 1], [-matrix[1, 0], matrix[0, 0]])


@pytest.mark.parametrize(
    ("landmarks", "words"),
    [
        (face((50, 50), (0.3, 0), (0, 0.4)), "landmarks: the points fall together"),
        (face((50, 50), (-40, 0), (0, 40)), "landmarks: the points fall together"),  # no axis
        (np.array([[0, 0]] * 4 + [[0, np.inf]], np.float32), "landmarks: expected 5 finite points"),
    ],
)
def test_landmarks_that_say_nothing_are_named(landmarks, words):
    with pytest.raises(ValueError, match=words):
        FacePreprocessing()._crop_to_frame(landmarks)


def test_the_smallest_face():
    FacePreprocessing(side_ratio=1.0)._crop_to_frame(face((50, 50), (1.2, 0), (0, 1.7)))
    with pytest.raises(ValueError, match="fall together"):
        FacePreprocessing(side_ratio=1.0)._crop_to_frame(face((50, 50), (1.2, 0), (0, 1.5)))


@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 0, 20.25], [0, 1, 30.5]],
        [[0.8, -0.5, 60], [0.5, 0.8, 10]],
        [[1.3, 0.4, -20.5], [-0.4, 1.3, 50]],  # partly left of the frame
        [[1.5, 0, 70], [0, 1.5, 60]],  # and right of it, and below
        [[1, 0, 30], [0, 1, -40]],  # above
        [[1, 0, 500], [0, 1, 30]],  # far away
    ],
)
def test_a_crop_is_looked_up_between_pixels(matrix, grey):
    frame, matrix = picture(100, 120), np.array(matrix, float)
    crop = warp(frame, matrix, 48, 1, grey=grey)
    assert crop.shape == ((48, 48) if grey else (48, 48, 3))
    expected = sampled(to_grey(frame) if grey else frame, matrix, 48)
    # OpenCV looks up 32nds of a pixel.
    assert np.abs(crop - expected).max() < 4
    assert np.abs(crop - expected).mean() < 0.7


@pytest.mark.parametrize("shrink", [2, 3, 4])
def test_a_large_face_is_shrunk_by_area(shrink):
    frame = picture(300, 400)
    size = 32
    # From the corner on, blocks of the frame are pixels of the crop.
    matrix = np.array([[shrink, 0, 0], [0, shrink, 0]], float)
    part = to_grey(frame)[: size * shrink, : size * shrink]
    expected = cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA)
    crop = warp(frame, matrix, size, shrink)
    assert np.abs(crop.astype(int) - expected).max() <= 1
    # Anywhere else it is near the blurred frame.
    matrix = np.array([[shrink * 0.96, -0.2, 100.5], [0.2, shrink * 0.96, 40]], float)
    blurred = cv2.blur(to_grey(frame), (shrink, shrink))
    assert np.abs(warp(frame, matrix, size, shrink) - sampled(blurred, matrix, size)).mean() < 4


def test_large_faces_are_shrunk_before_they_are_cut_out():
    frame = picture(500, 500)
    preprocessing = FacePreprocessing(size=32)
    for distance in (20, 24, 60):
        landmarks = face((250, 200), (distance, 0), (0, distance))
        matrix, side = preprocessing._crop_to_frame(landmarks)
        expected = warp(frame, matrix, 32, max(1, int(side / 32)))
        np.testing.assert_array_equal(preprocessing.align(frame, landmarks), expected)


@pytest.mark.parametrize("size", [48, 32])
@pytest.mark.parametrize(
    ("box", "square"),
    [
        ((104, 60, 144, 108), (100, 60, 48)),
        ((100, 40, 140, 136), (72, 40, 96)),
        ((20, 30, 21, 62), (4.5, 30, 32)),
    ],
)
def test_a_box_becomes_the_square_as_high(box, square, size):
    frame = picture(200, 260)
    x, y, side = square
    scale = side / size
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    found = FacePreprocessing(size=size, eyes_x=0.45, side_ratio=2.0).align_box(
        frame, np.array(box, np.float32)
    )
    expected = warp(frame, matrix, size, max(1, int(scale + 1e-6)))
    assert np.abs(found.astype(int) - expected).mean() < 2.5


def test_a_box_without_height_is_a_pixel():
    with pytest.raises(ValueError, match="fall together"):
        FacePreprocessing().align_box(picture(50, 50), np.array([20, 20, 30, 20], np.float32))


@pytest.mark.parametrize("shape", [(60, 41), (41, 60), (20, 31), (48, 48), (96, 96), (30, 30)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_padded_with_its_border_and_resized(shape, channels):
    crop = picture(*shape, channels)
    if crop.ndim == 2:
        crop = crop[:, :, None]
    height, width = shape
    side = max(shape)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.pad(
        to_grey(crop), ((top, side - height - top), (left, side - width - left)), mode="edge"
    )
    way = cv2.INTER_AREA if side > 48 else cv2.INTER_LINEAR
    expected = square if side == 48 else cv2.resize(square, (48, 48), interpolation=way)
    found = FacePreprocessing().resize(crop)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_grey():
    bgr = np.zeros((4, 5, 3), np.uint8)
    for channel, level in enumerate((29, 150, 76)):  # of 255 blue, green and red
        bgr[:] = 0
        bgr[..., channel] = 255
        assert to_grey(bgr).tolist() == [[level] * 5] * 4
    grey = bgr[..., 0]
    assert to_grey(grey) is grey
    np.testing.assert_array_equal(to_grey(bgr[..., 2:]), bgr[..., 2])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((0, 5), np.uint8), r"non-empty uint8 pixels, got uint8 of shape \(0, 5\)"),
        (np.zeros((5, 5), np.uint16), r"non-empty uint8 pixels, got uint16 of shape \(5, 5\)"),
        (np.zeros((5, 5, 4), np.uint8), r"or BGR \(H, W, 3\), got \(5, 5, 4\)"),
        (np.zeros((5, 5, 2), np.uint8), r"or BGR \(H, W, 3\), got \(5, 5, 2\)"),
        (np.zeros(5, np.uint8), r"or BGR \(H, W, 3\), got \(5,\)"),
        (np.zeros((1, 5, 5, 3), np.uint8), r"or BGR \(H, W, 3\), got \(1, 5, 5, 3\)"),
    ],
)
def test_what_is_no_image_is_named(image, words):
    with pytest.raises(ValueError, match="image: expected .*" + words):
        to_grey(image)


def test_standardised_crops():
    rng = np.random.default_rng(0)
    crops = rng.normal(100, [[[30.0]], [[2.0]]], (2, 6, 6)).astype(np.float32)
    found = standardise(crops, 4.0)
    assert found.dtype == np.float32
    for crop, result in zip(crops, found, strict=True):
        np.testing.assert_allclose(result, (crop - crop.mean()) / max(crop.std(), 4.0), rtol=1e-3)


def test_a_batch_has_the_floor_of_the_card():
    crop = (np.arange(256).reshape(16, 16) // 16).astype(np.uint8)
    batch = FacePreprocessing(size=16, min_std=40.0).batch([crop])
    assert batch.shape == (1, 1, 16, 16)
    np.testing.assert_allclose(batch[0, 0], (crop - 7.5) / 40, atol=1e-6)
    with pytest.raises(ValueError, match=r"crops: expected grey images of 16x16, got \(16, 12\)"):
        FacePreprocessing(size=16).batch([crop[:, :12]])
    empty = FacePreprocessing(size=16).batch([])
    assert (empty.shape, empty.dtype) == ((0, 1, 16, 16), np.float32)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("size", 15, "expected 16 to 512 pixels, got 15"),
        ("size", 513, "expected 16 to 512 pixels, got 513"),
        ("eyes_x", 0.0, "expected a positive number, got 0.0"),
        ("eyes_y", -1.0, "expected a positive number, got -1.0"),
        ("side_ratio", float("inf"), "expected a positive number, got inf"),
        ("min_std", float("nan"), "expected a positive number, got nan"),
    ],
)
def test_each_field_out_of_range_is_named(field, value, words):
    with pytest.raises(ValueError, match=rf"^preprocessing\.{field}: {words}$"):
        FacePreprocessing(**{field: value})


def test_the_limits_themselves_are_allowed():
    assert [FacePreprocessing(size=size).size for size in (16, 512)] == [16, 512]


def test_a_card_without_a_field_says_which_there_are():
    card = FacePreprocessing().to_card()
    del card["size"]
    with pytest.raises(ValueError, match=r"preprocessing: expected the fields \[.*'size'\], got"):
        FacePreprocessing.from_card(card)
