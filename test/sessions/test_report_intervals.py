# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest

from emotion_perception.sessions.report_intervals import draw_blocks

RATE = 5


def expressions(seconds, stay, rng):
    """States 0 to 2 of a face whose expressions last so many seconds in the mean."""
    states = []
    while len(states) < seconds * RATE:
        states += [rng.choice(3, p=(0.2, 0.5, 0.3))] * max(1, round(rng.exponential(stay) * RATE))
    return np.array(states[: seconds * RATE])


def share_of(states, label, **options):
    columns = np.stack([states == label, np.ones(len(states))], axis=1) / RATE
    blocks = draw_blocks(np.arange(len(states)) / RATE, columns, **options)
    return blocks, blocks.interval(lambda sums: sums[:, 0] / sums[:, 1])


def test_95_percent_intervals_hold_about_so_often():
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(150):
        _, (low, high) = share_of(expressions(900, 5.0, rng), 2, draws=300)
        hits.append(low <= 0.3 <= high)
    assert 0.88 <= np.mean(hits) <= 0.99


def test_frames_that_hang_together_are_not_counted_alone():
    states = expressions(900, 5.0, np.random.default_rng(1))
    _, (low, high) = share_of(states, 2)
    share = (states == 2).mean()
    of_single_frames = 3.92 * math.sqrt(share * (1 - share) / len(states))
    assert high - low > 3 * of_single_frames
    _, (low, high) = share_of(np.random.default_rng(1).permutation(states), 2)
    assert high - low < 2 * of_single_frames


def test_a_block_is_longer_where_expressions_last():
    rng = np.random.default_rng(2)
    short, _ = share_of(expressions(1800, 2.0, rng), 2)
    long, _ = share_of(expressions(1800, 20.0, rng), 2)
    assert short.seconds == 15 < long.seconds


def test_a_short_recording_has_no_interval():
    _, bounds = share_of(expressions(100, 1.0, np.random.default_rng(0)), 2)
    assert all(map(math.isnan, bounds))
    blocks = draw_blocks(np.zeros(0), np.zeros((0, 2)))
    assert all(map(math.isnan, blocks.interval(lambda sums: sums[:, 0] / sums[:, 1])))


def test_what_never_changes_still_has_an_interval():
    # 600 s are 40 blocks of 15 s: Wilson of 40 of 40 is 0.912 to 1.
    blocks, (low, high) = share_of(np.full(600 * RATE, 2), 2)
    assert blocks.count == 40
    assert (low, high) == (pytest.approx(0.9124, abs=1e-4), 1.0)


def test_the_same_recording_gives_the_same_interval():
    states = expressions(600, 5.0, np.random.default_rng(3))
    assert share_of(states, 2)[1] == share_of(states, 2)[1]
