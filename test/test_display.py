# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from emotion_perception.display import display
from emotion_perception.image.demo_clip import demo_frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A second of the smiling astronaut as a folder of images."""
    pytest.importorskip("matplotlib")
    directory = tmp_path_factory.mktemp("clip")
    for index, frame in enumerate(demo_frames(15.0)):
        if index == 10:
            break
        cv2.imwrite(str(directory / f"{index}.png"), frame)
    return directory


def test_text_counts_every_frame(clip, capsys):
    totals = display(str(clip), window=False, model=None, device="cpu", min_face_size=40)
    assert totals == {"POSITIVE": 10}
    out = capsys.readouterr().out
    assert "POSITIVE" in out
    assert "10 frames" in out


def test_window_shows_frames_and_q_quits(clip, monkeypatch, capsys):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    from emotion_perception.window import Window

    window = Window("test")
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:, :, 0] = 255  # blue, if the colour order is right
    assert window.show(frame)
    assert pygame.display.get_surface().get_at((5, 5))[:3] == (0, 0, 255)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_q))
    assert not window.show(frame)
    window.close()


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "emotion_perception.cli", *arguments],
        capture_output=True, text=True, timeout=60, env={**os.environ, **environment},
    )  # fmt: skip


def test_command(clip):
    done = command("display", "--source", str(clip), "--no-window")
    assert done.returncode == 0, done.stderr
    assert "10 frames" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["display", "--source", "nowhere.mp4", "--no-window"], "nowhere.mp4"),
        (["display", "--source", "77", "--no-window"], "webcam 77"),
        (["evaluate", "--data", "nowhere"], "nowhere: no such folder"),
        (["display", "--source", ".", "--model", "nowhere", "--no-window"], "error: "),
    ],
)
def test_bad_input_is_one_line(arguments, words):
    done = command(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_version():
    from emotion_perception import __version__

    assert __version__ in command("--version").stdout
