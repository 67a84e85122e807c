# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

torch = pytest.importorskip("torch")

from drawn import drawn_faces
from torch.nn import functional

from emotion_perception.training.look import PatientLook
from emotion_perception.training.module import standardise


def crops(count, seed):
    """Drawn faces with detail everywhere, as strong in each octave: what photographs have."""
    faces = torch.from_numpy(drawn_faces(count, seed=seed).images)[:, None].float()
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.rfft2(torch.randn(count, 1, 48, 48, generator=generator))
    y, x = torch.fft.fftfreq(48)[:, None], torch.fft.rfftfreq(48)[None]
    texture = torch.fft.irfft2(spectrum / (y**2 + x**2).sqrt().clamp(min=1 / 48))
    return (faces + 25 * texture / texture.std()).clamp(0, 255).byte()


def fine(x):
    """Share of the energy that a 3x3 mean takes away."""
    smooth = functional.avg_pool2d(functional.pad(x, (1,) * 4, mode="replicate"), 3, 1)
    return ((x - smooth) ** 2).mean().item()


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def test_a_turned_camera_is_found():
    images = crops(60, 0).float()
    angle = torch.tensor(0.5)  # 28.6 degrees
    theta = torch.tensor([[angle.cos(), -angle.sin(), 0], [angle.sin(), angle.cos(), 0]])
    grid = functional.affine_grid(
        theta[None].expand(60, -1, -1), [60, 1, 48, 48], align_corners=False
    )
    turned = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    turned = turned.round().byte()
    assert PatientLook(turned, crops(60, 1), 4.0).turn == pytest.approx(28.6, abs=3)
    assert PatientLook(crops(60, 2), crops(60, 1), 4.0).turn == pytest.approx(0, abs=2)


DEFECTS = ["noise", "small", "covered", "half blurred"]


@pytest.mark.parametrize("defect", DEFECTS)
def test_the_look_is_given_to_other_images(defect):
    def spoil(images):
        x = images.float()
        if defect == "half blurred":
            wide = functional.pad(x, (9,) * 4, mode="replicate")
            x[..., :24] = functional.avg_pool2d(functional.avg_pool2d(wide, 9, 1), 11, 1)[..., :24]
            return x.byte()
        if defect == "noise":
            return (x * 0.3 + 8 * torch.randn_like(x)).clamp(0, 255).byte()
        if defect == "small":
            low = functional.interpolate(x, (11, 11), mode="area")
            return functional.interpolate(low, (48, 48), mode="bilinear").byte()
        x[:, :, 30:] = 128
        return x.byte()

    look = PatientLook(spoil(crops(60, 0)), crops(60, 1), 4.0)
    assert torch.allclose(look.levels.sum(0), torch.ones(48, 48), atol=1e-4)
    assert (look.noise > 5) == (defect == "noise")
    assert (look.levels[-1] > 0.5).any(1).nonzero().flatten().tolist() == (
        list(range(30, 48)) if defect == "covered" else []
    )
    assert set(look.pixels.tolist()) == ({11} if defect == "small" else {0})
    sharp = look.levels[0] > 0.5
    assert sharp[:, 30:].all() == (defect in ("noise", "small", "half blurred"))
    assert sharp[:, :18].any() == (defect != "half blurred")
    plain = crops(60, 3)
    wanted, got = standardise(spoil(plain).float(), 4.0), look(plain.float())
    assert got.shape == plain.shape
    assert torch.isfinite(got).all()
    torch.testing.assert_close(got.mean((1, 2, 3)), torch.zeros(60), atol=1e-4, rtol=0)
    far = (standardise(plain.float(), 4.0) - wanted).pow(2).mean()
    if defect == "noise":
        assert fine(got) == pytest.approx(fine(wanted), rel=0.35)
    else:
        assert (got - wanted).pow(2).mean() < 0.5 * far


def test_the_usual_look_changes_little():
    look = PatientLook(crops(90, 0), crops(90, 1), 4.0)
    images = crops(30, 2).float()
    kept = (look(images) * standardise(images, 4.0)).mean((1, 2, 3))
    assert kept.mean() > 0.8  # correlation


def test_the_same_images_have_the_same_look():
    own, base, images = crops(30, 0), crops(30, 1), crops(5, 2).float()
    before = torch.get_rng_state()
    looks = [PatientLook(own, base, 4.0) for _ in range(2)]
    assert torch.equal(before, torch.get_rng_state())
    given = []
    for look in looks:
        torch.manual_seed(3)
        given.append(look(images))
    assert torch.equal(*given)


def test_single_image_and_flat_image_do_no_harm():
    flat = torch.full((1, 1, 48, 48), 90, dtype=torch.uint8)
    assert torch.isfinite(PatientLook(flat, crops(30, 0), 4.0)(crops(5, 1).float())).all()
