# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames at other sizes, quickly."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from emotion_perception.faces.area import AreaImage
from emotion_perception.faces.quick import QuickImage


@pytest.fixture(scope="module")
def frame():
    """A smooth picture of odd sides, as photographs are smooth."""
    rows, columns = np.mgrid[0:481, 0:643]
    waves = [np.sin(rows / 37 + k) + np.cos(columns / 53 - k) for k in range(3)]
    return np.stack([(63 * wave + 128) for wave in waves], axis=2).astype(np.uint8)


@pytest.mark.parametrize("size", [(145, 194), (73, 97), (13, 17), (481, 643), (600, 800)])
def test_sizes_are_nearly_exact_averages(frame, size):
    exact = AreaImage()
    exact.load(frame)
    found = QuickImage(frame).resized(*size)
    assert found.shape == (1, 3, *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, exact.resized(*size), atol=9 / 128)


def test_some_rows_are_those_of_the_whole(frame):
    image = QuickImage(frame)
    np.testing.assert_array_equal(
        image.resized(145, 194, 20, 31), image.resized(145, 194)[:, :, 20:51]
    )


def test_crops_are_nearly_exact_averages(frame):
    windows = np.array([[0, 0, 643, 481], [30, 40, 130, 140], [600, 400, 643, 481], [5, 5, 9, 9]])
    exact = AreaImage()
    exact.load(frame)
    found = QuickImage(frame).crops(windows, 24)
    assert found.shape == (4, 3, 24, 24)
    np.testing.assert_allclose(found, exact.crops(windows, 24), atol=9 / 128)


def test_threads_may_share_one(frame):
    sizes = [(481 // n, 643 // n) for n in (2, 3, 5, 9, 17, 33)]
    expected = [QuickImage(frame).resized(*size) for size in sizes]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(200):
            image = QuickImage(frame)
            for one, other in zip(
                pool.map(lambda size, image=image: image.resized(*size), sizes), expected,
                strict=True,
            ):  # fmt: skip
                np.testing.assert_array_equal(one, other)
