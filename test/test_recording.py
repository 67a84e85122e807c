# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The table, the video and the timeline that a session leaves behind."""

import csv
import io
import math

import cv2
import numpy as np
import pytest
from rich.console import Console

from emotion_perception import recording
from emotion_perception.live_view import Progress, View, panel, summary
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.recording import CSV_FIELDS, Sample, VideoRecorder, write_csv
from emotion_perception.timeline import draw_timeline

NOBODY = (Reaction.UNKNOWN, Reason.NO_FACE)


def sample(stamp, reaction=Reaction.POSITIVE, reason=Reason.NONE):
    if reason == Reason.NO_FACE:
        return Sample(stamp, reaction, reason, latency=0.01)
    return Sample(
        stamp, reaction, reason, (0.1, 0.2, 0.7), 0.7, 0.6, "face_1", (10, 20, 30, 40), 0.02
    )


@pytest.fixture
def samples():
    """Positive, then nobody, then a pause without images, then doubt."""
    result = [sample(1.7e9 + i / 10) for i in range(10)]
    result += [sample(1.7e9 + 1 + i / 10, *NOBODY) for i in range(10)]
    result += [sample(1.7e9 + 9, Reaction.UNKNOWN, Reason.LOW_CONFIDENCE)]
    return result


def grey(value, height=48, width=64):
    return np.full((height, width, 3), value, np.uint8)


def levels(path):
    """The grey level of each frame of a video."""
    capture = cv2.VideoCapture(str(path))
    result = []
    while (read := capture.read())[0]:
        result.append(round(float(read[1].mean()), -1))
    return capture.get(cv2.CAP_PROP_FPS), result


def test_csv_has_a_row_for_each_sample(tmp_path, samples):
    write_csv(tmp_path / "r.csv", samples)
    with (tmp_path / "r.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == CSV_FIELDS
    assert len(rows) == len(samples)
    assert rows[3]["reaction"] == "POSITIVE"
    assert float(rows[3]["time_s"]) == pytest.approx(0.3, abs=1e-5)
    assert [rows[0][name] for name in ("x", "y", "width", "height")] == ["10", "20", "30", "40"]
    assert (rows[12]["reaction"], rows[12]["reason"]) == ("UNKNOWN", "NO_FACE")


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        # Even times: each frame once.
        ([0.0, 0.1, 0.2], [50, 100, 150]),
        # A little uneven: still each frame once.
        ([0.0, 0.13, 0.17, 0.31], [50, 100, 150, 200]),
        # A frame stays until the next one comes.
        ([0.0, 0.3, 0.4], [50, 50, 50, 100, 150]),
        # Of two frames in one tick the newer counts.
        ([0.0, 0.1, 0.11, 0.2], [50, 150, 200]),
        # The last one as long as the one before it.
        ([0.0, 0.3, 0.6], [50] * 3 + [100] * 3 + [150] * 3),
        # A clock that was set back goes on from the last frame.
        ([100.0, 100.1, 20.0, 20.1], [50, 100, 150, 200]),
        # A pause of an hour is cut.
        ([0.0, 3600.0, 3600.1], [50, 100, 150]),
    ],
)
def test_video_keeps_time(tmp_path, stamps, expected):
    recorder = VideoRecorder(tmp_path, "v", 10.0)
    for index, stamp in enumerate(stamps):
        recorder.add(1.7e9 + stamp, grey(50 * (index + 1)))
    assert not (tmp_path / "v.mp4").exists()  # not before it is whole
    path = recorder.close()
    assert levels(path) == (10.0, expected)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_video_fits_other_sizes(tmp_path):
    recorder = VideoRecorder(tmp_path, "v", 10.0)
    for index, (height, width) in enumerate([(48, 64), (480, 640), (90, 20), (1, 1)]):
        recorder.add(index / 10, grey(200, height, width))
    capture = cv2.VideoCapture(str(recorder.close()))
    frames = [capture.read()[1] for _ in range(4)]
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert frames[1].mean() == pytest.approx(200, abs=5)
    assert frames[2][:, :20].mean() < 20 < 150 < frames[2][:, 28:36].mean()  # bars


@pytest.mark.parametrize("shape", [(47, 63), (3000, 2001), (1, 1)])
def test_video_of_any_size(tmp_path, shape):
    recorder = VideoRecorder(tmp_path, "v", 10.0)
    recorder.add(0.0, grey(120, *shape))
    path = recorder.close()
    assert path is not None
    capture = cv2.VideoCapture(str(path))
    height, width = capture.read()[1].shape[:2]
    assert max(height, width) <= recording.MAX_SIDE
    assert (height / width) == pytest.approx(shape[0] / shape[1], rel=0.05)


def test_video_falls_back_to_motion_jpeg(tmp_path, monkeypatch):
    (tmp_path / "v.mp4").write_bytes(b"of an earlier run")
    monkeypatch.setattr(recording, "_CODECS", ((".mp4", "zzzz"), (".avi", "MJPG")))
    recorder = VideoRecorder(tmp_path, "v", 10.0)
    recorder.add(0.0, grey(120))
    assert recorder.close() == tmp_path / "v.avi"
    assert levels(tmp_path / "v.avi") == (10.0, [120])
    assert [file.name for file in tmp_path.iterdir()] == ["v.avi"]


def test_no_codec_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_CODECS", ((".mp4", "zzzz"),))
    with pytest.raises(OSError, match="neither"):
        VideoRecorder(tmp_path, "v").add(0.0, grey(1))
    assert not list(tmp_path.iterdir())


def test_no_frames_no_video(tmp_path):
    assert VideoRecorder(tmp_path, "v").close() is None


def test_timeline_shows_what_happened(tmp_path, samples):
    draw_timeline(tmp_path / "t.png", samples, "Title")
    picture = cv2.imread(str(tmp_path / "t.png"))
    assert picture.shape[1] > 1000
    green = np.abs(picture.astype(int) - (115, 158, 0)).sum(2) < 10
    assert green.sum() > 1000  # the band and the line of positive
    assert [file.name for file in tmp_path.iterdir()] == ["t.png"]


@pytest.mark.parametrize("count", [1, 2])
def test_timeline_of_hardly_anything(tmp_path, samples, count):
    draw_timeline(tmp_path / "t.png", samples[:count], "Title")
    assert (tmp_path / "t.png").stat().st_size > 1000


def test_timeline_of_nothing(tmp_path):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_timeline(tmp_path / "t.png", [], "Title")
    assert not list(tmp_path.iterdir())


def shown(renderable, width=100):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(renderable)
    return console.export_text()


def test_panel_says_what_is_seen(samples):
    progress = Progress("clip [1].mp4")
    assert "waiting" in shown(panel(progress, "hint"))
    for one in samples[:10]:
        progress.add(one, "base-1")
    text = shown(panel(progress, "hint"))
    for part in ("clip [1].mp4", "POSITIVE", "70%", "0.70", "+0.60", "20.0 ms", "base-1", "hint"):
        assert part in text
    progress.add(samples[12], "base-1")
    assert "NO FACE" in shown(panel(progress, "hint"))


@pytest.mark.parametrize("valence", [-1.0, -0.999, 0.0, 0.999, 1.0])
def test_panel_of_extremes(valence):
    progress = Progress("x")
    both = (max(0.0, -valence), 1 - abs(valence), max(0.0, valence))
    progress.add(Sample(1.0, Reaction.NEUTRAL, Reason.NONE, both, max(both), valence), "m")
    assert shown(panel(progress, "")).count("●") == 1


def test_lines_where_there_is_no_terminal(samples, capsys):
    progress = Progress("x")
    with View(Console(width=150), progress) as view:
        view.refresh()
        for one in samples:
            progress.add(one, "m")
        for _ in range(3):  # nothing new: nothing more to say
            view.refresh()
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 1
    assert "low confidence" in out[0]


def test_summary_counts(samples):
    progress = Progress("x", samples=samples)
    text = shown(summary(progress))
    assert "21 images judged in 9.0 s" in text
    assert "10" in text
    assert "48%" in text
    assert math.isfinite(progress.latency())
