# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.reaction.smoothing import ReactionFilter, SmoothingOptions

SMILE = np.array([0.02, 0.08, 0.9], np.float32)
CALM = np.array([0.08, 0.87, 0.05], np.float32)
UNSURE = np.array([0.3, 0.4, 0.3], np.float32)


def run(frames, rate, threshold=0.7, **options):
    follow = ReactionFilter(SmoothingOptions(**options))
    return [follow.update(p, step / rate, threshold) for step, p in enumerate(frames)]


def test_the_first_look_is_taken_as_it_is():
    told, reaction, reason = ReactionFilter().update(SMILE, 5.0, 0.7)
    np.testing.assert_allclose(told, SMILE, atol=1e-6)
    assert (reaction, reason) == (Reaction.POSITIVE, Reason.NONE)
    assert ReactionFilter().update(UNSURE, 5.0, 0.7)[2] == Reason.LOW_CONFIDENCE


@pytest.mark.parametrize("rate", [5, 15, 60])
def test_a_single_misread_frame_changes_nothing(rate):
    frames = [SMILE] * (2 * rate) + [CALM] * max(1, rate // 30) + [SMILE] * rate
    assert {reaction for _, reaction, _ in run(frames, rate)} == {Reaction.POSITIVE}


def test_the_same_in_time_at_5_and_at_60_frames_a_second():
    late = []
    for rate in (5, 10, 30, 60):
        answers = run([CALM] * (3 * rate) + [SMILE] * (3 * rate), rate)
        reactions = [reaction for _, reaction, _ in answers]
        late.append((reactions.index(Reaction.POSITIVE) - 3 * rate) / rate)
        assert reactions[-1] == Reaction.POSITIVE
        # A change is a change: it does not come back.
        assert sum(a != b for a, b in itertools.pairwise(reactions)) <= 2
    assert max(late) <= 0.5
    assert max(late) - min(late) <= 0.25


def test_probabilities_fade_to_ignorance_and_old_ones_are_forgotten():
    follow = ReactionFilter()
    for step in range(30):
        sure = follow.update(SMILE, step / 10, 0.7)[0]
    weak = follow.update(UNSURE, 2.9 + 1.5, 0.7)[0]
    assert weak[2] < sure[2]
    follow.update(SMILE, 4.5, 0.7)
    told, _, reason = follow.update(UNSURE, 4.5 + 2.1, 0.7)
    np.testing.assert_allclose(told, UNSURE, atol=1e-6)
    assert reason == Reason.LOW_CONFIDENCE


def test_a_face_that_cannot_be_judged_is_unknown_after_a_moment():
    follow = ReactionFilter()
    for step in range(10):
        follow.update(SMILE, step / 10, 0.7)
    told, reaction, reason = follow.update(None, 1.0, 0.7)
    assert (reaction, reason) == (Reaction.POSITIVE, Reason.NONE)
    assert told.sum() == pytest.approx(1, abs=1e-5)
    told, reaction, reason = follow.update(None, 1.3, 0.7)
    assert (reaction, reason) == (Reaction.UNKNOWN, Reason.LOW_QUALITY)
    assert (told == 0).all()
    assert ReactionFilter().update(None, 0.0, 0.7)[2] == Reason.LOW_QUALITY


def test_numbers_that_are_none_are_no_look():
    follow = ReactionFilter()
    answer = follow.update(np.array([np.nan, 0.5, 0.5], np.float32), 0.0, 0.7)
    assert answer[2] == Reason.LOW_QUALITY


def test_hysteresis_and_dwell():
    # Just below the threshold: what was said stays said, but nothing is begun.
    near = np.array([0.05, 0.31, 0.64], np.float32)
    assert run([near] * 3, 100, evidence_rate=1e-6)[-1][1] == Reaction.UNKNOWN
    follow = ReactionFilter(SmoothingOptions(evidence_rate=1e-6, stay=1e6))
    assert follow.update(SMILE, 0.0, 0.7)[1] == Reaction.POSITIVE
    follow._belief = near.astype(float)
    assert follow.update(near, 1.0, 0.7)[1] == Reaction.POSITIVE
    # A reaction lasts at least as long as asked.
    quick = {"evidence_rate": 1000.0, "stay": 0.01, "temper": 1.0}
    frames = [SMILE, *[CALM] * 20]
    for dwell in (0.0, 1.0):
        told = [reaction for _, reaction, _ in run(frames, 10, dwell=dwell, **quick)]
        assert told.index(Reaction.NEUTRAL) == (10 if dwell else 1)


def test_a_new_threshold_counts_at_once():
    follow = ReactionFilter()
    follow.update(SMILE, 0.0, 0.7)
    assert follow.update(SMILE, 0.1, 0.99)[2] == Reason.LOW_CONFIDENCE


def test_time_that_goes_back_starts_anew():
    follow = ReactionFilter()
    for step in range(20):
        follow.update(SMILE, 100 + step / 10, 0.7)
    np.testing.assert_allclose(follow.update(CALM, 3.0, 0.7)[0], CALM, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "value"),
    [("stay", 0.0), ("evidence_rate", -1.0), ("doubt", 1.5), ("dwell", math.nan), ("temper", 0.0)],
)
def test_options_out_of_range(field, value):
    with pytest.raises(ValueError, match=field):
        SmoothingOptions(**{field: value})


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(-0.5, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_comes_it_is_a_distribution(steps):
    follow, time = ReactionFilter(), 0.0
    for a, b, c, gap in steps:
        time += gap
        p = np.array([a, b, c]) + 1e-9
        told, reaction, reason = follow.update((p / p.sum()).astype(np.float32), time, 0.7)
        assert np.isfinite(told).all()
        assert told.sum() == pytest.approx(1, abs=1e-4)
        assert (reaction == Reaction.UNKNOWN) == (reason != Reason.NONE)
