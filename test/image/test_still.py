# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Image files of a data set."""

import cv2
import numpy as np
import pytest

from emotion_perception.image import still
from emotion_perception.image.still import read_still

SHOWN = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), SHOWN)
    return path


def test_in_colour_blue_comes_first(png):
    found = read_still(png)
    assert found.dtype == np.uint8
    assert np.array_equal(found, SHOWN)


def test_in_grey_it_is_what_opencv_makes_of_it(png):
    found = read_still(png, cv2.IMREAD_GRAYSCALE)
    assert found.shape == (4, 6)
    assert np.array_equal(found, cv2.imread(str(png), cv2.IMREAD_GRAYSCALE))


def test_as_many_pixels_as_may_be_and_one_more(png, monkeypatch):
    monkeypatch.setattr(still, "MAX_PIXELS", 24)
    assert np.array_equal(read_still(png), SHOWN)
    monkeypatch.setattr(still, "MAX_PIXELS", 23)
    assert read_still(png) is None


def test_as_many_bytes_as_may_be_and_one_more(png, monkeypatch):
    monkeypatch.setattr(still, "MOST_BYTES", png.stat().st_size)
    assert np.array_equal(read_still(png), SHOWN)
    monkeypatch.setattr(still, "MOST_BYTES", png.stat().st_size - 1)
    assert read_still(png) is None


@pytest.mark.parametrize("damage", [b"", b"no image", "half", "gone", "folder"])
def test_what_is_no_image_is_none(png, damage):
    if damage == "gone":
        png.unlink()
    elif damage == "folder":
        png.unlink()
        png.mkdir()
    else:
        data = png.read_bytes()
        png.write_bytes(data[: len(data) // 2] if damage == "half" else damage)
    assert read_still(png) is None
