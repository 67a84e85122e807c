# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A patient's page: order, comparison of halves, and what it says and does not say."""

import math
from dataclasses import replace

import pytest
from report_made import plan, write

from emotion_perception.reaction.observation import t_quantile
from emotion_perception.sessions.report_actions import Answer
from emotion_perception.sessions.report_data import Estimate, summarise
from emotion_perception.sessions.report_page import render
from emotion_perception.sessions.report_patient import patient_page
from emotion_perception.sessions.report_session import moment
from emotion_perception.sessions.report_trend import Entry, compare_halves, in_order
from emotion_perception.sessions.table import read_session


@pytest.fixture(scope="module")
def entry(tmp_path_factory):
    """What a session of 100 s tells; its share of positive is set by hand."""
    path = tmp_path_factory.mktemp("trend") / "s.parquet"
    write(path, plan([(50, "positive"), (50, "neutral")]))
    return Entry.of(summarise(read_session(path)))


def with_share(entry, share, started="", bounds=(math.nan, math.nan), **more):
    answers = entry.answers | {"positive": Estimate(share, bounds)}
    info = replace(entry.info, started=started, session=f"at {started}")
    return replace(entry, info=info, answers=answers, **more)


def test_sessions_stand_in_the_order_of_time(entry):
    starts = ["2026-03-02T10:00:00+02:00", "2026-03-01", "2026-03-02T08:30:00.123456789Z",
              "2026-03-02T07:59"]  # fmt: skip
    ordered, dated = in_order([with_share(entry, 0.5, start) for start in starts])
    assert dated
    assert [each.info.started for each in ordered] == [starts[at] for at in (1, 3, 0, 2)]


@pytest.mark.parametrize("missing", ["", "last Tuesday"])
def test_without_times_the_given_order_stays_and_it_says_so(entry, missing):
    given = [with_share(entry, 0.5, start) for start in ("2026-03-02", missing, "2026-03-01")]
    ordered, dated = in_order(given)
    assert ordered == given
    assert not dated
    page = patient_page("P-1", given)
    assert "in the order in which they were given, which may not be that of time" in " ".join(
        page.short
    )


def test_halves_by_hand(entry):
    shares = [0.2, 0.3, 0.4, 0.7, 0.6, 0.8]
    change = compare_halves([with_share(entry, share) for share in shares])[0]
    assert change.counts == (3, 3)
    assert (change.first, change.second) == pytest.approx((0.3, 0.7))
    # Both halves have a variance of 0.01: Welch has 4 degrees of freedom, t = 2.776.
    assert change.value == pytest.approx(0.4)
    assert change.bounds == pytest.approx(
        (0.4 - 2.776 * math.sqrt(0.02 / 3), 0.4 + 2.776 * math.sqrt(0.02 / 3)), abs=2e-3
    )
    assert change.verdict == 1


def test_alike_sessions_cannot_be_surer_than_each_of_them(entry):
    # All the same by chance, but each could be off by 0.2.
    sessions = [with_share(entry, share, bounds=(share - 0.2, share + 0.2))
                for share in (0.4, 0.4, 0.5, 0.5)]  # fmt: skip
    change = compare_halves(sessions)[0]
    reach = t_quantile(0.975, 2) * math.sqrt(2 * (0.4 / 3.92) ** 2 / 2)
    assert change.bounds == pytest.approx((0.1 - reach, 0.1 + reach))
    assert change.verdict == 0


def test_without_any_scatter_nothing_is_said_of_chance(entry):
    """Sessions too short for intervals, by luck all the same: that proves nothing."""
    given = [with_share(entry, 0.0) for _ in range(2)] + [with_share(entry, 1.0) for _ in range(2)]
    change = compare_halves(given)[0]
    assert change.value == 1
    assert not any(map(math.isfinite, change.bounds))
    assert change.verdict == 0
    html = render(patient_page("P-1", given))
    assert "seldom" not in html.split("<h2>Words")[0]
    assert "+0.0" not in html


def test_the_same_recording_twice_is_told(entry):
    def careful(*starts):
        given = [replace(e, info=replace(e.info, session="s"))
                 for e in (with_share(entry, 0.5, start) for start in starts)]  # fmt: skip
        return [text for text in patient_page("P-1", given).short if "more than once" in text]

    first, second = "2026-03-02T10:00", "2026-03-09T10:00"
    assert careful(first, second) == []
    (told,) = careful(first, second, second)
    assert "sessions 2 and 3 have the same name and file" in told
    assert len(careful(first, "")) == 1


@pytest.mark.parametrize(
    ("started", "shown"),
    [
        ("2026-03-02T10:00:30", "2026-03-02 10:00"),
        ("2026-03-02T10:00:30.5Z", "2026-03-02 10:00 UTC"),
        ("2026-03-02T10:00+02:00", "2026-03-02 10:00 +02:00"),
        ("2026-03-02", "2026-03-02"),
        ("last Tuesday", "last Tuesday"),
    ],
)
def test_a_time_is_told_with_its_zone(started, shown):
    assert moment(started) == shown


def test_an_odd_one_belongs_to_the_second_half(entry):
    change = compare_halves([with_share(entry, share) for share in (0.1, 0.2, 0.6, 0.7, 0.8)])[0]
    assert change.counts == (2, 3)


def test_sessions_with_too_little_are_left_out(entry):
    sessions = [with_share(entry, 0.5, enough=enough) for enough in (True, False, True, True)]
    change = compare_halves(sessions)[0]
    assert change.counts == (1, 2)
    assert math.isnan(change.bounds[0])
    words = " ".join(patient_page("P-1", sessions).short)
    assert "nothing can be said about a change" in words
    assert "1 of the sessions has too little" in words


def test_what_may_be_chance_is_not_called_a_change(entry):
    up = [with_share(entry, s, f"2026-03-0{i + 1}") for i, s in enumerate((0.1, 0.9, 0.2, 0.95))]
    words = " ".join(patient_page("P-1", up).short)
    assert "So no change is proven: it may be chance." in words
    assert "Chance alone would seldom" not in words


def test_a_clear_difference_is_told_without_a_cause(entry):
    shares = (0.2, 0.22, 0.21, 0.7, 0.72, 0.71)
    sessions = [with_share(entry, s, f"2026-03-0{i + 1}") for i, s in enumerate(shares)]
    words = " ".join(patient_page("P-1", sessions).short)
    assert "21\u00a0% in the first half (3 sessions), 71\u00a0% in the second (3 sessions)" in words
    assert "Chance alone would seldom make such a difference." in words
    assert "cannot say what made the difference" in words
    assert "no proof that a treatment works" in words


def test_other_models_are_told(entry):
    model = entry.info.models[0]
    newer = replace(entry, info=replace(entry.info, models=(replace(model, model_id="new-2.0"),)))
    words = " ".join(patient_page("P-1", [entry, newer]).short)
    assert "not all judged by the same model (base-1.0+00000000 and new-2.0)" in words
    stricter = replace(entry, info=replace(entry.info, models=(replace(model, threshold=0.8),)))
    words = " ".join(patient_page("P-1", [entry, stricter]).short)
    assert "base-1.0+00000000, sure from 60\u00a0% and base-1.0+00000000, sure from" in words
    assert "same model" not in " ".join(patient_page("P-1", [entry, entry]).short)


def test_one_session_is_no_trend(entry):
    page = patient_page("P-1", [entry])
    halves = next(part for part in page.sections if part.title == "First and second half")
    assert halves.texts == ("There is one session only: nothing to compare it with.",)
    assert "Participant P-1 over 1 session" in render(page)


def test_actions_of_all_sessions_are_counted_together(entry):
    def answer(what):
        return Answer(
            number=1, action_id="joke", start=1.0, answer=what, change=0.0, bounds=(0.0, 0.0)
        )

    sessions = [replace(entry, actions=[answer("positive"), answer("negative")])] * 3
    page = patient_page("P-1", sessions)
    part = next(part for part in page.sections if part.title == "After the robot's actions")
    assert list(part.blocks[0].table.rows[0][:5]) == ["joke", "6", "3", "0", "3"]
    change = next(c for c in compare_halves(sessions) if c.measure.key == "received")
    assert (change.first, change.second, change.counts) == (0.5, 0.5, (1, 2))


def test_t_is_near_its_tables():
    for freedom, expected in ((2, 4.303), (3, 3.182), (4, 2.776), (10, 2.228)):
        assert t_quantile(0.975, freedom) == pytest.approx(expected, rel=0.03)
