# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sharing work among threads."""

import threading
import time

import pytest

from emotion_perception.team import Team, team


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_results_come_in_the_order_of_the_jobs(threads):
    jobs = [lambda n=n: time.sleep(0.001 * (n % 3)) or n for n in range(20)]
    assert Team(threads).run(jobs) == list(range(20))
    assert Team(threads).run([]) == []


def test_helpers_work_beside_the_caller():
    meet = threading.Barrier(3, timeout=10.0)
    assert len(Team(3).run([meet.wait] * 3)) == 3


def test_the_caller_does_what_no_helper_has_begun():
    shared, go = Team(2), threading.Event()
    busy = shared.start(lambda: go.wait(10.0))
    here = shared.start(threading.get_ident)
    assert here.result() == threading.get_ident()
    assert shared.run([threading.get_ident] * 3) == [threading.get_ident()] * 3
    go.set()
    assert busy.result()


def test_what_a_helper_raises_is_raised_here():
    def fail():
        raise ValueError("no")

    pending = Team(2).start(fail)
    time.sleep(0.05)
    with pytest.raises(ValueError, match="no"):
        pending.result()


def test_one_team_for_all_who_want_as_many_threads():
    assert team(2) is team(2)
    assert team(3).threads == 3
    with pytest.raises(ValueError, match="threads: expected at least 1, got 0"):
        team(0)
