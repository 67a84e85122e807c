# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from drawn import drawn_faces, with_features

from emotion_perception.training.adapt import (
    Adaptation,
    adapt,
    adapt_to_look,
    learnable,
    mixed,
    predict,
)
from emotion_perception.training.look import PatientLook
from emotion_perception.valence.network import ValenceNet

QUICK = Adaptation(epochs=2, batch_size=8, lr=0.05, base_percentage=50)


def tensors(faces):
    return torch.from_numpy(faces.images)[:, None], torch.from_numpy(faces.soft_targets)


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    return with_features(ValenceNet((8, 16, 24), (1, 1), dropout=0.0))


@pytest.fixture(scope="module")
def own():
    return tensors(drawn_faces(18))


@pytest.fixture(scope="module")
def replay():
    return tensors(drawn_faces(30, seed=1))


def changed(before, after):
    return {
        name
        for name, value in before.state_dict().items()
        if not torch.equal(value, after.state_dict()[name])
    }


@pytest.mark.parametrize(
    ("stages", "may"),
    [
        ("all", ("features", "classifier")),
        ("last", ("features.4.", "classifier")),  # stem 0 to 2, one block a stage
        ("norm", ("features.1.", ".1.weight", ".1.bias", ".4.weight", ".4.bias", ".2.weight",
                  ".2.bias", "classifier")),
        ("classifier", ("classifier",)),
    ],
)  # fmt: skip
def test_only_the_chosen_stages_learn(base, own, replay, stages, may):
    options = Adaptation(epochs=1, batch_size=8, lr=0.05, base_percentage=50, stages=stages)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    tuned = adapt(base, own, replay, options, min_std=4.0, seed=0, device="cpu")
    different = changed(base, tuned)
    assert "classifier.weight" in different
    assert all(any(part in name for part in may) for name in different), different
    # The statistics of normalisation are kept, and so is the network that was given.
    assert not any("running" in name for name in different)
    assert all(torch.equal(before[name], value) for name, value in base.state_dict().items())


def test_same_seed_gives_the_same_weights(base, own, replay):
    first, second, other = (
        adapt(base, own, replay, QUICK, min_std=4.0, seed=seed, device="cpu") for seed in (1, 1, 2)
    )
    assert not changed(first, second)
    assert changed(first, other)


def test_without_base_images(base, own):
    tuned = adapt(base, own, None, QUICK, min_std=4.0, seed=0, device="cpu")
    assert changed(base, tuned)


def test_all_base_images_ignores_the_patients_labels(base, own, replay):
    options = Adaptation(epochs=1, batch_size=8, base_percentage=100)
    wrong = (own[0], own[1].roll(1, dims=1))
    a, b = (
        adapt(base, some, replay, options, min_std=4.0, seed=0, device="cpu")
        for some in (own, wrong)
    )
    assert not changed(a, b)


def test_it_learns(base):
    own, test = tensors(drawn_faces(120)), tensors(drawn_faces(30, seed=5))
    options = Adaptation(epochs=12, batch_size=10, lr=0.01, gamma=0.8, base_percentage=0,
                         stages="all", loss="cross-entropy")  # fmt: skip
    tuned = adapt(base, own, None, options, min_std=4.0, seed=0, device="cpu")
    right = (predict(tuned, test[0], 4.0).argmax(1) == test[1].argmax(1)).float().mean()
    assert right > 0.8  # chance is a third


def test_the_camera_is_learned_without_a_label_of_the_patient(base):
    """The camera is tilted: what a mouth then looks like, base images tell."""
    own, replay, test = (tensors(drawn_faces(n, seed=s)) for n, s in ((60, 0), (900, 1), (60, 5)))
    tilted = torch.tensor([[0.77, -0.64, 0.0], [0.64, 0.77, 0.0]])  # 40 degrees

    def seen(images):
        grid = torch.nn.functional.affine_grid(
            tilted.expand(len(images), -1, -1), list(images.shape), align_corners=False
        )
        turned = torch.nn.functional.grid_sample(
            images.float(), grid, padding_mode="border", align_corners=False
        )
        return turned.round().byte()

    look = PatientLook(seen(own[0]), replay[0][:200], 4.0)
    options = Adaptation(look_images=1800, look_lr=0.05, look_percentage=100)
    first, second = (
        adapt_to_look(base, look, replay, options, min_std=4.0, seed=0, device="cpu")
        for _ in range(2)
    )
    assert not changed(first, second)
    assert not any("running" in name for name in changed(base, first))
    right = (predict(first, seen(test[0]), 4.0).argmax(1) == test[1].argmax(1)).float().mean()
    assert right > 0.8  # chance is a third


def test_divergence_is_told(base, own):
    options = Adaptation(epochs=3, batch_size=4, lr=1e30, base_percentage=0, stages="all")
    with pytest.raises(ValueError, match="diverged; choose a smaller --lr than 1e"):
        adapt(base, own, None, options, min_std=4.0, seed=0, device="cpu")


def test_divergence_while_the_look_is_learned_names_its_own_option(base, own):
    replay = tensors(drawn_faces(200, seed=1))
    look = PatientLook(own[0], replay[0], 4.0)
    options = Adaptation(look_images=400, look_lr=1e30)
    with pytest.raises(ValueError, match="diverged; --look-images 0"):
        adapt_to_look(base, look, replay, options, min_std=4.0, seed=0, device="cpu")


@pytest.mark.parametrize(
    ("batch", "percent", "count"),
    [(32, 75, 24), (32, 0, 0), (32, 100, 32), (32, 1, 1), (32, 99.9, 31), (1, 50, 0), (3, 50, 2)],
)
def test_share_of_base_images(batch, percent, count):
    assert Adaptation(batch_size=batch, base_percentage=percent).base_images() == count


@pytest.mark.parametrize(
    "wrong",
    [{"loss": "mse"}, {"stages": "first"}, {"base_percentage": 101}, {"epochs": 0}, {"lr": 0.0},
     {"gamma": 1.5}, {"look_images": -1}, {"look_lr": 0.0}, {"look_percentage": 101},
     {"weight_decay": -1.0}, {"base_percentage": float("nan")}],
)  # fmt: skip
def test_wrong_settings_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Adaptation(**wrong)


def test_mixed_is_between(base):
    torch.manual_seed(1)
    other = ValenceNet((8, 16, 24), (1, 1)).eval()
    assert not changed(mixed(base, other, 0.0), base)
    half = mixed(base, other, 0.5).state_dict()
    for name, value in base.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(half[name], (value + other.state_dict()[name]) / 2)


def test_a_network_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="Linear: only a network of features and classifier"):
        learnable(torch.nn.Linear(3, 3), "last")
