# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from emotion_perception.training.faces import from_labels
from emotion_perception.training.groups import (
    by_person,
    by_recording,
    fairness,
    in_bands,
)


def scored(labels, answers, confidence=0.9, **names):
    labels, answers = np.asarray(labels), np.asarray(answers)
    p = np.full((len(labels), 3), (1 - confidence) / 2, np.float32)
    p[np.arange(len(labels)), answers] = confidence
    images = np.zeros((len(labels), 8, 8), np.uint8)
    return p, from_labels(images, labels, files=["f"] * len(labels), **names)


def test_persons_are_listed_worst_first():
    labels = [0, 1, 2, 0, 1, 2, 0]
    answers = [0, 1, 2, 0, 0, 0, 1]
    p, faces = scored(labels, answers, persons=["a"] * 3 + ["b"] * 3 + [""])
    rows = by_person(p, faces, 0.5)
    assert [row.name for row in rows] == ["b", "a"]
    worst = rows[0]
    assert (worst.images, worst.units) == (3, 3)
    assert worst.accuracy == pytest.approx(1 / 3)
    assert worst.macro_recall == pytest.approx(1 / 3)
    assert worst.counts == {"negative": 1, "neutral": 1, "positive": 1}
    assert worst.small
    low, high = rows[1].accuracy_interval  # all right, but only three
    assert low < 0.5
    assert high == 1


def test_recordings_of_a_person_are_parts_and_units():
    p, faces = scored(
        [0, 1] * 4, [0, 1] * 3 + [0, 0], persons=["a"] * 8, recordings=["x"] * 6 + ["y"] * 2
    )
    rows = by_recording(p, faces, 0.5)
    assert [row.name for row in rows] == ["a/y", "a/x"]
    assert by_person(p, faces, 0.5)[0].units == 2  # frames of one recording are one thing


def test_abstention_of_a_part():
    p, faces = scored([0, 0], [0, 1], persons=["a", "b"])
    p[1] = [0.3, 0.4, 0.3]
    rows = {row.name: row for row in by_person(p, faces, 0.5)}
    assert (rows["a"].coverage, rows["a"].accuracy_covered) == (1, 1)
    assert rows["b"].coverage == 0
    assert np.isnan(rows["b"].accuracy_covered)


def grouped(right_of, size=60, persons=None):
    """Groups of images with a given share of right answers."""
    names = np.repeat(list(right_of), size)
    answers = np.concatenate(
        [(np.arange(size) >= round(share * size)).astype(int) for share in right_of.values()]
    )
    return scored([0] * len(names), answers, groups={"gender": names.tolist()}, persons=persons)


def test_a_real_gap_is_found():
    p, faces = grouped({"female": 0.95, "male": 0.6})
    (found,) = fairness(p, faces, 0.5)
    assert (found.grouping, found.best, found.worst) == ("gender", "female", "male")
    assert found.gap == pytest.approx(0.35, abs=0.01)
    assert found.chance < 0.01


def test_no_gap_may_be_chance():
    p, faces = grouped({"female": 0.8, "male": 0.75})
    (found,) = fairness(p, faces, 0.5)
    assert found.chance > 0.3


def test_gap_of_a_few_people_is_not_hidden_by_many_frames():
    # 30 frames each of 42 people; 6 of 21 are wrong throughout in one group, 9 in the other.
    wrong = np.concatenate([np.arange(21) < 6, np.arange(21) < 9])
    answers = np.repeat(wrong.astype(int), 30)
    groups = {"g": ["a"] * 630 + ["b"] * 630}
    people = [f"p{i}" for i in range(42) for _ in range(30)]
    p, alone = scored([0] * 1260, answers, groups=groups)
    p, whole = scored([0] * 1260, answers, groups=groups, persons=people)
    assert fairness(p, alone, 0.5)[0].chance < 0.01  # as if 1260 people had been seen
    assert fairness(p, whole, 0.5)[0].chance > 0.05
    assert fairness(p, whole, 0.5)[0].parts[0].units == 21


def test_small_groups_are_shown_but_not_compared():
    p, faces = scored(
        [0] * 63, [0] * 60 + [1] * 3, groups={"eyes": ["open"] * 30 + ["closed"] * 30 + ["one"] * 3}
    )
    (found,) = fairness(p, faces, 0.5)
    marked = {part.name: part.small for part in found.parts}
    assert marked == {"open": False, "closed": False, "one": True}
    assert "one" not in (found.best, found.worst)
    assert found.gap == 0
    p, faces = scored([0] * 40, [0] * 40, groups={"g": ["a"] * 30 + ["b"] * 10})
    (found,) = fairness(p, faces, 0.5)
    assert found.best == found.worst == ""
    assert np.isnan(found.gap)


def test_grouping_of_one_value_is_none():
    p, faces = scored([0] * 4, [0] * 4, groups={"pose": ["up", "up", "", ""]})
    assert fairness(p, faces, 0.5) == []


def test_ages_are_put_in_bands():
    values = np.array(["", *map(str, range(18, 38)), "101"])
    assert set(in_bands(values)) == {"", "10 to 19", "20 to 29", "30 to 39", "100 to 109"}
    few = np.array(["1", "2", "3"])
    assert in_bands(few).tolist() == ["1", "2", "3"]
    names = np.array([f"n{i}" for i in range(30)])
    assert in_bands(names).tolist() == names.tolist()


def test_other_shares_of_the_classes_are_no_gap():
    # Positives are harder than neutrals in both groups alike, and one group has no positives.
    labels = [1] * 40 + [2] * 40 + [1] * 40
    answers = [1] * 40 + [2] * 20 + [1] * 20 + [1] * 40
    p, faces = scored(labels, answers, groups={"site": ["a"] * 80 + ["b"] * 40})
    (found,) = fairness(p, faces, 0.5)
    assert [part.accuracy for part in found.parts] == [0.75, 1.0]
    assert found.classes == ("neutral",)
    assert found.recalls == {"a": 1.0, "b": 1.0}
    assert found.gap == 0
    p, faces = scored([1] * 30 + [2] * 30, [1] * 60, groups={"site": ["a"] * 30 + ["b"] * 30})
    (found,) = fairness(p, faces, 0.5)
    assert found.classes == ()  # nothing in common, nothing to compare
    assert np.isnan(found.gap)


def test_recall_of_groups_by_hand():
    labels = [0] * 20 + [1] * 10 + [0] * 10 + [1] * 20
    answers = [0] * 15 + [1] * 5 + [1] * 10 + [0] * 10 + [1] * 15 + [0] * 5
    p, faces = scored(labels, answers, groups={"g": ["a"] * 30 + ["b"] * 30})
    (found,) = fairness(p, faces, 0.5)
    assert found.recalls == pytest.approx({"a": (15 / 20 + 1) / 2, "b": (1 + 15 / 20) / 2})
    assert found.gap == pytest.approx(0)
