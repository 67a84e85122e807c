# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import datetime
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from emotion_perception.cli import app
from emotion_perception.observation_log import append_line
from emotion_perception.retention import due_people, due_sessions
from emotion_perception.training.consent import Consent, record_consent, withdraw_consent
from emotion_perception.training.faces import DataError

TODAY = datetime.date.today()


def days_ago(days):
    return TODAY - datetime.timedelta(days=days)


def person(root, name, given=400, withdrawn=None, **days):
    """Somebody with a consent, an image, a model and a run."""
    dates = {key: days_ago(value) for key, value in days.items()}
    consent = Consent(
        given_by="patient", given=days_ago(given), purpose="tests", recorded_by="psychologist",
        **dates,
    )  # fmt: skip
    record_consent(root / "data", name, consent)
    if withdrawn is not None:
        withdraw_consent(root / "data", name, days_ago(withdrawn))
    for file in (f"data/{name}/positive/{name}_idx1.jpg", f"models/{name}/0001/model.onnx",
                 f"runs/finetune/{name}/metrics.csv"):  # fmt: skip
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")


def due(root, days=None):
    found = due_people(root / "data", root / "models", root / "runs", TODAY, days)
    return {item.what.split()[2]: item.why for item in found}


def command(root, *arguments):
    places = ["--models", str(root / "models"), "--runs", str(root / "runs")]
    return CliRunner().invoke(app, ["retention", *places, *arguments])


def files(root):
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("days", "older_than", "why"),
    [
        ({"keep_until": 1}, None, "may be kept until"),
        # The last day itself is allowed.
        ({"keep_until": 0}, None, None),
        ({"keep_until": -100}, None, None),
        ({"withdrawn": 0, "keep_until": -100}, None, "was withdrawn on"),
        # Nobody agreed on a day: only the option ends it.
        ({}, 0, None),
        ({"expires": 31}, None, None),
        ({"expires": 31}, 30, "expired on"),
        ({"expires": 30}, 30, None),
        # What was agreed goes before the option.
        ({"expires": 300, "keep_until": -1}, 30, None),
    ],
)
def test_whose_data_are_due(tmp_path, days, older_than, why):
    person(tmp_path, "P-1", **days)
    found = due(tmp_path, older_than)
    assert found == {} if why is None else why in found["P-1"]


def test_the_last_consent_counts(tmp_path):
    person(tmp_path, "P-1", given=400, keep_until=10)
    person(tmp_path, "P-1", given=20, keep_until=-100)
    assert due(tmp_path) == {}


def test_folders_without_a_consent_are_not_ours(tmp_path):
    (tmp_path / "data" / "folds").mkdir(parents=True)
    (tmp_path / "data" / "notes.txt").write_text("x")
    assert due(tmp_path) == {}
    assert due(tmp_path / "nowhere") == {}


def test_a_damaged_consent_is_told(tmp_path):
    person(tmp_path, "P-1", keep_until=10)
    (tmp_path / "data" / "P-1" / "consent.json").write_text("{")
    with pytest.raises(DataError, match=r"P-1/consent.json: not a readable consent record"):
        due(tmp_path)


def test_it_lists_first_and_deletes_only_with_yes(tmp_path):
    person(tmp_path, "P-1", keep_until=10)
    person(tmp_path, "P-2", keep_until=-10)
    (tmp_path / "runs" / "all.csv").write_text("P-1,P-2\n")
    before = files(tmp_path)
    data = str(tmp_path / "data")
    done = command(tmp_path, "--data", data)
    assert done.exit_code == 0, done.output
    assert files(tmp_path) == before
    assert "everything of P-1 (1 images, 1 model files, 2 other)" in done.output
    for folder in ("data/P-1", "models/P-1", "runs/finetune/P-1"):
        assert f"  {tmp_path / folder}\n" in done.output
    assert "P-2" not in done.output
    assert "Nothing was deleted" in done.output

    done = command(tmp_path, "--data", data, "--yes")
    assert done.exit_code == 0, done.output
    gone = {name for name in before if "/P-1/" in name}
    assert len(gone) == 4
    assert files(tmp_path) == (before - gone) | {"data/deletions.log"}
    assert f"{tmp_path / 'runs' / 'all.csv'}: still mentions somebody" in done.output
    assert "Nothing is due." in command(tmp_path, "--data", data).output


def test_observations(tmp_path):
    log = tmp_path / "log.jsonl"
    for days in (40, 10):
        time = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=days)
        append_line(log, json.dumps({"time": time.isoformat(), "days": days}))
    arguments = ["--observation-log", str(log), "--older-than", "30"]
    done = command(tmp_path, *arguments)
    assert f"1 lines of {log}: observed before" in done.output
    assert len(log.read_text().splitlines()) == 2
    assert command(tmp_path, *arguments, "--yes").exit_code == 0
    assert [json.loads(line)["days"] for line in log.read_text().splitlines()] == [10]
    assert "Nothing is due." in command(tmp_path, *arguments).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to look at"),
        (["--sessions", "."], "--older-than: needed"),
        (["--observation-log", "log"], "--older-than: needed"),
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--sessions", "nowhere", "--older-than", "3"], "nowhere: no such folder"),
    ],
)
def test_what_it_cannot_do(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    done = command(tmp_path, *arguments)
    assert done.exit_code == 1
    assert message in str(done.exception)
    assert command(tmp_path, "--sessions", ".", "--older-than", "-1").exit_code == 2


@pytest.fixture
def tables(tmp_path):
    pytest.importorskip("pyarrow", reason="the extra sessions is not installed")
    from emotion_perception.sessions.runs import write_csv
    from emotion_perception.sessions.table import JudgedBy, SessionInfo, schema, write_table

    models = (JudgedBy(name="base", model_id="base-1", threshold=0.5),)

    def table(name, started):
        path = tmp_path / "tables" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        info = SessionInfo(recording=f"{name}.mp4", session=name, started=started, models=models)
        write_table(path, info, [schema(models).empty_table()])
        write_csv(path, path.with_suffix(".csv"))
        for end in (".events.csv", ".actions.csv", ".report.html", ".review.R1.csv",
                    # Not made beside the table, not ours, or another session's.
                    ".mp4", ".notes.csv", ".spans.csv", ".mcap", "-2.csv"):  # fmt: skip
            path.with_name(name + end).write_text("x")
        return path

    return table


OURS = (".parquet", ".csv", ".events.csv", ".actions.csv", ".report.html", ".review.R1.csv")


def test_sessions_go_with_what_was_made_of_them(tables, tmp_path):
    # Far from the limit: the command has its own today, and midnight may be in between.
    old = tables("old", days_ago(40).isoformat() + "T10:00:00Z")
    tables("new", days_ago(20).isoformat())
    (old.parent / "foreign.parquet").write_text("no table")
    before = files(tmp_path)
    done = command(tmp_path, "--sessions", str(tmp_path), "--older-than", "30")
    assert done.exit_code == 0, done.output
    assert f"session {old} (6 files): recorded on {days_ago(40)}" in done.output
    assert "new.parquet" not in done.output
    assert files(tmp_path) == before
    assert command(tmp_path, "--sessions", str(tmp_path), "--older-than", "30", "-y").exit_code == 0
    assert files(tmp_path) == before - {f"tables/old{end}" for end in OURS}


def test_the_last_day_of_a_session_is_allowed(tables):
    old = tables("old", days_ago(31).isoformat() + "T23:59:59Z")
    tables("new", days_ago(30).isoformat() + "T00:00:01Z")
    (found,) = due_sessions(old.parent, TODAY, 30)
    assert found.what.startswith(f"session {old} ")


def test_a_session_without_a_date_is_as_old_as_its_file(tables):
    path = tables("undated", "")
    folder = Path(path.parent)
    assert list(due_sessions(folder, TODAY, 30)) == []
    long_ago = datetime.datetime.now().timestamp() - 40 * 86400
    os.utime(path, (long_ago, long_ago))
    (found,) = due_sessions(folder, TODAY, 30)
    assert "undated" in found.why
