# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How two models that judged one recording are compared, on figures made by hand."""

import math

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

from videos import change_table

from emotion_perception.sessions.compare import compare, describe
from emotion_perception.sessions.table import read_session


@pytest.fixture
def judged(make_session):
    """Return a session of 10 s at 10 Hz in which two models say what they are told to."""

    def make(first, second, face_ids=None):
        path = make_session([(10, "neutral")], rate=10.0, models=("one", "two"))

        def change(rows):
            rows["reaction"], rows["reaction__two"] = first, second
            if face_ids is not None:
                rows["face_id"] = face_ids

        change_table(path, change)
        return read_session(path)

    return make


def test_agreement_and_where_they_differ(judged):
    first = ["neutral"] * 50 + ["positive"] * 50
    second = ["neutral"] * 60 + ["positive"] * 36 + ["neutral"] * 4
    (found,) = compare(judged(first, second))
    assert (found.first, found.second, found.frames, found.told) == ("one", "two", 100, 100)
    assert found.agreement == pytest.approx(0.86)
    chance = 0.5 * 0.64 + 0.5 * 0.36
    assert found.kappa == pytest.approx((0.86 - chance) / (1 - chance))
    assert describe(found).endswith("with a reaction of both, Cohen's kappa 0.72")
    # The last 0.3 s are too short to be listed.
    (difference,) = found.differences
    assert (difference.face_id, difference.first, difference.second) == (
        "f1", "positive", "neutral",
    )  # fmt: skip
    assert (difference.start, difference.end) == pytest.approx((5.0, 5.9))


def test_frames_without_a_reaction_of_both_do_not_count(judged):
    first = ["unknown"] * 20 + ["neutral"] * 80
    second = ["positive"] * 30 + ["unknown"] * 10 + ["neutral"] * 60
    (found,) = compare(judged(first, second))
    assert (found.frames, found.told) == (100, 70)
    assert found.agreement == pytest.approx(60 / 70)


def test_each_face_is_compared_with_itself(judged):
    """Two who take turns: a stretch of one is not cut by the other's frames."""
    first = ["neutral", "positive"] * 50
    second = ["positive", "positive"] * 50
    (found,) = compare(judged(first, second, ["f1", "f2"] * 50))
    assert [(d.face_id, d.first, d.second) for d in found.differences] == [
        ("f1", "neutral", "positive")
    ]
    assert found.differences[0].end == pytest.approx(9.8)


def test_models_that_always_say_the_same_one_thing_have_no_kappa(judged):
    (found,) = compare(judged(["neutral"] * 100, ["neutral"] * 100))
    assert found.agreement == 1
    assert describe(found).endswith("100.0% of 100 frames with a reaction of both, no kappa")
    assert math.isnan(found.kappa)
    (found,) = compare(judged(["unknown"] * 100, ["neutral"] * 100))
    assert found.told == 0
    assert np.isnan(found.agreement)
    assert describe(found) == "one and two both told a reaction in none of 100 frames"


def test_of_three_models_each_pair_is_compared(make_session):
    session = read_session(make_session([(2, "positive")], models=("a", "b", "c")))
    assert [(c.first, c.second) for c in compare(session)] == [("a", "b"), ("a", "c"), ("b", "c")]
