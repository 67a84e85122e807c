# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a rater answered is on the disk, whatever happens to the program or the file."""

import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

from emotion_perception.sessions.ratings import (
    COLUMNS,
    Rating,
    RatingFile,
    majority,
    raters_of,
    ratings_path,
    read_ratings,
)
from emotion_perception.sessions.table import SessionError

HEADER = ",".join(COLUMNS)
EVENT = Rating(
    kind="event", face_id="f1", frame=30, onset_s=1.0, offset_s=2.4, time_s=1.72,
    model_answer="positive", model_id="base-1.0+00000000", verdict="wrong", label="neutral",
    blind=True, seen=False, seconds=3.5, answered="2026-11-20T10:00:00+00:00",
)  # fmt: skip
FRAME = replace(EVENT, kind="frame", frame=7, onset_s=0.28, offset_s=0.28, time_s=0.28)


@pytest.fixture
def path(tmp_path):
    return ratings_path(tmp_path / "session 1 ä.parquet", "R1")


def write(path, *ratings):
    with RatingFile(path) as file:
        for rating in ratings:
            file.add(rating)


def test_answers_are_read_as_they_were_given(path):
    write(path, EVENT, FRAME)
    assert path.name == "session 1 ä.review.R1.csv"
    assert path.read_text().splitlines()[0] == HEADER
    assert read_ratings(path) == {EVENT.key: EVENT, FRAME.key: FRAME}


def test_a_correction_is_a_new_row_and_replaces_the_older_one(path):
    corrected = replace(EVENT, verdict="right", label="positive")
    write(path, EVENT, FRAME)
    before = path.read_bytes()
    write(path, corrected)
    assert path.read_bytes().startswith(before)
    assert len(path.read_text().splitlines()) == 4
    assert read_ratings(path) == {EVENT.key: corrected, FRAME.key: FRAME}


def test_a_file_cut_anywhere_is_read_and_can_be_gone_on_with(path, caplog):
    write(path, EVENT, FRAME)
    raw = path.read_bytes()
    rows = [len(HEADER) + 1, len(raw) - len(raw.splitlines()[-1]) - 1, len(raw)]
    later = replace(FRAME, frame=99)
    for cut in range(len(raw) + 1):
        path.write_bytes(raw[:cut])
        whole = max((number for number, end in enumerate(rows) if cut >= end), default=0)
        caplog.clear()
        assert len(read_ratings(path)) == whole
        assert bool(caplog.records) == (cut not in (0, *rows))
        write(path, later)
        assert read_ratings(path)[later.key] == later
        # Of a row that lacks its line end alone nothing is lost.
        assert len(read_ratings(path)) == whole + 1 + (cut + 1 in rows[1:])


def test_a_damaged_line_is_left_out_and_told(path, caplog):
    write(path, EVENT, FRAME)
    lines = path.read_text().splitlines()
    for bad in ("event,f1", lines[1].replace("wrong", "perhaps"), lines[1].replace("1.72", "nan"),
                '"' + lines[1], lines[1].replace("neutral", "angry"), "\0"):  # fmt: skip
        path.write_text("\n".join([lines[0], bad, lines[2]]) + "\n")
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            assert read_ratings(path) == {FRAME.key: FRAME}
        assert "line 2: damaged, left out" in caplog.text


def test_what_a_spreadsheet_saves_is_read(path):
    write(path, EVENT, FRAME)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert list(read_ratings(path)) == [EVENT.key, FRAME.key]


def test_the_answer_is_there_after_a_crash(path):
    script = (
        "import os, sys; from pathlib import Path; from test_ratings import *\n"
        "file = RatingFile(Path(sys.argv[1])); file.add(EVENT); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], cwd=Path(__file__).parent)
    assert done.returncode == -9
    assert read_ratings(path) == {EVENT.key: EVENT}


def test_a_full_disk_is_told_and_leaves_no_half_row(path):
    script = (
        "import resource, sys; from pathlib import Path; from test_ratings import *\n"
        "file = RatingFile(Path(sys.argv[1])); file.add(EVENT)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))\n"
        "for _ in range(2):\n"
        "    try: file.add(FRAME)\n"
        "    except OSError as error: print('told', error)"
    )
    write(path, EVENT)
    raw = path.read_bytes()
    path.unlink()
    done = subprocess.run(
        [sys.executable, "-c", script, path, str(len(raw) + 20)], cwd=Path(__file__).parent,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("told /") == 2
    assert str(path) in done.stdout
    assert path.read_bytes() == raw


def test_another_file_is_refused_and_not_touched(path):
    path.write_text("a,b\n1,2\n")
    for use in (read_ratings, RatingFile):
        with pytest.raises(SessionError, match="not a file of ratings"):
            use(path)
    assert path.read_text() == "a,b\n1,2\n"


def test_without_an_answer_no_file_is_left(path):
    write(path)
    assert not path.exists()
    assert read_ratings(path) == {}


def test_a_rater_cannot_review_twice_at_once(path):
    with RatingFile(path) as file:
        with pytest.raises(SessionError, match="reviewing already, in another window"):
            RatingFile(path)
        file.add(EVENT)
    write(path, FRAME)
    assert len(read_ratings(path)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_at_once(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="denied"):
        RatingFile(tmp_path / "a.review.R1.csv")


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-a", "a.b", "ä", "a" * 41, "a\n"])
def test_names_of_raters_that_do_not_fit_a_file_name(tmp_path, name):
    with pytest.raises(SessionError, match="--rater: expected up to 40 letters, digits and dashes"):
        ratings_path(tmp_path / "a.parquet", name)


def test_who_has_rated(tmp_path):
    table = tmp_path / "s.parquet"
    for rater in ("R2", "anna", "R1"):
        write(ratings_path(table, rater), EVENT)
    write(ratings_path(tmp_path / "s.review.parquet", "R9"), EVENT)
    (tmp_path / "s.review..csv").touch()
    (tmp_path / "s.review.a b.csv").touch()
    (tmp_path / "s.review.folder.csv").mkdir()
    assert raters_of(table) == ["R1", "R2", "anna"]


def test_a_name_with_line_ends_stays_in_one_line(path):
    odd = replace(FRAME, face_id='a\n"b",\r\x00=1')
    write(path, odd, EVENT)
    found = read_ratings(path)
    assert len(path.read_text().splitlines()) == 3
    assert list(found) == [odd.key, EVENT.key]


def vote(label, verdict="wrong"):
    return replace(EVENT, label=label, verdict=verdict)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["positive"], "positive"),
        (["positive", "neutral"], None),  # a tie
        (["positive", "neutral", "positive"], "positive"),
        (["positive", ""], None),  # as many are unsure
        (["positive", "positive", ""], "positive"),
        (["positive", "", ""], None),
        ([""], None),
        ([], None),
    ],
)
def test_majority(labels, expected):
    assert majority([vote(label) for label in labels]) == expected
