# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Laps, still images and demonstration, to the last frame."""

import logging
import math

import cv2
import numpy as np
import pytest

from emotion_perception.image import playback
from emotion_perception.image.demo_clip import DEMO_SIZE
from emotion_perception.image.playback import Pacer, open_any_source, timed_frames
from emotion_perception.image.source import Frame, FrameSource, SourceError


class Recording:
    """A recording that tells how often it was opened and closed."""

    def __init__(self, times, fps=None, frame_count=None, breaks_off=False):
        self.times, self.fps, self.frame_count = times, fps, frame_count
        self.breaks_off = breaks_off
        self.opened = self.closed = 0

    def open(self):
        self.opened += 1

        def frames():
            for index, time in enumerate(self.times):
                yield Frame(index, time, np.full((2, 2, 3), index, np.uint8))
            if self.breaks_off:
                raise SourceError("clip: truncated")

        return FrameSource(
            name="clip", size=(2, 2), _frames=frames(), fps=self.fps,
            frame_count=self.frame_count, _release=self.close,
        )  # fmt: skip

    def close(self):
        self.closed += 1

    def play(self, count=math.inf, **options):
        told = []
        for seconds, image in timed_frames(self.open, self.open(), **options):
            told.append((round(seconds, 6), int(image[0, 0, 0])))
            if len(told) >= count:
                break
        return told


def test_a_lap_lasts_as_long_as_its_last_step():
    clip = Recording([0.0, 0.5, 0.6], fps=10.0, frame_count=3)
    assert clip.play(7, loop=True) == [
        (0, 0), (0.5, 1), (0.6, 2), (0.7, 0), (1.2, 1), (1.3, 2), (1.4, 0),
    ]  # fmt: skip
    assert clip.closed == clip.opened == 3


def test_without_laps_it_is_closed_at_its_end():
    clip = Recording([0.0, 0.1])
    assert clip.play() == [(0.0, 0), (0.1, 1)]
    assert (clip.opened, clip.closed) == (1, 1)


@pytest.mark.parametrize(("fps", "step"), [(4.0, 0.25), (None, 0.1)])
def test_laps_of_one_frame_of_several(fps, step):
    # Of unknown length, so that nobody takes it for a still image.
    clip = Recording([0.0], fps=fps)
    assert [t for t, _ in clip.play(3, loop=True)] == pytest.approx([0, step, 2 * step])


def test_a_rate_counts_through_all_laps():
    clip = Recording([0.0, 5.0], fps=10.0, frame_count=2)
    assert clip.play(5, loop=True, rate=4.0) == [(0, 0), (0.25, 1), (0.5, 0), (0.75, 1), (1, 0)]


@pytest.mark.parametrize(
    ("options", "times"),
    [
        ({"image_duration": 0.31}, [0, 0.1, 0.2, 0.3]),
        ({"image_duration": 0.3}, [0, 0.1, 0.2]),
        ({"image_duration": 0.5, "rate": 4.0}, [0, 0.25]),
        ({"image_duration": 0.6, "rate": 4.0}, [0, 0.25, 0.5]),
        ({}, [n / 10 for n in range(30)]),  # three seconds
    ],
)
def test_a_still_image_is_shown_for_a_while(options, times):
    clip = Recording([0.0], frame_count=1)
    assert clip.play(**options) == [(pytest.approx(time), 0) for time in times]
    assert clip.closed == 1


def test_a_still_image_that_cannot_be_read_is_not_repeated():
    clip = Recording([], frame_count=1)
    assert clip.play() == []


def test_a_lap_that_breaks_off(caplog):
    clip = Recording([0.0, 0.1], fps=10.0, frame_count=9, breaks_off=True)
    with caplog.at_level(logging.WARNING):
        assert clip.play(5, loop=True) == [(0, 0), (0.1, 1), (0.2, 0), (0.3, 1), (0.4, 0)]
    assert [r.getMessage() for r in caplog.records] == ["clip: truncated; starting again"] * 2
    with pytest.raises(SourceError, match="truncated"):
        Recording([0.0], breaks_off=True).play()
    with pytest.raises(SourceError, match="truncated"):  # or it would go on for ever
        Recording([], breaks_off=True).play(loop=True)


def test_the_demonstration():
    pytest.importorskip("matplotlib")
    with open_any_source("demo") as source:
        assert (source.name, source.size, source.fps) == ("demo clip", DEMO_SIZE, 15.0)
        assert (source.frame_count, source.live) == (180, False)
        frames = [next(source) for _ in range(3)]
    assert [(f.index, f.time) for f in frames] == [(n, pytest.approx(n / 15)) for n in range(3)]
    assert (frames[0].image != frames[2].image).any()


def test_other_sources_keep_their_options(tmp_path):
    for n in range(2):
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.zeros((4, 4, 3), np.uint8))
    assert open_any_source(str(tmp_path)).fps == 10.0
    assert open_any_source(str(tmp_path), fps=3.0).fps == 3.0


def test_the_first_webcam_is_taken(monkeypatch):
    opened = []
    monkeypatch.setattr(playback, "first_webcam", lambda: 0)
    monkeypatch.setattr(playback, "open_source", lambda source, fps: opened.append((source, fps)))
    open_any_source("", 7.0)
    assert opened == [(0, 7.0)]
    monkeypatch.setattr(playback, "first_webcam", lambda: None)
    expected = "^no webcam found; name a video, GIF, image or folder, or 'demo'$"
    with pytest.raises(SourceError, match=expected):
        open_any_source("")


def test_the_pace_of_uneven_frames():
    now = 50.0
    pacer = Pacer(lambda: now)
    assert pacer.delay(3.0) == 0.0  # the first is due at once, whatever its time
    assert pacer.delay(3.5) == pytest.approx(0.5)
    now = 50.6  # a tenth late
    assert pacer.delay(3.7) == pytest.approx(0.1)
    now = 50.85  # again, and the next one catches up
    assert pacer.delay(3.8) == pytest.approx(0.0)
    assert pacer.delay(3.9) == pytest.approx(0.05)
    assert pacer.delay(3.8) == pytest.approx(0.05)  # back in time: with the last one
    now = 60.0
    assert pacer.delay(4.0) == 0.0
    assert pacer.delay(4.5) == pytest.approx(0.5)
