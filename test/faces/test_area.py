# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from emotion_perception.faces.area import AreaImage


def pooled(frame, height, width):
    """Adaptive average pooling by its definition; float64 (3, height, width), normalised RGB."""
    rows, columns = frame.shape[:2]
    out = np.empty((3, height, width))
    for i in range(height):
        for j in range(width):
            part = frame[
                i * rows // height : -(-(i + 1) * rows // height),
                j * columns // width : -(-(j + 1) * columns // width),
            ]
            out[:, i, j] = part.reshape(-1, 3).mean(axis=0)[::-1]
    return (out - 127.5) / 128


def noise(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "to"),
    [((50, 70), (13, 17)), ((50, 70), (50, 70)), ((20, 30), (41, 33)), ((1, 1), (2, 3))],
)
def test_resized(size, to):
    image = AreaImage()
    image.load(noise(*size))
    np.testing.assert_allclose(image.resized(*to)[0], pooled(noise(*size), *to), atol=1e-6)


@pytest.mark.parametrize("size", [24, 48])
def test_crops(size):
    frame = noise(120, 160)
    image = AreaImage()
    image.load(frame)
    windows = np.array([[0, 0, 160, 120], [10, 20, 11, 21], [100, 60, 160, 90], [3, 5, 40, 77]])
    for crop, (x1, y1, x2, y2) in zip(image.crops(windows, size), windows, strict=True):
        np.testing.assert_allclose(crop, pooled(frame[y1:y2, x1:x2], size, size), atol=1e-6)


def test_large_batches_equal_small_ones():
    image = AreaImage()
    image.load(noise(100, 100))
    windows = np.array([[i % 50, i % 40, i % 50 + 30, i % 40 + 40] for i in range(100)])
    alone = np.concatenate([image.crops(window[None], 48) for window in windows])
    np.testing.assert_array_equal(image.crops(windows, 48), alone)


def test_sums_beyond_32_bits():
    frame = np.full((3000, 3500, 3), 255, np.uint8)  # sums to 2.7e9
    frame[-100:, -100:] = 51
    image = AreaImage()
    image.load(frame)
    (crop,) = image.crops(np.array([[3400, 2900, 3500, 3000]]), 24)
    np.testing.assert_allclose(crop, (51 - 127.5) / 128, atol=1e-6)
    (crop,) = image.crops(np.array([[0, 0, 3400, 2900]]), 24)
    np.testing.assert_allclose(crop, (255 - 127.5) / 128, atol=1e-6)


def test_very_wide_frame():
    frame = noise(12, 40000)
    image = AreaImage()
    image.load(frame)
    expected = ((frame[..., ::-1].astype(float) - 127.5) / 128).transpose(2, 0, 1)
    np.testing.assert_allclose(image.resized(12, 40000)[0], expected, atol=1e-6)


def test_results_are_not_overwritten():
    image = AreaImage()
    image.load(noise(50, 50))
    first = image.resized(20, 20)
    copy = first.copy()
    image.load(noise(51, 50))
    image.resized(20, 20)
    np.testing.assert_array_equal(first, copy)
