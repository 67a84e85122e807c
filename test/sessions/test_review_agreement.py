# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""How far raters agree, on answers whose figures are known."""

import json
import math
from dataclasses import replace

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.sessions.ratings import Rating, RatingFile, ratings_path
from emotion_perception.sessions.review_agreement import MODEL, compare_raters

CODES = {"n": "negative", "e": "neutral", "p": "positive", "u": ""}
BASE = Rating(
    kind="frame", face_id="f1", frame=0, onset_s=0.0, offset_s=0.0, time_s=0.0,
    model_answer="neutral", model_id="base-1.0+00000000", verdict="wrong", label="neutral",
    blind=True, seen=False, seconds=1.0, answered="2026-11-20T10:00:00+00:00",
)  # fmt: skip


def rated(answers, model="e", step=4.0, **more):
    """Return ratings of frames: one letter an item, a dot for none; the model's letters repeat."""
    found = {}
    for index, code in enumerate(answers):
        if code != ".":
            time = index * step
            rating = replace(
                BASE, frame=index, onset_s=time, offset_s=time, time_s=time, label=CODES[code],
                model_answer=CODES[model[index % len(model)]],
                verdict="unsure" if code == "u" else "wrong", **more,
            )  # fmt: skip
            found[rating.key] = rating
    return found


def pair(pairs, first, second):
    return next(one for one in pairs if (one.first, one.second) == (first, second))


def test_a_textbook_example():
    """Of 50 items 20 and 15 the same, 5 and 10 different: kappa is 0.4."""
    a = "p" * 20 + "p" * 5 + "n" * 10 + "n" * 15
    b = "p" * 20 + "n" * 5 + "p" * 10 + "n" * 15
    found = pair(compare_raters({"A": rated(a), "B": rated(b)}), "A", "B")
    assert found.items == 50
    assert found.agreement == pytest.approx(0.7)
    assert found.kappa == pytest.approx(0.4)
    low, high = found.kappa_interval
    assert -0.1 < low < 0.25
    assert 0.5 < high < 0.9
    assert found.counts.tolist() == [[15, 0, 10], [0, 0, 0], [5, 0, 20]]
    assert len(found.differences) == 15
    first = found.differences[0]
    assert (first.onset, first.first, first.second) == (80.0, "positive", "negative")


def test_items_that_count():
    a, b = rated("pnup.", "e"), rated("pe.un", "e", blind=False, seen=True)
    found = pair(compare_raters({"A": a, "B": b}), "A", "B")
    assert (found.items, found.unclear, found.blind) == (3, 1, 0)
    assert found.agreement == 0.5
    model = pair(compare_raters({"A": a}), "A", MODEL)
    assert (model.items, model.unclear, model.blind) == (4, 1, 3)


def test_each_rater_against_the_model():
    found = pair(compare_raters({"A": rated("nepnep", "nep")}), "A", MODEL)
    assert (found.agreement, found.kappa) == (1, 1)
    assert found.differences == ()
    against = pair(compare_raters({"A": rated("enenen", "ne")}), "A", MODEL)
    assert (against.agreement, against.kappa) == (0, -1)


def test_models_are_not_mixed():
    """One rater answered about the model before, the other about the one after it."""
    old, new = rated("pp", model="p"), rated("ppp", model="e", model_id="base-2.0+00000000")
    pairs = compare_raters({"A": old, "B": new})
    assert [(one.first, one.second, one.items) for one in pairs] == [
        ("A", "B", 2), ("A", f"{MODEL} base-1.0+00000000", 2),
        ("B", f"{MODEL} base-2.0+00000000", 3),
    ]  # fmt: skip


def test_where_kappa_is_not_defined():
    one = pair(compare_raters({"A": rated("eeeeee", "e")}), "A", MODEL)
    assert one.agreement == 1
    assert math.isnan(one.kappa)
    assert one.to_json()["kappa"] is None
    few = pair(compare_raters({"A": rated("ne", "e")}), "A", MODEL)
    assert all(math.isnan(value) for value in few.kappa_interval)  # one block of ten seconds


def test_neighbours_are_drawn_together():
    """A hundred items of which each ten are alike tell less than a hundred others."""
    a = "".join(code * 10 for code in "pnpnpnpnpn")
    b = "".join(code * 10 for code in "pnpnppnnpn")
    alike = pair(compare_raters({"A": rated(a, step=1), "B": rated(b, step=1)}), "A", "B")
    others = pair(compare_raters({"A": rated(a, step=11), "B": rated(b, step=11)}), "A", "B")
    assert alike.kappa == others.kappa == pytest.approx(0.6)
    widths = [one.kappa_interval[1] - one.kappa_interval[0] for one in (alike, others)]
    assert widths[0] > 2 * widths[1]


def test_one_who_always_says_the_same_gives_no_interval():
    """Every draw has a kappa of 0 then; that is no certainty."""
    found = pair(compare_raters({"A": rated("p" * 20), "B": rated("pn" * 10)}), "A", "B")
    assert found.kappa == 0
    assert all(math.isnan(value) for value in found.kappa_interval)


def test_raters_without_an_item_in_common_and_events_apart():
    event = rated("pn", kind="event")
    pairs = compare_raters({"A": rated("pn.."), "B": rated("..pn"), "C": event})
    assert [(one.kind, one.first, one.second) for one in pairs] == [
        ("events", "C", MODEL), ("frames", "A", MODEL), ("frames", "B", MODEL),
    ]  # fmt: skip


def write(table, rater, ratings):
    with RatingFile(ratings_path(table, rater)) as file:
        for rating in ratings.values():
            file.add(rating)


def run(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_the_command(make_session):
    table = make_session([(1, "neutral")])
    write(table, "anna", rated("ppnnppuenp", "pn"))
    write(table, "R2", rated("pnnnppe.np", "pn", blind=False, seen=True))
    done = run("review", table, "--agreement")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "R2 and anna, frames: 9 in common" in lines
    assert "  1 without a class from both (can't tell), not counted below" in lines
    assert "  the same in 7 of 8, 88 %" in lines
    assert any(line.startswith("  Cohen's kappa 0.75 (95 % ") for line in lines)
    assert "    4.0 s, f1: negative, positive" in lines
    assert any("not blind: the model's answer was seen" in line for line in lines)
    told = json.loads(run("review", table, "--agreement", "--json").output)
    assert told["session"] == "session-1"
    assert [(one["first"], one["second"]) for one in told["pairs"]] == [
        ("R2", "anna"), ("R2", MODEL), ("anna", MODEL),
    ]  # fmt: skip
    assert told["pairs"][0]["kappa"] == pytest.approx(0.75)
    assert told["pairs"][0]["differences"][0]["onset_s"] == 4.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--agreement"], "no answers yet; start with emotion-perception review session-1.parquet"),
        (["--export", "{}/x.csv"], "no answers yet"),
        ([], "--rater: who reviews?"),
        (["--rater", "a b"], "--rater: expected up to 40 letters"),
        (["--rater", "R1", "--what", "faces"], "--what: expected events or frames, got faces"),
        (["--rater", "R1", "--order", "x"], "--order: expected time or unsure"),
        (["--rater", "R1", "--blind"], "--blind: needs --recording"),
        (["--rater", "R1", "--person", "f7"], "person: expected partner, all or a face_id (f1)"),
        (["--rater", "R1", "--recording", "{}/no.mp4"], "no.mp4: no such file"),
        (["--agreement", "--rater", "R1"], "take all raters"),
        (["--agreement", "--export", "x"], "expected one of"),
        (["--rater", "R1", "--json"], "--json: goes with --agreement"),
        (["--export", "{}/x.csv", "--person", "partner"], "give a face_id"),
    ],
)
def test_mistakes_are_told_in_one_line(make_session, tmp_path, options, message):
    table = make_session([(1, "neutral")])
    done = run("review", table, *(option.format(tmp_path) for option in options))
    assert done.exit_code == 1
    assert isinstance(done.exception, ValueError)
    assert message in str(done.exception)
    assert "\n" not in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == [table.name]
