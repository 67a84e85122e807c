# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
pandas = pytest.importorskip("pandas")
pytest.importorskip("rich")

from emotion_perception.cli import main
from emotion_perception.reaction.smoothing import ReactionFilter, SmoothingOptions
from emotion_perception.sessions.event_summary import choose_person, summarise
from emotion_perception.sessions.events import (
    Event,
    EventOptions,
    events_of,
    events_path,
    find_events,
    read_events,
    write_events,
)
from emotion_perception.sessions.smoothing import smooth
from emotion_perception.sessions.table import (
    FRAME_PROBABILITIES,
    JudgedBy,
    Session,
    SessionError,
    SessionInfo,
    read_session,
)
from emotion_perception.valence.labels import CLASSES

PLAN = [(3, "neutral"), (2, "positive"), (3, "neutral"), (1.5, "negative"), (2, "neutral")]
EXAMPLE = Event(
    session="a b", model="base", face_id="f1", partner_share=0.5, reaction="positive", onset=1.25,
    peak=1.5, offset=2.0, peak_valence=0.75, strength=0.5, confidence=0.875, frames=30,
    coverage=0.9667, cut_end=True,
)  # fmt: skip


def looks(labels, noise=0.1, seed=0):
    """Return probabilities (N, 3) of frames that show classes, as a network would see them."""
    rng = np.random.default_rng(seed)
    sure = 0.1 + 0.7 * np.eye(3)[np.asarray(labels, int)]
    own = np.clip(sure + rng.normal(0, noise, sure.shape), 0.01, None)
    return (own / own.sum(axis=1, keepdims=True)).astype(np.float32)


def session(times, own, threshold=0.7, **columns):
    """Return a recording of one person; a row of NaN was not judged."""
    rows = pandas.DataFrame(
        {"time": times, "face_id": "f1", "is_partner": True, "problem": "", **columns}
    )
    for index, name in enumerate(FRAME_PROBABILITIES):
        rows[name] = own[:, index]
    judged_by = JudgedBy(name="base", model_id="base-1", threshold=threshold)
    info = SessionInfo(recording="x.mp4", session="x", models=(judged_by,))
    return Session(Path("x.parquet"), info, rows)


def cuts(event):
    return event.cut_start, event.cut_end


def clock(rng, start, seconds, rate, jitter):
    """Return times of frames at an irregular rate, from ``start`` to ``start + seconds``."""
    steps = (1 + jitter * rng.uniform(-1, 1, int(2 * seconds * rate) + 2)) / rate
    times = start + np.cumsum(steps) - steps[0]
    return times[times < start + seconds]


def test_what_happened_is_found(make_session):
    found = find_events(read_session(make_session(PLAN)))
    assert [event.reaction for event in found] == ["positive", "negative"]
    smile, frown = found
    assert smile.onset == pytest.approx(3.0, abs=0.1)
    assert smile.offset == pytest.approx(5.0, abs=0.1)
    assert frown.onset == pytest.approx(8.0, abs=0.1)
    assert frown.offset == pytest.approx(9.5, abs=0.1)
    assert smile.onset <= smile.peak < smile.offset
    assert smile.peak_valence > 0.5 > -0.5 > frown.peak_valence
    assert 0.6 < smile.strength < 0.8  # 0.7 is what was put in
    assert 0.6 < frown.strength < 0.8
    assert min(smile.confidence, frown.confidence) > 0.8
    assert smile.frames == pytest.approx(25 * smile.duration, abs=1)
    assert (smile.coverage, smile.partner_share, smile.face_id) == (1.0, 1.0, "f1")
    assert (smile.session, smile.model) == ("session-1", "base")
    assert cuts(smile) == cuts(frown) == (False, False)


@settings(max_examples=60, deadline=None)
@given(
    before=st.floats(0, 60), after=st.floats(0, 60), lasts=st.floats(1.3, 8),
    rate=st.floats(6, 60), rate_around=st.floats(6, 60), jitter=st.floats(0, 0.6),
    label=st.sampled_from([0, 2]), seed=st.integers(0, 99),
)  # fmt: skip
def test_wherever_it_is_it_is_found_at_the_same_times(
    before, after, lasts, rate, rate_around, jitter, label, seed
):
    """The same event, with two seconds about it, after and before any time of something else."""
    rng = np.random.default_rng(seed)
    around = 2.0
    piece = clock(rng, 0.0, lasts + 2 * around, rate, jitter)
    shown = (piece >= around) & (piece < around + lasts)
    own = looks(np.where(shown, label, 1), seed=seed)
    begun, ended = piece[shown][0], piece[~shown & (piece > around)][0]

    def found(parts):
        times = np.concatenate([t for t, _ in parts])
        event, *others = find_events(session(times, np.concatenate([p for _, p in parts])))
        assert not others
        assert event.reaction == CLASSES[label]
        return event

    alone = found([(piece, own)])
    # The frame before or after may be misread.
    assert abs(alone.onset - begun) <= 2.5 / rate
    assert abs(alone.offset - ended) <= 2.5 / rate
    first = clock(rng, 0.0, before, rate_around, jitter)
    last = clock(rng, before + piece[-1] + 1 / rate_around, after, rate_around, jitter)
    inside = found(
        [
            (first, looks(np.ones(len(first)), seed=seed + 1)),
            (before + piece, own),
            (last, looks(np.ones(len(last)), seed=seed + 2)),
        ]
    )
    assert inside.onset - before == pytest.approx(alone.onset, abs=1.7 / rate)
    assert inside.offset - before == pytest.approx(alone.offset, abs=1.7 / rate)
    assert cuts(inside) == (False, False)


@settings(max_examples=60, deadline=None)
@given(
    left=st.floats(0.9, 4), right=st.floats(0.9, 4), rate=st.floats(6, 60),
    jitter=st.floats(0, 0.6), label=st.sampled_from([0, 2]), seed=st.integers(0, 99),
)  # fmt: skip
def test_nothing_is_lost_where_a_recording_begins_or_ends(left, right, rate, jitter, label, seed):
    """A recording is cut within an event: each part has its part of it."""
    rng = np.random.default_rng(seed)
    times = clock(rng, 0.0, 6 + left + right, rate, jitter)
    shown = (times >= 3) & (times < 3 + left + right)
    own = looks(np.where(shown, label, 1), seed=seed)
    (whole,) = find_events(session(times, own))
    cut = times >= 3 + left
    (first,) = find_events(session(times[~cut], own[~cut]))
    start = times[cut][0]
    (second,) = find_events(session(times[cut] - start, own[cut]))
    assert first.reaction == second.reaction == whole.reaction
    assert first.onset == pytest.approx(whole.onset, abs=1.7 / rate)
    assert second.offset + start == pytest.approx(whole.offset, abs=1.7 / rate)
    assert (cuts(first), cuts(second)) == ((False, True), (True, False))
    assert first.offset >= times[~cut][-2]
    assert second.onset <= times[cut][1] - start


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(0, 99), st.floats(0.01, 1))
def test_played_backwards_it_is_the_same_backwards(count, seed, step):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(step, count))
    own = rng.dirichlet([1, 1, 1], count)
    told = smooth(times, own, SmoothingOptions())
    back = smooth((times[-1] - times)[::-1], own[::-1], SmoothingOptions())
    np.testing.assert_allclose(told, back[::-1], atol=1e-9)
    np.testing.assert_allclose(told.sum(axis=1), 1)


@pytest.mark.parametrize("rate", [10, 30, 60])
def test_at_its_end_it_is_what_the_robot_was_told(rate):
    """Where nothing comes after, looking ahead adds nothing: it is the causal filter."""
    times = np.arange(0, 8, 1 / rate)
    own = looks(np.where(times < 5, 1, 2), noise=0.15)
    follow = ReactionFilter()
    told = [follow.update(p, float(t), 0.7)[0] for p, t in zip(own, times, strict=True)]
    ahead = smooth(times, own.astype(float), SmoothingOptions())
    np.testing.assert_allclose(ahead[-1], told[-1], atol=0.01)
    assert np.abs(ahead[len(times) // 2] - told[len(times) // 2]).max() > 0.001


def test_one_look_is_taken_as_it_is_and_a_long_gap_parts():
    own = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])
    np.testing.assert_allclose(smooth(np.array([0.0]), own[:1], SmoothingOptions()), own[:1])
    told = smooth(np.array([0.0, 5.0]), own, SmoothingOptions())
    np.testing.assert_allclose(told, own)
    at_once = smooth(np.array([1.0, 1.0]), own, SmoothingOptions())
    np.testing.assert_allclose(at_once[0], at_once[1])


@pytest.mark.parametrize("rate", [5, 8, 15, 30, 60, 120])
def test_the_same_at_every_frame_rate(rate):
    times = np.arange(0, 12, 1 / rate)
    shown = (times >= 4) & (times < 7)
    (event,) = find_events(session(times, looks(np.where(shown, 2, 1))))
    assert event.onset == pytest.approx(4, abs=1.1 / rate)
    assert event.offset == pytest.approx(7, abs=1.1 / rate)
    assert event.strength == pytest.approx(0.7, abs=0.05)


def test_a_misread_moment_is_no_event():
    times = np.arange(0, 10, 1 / 30)
    for blip in (0.05, 0.1):
        labels = np.where((times >= 5) & (times < 5 + blip), 2, 1)
        assert find_events(session(times, looks(labels))) == []


def gap(seconds, **options):
    """Find a smile whose middle was not judged."""
    times = np.arange(0, 12, 1 / 25)
    own = looks(np.where((times >= 3) & (times < 8), 2, 1))
    dark = (times >= 5) & (times < 5 + seconds)
    own[dark] = math.nan
    problem = np.where(dark, "dark", "")
    return find_events(session(times, own, problem=problem), EventOptions(**options))


def test_what_was_not_judged_is_no_evidence():
    (event,) = gap(0.8)
    assert (event.onset, event.offset) == (
        pytest.approx(3, abs=0.1),
        pytest.approx(8, abs=0.1),
    )
    assert event.coverage == pytest.approx(1 - 0.8 / 5, abs=0.02)
    first, second = gap(1.5)
    assert first.offset == pytest.approx(5.0, abs=0.05)
    assert second.onset == pytest.approx(6.5, abs=0.05)
    assert first.coverage == second.coverage == 1
    assert len(gap(1.5, max_gap=2.0)) == 1
    assert len(gap(0.8, max_gap=0.5)) == 2
    assert not any(event.cut_start or event.cut_end for event in gap(1.5))


def test_probabilities_of_a_face_with_a_problem_do_not_count():
    times = np.arange(0, 6, 1 / 25)
    own = looks(np.full(len(times), 2))
    assert find_events(session(times, own, problem="blurred")) == []
    (event,) = find_events(session(times, own, problem=np.where(times < 3, "blurred", "")))
    assert event.onset == pytest.approx(3)


def test_numbers_that_are_none_do_not_count():
    times = np.arange(0, 6, 1 / 25)
    own = looks(np.where(times < 3, 1, 2))
    own[::5] = [math.nan, 0.5, 0.5]
    own[1::5] = [-0.2, 0.2, 1.0]
    own[2::5] = 0
    (event,) = find_events(session(times, own))
    assert event.onset == pytest.approx(3, abs=0.15)
    assert event.coverage == pytest.approx(0.4, abs=0.02)


def test_options():
    times = np.arange(0, 12, 1 / 25)
    labels = np.where((times >= 3) & (times < 5), 2, 1)
    labels[(times >= 6) & (times < 7)] = 2
    recording = session(times, looks(labels))
    assert len(find_events(recording)) == 2
    assert len(find_events(recording, EventOptions(merge_gap=1.2))) == 1
    assert len(find_events(recording, EventOptions(min_duration=1.5))) == 1
    assert find_events(recording, EventOptions(threshold=1.0)) == []
    told = find_events(recording, EventOptions(neutral=True))
    assert [event.reaction for event in told] == ["neutral", "positive"] * 2 + ["neutral"]
    assert told[0].cut_start
    assert told[-1].cut_end
    assert told[0].strength < 0.2
    # Together they cover the whole time.
    assert sum(event.duration for event in told) == pytest.approx(times[-1], abs=0.1)


def test_two_of_a_kind_are_not_merged_across_another_one():
    times = np.arange(0, 12, 1 / 25)
    labels = np.full(len(times), 1)
    for start, stop, label in ((3, 5, 2), (5, 5.6, 0), (5.6, 8, 2)):
        labels[(times >= start) & (times < stop)] = label
    recording = session(times, looks(labels))
    told = find_events(recording, EventOptions(merge_gap=2))
    assert [event.reaction for event in told] == ["positive", "negative", "positive"]
    told = find_events(recording, EventOptions(merge_gap=2, min_duration=1))
    assert [event.reaction for event in told] == ["positive"]
    assert told[0].duration == pytest.approx(5, abs=0.1)


def test_the_release_holds_on_to_an_event():
    times = np.arange(0, 9, 1 / 25)
    own = looks(np.where((times >= 3) & (times < 6), 2, 1), noise=0)
    faint = (times >= 4) & (times < 5)
    own[faint] = [0.22, 0.38, 0.40]
    lengths = [
        [
            event.duration
            for event in find_events(
                session(times, own), EventOptions(threshold=0.9, release=release, merge_gap=0)
            )
        ]
        for release in (0.5, 1.0)
    ]
    assert len(lengths[0]) == 1
    assert sum(lengths[1]) < lengths[0][0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0.0), ("threshold", 1.5), ("threshold", math.nan), ("release", -0.1),
        ("release", math.nan), ("min_duration", -1.0), ("merge_gap", math.inf), ("max_gap", 0.0),
    ],
)  # fmt: skip
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        EventOptions(**{name: value})


def test_each_face_has_its_own_events():
    times = np.arange(0, 9, 1 / 25)
    first = looks(np.where((times >= 3) & (times < 5), 2, 1))
    second = looks(np.where((times >= 4) & (times < 7), 0, 1), seed=1)
    one, other = (
        session(times, own, face_id=face_id, is_partner=partner).rows
        for own, face_id, partner in ((first, "f1", times < 4), (second, "f2", times >= 4))
    )
    both = session(times, first)
    rows = pandas.concat([other, one]).sort_values("time", kind="stable", ignore_index=True)
    both = replace(both, rows=rows)
    told = find_events(both)
    assert [(event.face_id, event.reaction) for event in told] == [
        ("f1", "positive"), ("f2", "negative"),
    ]  # fmt: skip
    assert told[0].partner_share == pytest.approx(0.5, abs=0.05)
    assert told[1].partner_share == 1
    assert [event.face_id for event in choose_person(both, told, "f2")] == ["f2"]
    assert len(choose_person(both, told, "all")) == 2
    with pytest.raises(SessionError, match=r"person: expected .* \(f2, f1\), got f9"):
        choose_person(both, told, "f9")
    people = {person.face_id: person for person in summarise(both, told)}
    assert people["f1"].positive == people["f2"].negative == 1
    assert people["f1"].negative == people["f2"].positive == 0
    assert people["f2"].negative_seconds == pytest.approx(3, abs=0.1)
    assert people["f1"].seen == people["f1"].judged == pytest.approx(9, abs=0.1)
    # Rows in another order are no other recording.
    shuffled = replace(both, rows=rows.sample(frac=1, random_state=1))
    assert find_events(shuffled) == told


def test_few_frames_a_second_stand_for_all_the_time(make_session):
    """At one frame in 3 s somebody is seen all the time, not a third of it."""
    recording = read_session(make_session([(60, "positive")], rate=1 / 3, noise=0))
    (person,) = summarise(recording, find_events(recording))
    assert person.seen == person.judged == pytest.approx(60)
    assert person.positive_seconds <= person.seen


def test_one_who_waits_for_others_does_not_end():
    times = np.arange(0, 9, 1 / 30)
    own = looks(np.where((times >= 3) & (times < 6), 2, 1))
    own[np.arange(len(times)) % 3 != 0] = math.nan
    (event,) = find_events(session(times, own))
    assert event.offset == pytest.approx(6, abs=0.11)
    assert event.coverage == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ([(3, "nobody")], 0),
        ([(1, "nobody"), (2, "dark")], 0),
        ([(2, "neutral")], 0),
        ([(0.04, "positive")], 1),
        ([(2, "positive")], 1),
        ([(2, "nobody"), (3, "positive"), (2, "nobody")], 1),
    ],
)
def test_little_or_nothing_to_see(make_session, plan, expected):
    recording = read_session(make_session(plan, noise=0.0))
    assert len(find_events(recording)) == expected
    assert len(summarise(recording, [])) <= 1


def test_an_empty_table(make_session):
    recording = read_session(make_session([(1, "neutral")]))
    empty = replace(recording, rows=recording.rows[:0])
    assert find_events(empty) == []
    assert summarise(empty, []) == []


def test_each_model_has_its_own_events(make_session):
    recording = read_session(make_session(PLAN, models=("base", "other"), noise=0.2))
    assert {event.model for event in find_events(recording, model="other")} == {"other"}
    recording.rows["frame_p_positive__other"] = math.nan
    assert find_events(recording, model="other") == []
    assert len(find_events(recording)) == 2
    with pytest.raises(SessionError, match="expected one of base, other, got third"):
        find_events(recording, model="third")


def test_a_row_without_a_time_is_told(make_session):
    recording = read_session(make_session(PLAN))
    recording.rows.loc[3, "time"] = math.nan
    with pytest.raises(SessionError, match=r"session-1.parquet: time: expected a number in every"):
        find_events(recording)


def test_what_is_written_is_read(make_session, tmp_path):
    found = find_events(read_session(make_session(PLAN)), EventOptions(neutral=True))
    path = tmp_path / "Übung 1.events.csv"
    write_events(path, [*found, EXAMPLE])
    assert read_events(path) == [*found, EXAMPLE]
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert rows[-1]["duration_s"] == "0.750000"
    assert rows[-1]["cut_end"] == "true"
    first = path.read_bytes()
    write_events(path, [*found, EXAMPLE])
    assert path.read_bytes() == first
    write_events(path, [])
    assert read_events(path) == []
    assert list(tmp_path.glob(".*")) == []


def test_a_spreadsheet_may_have_written_it(tmp_path):
    path = tmp_path / "x.events.csv"
    write_events(path, [EXAMPLE])
    text = path.read_text().replace(",", ";").replace("true", "TRUE").replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_events(path) == [EXAMPLE]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "expected a header with session"),
        (lambda text: text.replace("onset_s", "start"), "missing: onset_s"),
        (lambda text: text.replace("1.250000", "soon"), "line 2: onset_s: expected a number, got"),
        (lambda text: text.replace("1.250000", "nan"), "line 2: onset_s: expected a number, got"),
        (lambda text: text.replace("1.250000", "1.9"), "expected onset_s <= peak_s <= offset_s"),
        (lambda text: text.replace("positive", "happy"), "reaction: expected one of negative"),
        (lambda text: text.replace("true", "perhaps"), "cut_end: expected true or false"),
        (lambda text: text[:-6], "cut_end: expected true or false, got nothing"),
        (lambda text: text + "a," * 40, "line 3: more cells than the header"),
        (lambda text: text.encode("utf-16"), "expected a CSV file in UTF-8"),
        (lambda text: text + '"a', "not a CSV file"),
    ],
)
def test_other_files_are_refused(tmp_path, change, message):
    path = tmp_path / "x.events.csv"
    write_events(path, [EXAMPLE])
    changed = change(path.read_text())
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    with pytest.raises(SessionError, match=message) as caught:
        read_events(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_events_of_a_table_that_was_replaced_are_refused(make_session):
    """The names are the same; the table is another one."""
    table = make_session([(3, "neutral"), (3, "positive")], job="old")
    recording = read_session(table)
    write_events(events_path(table), find_events(recording), "old")
    assert events_of(recording) == find_events(recording)
    make_session([(3, "positive"), (3, "negative")], job="new")
    with pytest.raises(SessionError, match=r"events\.csv: was made from another table"):
        events_of(read_session(table))


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path):
    path = tmp_path / "x.events.csv"
    path.write_text("my,own,notes\n")
    with pytest.raises(SessionError, match="is another file; move it away"):
        write_events(path, [EXAMPLE])
    assert path.read_text() == "my,own,notes\n"


def test_names_of_files():
    assert events_path(Path("a/Tag 1.2.parquet")) == Path("a/Tag 1.2.events.csv")
    assert events_path(Path("a/x.parquet"), Path("b")) == Path("b/x.events.csv")


def run(monkeypatch, *arguments):
    """Run the command; returns its exit status."""
    monkeypatch.setattr(sys, "argv", ["emotion-perception", "events", *map(str, arguments)])
    try:
        return main()
    except SystemExit as ended:
        return ended.code or 0


def test_command_on_several_tables_of_which_one_is_bad(make_session, monkeypatch, capsys, tmp_path):
    good = make_session(PLAN, "Gruß [an] Müller")
    other = make_session([(2, "neutral"), (2, "negative")], "day-2")
    bad = tmp_path / "bad.parquet"
    bad.write_text("nonsense")
    assert run(monkeypatch, good, bad, tmp_path / "none.parquet", other) == 1
    told = capsys.readouterr()
    errors = told.err.strip().splitlines()
    assert len(errors) == 2
    assert str(bad) in errors[0]
    assert "no such file" in errors[1]
    assert "Gruß [an] Müller" in told.out
    assert "2 of 4 tables done" in told.out
    assert len(read_events(tmp_path / "Gruß [an] Müller.events.csv")) == 2
    assert read_events(tmp_path / "day-2.events.csv")[0].cut_end


def test_command_where_nobody_is(make_session, monkeypatch, capsys):
    assert run(monkeypatch, make_session([(1, "nobody")], "[empty] room")) == 0
    assert "[empty] room: nobody was seen" in capsys.readouterr().out


def test_command_as_json(make_session, monkeypatch, capsys, tmp_path):
    path = make_session(PLAN)
    folder = tmp_path / "new" / "folder"
    assert run(monkeypatch, path, "--json", "--output", folder, "--person", "partner") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failed"] == []
    (recording,) = told["sessions"]
    assert [event["reaction"] for event in recording["events"]] == ["positive", "negative"]
    assert recording["events"][0]["onset"] == pytest.approx(3, abs=0.1)
    assert recording["people"][0]["positive_seconds"] == pytest.approx(2, abs=0.1)
    assert read_events(folder / "session-1.events.csv")[0].onset == recording["events"][0]["onset"]
    assert not (tmp_path / "session-1.events.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--threshold", "2"], "threshold: expected more than 0, 1 at most, got 2"),
        (["--min-duration", "-1"], "min_duration: expected 0 seconds or more"),
        (["--model", "mine"], "model: expected one of base, got mine"),
        (["--person", "f7"], "person: expected partner, all or a face_id"),
        (["--before", "0.1"], "--before: expected 0.5 to 30 s"),
        (["--actions-topic", "/a"], "--actions-topic: goes with --actions BAG"),
        (["--actions", "nowhere.csv"], "--actions: nowhere.csv: no such file"),
    ],
)
def test_command_refuses(make_session, monkeypatch, capsys, arguments, message):
    path = make_session(PLAN)
    assert run(monkeypatch, path, *arguments) == 1
    told = capsys.readouterr().err
    assert message in told
    assert told.startswith("error: ")
    assert told.count("\n") == 1
    assert not events_path(path).exists()


def test_command_refuses_to_write_one_file_twice(make_session, monkeypatch, capsys, tmp_path):
    (tmp_path / "b").mkdir()
    paths = [make_session(PLAN), make_session(PLAN, folder=tmp_path / "b")]
    assert run(monkeypatch, *paths, "--output", tmp_path / "out") == 1
    assert "would be written twice" in capsys.readouterr().err
