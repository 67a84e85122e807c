# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

torch = pytest.importorskip("torch")

from emotion_perception.training.augment import Augmentation

OFF = {
    "roll": 0.0, "strong_roll": 0.0, "zoom": 0.0, "shift": 0.0, "dark": 0.0,
    "low_resolution": 0.0, "blur": 0.0, "occlusion": 0.0, "partial_blur": 0.0, "cover": 0.0,
    "jpeg": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "name", ["", "dark", "low_resolution", "blur", "partial_blur", "cover", "jpeg"]
)
def test_result_is_pixels(name):
    torch.manual_seed(0)
    images = torch.rand(32, 1, 48, 48) * 255
    out = Augmentation(**({name: 1.0} if name else {}))(images)
    assert out.shape == images.shape
    assert torch.isfinite(out).all()
    assert out.min() >= 0
    assert out.max() <= 255
    assert (out == out.round()).all()  # a camera gives whole numbers


def test_same_seed_gives_the_same():
    images = torch.rand(8, 1, 48, 48) * 255
    torch.manual_seed(1)
    first = Augmentation()(images.clone())
    torch.manual_seed(1)
    assert torch.equal(first, Augmentation()(images.clone()))


def test_occlusion_hides_a_part_only():
    torch.manual_seed(0)
    images = torch.full((64, 1, 48, 48), 100.0)
    plain = Augmentation(**OFF)
    hidden = Augmentation(**{**OFF, "occlusion": 1.0})
    torch.manual_seed(5)
    a = plain(images.clone())
    torch.manual_seed(5)
    b = hidden(images.clone())
    share = (a != b).float().mean(dim=(1, 2, 3))
    assert share.mean() > 0.03
    assert share.max() < 0.5


@pytest.mark.parametrize(
    ("name", "rows"), [("cover", slice(0, 20)), ("partial_blur", None), ("jpeg", None)]
)
def test_each_kind_changes_what_it_should(name, rows):
    torch.manual_seed(0)
    images = torch.rand(64, 1, 48, 48) * 255
    torch.manual_seed(5)
    plain = Augmentation(**OFF)(images.clone())
    torch.manual_seed(5)
    bent = Augmentation(**{**OFF, name: 1.0})(images.clone())
    changed = plain != bent
    assert changed.flatten(1).any(1).all()
    if rows is not None:
        # The tilt and the light are drawn first and stay the same; the eyes stay visible.
        assert not changed[:, :, rows].any()


def test_one_side_is_blurred_and_the_other_not():
    torch.manual_seed(0)
    images = torch.rand(16, 1, 48, 48) * 255
    torch.manual_seed(5)
    plain = Augmentation(**OFF)(images.clone())
    torch.manual_seed(5)
    bent = Augmentation(**{**OFF, "partial_blur": 1.0})(images.clone())
    share = ((plain - bent).abs() > 8).float()  # more than a sensor's noise
    share = share.mean(dim=(1, 2, 3))
    assert share.min() > 0.15
    assert share.max() < 0.8


def test_dark_is_darker():
    torch.manual_seed(0)
    images = torch.full((64, 1, 48, 48), 200.0)
    dark = Augmentation(**{**OFF, "dark": 1.0})(images.clone())
    assert dark.mean() < 0.8 * Augmentation(**OFF)(images.clone()).mean()
