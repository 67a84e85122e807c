# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import math

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.training.losses import LOSSES, LOWER_BOUND, constrained_target


def logits_of(*rows):
    return torch.tensor(rows, dtype=torch.float64).log()


def kl(p, q):
    return torch.where(p > 0, p * (p.clamp(min=1e-300) / q).log(), 0.0).sum(-1)


@pytest.mark.parametrize(
    ("q", "label", "target"),
    [
        # Sure enough of the label: left alone.
        ([0.9, 0.06, 0.04], 0, [0.9, 0.06, 0.04]),
        # At the bound.
        ([0.85, 0.1, 0.05], 0, [0.85, 0.1, 0.05]),
        # 0.15 / (1 - 0.5) = 0.3 of what the others had.
        ([0.5, 0.3, 0.2], 0, [0.85, 0.09, 0.06]),
        ([0.5, 0.3, 0.2], 2, [0.15 * 0.5 / 0.8, 0.15 * 0.3 / 0.8, 0.85]),
        # The network excludes the label.
        ([0.0, 1.0, 0.0], 0, [0.85, 0.15, 0.0]),
    ],
)
def test_constrained_target_by_hand(q, label, target):
    got = constrained_target(torch.tensor([q], dtype=torch.float64), torch.tensor([label]))
    torch.testing.assert_close(got[0], torch.tensor(target, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cross-entropy", -math.log(0.5)),
        ("soft", -(0.6 * math.log(0.5) + 0.4 * math.log(0.3))),
        ("constrained", -(0.85 * math.log(0.5) + 0.09 * math.log(0.3) + 0.06 * math.log(0.2))),
    ],
)
def test_losses_by_hand(name, expected):
    shares = torch.tensor([[0.6, 0.4, 0.0]], dtype=torch.float64)
    loss = LOSSES[name](logits_of([0.5, 0.3, 0.2]), shares)
    assert loss.shape == (1,)
    assert loss.item() == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=3, max_size=3), st.integers(0, 2), st.randoms())
def test_constrained_target_is_the_nearest_allowed_one(values, label, random):
    q = torch.tensor([values], dtype=torch.float64).softmax(1)
    p = constrained_target(q, torch.tensor([label]))[0]
    assert p.sum().item() == pytest.approx(1)
    assert p.min() >= 0
    assert p[label] >= min(LOWER_BOUND, 1) - 1e-12
    # Whatever else satisfies the bound is at least as far from q.
    least = kl(p, q[0])
    for _ in range(20):
        mass = random.uniform(LOWER_BOUND, 1)
        share = random.random()
        rest = [index for index in range(3) if index != label]
        other = torch.empty(3, dtype=torch.float64)
        other[label] = mass
        other[rest[0]], other[rest[1]] = (1 - mass) * share, (1 - mass) * (1 - share)
        assert kl(other, q[0]) >= least - 1e-9


def test_constrained_gradient_is_that_of_a_fixed_target():
    logits = torch.randn(16, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(16) % 3
    shares = torch.nn.functional.one_hot(labels, 3).double()
    LOSSES["constrained"](logits, shares).sum().backward()
    q = logits.detach().softmax(1)
    torch.testing.assert_close(logits.grad, q - constrained_target(q, labels))
    sure = q.gather(1, labels[:, None])[:, 0] >= LOWER_BOUND
    assert (logits.grad[sure].abs() < 1e-12).all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_where_the_network_is_certain(name):
    logits = torch.tensor([[200.0, -200.0, 0.0], [-200.0, 200.0, 0.0]], requires_grad=True)
    LOSSES[name](logits, torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])).sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1, 0] < 0  # towards the label
