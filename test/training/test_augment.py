import pytest

torch = pytest.importorskip("torch")

from emotion_perception.training.augment import Augmentation

OFF = {
    "roll": 0.0, "strong_roll": 0.0, "zoom": 0.0, "shift": 0.0, "dark": 0.0,
    "low_resolution": 0.0, "blur": 0.0, "occlusion": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("share", [{}, {"dark": 1.0}, {"low_resolution": 1.0}, {"blur": 1.0}])
def test_result_is_pixels(share):
    torch.manual_seed(0)
    images = torch.rand(32, 1, 48, 48) * 255
    out = Augmentation(**share)(images)
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


def test_dark_is_darker():
    torch.manual_seed(0)
    images = torch.full((64, 1, 48, 48), 200.0)
    dark = Augmentation(**{**OFF, "dark": 1.0})(images.clone())
    assert dark.mean() < 0.8 * Augmentation(**OFF)(images.clone()).mean()
