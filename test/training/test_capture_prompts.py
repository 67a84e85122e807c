# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A clinician at a terminal: keys on a pseudo-terminal, or lines from a pipe."""

import csv
import os
import pty
import subprocess
import sys
import threading

import pytest

from emotion_perception.image.demo_clip import demo_frames
from emotion_perception.image.source import Frame, FrameSource
from emotion_perception.training.capture_prompts import ENTER, QUIT, Keys

COMMAND = [sys.executable, "-m", "emotion_perception.cli"]
SHORT = ("--prompts", "--seconds", "1", "--countdown", "0.5", "--min-difference", "0")


@pytest.fixture
def data(tmp_path):
    pytest.importorskip("matplotlib")
    subprocess.run(
        [*COMMAND, "consent", "P-1", "--data", tmp_path / "data", "--given-by", "patient",
         "--recorded-by", "tester"], check=True, capture_output=True,
    )  # fmt: skip
    return tmp_path / "data"


def valences(data):
    path = data / "P-1" / "labels.csv"
    with path.open(newline="") as file:
        return [(row["valence"], row["recording"]) for row in csv.DictReader(file)]


def piped(data, lines, *arguments):
    return subprocess.run(
        [*COMMAND, "capture", "P-1", "demo", "--data", data, *SHORT, *arguments],
        input=lines, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip


def test_three_takes(data):
    # The clip shows a face for 4.2 s; each take has 0.5 s of countdown and 1 s of recording.
    done = piped(data, "\n\n\n\ns\n")
    assert done.returncode == 0, done.stderr
    found = valences(data)
    assert {valence for valence, _ in found} == {"neutral", "negative"}
    assert all(10 <= [v for v, _ in found].count(name) <= 15 for name in ("neutral", "negative"))
    assert {recording for _, recording in found} == {"P-1-r001"}
    for words in ("1 of 3: neutral", "3 of 3: positive", "Tell the person something pleasant",
                  "Enter starts", "images kept of", "Still missing: positive"):  # fmt: skip
        assert words in done.stdout


def test_throw_away_and_redo(data):
    # neutral: thrown away. negative: recorded again, then kept. positive: the pipe has ended.
    done = piped(data, "\ns\n\nr\n\n\n", "--seconds", "0.6")
    assert done.returncode == 0, done.stderr
    assert {valence for valence, _ in valences(data)} == {"negative"}
    assert done.stdout.count("2 of 3: negative") == 2
    numbers = sorted(path.name for path in (data / "P-1" / "negative").iterdir())
    assert "P-1_idx1.jpg" in numbers


def test_nobody_at_the_keyboard(data):
    done = piped(data, "")
    assert done.returncode == 0, done.stderr
    assert valences(data) == []


def test_keys_on_a_terminal(data):
    """No Enter after a key; answers are given as the questions come."""
    controller, terminal = pty.openpty()
    child = subprocess.Popen(
        [*COMMAND, "capture", "P-1", "demo", "--data", data, *SHORT],
        stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, close_fds=True,
    )  # fmt: skip
    os.close(terminal)
    timer = threading.Timer(400, child.kill)
    timer.start()
    answers = [(b"neutral: Enter starts", b"s"), (b"negative: Enter starts", b"\n"),
               (b"Enter keeps it", b"q")]  # fmt: skip
    seen = b""
    while True:
        try:
            read = os.read(controller, 4096)
        except OSError:  # closed at the other end
            break
        if not read:
            break
        seen += read
        if answers and answers[0][0] in seen:
            seen = seen.split(answers[0][0], 1)[1]
            os.write(controller, answers.pop(0)[1])
    _, errors = child.communicate()
    timer.cancel()
    assert child.returncode == 0, errors
    assert answers == []
    assert {valence for valence, _ in valences(data)} == {"negative"}


def test_lines_of_a_pipe():
    reader, writer = os.pipe()
    os.write(writer, b"\nSkip\n r \n")
    with Keys(reader) as keys:
        assert [keys.poll() for _ in range(4)] == [ENTER, "s", "r", None]
        os.close(writer)
        assert keys.poll() == QUIT
    os.close(reader)


def test_a_window_shows_what_is_recorded_and_takes_keys(data, monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    import io

    from rich.console import Console

    from emotion_perception.pipeline import ReactionPipeline
    from emotion_perception.training.capture_prompts import Guide
    from emotion_perception.training.capture_select import FaceSelector, SelectionOptions
    from emotion_perception.window import Window

    images = [frame for frame, _ in zip(demo_frames(4.0), range(12), strict=False)]
    frames = (Frame(i, i / 4, image) for i, image in enumerate(images))
    source = FrameSource(name="camera", size=(640, 480), _frames=frames, live=True)
    window = Window("test")
    reader, writer = os.pipe()  # a keyboard at which nobody sits
    selector = FaceSelector(ReactionPipeline(threads=1), SelectionOptions(min_difference=0))
    with Keys(reader) as keys:
        guide = Guide(Console(file=io.StringIO()), keys, seconds=1, countdown=0.5, window=window)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RETURN))
        takes = guide.takes(source, selector)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_RETURN))
        first = next(takes)
        assert first.valence == "neutral"
        assert len(first.crops) >= 2
        shown = pygame.surfarray.array3d(pygame.display.get_surface())
        assert tuple(shown[600, 3]) == (40, 40, 40)  # the bar with the text
        assert list(takes) == []  # the camera was unplugged
    window.close()
    os.close(writer)
    os.close(reader)
