# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emotion_perception.training.faces import DataError, from_labels
from emotion_perception.training.shifts import SHIFTS, shifted


@pytest.fixture
def faces():
    images = np.random.default_rng(0).integers(0, 256, (6, 48, 48), np.uint8)
    return from_labels(images, [0, 1, 2, 0, 1, 2], files=list("abcdef"), persons=list("xxyyzz"))


@pytest.mark.parametrize("name", SHIFTS)
def test_depends_on_the_image_and_the_seed_alone(faces, name):
    before = faces.images.copy()
    whole = shifted(faces, name)
    np.testing.assert_array_equal(faces.images, before)
    assert whole.images.dtype == np.uint8
    assert whole.images.shape == before.shape
    assert (whole.images != before).any()
    backwards = shifted(faces.subset([5, 2]), name)
    np.testing.assert_array_equal(backwards.images, whole.images[[5, 2]])
    np.testing.assert_array_equal(backwards.labels, faces.labels[[5, 2]])
    assert list(backwards.persons) == ["z", "y"]


def test_five_in_this_order():
    assert list(SHIFTS) == ["roll", "dark", "small", "covered", "half_blurred"]


def test_only_the_noise_has_a_seed(faces):
    for name in SHIFTS:
        same = (shifted(faces, name, 0).images == shifted(faces, name, 1).images).all()
        assert same == (name != "dark")


def test_roll_turns_about_the_centre_and_repeats_the_border():
    image = np.full((48, 48), 50, np.uint8)
    image[:, 23:25] = 250  # an upright bar
    out = shifted(from_labels(image[None], [0], files=["a"]), "roll").images[0]
    ys, xs = np.nonzero(out > 150)
    assert abs(xs.mean() - 23.5) < 0.3
    assert abs(ys.mean() - 23.5) < 0.3
    slope = np.polyfit(ys - 23.5, xs - 23.5, 1)[0]
    assert abs(np.degrees(np.arctan(slope))) == pytest.approx(35, abs=1)
    assert out.min() == 50  # no black corners


def test_dark_has_the_stated_level_and_noise():
    image = np.full((1, 48, 48), 200, np.uint8)
    out = shifted(from_labels(image, [0], files=["a"]), "dark").images.astype(float)
    assert out.mean() == pytest.approx(36, abs=0.5)
    assert out.std() == pytest.approx(7, abs=0.4)


def test_dark_is_clipped_and_not_wrapped():
    black = from_labels(np.zeros((1, 48, 48), np.uint8), [0], files=["a"])
    out = shifted(black, "dark").images
    assert out.max() < 40  # minus one would have become 255
    assert (out == 0).mean() == pytest.approx(0.5, abs=0.05)


def test_small_keeps_the_mean_and_loses_the_detail():
    checks = (np.indices((48, 48)).sum(0) % 2 * 255).astype(np.uint8)
    out = shifted(from_labels(checks[None], [0], files=["a"]), "small").images[0]
    assert out.mean() == pytest.approx(127.5, abs=2)
    assert out.std() < 12


def test_cover_begins_at_row_30(faces):
    out = shifted(faces, "covered").images
    np.testing.assert_array_equal(out[:, :30], faces.images[:, :30])
    assert (out[:, 30:] == 128).all()


def test_blur_takes_the_left_half(faces):
    out = shifted(faces, "half_blurred").images
    np.testing.assert_array_equal(out[:, :, 24:], faces.images[:, :, 24:])
    assert out[:, :, :24].std(axis=(1, 2)).max() < 0.2 * faces.images.std()


def test_lengths_follow_the_side():
    images = np.random.default_rng(0).integers(0, 256, (1, 96, 96), np.uint8)
    faces = from_labels(images, [0], files=["a"])
    out = shifted(faces, "covered").images
    assert (out[:, 60:] == 128).all()
    np.testing.assert_array_equal(out[:, :60], images[:, :60])
    for name in SHIFTS:
        assert shifted(faces, name).images.shape == images.shape


def test_unknown_name(faces):
    with pytest.raises(DataError, match="roll, dark, small, covered, half_blurred, got 'fog'"):
        shifted(faces, "fog")


def test_benchmark_scores_every_shift(fer_dir, tmp_path):
    root = Path(__file__).absolute().parents[2]
    if not (root / "benchmarks").is_dir():
        pytest.skip("benchmarks/ belongs to a checkout")
    path = os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(root)])

    def bench(data):
        return subprocess.run(
            [sys.executable, "-m", "benchmarks.shifts", "--data", data, "--output",
             tmp_path / "new" / "shifts.json"],
            cwd="/", env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
            timeout=240,
        )  # fmt: skip

    done = bench(fer_dir)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "new" / "shifts.json").read_text())
    assert result["images"] == 15
    assert list(result["shifts"]) == list(SHIFTS)
    accuracies = [row["accuracy"] for row in result["shifts"].values()]
    mean = result["mean"]
    assert mean["accuracy"] == pytest.approx(np.mean(accuracies), abs=2e-4)
    assert mean["accuracy_interval"][0] <= mean["accuracy"] <= mean["accuracy_interval"][1]
    assert result["targets"][0]["met"] == (mean["accuracy"] >= 0.74)
    assert "mean of the five" in done.stdout
    failed = bench(tmp_path / "nowhere")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "nowhere" in failed.stderr
