# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""From answers to labels that capture takes, and on to a patient's images."""

import csv
import itertools
from dataclasses import replace

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.sessions.ratings import Rating, RatingFile, ratings_path
from emotion_perception.sessions.review_labels import (
    Labelled,
    flattened,
    frame_period,
    labels_of,
    write_spans,
)
from emotion_perception.sessions.table import SessionError, read_session
from emotion_perception.training.capture_spans import label_at, read_spans
from emotion_perception.valence.labels import CLASSES

PLAN = [(2, "neutral"), (2, "positive"), (2, "neutral"), (2, "negative")]

EVENT = Rating(
    kind="event", face_id="f1", frame=75, onset_s=2.0, offset_s=4.0, time_s=3.0,
    model_answer="positive", model_id="base-1.0+00000000", verdict="wrong", label="neutral",
    blind=True, seen=False, seconds=3.5, answered="2026-11-20T10:00:00+00:00",
)  # fmt: skip


def frame(number, label, **more):
    time = number / 25
    return replace(EVENT, kind="frame", frame=number, onset_s=time, offset_s=time, time_s=time,
                   label=label, **more)  # fmt: skip


def by_key(*ratings):
    return {rating.key: rating for rating in ratings}


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)


def labels_at(spans, session, path):
    """Return the label of each frame of a session, as capture would read it."""
    write_spans(path, session.info.recording, spans)
    read = read_spans(path)
    from emotion_perception.image.source import Frame

    blank = np.empty((0, 0, 3), np.uint8)
    # Other readers round times to milliseconds.
    return [
        label_at(read, Frame(n, round(t, 3), blank))
        for n, t in enumerate(sorted(set(session.rows.time)))
    ]


def test_labels_reach_exactly_their_frames(make_session, tmp_path):
    session = read_session(make_session(PLAN, rate=29.97))
    period = 1 / 29.97
    assert frame_period(session) == pytest.approx(period)
    event = replace(EVENT, onset_s=round(60 * period, 6), offset_s=round(90 * period, 6))
    time = 120 * period
    single = replace(frame(120, "positive"), onset_s=time, offset_s=time, time_s=time)
    found = labels_of(session, {"R1": by_key(event, single)})
    labels = labels_at(found.spans, session, tmp_path / "spans.csv")
    assert labels[59:91] == [None, *["neutral"] * 30, None]
    assert labels[119:122] == [None, "positive", None]
    assert sum(label is not None for label in labels) == 31
    assert (found.taken, found.faces) == (2, ("f1",))


def test_raters_are_merged_by_majority(make_session):
    session = read_session(make_session(PLAN))
    positive, negative, unsure = (
        frame(10, label, verdict=verdict)
        for label, verdict in (("positive", "wrong"), ("negative", "wrong"), ("", "unsure"))
    )
    both = labels_of(session, {"R1": by_key(positive), "R2": by_key(negative)})
    assert (both.taken, both.ties, both.unclear, both.spans) == (0, 1, 0, ())
    third = {"R1": by_key(positive), "R2": by_key(negative), "R3": by_key(positive)}
    assert [span.label for span in labels_of(session, third).spans] == ["positive"]
    nobody = labels_of(session, {"R1": by_key(unsure)})
    assert (nobody.taken, nobody.ties, nobody.unclear) == (0, 0, 1)


def test_the_label_of_a_frame_counts_more_than_that_of_an_event(make_session, tmp_path):
    session = read_session(make_session(PLAN))
    found = labels_of(session, {"R1": by_key(EVENT, frame(60, "positive"), frame(20, "positive"))})
    labels = labels_at(found.spans, session, tmp_path / "spans.csv")
    assert labels[59:62] == ["neutral", "positive", "neutral"]
    assert (labels[20], labels[21]) == ("positive", None)


def test_what_events_contradict_each_other_about_is_left_out(make_session):
    session = read_session(make_session(PLAN))
    other = replace(EVENT, onset_s=3.0, offset_s=5.0, label="negative")
    found = labels_of(session, {"R1": by_key(EVENT, other)})
    assert [span.label for span in found.spans] == ["neutral", "negative"]
    assert found.contradicting == pytest.approx(1.0)
    assert found.spans[0].end == pytest.approx(2.98)
    assert found.spans[1].start == pytest.approx(3.98)


def test_whoever_is_not_the_largest_is_left_out(make_session):
    import pandas as pd

    session = read_session(make_session(PLAN))
    rows = session.rows[session.rows.time >= 3].copy()
    rows["face_id"] = "f2"
    rows["x1"] -= 50
    session = replace(session, rows=pd.concat([session.rows, rows], ignore_index=True))
    early, late = frame(10, "positive"), frame(100, "positive")
    ratings = {"R1": by_key(early, late, replace(late, face_id="f2"), EVENT)}
    found = labels_of(session, ratings)
    assert (found.taken, found.hidden, found.faces) == (2, 2, ("f1", "f2"))
    assert labels_of(session, ratings, "f2").faces == ("f2",)


span = st.builds(
    lambda start, length, label: Labelled(start / 8, (start + length) / 8, label),
    st.integers(0, 40), st.integers(1, 20), st.sampled_from(CLASSES),
)  # fmt: skip


@given(st.lists(span, max_size=8), st.lists(span, max_size=8))
def test_spans_never_overlap_and_say_what_was_said(events, frames):
    spans, contradicting = flattened(events, frames)
    assert all(a.end <= b.start for a, b in itertools.pairwise(spans))

    def said(where, time):
        return {one.label for one in where if one.start <= time < one.end}

    lost = 0
    for step in range(8 * 64):
        time = step / 8 + 1 / 16
        expected = said(frames, time) or said(events, time)
        lost += len(expected) > 1
        assert said(spans, time) == (expected if len(expected) == 1 else set())
    assert contradicting == pytest.approx(lost / 8)


def test_a_file_that_is_there_is_never_overwritten(tmp_path):
    path = tmp_path / "spans.csv"
    path.write_text("file,start,end,valence\nmine.mp4,0,1,neutral\n")
    with pytest.raises(SessionError, match=r"spans\.csv: is there already"):
        write_spans(path, "a.mp4", [Labelled(0, 1, "neutral")])
    assert "mine.mp4" in path.read_text()
    with pytest.raises(SessionError, match="no answer gives a label"):
        write_spans(tmp_path / "new.csv", "a.mp4", [])


def test_what_the_command_tells(make_session, tmp_path):
    table = make_session(PLAN, recording="a film; 1.mp4")
    with RatingFile(ratings_path(table, "R1")) as file:
        for rating in (EVENT, frame(10, ""), frame(20, "positive")):
            file.add(rating)
    with RatingFile(ratings_path(table, "R2")) as file:
        file.add(frame(20, "negative"))
    done = run("review", table, "--export", tmp_path / "spans.csv")
    assert done.exit_code == 0
    assert "1 labelled items, 1 spans" in done.output
    assert "1 left out: raters differ and no answer has most votes" in done.output
    assert "1 left out: nobody named a class" in done.output
    assert "emotion-perception capture PERSON 'a film; 1.mp4' --data DATA" in done.output
    assert [one.file for one in read_spans(tmp_path / "spans.csv")] == ["a film; 1.mp4"]


def test_from_the_film_to_the_images_of_a_patient(tmp_path):
    pytest.importorskip("av")
    pytest.importorskip("flask")
    pytest.importorskip("matplotlib")
    from reviewing import Client, served

    from emotion_perception.image.demo_clip import make_demo_clip
    from emotion_perception.sessions.predict import predict

    film = make_demo_clip(tmp_path, fps=5.0)
    table = tmp_path / "demo.parquet"
    predict(film, table)

    with served(table, person="all", recording=film) as server:
        client = Client(server)
        event = client.json("/item/0")
        assert event["said"][0]["answer"] == "positive"  # a smile, until the camera turns away
        assert client.answer(0, "negative")[0] == 200
    with served(table, "frames", person="all", recording=film, blind=True) as server:
        client = Client(server)
        items = [client.json(f"/item/{i}") for i in range(len(client.json("/state")["answered"]))]
        later = [one for one in items if one["time"] > 8]  # another person
        assert len(later) >= 4
        chosen = dict(
            zip((one["index"] for one in later), itertools.cycle(("positive", "neutral")))
        )
        for index, label in chosen.items():
            assert client.answer(index, label)[0] == 200

    spans, data = tmp_path / "spans.csv", tmp_path / "patients"
    done = run("review", table, "--export", spans)
    assert done.exit_code == 0, done.output
    assert f"{1 + len(chosen)} labelled items" in done.output
    assert run("consent", "P-1", "--data", data, "--given-by", "patient", "--recorded-by",
               "tester").exit_code == 0  # fmt: skip
    done = run("capture", "P-1", film, "--data", data, "--labels", spans, "--min-difference", 0)
    assert done.exit_code == 0, done.output

    with (data / "P-1" / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = {round(items[index]["time"], 2): label for index, label in chosen.items()}
    found = {round(float(row["time"]), 2): row["valence"] for row in rows}
    for time, label in found.items():
        assert label == expected.get(time, "negative")
        if label == "negative":
            assert event["onset"] - 0.01 <= time < event["offset"]
    assert set(found.values()) == set(CLASSES)
    assert len(set(expected) & set(found)) >= len(expected) - 1
    assert sum(label == "negative" for label in found.values()) >= 10
    for row in rows:
        assert (data / "P-1" / row["valence"] / row["file"].split("/")[1]).is_file()
