# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""When frames are due: laps, still images and pacing."""

import cv2
import numpy as np
import pytest

from emotion_perception.image import playback
from emotion_perception.image.playback import Pacer, open_any_source, timed_frames
from emotion_perception.image.source import Frame, FrameSource, SourceError, open_source


def recording(times=(0.0, 0.1, 0.2), fps=10.0, breaks_off=False):
    def frames():
        for index, time in enumerate(times):
            yield Frame(index, time, np.full((4, 6, 3), index, np.uint8))
        if breaks_off:
            raise SourceError("clip: truncated")

    return FrameSource(name="clip", size=(6, 4), _frames=frames(), fps=fps, frame_count=len(times))


def due(source, count=None, **options):
    frames = timed_frames(recording, source, **options)
    taken = frames if count is None else (next(frames) for _ in range(count))
    return [(round(seconds, 6), int(image[0, 0, 0])) for seconds, image in taken]


@pytest.mark.parametrize(
    ("options", "count", "expected"),
    [
        ({}, None, [(0.0, 0), (0.1, 1), (0.2, 2)]),
        # A rate replaces the recording's own times.
        ({"rate": 50.0}, None, [(0.0, 0), (0.02, 1), (0.04, 2)]),
        # The second lap starts one step after the end of the first.
        ({"loop": True}, 5, [(0.0, 0), (0.1, 1), (0.2, 2), (0.3, 0), (0.4, 1)]),
        ({"loop": True, "rate": 50.0}, 4, [(0.0, 0), (0.02, 1), (0.04, 2), (0.06, 0)]),
    ],
)
def test_frames_are_due(options, count, expected):
    assert due(recording(), count, **options) == expected


def test_uneven_times_are_kept():
    assert [t for t, _ in due(recording((0.0, 0.5, 0.6)))] == [0.0, 0.5, 0.6]


@pytest.mark.parametrize(
    ("options", "count"),
    # A single still image is shown at 10 Hz for its duration, at least once, or for ever.
    [({"image_duration": 0.5}, 5), ({"image_duration": 0.0}, 1)],
)
def test_still_image_is_repeated(options, count):
    times = [t for t, _ in due(recording((0.0,), fps=None), **options)]
    assert times == pytest.approx([i / 10 for i in range(count)])


def test_looping_still_image_has_no_end():
    assert due(recording((0.0,), fps=None), 100, loop=True)[-1] == (9.9, 0)


def test_broken_recording_ends_with_its_error():
    frames = timed_frames(recording, recording(breaks_off=True))
    assert len([next(frames) for _ in range(3)]) == 3
    with pytest.raises(SourceError, match="truncated"):
        next(frames)


def test_broken_recording_loops_with_a_warning(caplog):
    assert len(due(recording(breaks_off=True), 5, loop=True)) == 5
    assert "starting again" in caplog.text


def test_recording_that_vanishes_while_looping(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((8, 8, 3), np.uint8))
    frames = timed_frames(lambda: open_source("gone"), open_source(tmp_path), loop=True)
    assert len([next(frames) for _ in range(2)]) == 2
    with pytest.raises(SourceError, match="no such file"):
        next(frames)


def test_demo_source():
    pytest.importorskip("matplotlib")
    with open_any_source("demo") as source:
        frame = next(source)
        assert (frame.image.shape[1], frame.image.shape[0]) == source.size
        assert next(source).time == pytest.approx(1 / source.fps)


def test_no_webcam(monkeypatch):
    monkeypatch.setattr(playback, "first_webcam", lambda: None)
    with pytest.raises(SourceError, match="no webcam found"):
        open_any_source("")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def play(steps, delays):
    """Play frames of 0.1 s; before each one ``delays`` seconds of work; return when they show."""
    clock, shown = Clock(), []
    pacer = Pacer(clock)
    for index in range(steps):
        clock.now += delays.get(index, 0.0)
        clock.now += pacer.delay(index * 0.1)
        shown.append(round(clock.now - 100.0, 3))
    return shown


@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        # Nothing in the way: no drift.
        ({}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        # Work that fits between two frames does not show.
        ({1: 0.09, 3: 0.05}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]),
        # Late by less than a frame: shown late, and the schedule is caught up with.
        ({2: 0.16}, [0.0, 0.1, 0.26, 0.31, 0.4, 0.5]),
        # Late by more: the schedule moves, no burst.
        ({2: 1.0}, [0.0, 0.1, 1.1, 1.2, 1.3, 1.4]),
        # Always too slow: as fast as it goes.
        (dict.fromkeys(range(1, 6), 0.25), [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]),
    ],
)
def test_pacing(delays, expected):
    assert play(6, delays) == pytest.approx(expected)


def test_pacing_never_bursts():
    rng = np.random.default_rng(1)
    delays = {i: float(rng.exponential(0.08)) for i in range(1, 300)}
    assert min(np.diff(play(300, delays))) >= 0.049
