# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a video says of itself, and what is made of it."""

import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

av = pytest.importorskip("av", reason="pip install '.[sessions]'")

from emotion_perception.image import video
from emotion_perception.image.source import Frame, FrameSource, SourceError, Unreadable
from emotion_perception.image.video import _line, _rate, _Reader, _seconds, _started, open_video


def stream(**fields):
    usual = {"time_base": Fraction(1, 1000), "frames": 0, "duration": None, "start_time": None}
    return SimpleNamespace(**{**usual, "metadata": {}, **fields})


def container(name="matroska", duration=None, start_time=None):
    return SimpleNamespace(
        format=SimpleNamespace(name=name), duration=duration, start_time=start_time
    )


def reader(the_stream=None, the_container=None, *, step=0.04, origin=None, frame_count=None):
    """A reader of a file that says this, without the file."""
    made = object.__new__(_Reader)
    made._stream, made._container = the_stream or stream(), the_container or container()
    made._step, made._origin = step, origin
    made.source = FrameSource(name="x", size=(0, 0), _frames=iter(()), frame_count=frame_count)
    return made


@pytest.mark.parametrize(
    ("average", "guessed", "rate"),
    [
        (Fraction(25), None, 25.0),
        (Fraction(30000, 1001), Fraction(50), 30000 / 1001),
        (None, Fraction(50), 50.0),
        (Fraction(0), Fraction(50), 50.0),
        (Fraction(1001), Fraction(50), 50.0),
        (Fraction(1000), None, 1000.0),
        (Fraction(90000), Fraction(90000), None),
        (None, None, None),
    ],
)
def test_the_rate_of_a_video(average, guessed, rate):
    assert _rate(SimpleNamespace(average_rate=average, guessed_rate=guessed)) == rate


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("00:01:02.500000000", 62.5),
        ("02:00:00", 7200.0),
        ("01:02:03", 3723.0),
        ("", 0.0),
        ("62.5", 0.0),
        ("1:2:3:4", 0.0),
        ("a:b:c", 0.0),
        ("inf:0:0", 0.0),
        ("0:nan:0", 0.0),
    ],
)
def test_a_length_in_words(told, seconds):
    assert _seconds(told) == seconds


@pytest.mark.parametrize(
    ("metadata", "started"),
    [
        ({"creation_time": "2026-11-21T14:30:00.000000Z"}, "2026-11-21T14:30:00.000000Z"),
        ({"creation_time": "1970-01-01T00:00:00Z"}, ""),
        ({"creation_time": "1904-01-01T00:00:00Z"}, ""),
        ({"creation_time": "20" + "x" * 37}, "20" + "x" * 37),
        ({"creation_time": "20" + "x" * 38}, ""),
        ({}, ""),
    ],
)
def test_when_a_video_was_recorded(metadata, started):
    assert _started(SimpleNamespace(metadata=metadata)) == started


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("two\n  lines"), "two lines"),
        (OSError(2, "No such file"), "No such file"),
        (OSError("alone"), "alone"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_is_a_line(error, line):
    assert _line(error) == line


@pytest.mark.parametrize(
    ("one", "length"),
    [
        # What its video says comes first, then the tag of Matroska, then the container.
        (reader(stream(duration=9000)), 9.0),
        (reader(stream(duration=9000, start_time=500)), 9.5),
        (reader(stream(duration=9000, start_time=500), origin=0.5), 9.0),
        (reader(stream(metadata={"DURATION": "00:00:07.5"}), container(duration=8_000_000)), 7.5),
        (reader(stream(metadata={"DURATION": "x"}), container(duration=8_000_000)), 8.0),
        (reader(stream(), container(duration=8_000_000, start_time=1_000_000)), 9.0),
        (reader(stream(time_base=None, duration=9000), container(duration=8_000_000)), 8.0),
        (reader(), 2.0),  # nobody says it
        (reader(stream(duration=1000)), 2.0),  # it was longer than it says
        # The duration of an AVI is a guess; the number of its frames is not.
        (reader(stream(frames=100, duration=9000), container("avi")), 4.0),
        (reader(stream(frames=10, duration=9000), container("avi")), 2.0),
        (reader(stream(duration=9000), container("avi")), 9.0),
        (reader(stream(frames=100, duration=9000), container("mov,mp4")), 9.0),
    ],
)
def test_how_long_a_video_says_it_is(one, length):
    assert one._length(2.0) == pytest.approx(length)


@pytest.mark.parametrize(
    ("count", "seconds", "bad", "expected", "noted"),
    [
        # Of ten seconds and 250 frames:
        (250, 9.96, 0, 250, []),
        (226, 9.0, 0, 250, []),  # nine tenths are enough
        (224, 8.94, 0, 250, [(8.94, 10.0, 26, "truncated: the end is missing")]),
        (224, 9.0, 0, 250, []),  # as long as it says, though the frames are fewer
        (230, 8.0, 0, 250, []),  # as many as it says, though they end earlier
        (100, 3.96, 0, 250, [(3.96, 10.0, 150, "truncated: the end is missing")]),
        (100, 3.96, 0, None, [(3.96, 10.0, -1, "truncated: the end is missing")]),
        (100, 3.96, 4, 250, [(3.96, 10.0, 154, "rotten")]),
        (250, 9.9, 3, 250, [(9.9, 10.0, 3, "rotten")]),
        (1, -0.04, 1, 250, [(0.0, 10.0, 250, "rotten")]),
    ],
)
def test_what_is_missing_at_the_end(count, seconds, bad, expected, noted):
    one = reader(stream(duration=10_000), frame_count=expected)
    one._check_end(count, seconds, bad, "rotten")
    assert one.source.unreadable == [Unreadable(*part) for part in noted]


def test_a_remark_is_made_once():
    one = reader()
    for note in ("a", "b", "a"):
        one._remark(note)
    assert one.source.notes == ["a", "b"]


def at(time):
    return SimpleNamespace(time=time)


def test_times_rise_and_jumps_are_told():
    one = reader(step=0.1)
    assert one._time(at(5.0), -0.1) == 0.0
    assert one._time(at(5.3), 0.0) == pytest.approx(0.3)
    assert (one.source.exact, one.source.notes) == (True, [])
    assert one._time(at(5.3), 0.3) == pytest.approx(0.4)  # twice the same
    assert (one.source.exact, one.source.notes) == (False, [])
    assert one._time(at(5.0), 1.0) == pytest.approx(1.1)  # a second back is no jump
    assert one.source.notes == []
    assert one._time(at(5.0), 1.01) == pytest.approx(1.11)
    assert one.source.notes == ["its time stamps jump back"]
    assert one._time(at(None), 3.0) == pytest.approx(3.1)


def test_times_without_stamps_count_from_zero():
    one = reader(step=0.1)
    assert one._time(at(None), -0.1) == pytest.approx(0.0)
    assert one._time(at(0.5), 0.0) == pytest.approx(0.5)


def write(path, count, size=(64, 48), rate=25, **options):
    with av.open(str(path), "w") as written:
        made = written.add_stream("mpeg4", rate=rate, options={"g": "10", **options})
        made.width, made.height, made.pix_fmt = *size, "yuv420p"
        for index in range(count):
            image = np.full((size[1], size[0], 3), 20 + 3 * index, np.uint8)
            written.mux(made.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        written.mux(made.encode(None))
    return path


def test_what_a_source_says(tmp_path):
    path = write(tmp_path / "x.avi", 30, rate=15)
    with open_video(path) as source:
        assert (source.name, source.live, source.fps) == (str(path), False, 15.0)
        assert (source.frame_count, source.started, source.exact) == (30, "", True)
        assert source.origin is None
        levels = [float(frame.image.mean()) for frame in source]
    assert levels == pytest.approx([20 + 3 * n for n in range(30)], abs=6)
    assert list(source) == []


@pytest.mark.parametrize("threads", [-1, 0, 1, 3])
def test_threads(tmp_path, threads):
    path = write(tmp_path / "x.avi", 12)
    assert len(list(open_video(path, threads=threads))) == 12


@pytest.mark.parametrize(
    ("max_side", "shape", "scale"),
    [
        (None, (48, 64), 1.0),
        (64, (48, 64), 1.0),
        (1000, (48, 64), 1.0),
        (32, (24, 32), 0.5),
        (1, (2, 2), 1 / 64),
    ],
)
def test_the_longer_side(tmp_path, max_side, shape, scale):
    with open_video(write(tmp_path / "x.avi", 2), max_side=max_side) as source:
        frame = next(source)
        assert source.size == (64, 48)
    assert (frame.image.shape, frame.scale) == ((*shape, 3), scale)
    assert frame.image.dtype == np.uint8


def test_going_on_with_some_frames_only(tmp_path):
    path = write(tmp_path / "x.avi", 40)
    whole = [(f.index, f.time) for f in open_video(path, every=4)]
    assert [index for index, _ in whole] == list(range(0, 40, 4))
    for seek in (True, False):
        mark = Frame(*whole[3], np.empty((0, 0, 3), np.uint8))
        rest = open_video(path, every=4, after=mark, seek=seek)
        assert [(f.index, f.time) for f in rest] == whole[4:]


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "x.avi", 2)
    video._check_size("x", SimpleNamespace(width=8192, height=8192))
    monkeypatch.setattr(video, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(SourceError, match=r"x.avi: 64x48 pixels, expected at most 3071 in all$"):
        open_video(path)


def test_pyav_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    expected = r"x: reading videos needs PyAV: pip install 'emotion_perception\[sessions\]'"
    with pytest.raises(SourceError, match=expected):
        open_video(Path("x"))


def test_a_picture_on_the_cover_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as written:
        sound = written.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        written.mux(sound.encode(frame))
        written.mux(sound.encode(None))
    with pytest.raises(SourceError, match=r"song.mp4: only sound in it, expected a video"):
        open_video(path)
    none = SimpleNamespace(streams=SimpleNamespace(video=[], audio=[]))
    with pytest.raises(SourceError, match="x: no video in it, expected a video"):
        video._video_stream(Path("x"), none)
    cover = SimpleNamespace(disposition=av.stream.Disposition.attached_pic)
    unknown = SimpleNamespace(disposition=av.stream.Disposition(0), codec_context=None)
    known = SimpleNamespace(disposition=av.stream.Disposition(0), codec_context=object())
    some = SimpleNamespace(streams=SimpleNamespace(video=[cover, known, unknown], audio=[]))
    assert video._video_stream(Path("x"), some) is known
    some.streams.video = [cover, unknown]
    with pytest.raises(SourceError, match="x: its video is of a kind that FFmpeg can't decode"):
        video._video_stream(Path("x"), some)
