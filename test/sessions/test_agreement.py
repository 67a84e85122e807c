# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest

from emotion_perception.sessions.agreement import agreement, cohens_kappa, confusion, kappa_of
from emotion_perception.valence.labels import CLASSES


def test_kappa_of_a_textbook():
    # 50 cases, yes/yes 20, yes/no 5, no/yes 10, no/no 15: agreement 0.7, by chance 0.5.
    a = ["yes"] * 25 + ["no"] * 25
    b = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert agreement(a, b) == pytest.approx(0.7)
    assert cohens_kappa(a, b, ("yes", "no")) == pytest.approx(0.4)
    assert confusion(a, b, ("yes", "no")).tolist() == [[20, 5], [10, 15]]


def test_three_classes_against_the_definition():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 3, 200)
    b = np.where(rng.random(200) < 0.6, a, rng.integers(0, 3, 200))
    observed = (a == b).mean()
    chance = sum((a == c).mean() * (b == c).mean() for c in range(3))
    assert cohens_kappa(a, b, (0, 1, 2)) == pytest.approx((observed - chance) / (1 - chance))


@pytest.mark.parametrize(
    ("a", "b", "kappa"),
    [
        (["negative", "positive"], ["negative", "positive"], 1.0),
        # What is no class of either counts nowhere.
        (["negative", "positive", "unknown"], ["negative", "positive", "positive"], 1.0),
        (["negative", "positive", None], ["negative", "positive", None], 1.0),
        (["negative", "positive"], ["positive", "negative"], -1.0),
        # Nothing to agree on.
        (["positive"] * 3, ["positive"] * 3, math.nan),
        ([], [], math.nan),
        (["unknown"], ["positive"], math.nan),
    ],
)
def test_edges_of_kappa(a, b, kappa):
    assert cohens_kappa(a, b, CLASSES) == pytest.approx(kappa, nan_ok=True)


def test_agreement_of_nothing_is_not_known():
    assert math.isnan(agreement([], []))
    assert math.isnan(kappa_of(np.zeros((3, 3))))


def test_labels_of_other_moments_are_refused():
    with pytest.raises(ValueError, match="expected labels of the same moments, got 2 and 1"):
        agreement(["a", "b"], ["a"])
