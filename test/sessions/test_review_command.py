# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The command as a process: the address it prints, answers that outlive it, a clean end."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
pytest.importorskip("flask")
pytest.importorskip("waitress")

from reviewing import Client

from emotion_perception.sessions.ratings import ratings_path, read_ratings

PLAN = [(2, "neutral"), (2, "positive"), (2, "neutral"), (2, "negative")]


@contextlib.contextmanager
def started(table, *options):
    """Run the command; give the process and the lines up to the last that it says at once."""
    command = [sys.executable, "-m", "emotion_perception.cli", "review", str(table), "--no-browser"]
    process = subprocess.Popen(
        [*command, "--rater", "R1", *options], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        lines = []
        while not lines or lines[-1] != "Ctrl-C ends\n":
            lines.append(process.stdout.readline())
            assert lines[-1], lines
        yield process, "".join(lines)
    finally:
        process.kill()
        process.wait(20)


def client_of(told):
    url = re.search(r"^Open (\S+)$", told, re.MULTILINE)[1]
    assert len(re.findall("http", told)) == 1
    return Client(SimpleNamespace(url=url))


def end(process):
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=20)[0]
    assert process.returncode == 0, rest
    return rest.splitlines()


def test_review_and_end(make_session):
    table = make_session(PLAN, name="Sitzung 1 ü")
    answers = ratings_path(table, "R1")
    with started(table) as (process, told):
        assert "2 events to review, 0 of them answered" in told
        assert "give --recording VIDEO to see pictures" in told
        assert client_of(told).answer(0, "right")[0] == 200
        assert len(read_ratings(answers)) == 1
        assert end(process) == ["1 of 2 events answered", f"Answers: {answers}"]
    with started(table, "--what", "frames", "--person", "all") as (process, told):
        assert "1 answers in Sitzung 1 ü.review.R1.csv are of other items" in told
        assert end(process)[0].startswith("0 of ")


def test_without_an_answer_nothing_is_left(make_session, tmp_path):
    table = make_session(PLAN)
    with started(table, "--order", "unsure") as (process, _):
        assert end(process) == ["0 of 2 events answered", "No answers, nothing written"]
    assert list(tmp_path.iterdir()) == [table]


def test_answers_outlive_the_program(make_session):
    table = make_session(PLAN)
    with started(table) as (process, told):
        client_of(told).answer(1, "positive")
        process.kill()
        process.wait(20)
    assert [one.label for one in read_ratings(ratings_path(table, "R1")).values()] == ["positive"]
    with started(table) as (_, told):
        assert "2 events to review, 1 of them answered" in told


def test_a_port_that_is_taken_is_told(make_session):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "emotion_perception.cli", "review", "--rater", "R1"]
        done = subprocess.run(
            [*command, str(make_session(PLAN)), "--port", str(port)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: port {port}: Address already in use; --port 0 takes a free one\n"
