# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The smoothing filter against the forward algorithm written out, and at its limits."""

import math

import numpy as np
import pytest

from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.reaction.smoothing import ReactionFilter, SmoothingOptions

SMILE = np.array([0.02, 0.08, 0.9], np.float32)
CALM = np.array([0.08, 0.87, 0.05], np.float32)
SAD = np.array([0.85, 0.1, 0.05], np.float32)


def forward(looks, stay=4.0, rate=9.0, doubt=0.05, temper=0.58):
    """Return what is told after looks (time, probabilities), in logarithms."""
    (before, first), *rest = looks
    log_belief, count = np.log(np.asarray(first, float)), 1.0
    for time, probabilities in rest:
        worth = min(1.0, rate * (time - before))
        changed = 1 - math.exp(-(time - before) / stay)
        belief = np.exp(log_belief - np.logaddexp.reduce(log_belief))
        belief = belief + changed * (1 / 3 - belief)
        noticed = np.asarray(probabilities, float) + doubt * (1 / 3 - np.asarray(probabilities))
        log_belief = np.log(belief) + worth * np.log(noticed)
        before, count = time, count + worth
    scaled = log_belief * (temper + (1 - temper) / count)
    return np.exp(scaled - np.logaddexp.reduce(scaled))


@pytest.mark.parametrize(
    "looks",
    [
        [(0.0, SMILE)],
        [(0.0, SMILE), (0.05, CALM)],
        [(0.0, SMILE), (0.5, CALM)],  # a look counts once, however long ago the last was
        [(3.0, SAD), (3.1, CALM), (3.3, SMILE), (5.2, SMILE)],
        [(n / 30, SMILE if n < 20 else SAD) for n in range(40)],
    ],
)
@pytest.mark.parametrize(
    "options", [{}, {"stay": 1.0, "evidence_rate": 3.0, "doubt": 0.2, "temper": 0.9}]
)
def test_it_is_the_forward_algorithm(looks, options):
    follow = ReactionFilter(SmoothingOptions(**options))
    for time, probabilities in looks:
        told, _, _ = follow.update(probabilities, time, 0.5)
    names = {"evidence_rate": "rate"}
    expected = forward(looks, **{names.get(name, name): v for name, v in options.items()})
    assert told.dtype == np.float32
    np.testing.assert_allclose(told, expected, atol=2e-6)


def test_who_waits_for_a_turn_tends_to_ignorance():
    follow = ReactionFilter()
    follow.update(SMILE, 1.0, 0.7)
    belief = SMILE + (1 - math.exp(-0.8 / 4)) * (1 / 3 - SMILE)
    told, reaction, reason = follow.wait(1.8)
    assert told.dtype == np.float32
    np.testing.assert_allclose(told, belief, atol=1e-6)
    assert (reaction, reason) == (Reaction.POSITIVE, Reason.NONE)
    np.testing.assert_allclose(follow.wait(0.5)[0], SMILE, atol=1e-6)  # never back in time
    again = follow.update(CALM, 1.9, 0.7)[0]
    np.testing.assert_allclose(again, forward([(1.0, SMILE), (1.9, CALM)]), atol=2e-6)


def test_who_waits_without_a_reaction_has_low_confidence():
    follow = ReactionFilter()
    follow.update(np.array([0.3, 0.4, 0.3], np.float32), 1.0, 0.7)
    assert follow.wait(1.1)[1:] == (Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)


@pytest.mark.parametrize(("gap", "reaction"), [(0.25, Reaction.POSITIVE), (0.26, Reaction.UNKNOWN)])
def test_how_long_a_face_may_be_turned_away(gap, reaction):
    follow = ReactionFilter()
    follow.update(SMILE, 0.0, 0.7)
    told, found, reason = follow.update(None, gap, 0.7)
    assert (found, told.dtype) == (reaction, np.float32)
    if found:
        belief = SMILE + (1 - math.exp(-gap / 4)) * (1 / 3 - SMILE)
        np.testing.assert_allclose(told, belief, atol=1e-6)
    assert reason == (Reason.NONE if found else Reason.LOW_QUALITY)


def test_after_a_moment_turned_away_a_reaction_begins_anew():
    follow = ReactionFilter(SmoothingOptions(dwell=5.0, evidence_rate=1000.0, temper=1.0))
    follow.update(SMILE, 0.0, 0.7)
    follow.update(None, 1.0, 0.7)
    # What was told ended; its least time holds no other back.
    assert follow.update(SAD, 1.5, 0.4)[1] == Reaction.NEGATIVE


@pytest.mark.parametrize(("gap", "remembers"), [(2.0, True), (2.01, False), (-0.01, False)])
def test_how_long_something_is_remembered(gap, remembers):
    follow = ReactionFilter()
    follow.update(SMILE, 5.0, 0.7)
    told, _, _ = follow.update(CALM, 5.0 + gap, 0.7)
    assert np.allclose(told, CALM, atol=1e-6) != remembers


def test_a_second_look_at_the_same_time_is_none():
    follow = ReactionFilter()
    follow.update(SMILE, 5.0, 0.7)
    np.testing.assert_allclose(follow.update(SAD, 5.0, 0.7)[0], SMILE, atol=1e-6)


def told_of(belief, threshold, begun=True, **options):
    """What is told when the belief is exactly this, after a smile or nothing."""
    # Looks that are worth nothing, and the belief stays.
    follow = ReactionFilter(
        SmoothingOptions(evidence_rate=1e-12, stay=1e12, **{"dwell": 0.0, **options})
    )
    follow.update(SMILE if begun else np.float32([1 / 3] * 3), 0.0, threshold)
    follow._belief = np.array(belief, float)
    return follow.update(SMILE, 1.0, threshold)[1]


@pytest.mark.parametrize(
    ("belief", "begun", "reaction"),
    [
        # At the threshold a reaction begins, ...
        ((0.2, 0.2, 0.6), False, Reaction.POSITIVE),
        ((0.21, 0.2, 0.59), False, Reaction.UNKNOWN),
        # ... and ends below seven tenths of it, ...
        ((0.28, 0.29, 0.43), True, Reaction.POSITIVE),
        ((0.295, 0.295, 0.41), True, Reaction.UNKNOWN),
        # ... or when another is likelier, or begins.
        ((0.01, 0.5, 0.49), True, Reaction.UNKNOWN),
        ((0.01, 0.61, 0.38), True, Reaction.NEUTRAL),
        ((0.61, 0.01, 0.38), True, Reaction.NEGATIVE),
    ],
)
def test_where_reactions_begin_and_end(belief, begun, reaction):
    assert told_of(belief, 0.6, begun) == reaction


def test_where_a_reaction_ends_is_an_option():
    assert told_of((0.28, 0.29, 0.43), 0.6, release=1.0) == Reaction.UNKNOWN
    assert told_of((0.32, 0.33, 0.35), 0.6, release=0.5) == Reaction.POSITIVE


@pytest.mark.parametrize(
    ("after", "reaction"), [(0.4, Reaction.POSITIVE), (0.5, Reaction.NEGATIVE)]
)
def test_a_reaction_lasts_for_its_least_time(after, reaction):
    follow = ReactionFilter(SmoothingOptions(evidence_rate=1000.0, stay=0.01, temper=1.0))
    follow.update(SMILE, 0.0, 0.7)
    assert follow.update(SAD, 0.2, 0.7)[1] == Reaction.POSITIVE
    assert follow.update(SAD, after, 0.7)[1] == reaction


def test_the_least_time_counts_from_the_beginning():
    follow = ReactionFilter(SmoothingOptions(evidence_rate=1000.0, stay=0.01, temper=1.0))
    for step in range(10):
        follow.update(SMILE, step / 10, 0.7)
    assert follow.update(SAD, 1.0, 0.7)[1] == Reaction.NEGATIVE


def test_reset_forgets_all():
    follow = ReactionFilter()
    follow.update(SMILE, 5.0, 0.7)
    follow.reset()
    assert follow.update(None, 5.1, 0.7)[1] == Reaction.UNKNOWN
    np.testing.assert_allclose(follow.wait(5.1)[0], [1 / 3] * 3, atol=1e-6)
    np.testing.assert_allclose(follow.update(CALM, 5.2, 0.7)[0], CALM, atol=1e-6)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("stay", 0.0, "more than 0"),
        ("evidence_rate", 0.0, "more than 0"),
        ("temper", 0.0, "more than 0"),
        ("max_gap", 0.0, "more than 0"),
        ("max_gap", math.nan, "more than 0"),
        ("doubt", -0.1, "0 to 1"),
        ("doubt", 1.1, "0 to 1"),
        ("release", 1.1, "0 to 1"),
        ("release", math.nan, "0 to 1"),
        ("dwell", -0.1, "at least 0"),
        ("bridge", -0.1, "at least 0"),
        ("bridge", math.nan, "at least 0"),
    ],
)
def test_each_option_out_of_range_is_named(field, value, expected):
    with pytest.raises(ValueError, match=rf"^{field}: expected {expected}, got {value}$"):
        SmoothingOptions(**{field: value})


def test_the_limits_themselves_are_allowed():
    for doubt, release in ((0.0, 1.0), (1.0, 0.0)):
        SmoothingOptions(doubt=doubt, release=release, dwell=0.0, bridge=0.0, temper=0.01)
    SmoothingOptions(stay=0.5, evidence_rate=0.5, max_gap=0.5)
