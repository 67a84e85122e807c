# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How the demo clip is put together, on pictures whose values are known."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.image import demo_clip
from emotion_perception.image.demo_clip import (
    _at,
    _fit,
    _panorama,
    _smooth,
    _view,
    make_demo_clip,
)
from emotion_perception.image.source import SourceError

TABLE = ((1.0, 10.0, 0.0), (3.0, 20.0, -8.0), (4.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("seconds", "values"),
    [
        (0.0, (10, 0)),
        (1.0, (10, 0)),
        (1.5, (10 + 10 * 0.15625, -8 * 0.15625)),  # slowly at first: 3/16 - 2/64
        (2.0, (15, -4)),
        (3.0, (20, -8)),
        (3.5, (10, -4)),
        (4.0, (0, 0)),
        (9.0, (0, 0)),
    ],
)
def test_values_move_smoothly(seconds, values):
    assert _at(TABLE, seconds) == pytest.approx(values)


def test_a_smooth_step():
    x = np.array([-1.0, 0.0, 0.25, 0.5, 0.75, 1.0, 2.0])
    np.testing.assert_allclose(_smooth(x), [0, 0, 0.15625, 0.5, 0.84375, 1, 1])


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [
        ((960, 600), (480, 300)),  # a tall portrait is scaled
        ((240, 120), (480, 240)),
        ((512, 512), (480, 512)),  # a square one is cut at the bottom
        ((550, 500), (480, 500)),
        ((551, 500), (480, 436)),
    ],
)
def test_portraits_are_fitted(shape, fitted):
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    found = _fit(image)
    assert found.shape == (*fitted, 3)
    if fitted[1] == shape[1]:
        np.testing.assert_array_equal(found, image[:480])
    else:
        expected = cv2.resize(image, fitted[::-1], interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(found, expected)


def test_the_panorama():
    left = np.full((480, 300, 3), (10, 20, 30), np.uint8)
    left[:, :150] = 200  # the portrait's own things
    left[300:, 260:] = 0
    right = np.full((480, 200, 3), (110, 120, 130), np.uint8)
    right[:, :100] = 50  # mirrored, so this side is farthest from the wall
    scene = _panorama(left, right)
    assert scene.shape == (480, 300 + 760 + 200, 3)
    assert scene.dtype == np.float32
    np.testing.assert_allclose(scene[0, 0], 200, atol=1e-3)
    np.testing.assert_allclose(scene[0, 300 - 46], (10, 20, 30), atol=1e-3)
    np.testing.assert_allclose(scene[479, -1], 50, atol=1e-3)
    np.testing.assert_allclose(scene[0, 1060 + 46], (110, 120, 130), atol=1e-3)
    # The wall: from one background to the other, lightest a third from the top.
    middle = 300 + 380
    lightest = scene[160, middle]
    np.testing.assert_allclose(lightest, (60, 70, 80), atol=0.2)
    np.testing.assert_allclose(scene[479, middle], np.multiply((60, 70, 80), 0.82), atol=0.01)
    np.testing.assert_allclose(scene[0, middle], np.multiply((60, 70, 80), 1 - 0.045), atol=0.01)
    np.testing.assert_allclose(scene[160, 300 + 190], np.add((10, 20, 30), 15.625), atol=0.2)
    # Softly from portrait to wall, without a seam.
    steps = np.abs(np.diff(scene[160, 160:1160], axis=0))
    assert steps.max() < 1.0
    np.testing.assert_allclose(scene[400, 300 - 22, 0], 0.5 * scene[400, 310, 0], rtol=0.15)


def seen_at(seconds):
    """The middle of the view and its width, in a panorama that tells its coordinates."""
    x, y = np.meshgrid(np.arange(1700, dtype=np.float32), np.arange(480, dtype=np.float32))
    light = demo_clip._at(demo_clip._LIGHT, seconds)[0]
    view = _view(np.stack([x / 10, y / 4, np.full_like(x, 100)], axis=2), seconds)
    assert view.shape == (480, 640, 3)
    assert view.dtype == np.uint8
    values = view.astype(float) / light
    centre = values[220:260, 300:340].mean((0, 1))
    width = (values[220:260, 500:540, 0].mean() - values[220:260, 100:140, 0].mean()) * 10 * 1.6
    assert centre[2] == pytest.approx(100, abs=1)
    return centre[0] * 10, centre[1] * 4, width


@pytest.mark.parametrize("seconds", [0.0, 1.6, 3.0, 6.0, 9.4, 10.8])
def test_the_camera_follows_its_path_and_drifts_a_little(seconds):
    x, y, width = seen_at(seconds)
    path = _at(demo_clip._PATH, seconds)
    drift = 3 * np.sin(2.3 * seconds), 2 * np.sin(3.1 * seconds)
    half = width * 3 / 8
    assert x == pytest.approx(path[0] + drift[0], abs=4)
    assert y == pytest.approx(np.clip(path[1] + drift[1], half, 480 - half), abs=3)
    assert width == pytest.approx(path[2], rel=0.03)


def test_the_camera_never_looks_beyond_the_edges(monkeypatch):
    for x, y, expected in ((0.0, 0.0, (160, 120)), (9999.0, 9999.0, (1540, 360))):
        monkeypatch.setattr(demo_clip, "_PATH", ((0.0, x, y, 320.0), (1.0, x, y, 320.0)))
        found = seen_at(0.0)
        assert found[:2] == (pytest.approx(expected[0], abs=4), pytest.approx(expected[1], abs=3))


def test_a_sensor_has_noise_that_is_the_same_in_every_run():
    wall = np.full((480, 1700, 3), 100, np.float32)
    one, again, later = _view(wall, 6.0), _view(wall, 6.0), _view(wall, 6.2)
    np.testing.assert_array_equal(one, again)
    assert (one != later).any()
    light = demo_clip._at(demo_clip._LIGHT, 6.0)[0]
    assert one.mean() == pytest.approx(100 * light, abs=0.2)
    assert one.std() == pytest.approx(2.0, abs=0.2)
    assert np.ptp(one.astype(int), axis=2).max() <= 1  # of the light, not of a colour
    bright = _view(np.full((480, 1700, 3), 255, np.float32), 9.6)
    assert bright.min() > 200  # no value wraps around


class Writer:
    """Stands in for cv2.VideoWriter, which can write only some kinds."""

    kinds = ()

    def __init__(self, path, fourcc, fps, size):
        self.path, self.told = path, (fourcc, fps, size)
        self.frames, self.released = 0, False
        made.append(self)
        Path(path).touch()

    def isOpened(self):
        return self.path[-3:] in self.kinds

    def write(self, frame):
        self.frames += 1

    def release(self):
        self.released = True


made = []


@pytest.mark.parametrize(
    ("kinds", "name", "codec"),
    [(("mp4", "avi"), "demo.mp4", "mp4v"), (("avi",), "demo.avi", "MJPG")],
)
def test_the_kind_of_file_that_can_be_written(tmp_path, monkeypatch, kinds, name, codec):
    made.clear()
    frames = (np.zeros((480, 640, 3), np.uint8) for _ in range(7))
    monkeypatch.setattr(demo_clip, "demo_frames", lambda fps: frames)
    monkeypatch.setattr(Writer, "kinds", kinds)
    monkeypatch.setattr(cv2, "VideoWriter", Writer)
    Writer.fourcc = staticmethod(lambda *letters: "".join(letters))
    for _ in range(2):  # the folder may be there already
        path = make_demo_clip(tmp_path / "a" / "b", fps=9.0)
        frames = iter([np.zeros((480, 640, 3), np.uint8)] * 7)
    assert path == tmp_path / "a" / "b" / name
    first = next(writer for writer in made if writer.frames)
    assert (first.told, first.frames, first.released) == ((codec, 9.0, (640, 480)), 7, True)
    assert sorted(p.name for p in path.parent.iterdir()) == [name]
    monkeypatch.setattr(Writer, "kinds", ())
    frames = iter([np.zeros((480, 640, 3), np.uint8)])
    with pytest.raises(SourceError, match="b: OpenCV can write neither MPEG-4 nor Motion JPEG"):
        make_demo_clip(tmp_path / "a" / "b")


def test_the_usual_rate():
    pytest.importorskip("matplotlib")
    usual, at_15_hz = demo_clip.demo_frames(), demo_clip.demo_frames(15.0)
    for _ in range(2):
        np.testing.assert_array_equal(next(usual), next(at_15_hz))
