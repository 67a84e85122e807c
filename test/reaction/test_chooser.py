# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The chooser finds what is liked, and learns from nothing but what was seen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.reaction.chooser import ThompsonChooser
from emotion_perception.reaction.reaction import Reaction

OPTIONS = ("a", "b", "c")
LESSONS = st.lists(st.tuples(st.sampled_from(OPTIONS), st.sampled_from(Reaction)), max_size=60)


def chooser(seed=0, options=OPTIONS):
    return ThompsonChooser(options, np.random.default_rng(seed))


def beliefs(one):
    return one.successes, one.failures


def shares(probabilities, rounds, seed):
    """Let it choose; return how often it took each option in the last half of the rounds.

    Args:
        probabilities: of negative, neutral, positive and unknown for each option.
        rounds: number of choices.
        seed: of chooser and simulated person.
    """
    person = np.random.default_rng([seed, 1])
    one = chooser(seed, tuple(probabilities))
    order = (Reaction.NEGATIVE, Reaction.NEUTRAL, Reaction.POSITIVE, Reaction.UNKNOWN)
    taken = []
    for _ in range(rounds):
        taken.append(one.choose())
        one.learn(taken[-1], order[person.choice(4, p=probabilities[taken[-1]])])
    late = taken[rounds // 2 :]
    return {option: late.count(option) / len(late) for option in probabilities}


@pytest.mark.parametrize(
    "probabilities",
    [
        # Pleases more often than it displeases.
        {"good": (0.2, 0.1, 0.7, 0.0), "bad": (0.6, 0.2, 0.2, 0.0)},
        # Most of the time nobody sees how it is received.
        {"good": (0.08, 0.02, 0.2, 0.7), "bad": (0.2, 0.05, 0.05, 0.7)},
        # Leaving people cold is better than displeasing them.
        {"good": (0.0, 1.0, 0.0, 0.0), "bad": (0.9, 0.1, 0.0, 0.0)},
        # An option that is seldom seen is not a bad one.
        {"good": (0.05, 0.0, 0.15, 0.8), "bad": (0.8, 0.1, 0.1, 0.0)},
        # Two of three displease.
        {"good": (0.2, 0.1, 0.7, 0.0), "bad": (0.5, 0.3, 0.2, 0.0), "worse": (0.9, 0.1, 0, 0)},
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_better_option_is_found(probabilities, seed):
    assert shares(probabilities, 400, seed)["good"] > 0.8


def test_equal_options_are_all_used():
    same = (0.3, 0.2, 0.5, 0.0)
    used = {o: np.mean([shares({"a": same, "b": same}, 60, s)[o] for s in range(40)]) for o in "ab"}
    assert min(used.values()) > 0.3


def test_neutral_lies_between_the_others():
    one = chooser()
    for option, reaction in zip(OPTIONS, (1, 2, 3), strict=True):
        for _ in range(50):
            one.learn(option, reaction)
    assert [one.mean(o) for o in OPTIONS] == pytest.approx([1 / 52, 0.5, 51 / 52])


@given(LESSONS)
def test_each_known_reaction_counts_once_and_for_its_option_alone(lessons):
    one = chooser()
    for option, reaction in lessons:
        one.learn(option, reaction)
    for option in OPTIONS:
        seen = [r for o, r in lessons if o == option and r != Reaction.UNKNOWN]
        assert one.successes[option] + one.failures[option] == 2 + len(seen)
        likes = seen.count(Reaction.POSITIVE) + seen.count(Reaction.NEUTRAL) / 2
        assert one.successes[option] == 1 + likes
        assert 0 < one.mean(option) < 1
    assert one.choose() in OPTIONS


@given(LESSONS, st.integers(0, 2**32))
@settings(deadline=None)
def test_unknown_changes_nothing(lessons, seed):
    with_unknown, without = chooser(seed), chooser(seed)
    for option, reaction in lessons:
        with_unknown.learn(option, reaction)
        if reaction != Reaction.UNKNOWN:
            without.learn(option, reaction)
    assert beliefs(with_unknown) == beliefs(without)
    assert [with_unknown.choose() for _ in range(20)] == [without.choose() for _ in range(20)]


@given(LESSONS, st.randoms(use_true_random=False))
def test_order_of_lessons_does_not_matter(lessons, random):
    one, other = chooser(), chooser()
    for option, reaction in lessons:
        one.learn(option, reaction)
    random.shuffle(lessons)
    for option, reaction in lessons:
        other.learn(option, reaction)
    assert beliefs(one) == beliefs(other)


@given(LESSONS, st.sampled_from(OPTIONS))
def test_better_reactions_never_lower_an_option(lessons, option):
    means = []
    for last in (Reaction.NEGATIVE, Reaction.NEUTRAL, Reaction.POSITIVE):
        one = chooser()
        for lesson in [*lessons, (option, last)]:
            one.learn(*lesson)
        means.append(one.mean(option))
    assert means[0] < means[1] < means[2]


def test_seed_repeats_the_choices():
    runs = [[one.choose() for _ in range(50)] for one in (chooser(7), chooser(7), chooser(8))]
    assert runs[0] == runs[1] != runs[2]


def test_single_option_is_always_taken():
    one = chooser(options=["only"])
    one.learn("only", Reaction.NEGATIVE)
    assert one.choose() == "only"


@pytest.mark.parametrize("options", [[], ["a", "b", "a"]])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError, match=r"options: .*at least one and none twice, got \["):
        chooser(options=options)


@pytest.mark.parametrize(
    ("lesson", "error"), [(("d", Reaction.POSITIVE), KeyError), (("a", 4), ValueError)]
)
def test_bad_lessons_are_refused_and_change_nothing(lesson, error):
    one = chooser()
    with pytest.raises(error, match="d: expected one of a, b, c" if error is KeyError else "4"):
        one.learn(*lesson)
    assert beliefs(one) == beliefs(chooser())
