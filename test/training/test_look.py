import pytest

torch = pytest.importorskip("torch")

from drawn import drawn_faces
from torch.nn import functional

from emotion_perception.training.look import PatientLook
from emotion_perception.training.module import standardise


def crops(count, seed):
    return torch.from_numpy(drawn_faces(count, seed=seed).images)[:, None]


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


@pytest.mark.parametrize("defect", ["noise", "small", "covered"])
def test_the_look_is_given_to_other_images(defect):
    def spoil(images):
        x = images.float()
        if defect == "noise":
            return (x * 0.3 + 8 * torch.randn_like(x)).clamp(0, 255).byte()
        if defect == "small":
            low = functional.interpolate(x, (11, 11), mode="area")
            return functional.interpolate(low, (48, 48), mode="bilinear").byte()
        x[:, :, 30:] = 128
        return x.byte()

    look = PatientLook(spoil(crops(60, 0)), crops(60, 1), 4.0)
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


def test_single_image_and_flat_image_do_no_harm():
    flat = torch.full((1, 1, 48, 48), 90, dtype=torch.uint8)
    assert torch.isfinite(PatientLook(flat, crops(30, 0), 4.0)(crops(5, 1).float())).all()
