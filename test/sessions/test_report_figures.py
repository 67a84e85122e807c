# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The figures of a session's report against ones worked out by hand."""

import math

import numpy as np
import pytest
from report_made import face, plan, write

from emotion_perception.sessions.actions import (
    ObservedAction,
    actions_path,
    read_observed,
    write_observed,
)
from emotion_perception.sessions.events import Event, events_path, write_events
from emotion_perception.sessions.report_columns import columns_of
from emotion_perception.sessions.report_data import steps, summarise
from emotion_perception.sessions.report_session import session_page
from emotion_perception.sessions.report_wording import clock, duration, percent, signed
from emotion_perception.sessions.table import SessionError, Unreadable, read_session


def summary_of(path):
    return summarise(read_session(path))


@pytest.fixture
def made(tmp_path):
    """Write a table and return what its report tells."""

    def make(frames, **options):
        return summary_of(write(tmp_path / "s.parquet", frames, **options))

    return make


def event(onset=1.0, offset=3.0, model="base", partner_share=1.0, **more):
    return Event(
        **{
            "session": "s", "model": model, "face_id": "f1", "partner_share": partner_share,
            "reaction": "positive", "onset": onset, "peak": onset, "offset": offset,
            "peak_valence": 0.7, "strength": 0.7, "confidence": 0.8, "frames": 20,
            "coverage": 1.0, **more,
        }
    )  # fmt: skip


def test_shares_of_the_time(made):
    found = made(plan([(20, "positive"), (50, "neutral"), (10, "negative"), (5, "unsure"),
                       (5, "dark"), (10, "nobody")]))  # fmt: skip
    assert found.total == pytest.approx(100)
    assert {name: round(each.value, 6) for name, each in found.states.items()} == {
        "positive": 0.2, "neutral": 0.5, "negative": 0.1, "unknown": 0.1, "no_face": 0.1,
    }  # fmt: skip
    assert found.seen == pytest.approx(0.9)
    assert found.answered == pytest.approx(0.8)
    assert found.answers["positive"].value == pytest.approx(0.25)
    assert found.answers["neutral"].value == pytest.approx(0.625)
    # 20 s of +0.7, 10 s of -0.7, 50 s of 0 and, unsure, 5 s of 0.
    assert found.valence.value == pytest.approx((20 - 10) * 0.7 / 85)
    causes = {name: each.value for name, each in found.causes.items() if each.value}
    assert causes == pytest.approx({"no_face": 0.1, "dark": 0.05, "low_confidence": 0.05})
    assert found.longest_gap == pytest.approx(10)
    assert found.enough


def test_time_counts_not_frames(made):
    # One second at 10 frames, then one at 2 frames a second: each is half of the time.
    frames = [[face("positive")]] * 10 + [[face("negative")]] * 2
    found = made(frames, times=[*np.arange(10) / 10, 1.0, 1.5])
    # The last frame stands for the usual step, 0.1 s; the one before it for 0.5 s.
    assert found.states["positive"].seconds == pytest.approx(1.0)
    assert found.states["negative"].seconds == pytest.approx(0.6)


def test_missing_frames_are_no_time(made):
    found = made([[face("positive")]] * 20, times=[*np.arange(10) / 10, *(60 + np.arange(10) / 10)])
    # The tenth frame stands for five usual steps, not for a minute.
    assert found.total == pytest.approx(0.9 + 0.5 + 1.0)


def test_the_partner_counts_and_others_are_told(made):
    both = [face("positive"), face("negative", "f2", partner=False, at=300)]
    other = [face("negative", "f2", partner=False, at=300)]
    found = made([both] * 50 + [other] * 30 + [[]] * 20)
    assert found.states["positive"].value == pytest.approx(0.5)
    assert found.states["negative"].value == 0
    assert found.causes["others"].value == pytest.approx(0.3)
    assert found.causes["no_face"].value == pytest.approx(0.2)
    assert found.several == pytest.approx(0.5)
    assert found.people == 1
    # f2 was never the partner: its events are not this person's.
    assert {each.face_id for each in found.events} == {"f1"}
    assert found.others == 1


def test_two_partners_one_after_another_are_told(made):
    found = made([[face("positive")]] * 20 + [[face("positive", "f7")]] * 20)
    assert found.people == 2
    texts = " ".join(text for part in session_page(found).sections for text in part.texts)
    assert "2 faces were followed one after another" in texts


def test_null_reactions_and_reasons_are_unknown(made):
    row = face("positive") | {"reaction": None, "reason": None, "p_positive": math.nan}
    found = made([[row]] * 10)
    assert found.states["unknown"].value == 1
    assert found.causes["low_quality"].value == 1
    assert math.isnan(found.valence.value)


def test_no_row_at_all(made):
    found = made([])
    page = session_page(found)
    assert not found.enough
    assert page.short == ["The recording has no frame: nothing can be said about it."]


def test_events_beside_the_table_are_taken_as_they_are(tmp_path):
    path = write(tmp_path / "s.parquet", plan([(10, "positive")]))
    assert len(summary_of(path).events) == 1  # found anew
    write_events(events_path(path), [event(), event(5.0, 6.0), event(7.0, 8.0, partner_share=0.1)])
    found = summary_of(path)
    assert [each.onset for each in found.events] == [1.0, 5.0]
    assert found.others == 1
    write_events(events_path(path), [])
    assert summary_of(path).events == []
    write_events(events_path(path), [event(model="old")])
    with pytest.raises(SessionError, match=r"s\.events\.csv: model: expected base, got old"):
        summary_of(path)


@pytest.fixture
def observed(tmp_path):
    """Write a table with actions, of which each is (action_id, outcome or reaction)."""
    from emotion_perception.reaction.observation import Observation, Outcome
    from emotion_perception.reaction.reaction import Reaction, Reason

    def make(actions, name="s", model="base", **told):
        path = write(tmp_path / f"{name}.parquet", plan([(70, "positive")]), **told)
        rows = []
        for at, (action_id, what) in enumerate(actions):
            seen = what in ("negative", "neutral", "positive", "unclear")
            reaction = Reaction[what.upper()] if seen and what != "unclear" else Reaction.UNKNOWN
            three = np.zeros(3, np.float32)
            found = Observation(
                outcome=Outcome.OBSERVED if seen else Outcome[what.upper()], face_id="f1",
                reaction=reaction, reason=Reason.NONE if reaction else Reason.LOW_CONFIDENCE,
                baseline=three, response=three, verdict=three, change=0.1, interval=(-0.1, 0.3),
                onset=math.nan, baseline_frames=10, response_frames=10, missed_frames=0,
            )  # fmt: skip
            rows.append(
                ObservedAction(
                    session=name, model=model, action_id=action_id, time=float(at), baseline=2.0,
                    watch=4.0, observation=found, text="",
                )
            )  # fmt: skip
        write_observed(actions_path(path), rows)
        return path

    return make


def test_answers_to_actions_are_counted(observed):
    found = summary_of(observed([
        ("joke", "positive"), ("joke", "positive"), ("joke", "negative"), ("wave", "neutral"),
        ("joke", "unclear"), ("joke", "left"), ("wave", "no_face"),
    ]))  # fmt: skip
    joke, wave = found.responses
    assert (joke.action_id, joke.total, joke.clear) == ("joke", 5, 3)
    assert joke.counts == {"negative": 1, "neutral": 0, "positive": 2, "unclear": 1, "not_seen": 1}
    assert joke.share("positive") == pytest.approx(2 / 3)
    # Wilson, worked out by hand for 2 of 3.
    assert joke.bounds["positive"] == pytest.approx((0.2077, 0.9385), abs=1e-4)
    assert wave.counts["not_seen"] == 1
    text = " ".join(session_page(found).short)
    assert (
        "The robot did 7 actions. Received, judged by the face: 2 positively, 1 neutrally" in text
    )
    assert "for 3 it could not be told" in text
    assert "too few to say how the person usually receives them" in text


def test_actions_that_nobody_could_watch_are_not_called_unseen(observed):
    found = summary_of(observed([("joke", "positive"), ("joke", "left"), ("joke", "refused")]))
    assert (found.responses[0].total, found.refused) == (2, 1)
    text = " ".join(session_page(found).short)
    assert "The robot did 2 actions" in text
    assert "1 of the listed actions is not counted: not within the recording" in text
    (none,) = (summary_of(observed([("joke", "refused")])),)
    assert "list of the robot's actions is empty" not in " ".join(session_page(none).short)


def test_answers_of_a_table_that_was_replaced_are_refused(observed):
    path = observed([("joke", "positive")], job="new")
    write_observed(actions_path(path), read_observed(actions_path(path)), "old")
    with pytest.raises(SessionError, match=r"s\.actions\.csv: was made from another table"):
        summary_of(path)


def test_many_actions_give_a_share_with_its_interval(observed):
    text = " ".join(session_page(summary_of(observed([("a", "positive")] * 8))).short)
    # Wilson of 8 of 8 begins at 0.676.
    assert "So 100\u00a0% of the clear answers were positive (likely 68 to 100\u00a0%)" in text


def test_actions_of_another_model_or_kind_are_refused(observed):
    path = observed([("a", "positive")], model="old")
    with pytest.raises(SessionError, match=r"s\.actions\.csv: model: expected base, got old"):
        summary_of(path)
    actions_path(path).write_text("other,file\n1,2\n")
    with pytest.raises(SessionError, match=r"s\.actions\.csv"):
        summary_of(path)


def test_without_a_list_of_actions_it_says_so(made):
    page = session_page(made(plan([(5, "positive")])))
    part = next(part for part in page.sections if part.title == "After the robot's actions")
    assert "No list of the robot's actions" in part.texts[0]


def test_agreement_of_models(made):
    models = ("base", "own")

    def one(first, second):
        return [face(first, others=(second,), models=models)]

    frames = (
        [one("positive", "positive")] * 20 + [one("positive", "neutral")] * 5
        + [one("neutral", "positive")] * 10 + [one("neutral", "neutral")] * 15
        + [one("positive", "unsure")] * 30 + [[]] * 10
    )  # fmt: skip
    (pair,) = made(frames, models=models).pairs
    assert pair.seconds == pytest.approx(5.0)
    assert pair.agreement.value == pytest.approx(0.7)
    assert pair.kappa.value == pytest.approx(0.4)
    assert math.isnan(pair.kappa.bounds[0])  # 9 seconds only


def test_columns_keep_time_and_extremes(made):
    frames = made(plan([(30, "positive"), (30, "negative"), (40, "nobody")])).frames
    found = columns_of(frames, 4)
    assert found.edges.tolist() == pytest.approx([0, 25, 50, 75, 100])
    assert found.shares[:, 2].tolist() == pytest.approx([1, 0.2, 0, 0])
    assert found.shares[:, 0].tolist() == pytest.approx([0, 0.8, 0.4, 0])
    assert found.shares.sum(axis=1).tolist() == pytest.approx([1, 1, 1, 1])
    assert found.mean[1] == pytest.approx(0.7 * (0.2 - 0.8))
    assert (found.low[1], found.high[1]) == pytest.approx((-0.7, 0.7))
    assert np.isnan(found.mean[3])


def test_one_frame_among_thousands_is_not_lost(made):
    frames = plan([(1200, "neutral")], rate=5)
    frames[3000] = [face("negative")]
    found = columns_of(made(frames, rate=5.0).frames, 100)
    assert found.low.min() == pytest.approx(-0.7)
    assert np.flatnonzero(found.low < -0.5).tolist() == [50]


def test_the_summary_in_words(made):
    found = made(
        plan([(240, "positive"), (360, "neutral"), (200, "nobody")]),
        unreadable=(Unreadable(1.0, 2.0, 10, "damaged"),),
    )
    words = session_page(found).short
    assert words[0] == (
        "The camera saw the person's face for 75\u00a0% of 13\u00a0minutes. For 75\u00a0% of the "
        "time (10\u00a0minutes) the program could tell what the face showed."
    )
    assert words[1].startswith("When it could tell, the face looked neutral for 60\u00a0%")
    assert "never negative" in words[1]
    assert "Careful: One part of the recording could not be read." in words
    assert "not what a person feels" in words[-1]


def test_too_little_is_said_to_be_too_little(made):
    words = " ".join(session_page(made(plan([(50, "positive"), (500, "nobody")]))).short)
    assert "too little to say how the person was" in words
    assert "looked positive" not in words
    words = " ".join(session_page(made(plan([(500, "nobody")]))).short)
    assert "The camera did not see the person's face" in words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "0"), (1, "1 second"), (9.5, "9.5 seconds"), (45, "45 seconds"), (99.4, "99 seconds"),
     (100, "2 minutes"), (1440, "24 minutes"), (3590, "1 hour"), (6720, "1 hour 52 minutes"),
     (7200, "2 hours"), (3660, "1 hour 1 minute")],
)  # fmt: skip
def test_durations(seconds, words):
    assert duration(seconds).replace("\u00a0", " ").startswith(words)


def test_moments_and_figures():
    assert clock(187) == "3:07"
    assert clock(3787.44, tenths=True) == "1:03:07.4"
    assert clock(59.96, tenths=True) == "1:00.0"
    assert (clock(-5), clock(-61.5, tenths=True), clock(-0.01)) == ("−0:05", "−1:01.5", "0:00")
    assert [percent(s).replace("\u00a0", " ") for s in (0, 0.001, 0.5, 0.999, 1, math.nan)] == [
        "0 %", "less than 1 %", "50 %", "more than 99 %", "100 %", "–",
    ]  # fmt: skip
    assert [signed(v) for v in (0.314, -0.2, -0.001, math.nan)] == ["+0.31", "−0.20", "0.00", "–"]


def test_steps_are_round():
    assert steps(0, 7200, 12) == 600
    assert steps(0, 0.04, 8) == 0.1
    assert steps(0, 400_000, 10) % 7200 == 0
