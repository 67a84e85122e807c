# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import fcntl
import json
import multiprocessing
import os
import stat
from datetime import datetime, timedelta, timezone

import pytest

from emotion_perception import observation_log
from emotion_perception.observation_log import append_line, drop_old_lines, old_lines

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def line(days_ago, **more):
    return json.dumps({"time": (NOW - timedelta(days=days_ago)).isoformat(), **more})


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "observations.jsonl"
    for days in (100, 31, 29, 0):
        append_line(path, line(days, action_id=f"{days} days"))
    return path


def ages(path):
    return [json.loads(text)["action_id"] for text in path.read_text().splitlines()]


def test_old_observations_go_and_the_others_stay_as_they_are(log):
    before = log.read_bytes()
    limit = NOW - timedelta(days=30)
    assert old_lines(log, limit) == 2
    assert log.read_bytes() == before
    assert drop_old_lines(log, limit) == 2
    assert ages(log) == ["29 days", "0 days"]
    assert before.endswith(log.read_bytes())
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_where_nothing_is_old_the_file_is_not_touched(log):
    there = log.stat()
    assert drop_old_lines(log, NOW - timedelta(days=365)) == 0
    assert log.stat().st_ino == there.st_ino
    assert log.stat().st_mtime_ns == there.st_mtime_ns


@pytest.mark.parametrize(
    "foreign",
    ["", "no JSON", "[]", "7", '{"time": "yesterday"}', '{"time": 7}', '{"action_id": "x"}',
     '{"time": "2020-01-01T00:0', "[" * 100_000],
)  # fmt: skip
def test_lines_that_are_no_observations_stay(log, foreign):
    with log.open("a") as file:
        file.write(foreign + "\n")
    assert drop_old_lines(log, NOW + timedelta(days=1)) == 4
    assert log.read_text() == foreign + "\n"


def test_a_time_without_a_zone_is_utc(tmp_path):
    log = tmp_path / "log"
    append_line(log, '{"time": "2026-11-21T11:59:59"}')
    append_line(log, '{"time": "2026-11-21T12:00:01"}')
    assert old_lines(log, NOW) == 1


def test_a_link_stays_a_link(log, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(log)
    assert drop_old_lines(link, NOW - timedelta(days=30)) == 2
    assert link.is_symlink()
    assert ages(log) == ["29 days", "0 days"]


def test_a_log_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        drop_old_lines(tmp_path / "log", NOW)
    assert list(tmp_path.iterdir()) == []


def append_many(path, name):
    for number in range(300):
        append_line(path, line(0, action_id=f"{name} {number}"))
        append_line(path, line(50, action_id="old"))


def test_what_is_appended_meanwhile_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(observation_log, "WAIT_S", 60.0)  # this is not about who gives up
    log = tmp_path / "log"
    append_line(log, line(50, action_id="old"))
    workers = [
        multiprocessing.get_context("fork").Process(target=append_many, args=(log, name))
        for name in "ab"
    ]
    for worker in workers:
        worker.start()
    dropped = 0
    while any(worker.is_alive() for worker in workers):
        dropped += drop_old_lines(log, NOW - timedelta(days=30))
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    dropped += drop_old_lines(log, NOW - timedelta(days=30))
    assert dropped == 601
    assert sorted(ages(log)) == sorted(f"{name} {number}" for name in "ab" for number in range(300))
    assert os.listdir(tmp_path) == ["log"]  # noqa: PTH208


def test_a_lock_that_somebody_keeps_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(observation_log, "WAIT_S", 0.1)
    log = tmp_path / "observed.jsonl"
    append_line(log, "{}")
    with log.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process holds its lock"):
            append_line(log, "{}")
    append_line(log, "{}")
    assert log.read_text() == "{}\n{}\n"
