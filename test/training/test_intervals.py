# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.training.faces import from_labels
from emotion_perception.training.intervals import (
    accuracy_of,
    bootstrap,
    clusters_of,
    confusion_columns,
    interval,
    macro_f1_of,
    macro_recall_of,
    paired_difference,
    wilson,
)


def one_hot(answers):
    return np.eye(3, dtype=np.float32)[answers]


def faces(n, **names):
    return from_labels(np.zeros((n, 8, 8), np.uint8), [0] * n, files=["x"] * n, **names)


def test_figures_of_a_matrix_worked_out_by_hand():
    # negative: 3 of 4 found, neutral: 1 of 2, positive: none of 2 (both called neutral)
    labels = np.array([0, 0, 0, 0, 1, 1, 2, 2])
    answers = np.array([0, 0, 0, 1, 1, 0, 1, 1])
    cells = confusion_columns(labels, answers).sum(axis=0, keepdims=True)
    assert accuracy_of(cells)[0] == pytest.approx(4 / 8)
    assert macro_recall_of(cells)[0] == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    # F1 = 2 hits / (there + answered): negative 6/8, neutral 2/6, positive 0
    assert macro_f1_of(cells)[0] == pytest.approx((6 / 8 + 2 / 6 + 0) / 3)


def test_interval_of_a_share_is_that_of_the_binomial():
    right = np.array([1.0] * 800 + [0.0] * 200)
    columns = np.column_stack([right, np.ones(1000)])
    low, high = interval(bootstrap(columns, {"share": lambda s: s[:, 0] / s[:, 1]})["share"])
    half = 1.96 * np.sqrt(0.8 * 0.2 / 1000)
    assert low == pytest.approx(0.8 - half, abs=0.004)
    assert high == pytest.approx(0.8 + half, abs=0.004)


def test_copies_do_not_narrow_the_interval():
    # Each of 40 people was photographed 25 times; the frames of one are all right or all wrong.
    right = np.repeat(np.arange(40) % 4 != 0, 25).astype(float)
    columns = np.column_stack([right, np.ones(1000)])
    share = {"share": lambda s: s[:, 0] / s[:, 1]}
    alone = np.ptp(interval(bootstrap(columns, share)["share"]))
    person = np.repeat(np.arange(40), 25)
    together = np.ptp(interval(bootstrap(columns, share, clusters=person)["share"]))
    assert together == pytest.approx(alone * 5, rel=0.15)  # the square root of 25


def test_draws_in_parts_are_the_same_kind_of_draws(monkeypatch):
    import emotion_perception.training.intervals as module

    columns = np.column_stack([np.arange(50) % 2, np.ones(50)])
    share = {"share": lambda s: s[:, 0] / s[:, 1]}
    whole = bootstrap(columns, share, draws=300)["share"]
    monkeypatch.setattr(module, "_CELLS", 500)
    parts = bootstrap(columns, share, draws=300)["share"]
    np.testing.assert_array_equal(whole, parts)


def test_clusters_are_the_widest_unit_of_which_there_are_several():
    number, unit = clusters_of(faces(4, persons=list("aabb"), recordings=list("1212")))
    assert (unit, number.tolist()) == ("persons", [0, 0, 1, 1])
    number, unit = clusters_of(faces(4, persons=list("aaaa"), recordings=list("1221")))
    assert (unit, number.tolist()) == ("recordings", [0, 1, 1, 0])
    number, unit = clusters_of(faces(3, persons=list("aaa"), recordings=["", "", ""]))
    assert (unit, number.tolist()) == ("images", [0, 1, 2])
    number, unit = clusters_of(faces(4, persons=["a", "", "", "b"]))
    assert unit == "persons"
    assert len(set(number.tolist())) == 4  # an unknown person may be anybody


def test_wilson_has_a_width_for_all_right():
    low, high = wilson(5, 5)
    assert low == pytest.approx(0.566, abs=0.002)  # as published for 5 of 5
    assert high == 1
    assert wilson(50, 100) == pytest.approx((0.404, 0.596), abs=0.001)


def test_same_model_twice_has_no_difference():
    p = one_hot(np.arange(30) % 3)
    result = paired_difference(p, p, np.arange(30) % 3)
    assert result.accuracy == result.macro_recall == 0
    assert result.accuracy_interval == (0, 0)
    assert result.better == 0.5
    assert result.won == result.lost == 0


def test_difference_of_two_models_is_counted_on_the_same_images():
    labels = np.array([0] * 40 + [1] * 40 + [2] * 20)
    first, second = labels.copy(), labels.copy()
    first[:10] = 1  # the first is wrong on 10, the second on 4 of these and 2 others
    second[:4] = 2
    second[90:92] = 0
    result = paired_difference(one_hot(first), one_hot(second), labels)
    assert result.won == 6
    assert result.lost == 2
    assert result.accuracy == pytest.approx(0.04)
    assert result.macro_recall == pytest.approx((6 / 40 - 2 / 20) / 3)
    low, high = result.accuracy_interval
    assert low < 0.04 < high
    # Standard error of the paired difference: sqrt((8/100 - 0.04^2) / 100) = 0.028.
    assert high - low == pytest.approx(2 * 1.96 * 0.028, rel=0.12)


def test_different_images_are_refused():
    with pytest.raises(ValueError, match="expected the same images, got 3 and 2"):
        paired_difference(one_hot([0, 1, 2]), one_hot([0, 1]), np.array([0, 1, 2]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_figures_stay_shares_and_agree_with_plain_counting(pairs):
    labels, answers = (np.array(column) for column in zip(*pairs, strict=True))
    cells = confusion_columns(labels, answers).sum(axis=0, keepdims=True)
    assert accuracy_of(cells)[0] == pytest.approx((labels == answers).mean())
    recalls = [(answers[labels == c] == c).mean() for c in np.unique(labels)]
    with np.errstate(invalid="ignore"):
        assert macro_recall_of(cells)[0] == pytest.approx(np.mean(recalls))
    low, high = interval(
        bootstrap(confusion_columns(labels, answers), {"a": accuracy_of}, draws=50)["a"]
    )
    assert 0 <= low <= high <= 1
