# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The demo clip: reproducible, as long and large as promised, empty where it says so."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.image.demo_clip import (
    DEMO_SECONDS,
    DEMO_SIZE,
    DEMO_SPANS,
    demo_frames,
    make_demo_clip,
)
from emotion_perception.image.source import SourceError, open_source

PORTRAITS = {
    "skimage": "data/astronaut.png",
    "matplotlib": "mpl-data/sample_data/grace_hopper.jpg",
}


def installed(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / PORTRAITS[package]
    return path if path.exists() else None


needs_portraits = pytest.mark.skipif(
    not all(installed(package) for package in PORTRAITS),
    reason="scikit-image and matplotlib with their sample images are not both installed",
)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return list(demo_frames(fps=5))


def detail(frame: np.ndarray) -> float:
    """Mean strength of edges: a portrait has many, the wall has its noise only."""
    smooth = cv2.GaussianBlur(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), (0, 0), 3)
    return float(np.abs(cv2.Laplacian(smooth, cv2.CV_32F)).mean())


def test_spans_are_in_order_and_inside_the_clip():
    times = [time for start, end, _ in DEMO_SPANS for time in (start, end)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= DEMO_SECONDS
    assert [kind for *_, kind in DEMO_SPANS] == ["face", "empty", "face"]


@needs_portraits
class TestFrames:
    def test_shape_and_number(self, frames):
        assert len(frames) == DEMO_SECONDS * 5
        assert {(f.shape, str(f.dtype)) for f in frames} == {
            ((DEMO_SIZE[1], DEMO_SIZE[0], 3), "uint8")
        }

    def test_every_run_gives_the_same_pixels(self, frames):
        for first, second in itertools.islice(zip(frames, demo_frames(fps=5), strict=False), 5):
            np.testing.assert_array_equal(first, second)

    def test_the_rate_does_not_change_the_scene(self, frames):
        for index, frame in enumerate(itertools.islice(demo_frames(fps=2.5), 4)):
            np.testing.assert_array_equal(frame, frames[2 * index])

    def test_spans_tell_what_is_seen(self, frames):
        found = {"face": [], "empty": []}
        for start, end, kind in DEMO_SPANS:
            found[kind] += [detail(f) for i, f in enumerate(frames) if start <= i / 5 <= end]
        assert max(found["empty"]) < 0.5 * min(found["face"])

    def test_light_goes_from_dim_to_bright(self, frames):
        light = [float(f.mean()) for f in frames[:21]]
        assert min(light) < 0.65 * max(light)

    @pytest.mark.parametrize("fps", [0, -1, float("nan")])
    def test_rate_must_be_positive(self, fps):
        with pytest.raises(SourceError, match="fps: expected above 0"):
            demo_frames(fps)


@needs_portraits
def test_the_clip_holds_the_frames(tmp_path, frames):
    path = make_demo_clip(tmp_path / "new" / "folder", fps=5)
    with open_source(path) as source:
        assert source.size == DEMO_SIZE
        assert source.fps == pytest.approx(5)
        decoded = list(source)
    assert len(decoded) == len(frames)
    assert decoded[-1].time == pytest.approx(DEMO_SECONDS - 0.2, abs=1e-2)
    for index in (0, 15, 30, 55):
        assert np.abs(decoded[index].image.astype(int) - frames[index]).mean() < 6


class TestPortraits:
    """Packages made in a folder hide the installed ones."""

    @pytest.fixture
    def packages(self, tmp_path, monkeypatch) -> Path:
        for package in PORTRAITS:
            (tmp_path / package).mkdir()
            (tmp_path / package / "__init__.py").touch()
            for module in [m for m in sys.modules if m.split(".")[0] == package]:
                monkeypatch.delitem(sys.modules, module)
        monkeypatch.syspath_prepend(tmp_path)
        return tmp_path

    def test_none(self, packages):
        with pytest.raises(SourceError, match=r"install scikit-image .* or matplotlib"):
            demo_frames()

    @pytest.mark.parametrize("package", PORTRAITS)
    def test_one_takes_both_parts(self, package, request):
        photo = installed(package)
        if photo is None:
            pytest.skip(f"{package} with its sample image is not installed")
        packages = request.getfixturevalue("packages")
        target = packages / package / PORTRAITS[package]
        target.parent.mkdir(parents=True)
        shutil.copy(photo, target)
        frames = list(demo_frames(fps=1))
        assert len(frames) == DEMO_SECONDS
        assert min(detail(frames[1]), detail(frames[10])) > 3 * detail(frames[6])
