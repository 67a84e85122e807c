# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="pip install '.[sessions]'")
pytest.importorskip("pyarrow")

from typer.testing import CliRunner
from videos import change_table, number_in, read_video, write_video

from emotion_perception.cli import app
from emotion_perception.sessions.clips import CSV_FIELDS, plan_clips, write_clips
from emotion_perception.sessions.events import Event, events_path, write_events
from emotion_perception.sessions.overlay import Look
from emotion_perception.sessions.playback import open_playback
from emotion_perception.sessions.table import SessionError

FRAMES = 400
CAPTION = 38
"""Rows above the frame, in pictures of 640 x 480."""


def event(onset, offset, reaction="positive", face_id="f1", share=1.0):
    return Event(
        session="day 1 – Ä", model="base", face_id=face_id, partner_share=share, reaction=reaction,
        onset=onset, peak=onset, offset=offset, peak_valence=0.5, strength=0.5, confidence=0.9,
        frames=10, coverage=1.0,
    )  # fmt: skip


EVENTS = [
    event(1.0, 1.4),
    event(5.0, 5.6, "negative"),
    event(6.0, 6.4),
    event(11.0, 11.2, "negative", "f2", 0.0),
    event(15.8, 16.0, "negative"),
]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("v") / "v.mp4"
    return write_video(path, np.arange(FRAMES) / 25, gop=50, b_frames=2)


@pytest.fixture
def recording(video, make_session, tmp_path):
    """16 s at 25 frames a second with the events above, two of them close together."""
    table = make_session([(16, "neutral")], name="day")

    def change(rows):
        import pandas

        other = rows.copy()
        other["face_id"], other["is_partner"] = "f2", False
        return pandas.concat([rows, other]).sort_values("frame", kind="stable")

    change_table(table, change)
    write_events(events_path(table), EVENTS)
    return Path(shutil.copy(video, tmp_path / "day.mp4"))


def run(recording, *arguments):
    return CliRunner().invoke(app, ["playback", str(recording), *map(str, arguments)])


def numbers(path):
    times, images = read_video(path)
    return times, [number_in(image, top=CAPTION) for image in images]


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def frames(*spans):
    return [index for start, stop in spans for index in range(start, stop)]


def test_clips_hold_exactly_the_frames_around_events(recording, tmp_path):
    out = tmp_path / "out.mp4"
    # A stretch begins between two frames.
    result = run(recording, "--clips", out, "--before", 0.41, "--after", 0.2)
    assert result.exit_code == 0, result.output
    assert "4 events in 3 clips" in result.output
    times, shown = numbers(out)
    # The second and the third overlap; the last one ends with the recording.
    assert shown == frames((15, 40), (115, 165), (385, 400))
    assert np.allclose(times, np.arange(90) / 25, atol=1e-4)
    table = rows_of(tmp_path / "out.csv")
    assert tuple(table[0]) == CSV_FIELDS
    assert [row["event"] for row in table] == ["1", "2", "3", "4"]
    assert [row["clip"] for row in table] == ["1", "2", "2", "3"]
    assert {row["session"] for row in table} == {"day 1 – Ä"}
    assert {row["file"] for row in table} == {"out.mp4"}
    # The table leads to the frames at which the events begin.
    for row, chosen in zip(table, [EVENTS[0], EVENTS[1], EVENTS[2], EVENTS[4]], strict=True):
        at = int(np.abs(times - float(row["onset_in_file_s"])).argmin())
        assert abs(times[at] - float(row["onset_in_file_s"])) < 1e-3
        assert shown[at] == round(chosen.onset * 25)
        assert float(row["clip_from_s"]) <= times[at] < float(row["clip_to_s"])
        assert float(row["offset_in_file_s"]) - float(row["onset_in_file_s"]) == pytest.approx(
            chosen.duration, abs=1e-5
        )
    assert float(table[0]["clip_to_s"]) == pytest.approx(1.0)
    assert float(table[1]["clip_from_s"]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--reaction", "negative"], [(125, 140), (395, 400)]),
        (["--reaction", "negative", "--reaction", "positive"],
         [(25, 35), (125, 140), (150, 160), (395, 400)]),
        (["--person", "f2"], [(275, 280)]),
        (["--person", "all", "--reaction", "negative"], [(125, 140), (275, 280), (395, 400)]),
        (["--person", "f1", "--reaction", "positive"], [(25, 35), (150, 160)]),
    ],
)  # fmt: skip
def test_whose_and_which_events(recording, tmp_path, options, expected):
    out = tmp_path / "out.mp4"
    result = run(recording, "--clips", out, "--before", 0, "--after", 0, "--scale", 1, *options)
    assert result.exit_code == 0, result.output
    assert numbers(out)[1] == frames(*expected)


def test_a_file_for_each_event(recording, tmp_path):
    result = run(recording, "--clips", tmp_path / "c.mp4", "--each", "--before", 1, "--after", 0)
    assert result.exit_code == 0, result.output
    names = [
        "c-001-positive.mp4", "c-002-negative.mp4", "c-003-positive.mp4", "c-004-negative.mp4"
    ]  # fmt: skip
    assert sorted(path.name for path in tmp_path.glob("c*")) == [*names, "c.csv"]
    table = rows_of(tmp_path / "c.csv")
    assert [row["file"] for row in table] == names
    for row, (first, stop) in zip(
        table, [(0, 35), (100, 140), (125, 160), (370, 400)], strict=True
    ):
        times, shown = numbers(tmp_path / row["file"])
        assert shown == frames((first, stop))
        assert times[0] == 0
        assert float(row["onset_in_file_s"]) == pytest.approx(
            float(row["onset_s"]) - first / 25, abs=1e-5
        )


def test_the_caption_tells_event_and_time(recording, tmp_path):
    run(recording, "--clips", tmp_path / "c.mp4", "--before", 0.2, "--after", 0)
    _, images = read_video(tmp_path / "c.mp4")
    captions = [image[:CAPTION].astype(int) for image in images]
    assert all((caption > 150).sum() > 500 for caption in captions)
    left, right = slice(0, 400), slice(400, 640)
    upper, lower = slice(0, CAPTION // 2), slice(CAPTION // 2, CAPTION)
    # The running time changes from frame to frame, the rest with the event.
    assert np.abs(captions[3][upper, right] - captions[4][upper, right]).max() > 80
    assert np.abs(captions[3][lower] - captions[4][lower]).max() < 60
    assert np.abs(captions[3][upper, left] - captions[20][upper, left]).max() < 60
    assert np.abs(captions[3][lower, left] - captions[20][lower, left]).max() > 80
    assert np.abs(captions[3][lower, right] - captions[20][lower, right]).max() > 80


def test_overlapping_clips_are_merged():
    numbered = list(enumerate([event(1, 2), event(2.5, 4), event(3, 3.2), event(9, 9.5)], 1))
    clips = plan_clips(numbered, 0.5, 0.5, 9.6)
    assert [(clip.start, clip.end) for clip in clips] == [(0.5, 4.5), (8.5, pytest.approx(9.601))]
    assert [[number for number, _ in clip.events] for clip in clips] == [[1, 2, 3], [4]]
    assert len(plan_clips(numbered, 0.5, 0.5, 9.6, merge=False)) == 4
    assert plan_clips(numbered, 100, 100, 9.6)[0].start == 0
    assert len(plan_clips(numbered, 100, 100, 9.6)) == 1
    assert plan_clips([], 1, 1, 9.6) == []


@pytest.mark.parametrize("each", [False, True])
def test_ctrl_c_leaves_nothing(recording, tmp_path, each):
    before = sorted(tmp_path.iterdir())

    def interrupted(done, total):
        if done > total / 3:
            assert sorted(tmp_path.iterdir()) != before
            raise KeyboardInterrupt

    playback = open_playback(recording)
    clips = plan_clips(list(enumerate(playback.events, 1)), 0.5, 0.5, playback.length, not each)
    with playback.frames, pytest.raises(KeyboardInterrupt):
        write_clips(playback, tmp_path / "c.mp4", Look(), clips, each=each, progress=interrupted)
    assert sorted(tmp_path.iterdir()) == before


def test_files_of_others_are_kept(recording, tmp_path):
    other = tmp_path / "c.csv"
    other.write_text("my,own\n1,2\n")
    with pytest.raises(SessionError, match=r"c\.csv: is another file"):
        raise run(recording, "--clips", tmp_path / "c.mp4").exception
    assert other.read_text() == "my,own\n1,2\n"
    assert not (tmp_path / "c.mp4").exists()
    (tmp_path / "d-002-negative.mp4").write_text("mine")
    with pytest.raises(SessionError, match=r"d-002-negative\.mp4: is another file"):
        raise run(recording, "--clips", tmp_path / "d.mp4", "--each").exception
    assert not (tmp_path / "d-001-positive.mp4").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--clips", "c.mp4", "--reaction", "happy"],
         "--reaction: expected one of negative, neutral, positive, got happy"),
        (["--clips", "c.mp4", "--reaction", "neutral"],
         r"no neutral event of partner to cut out \(events of that person: 4, in all: 5\)"),
        (["--clips", "c.mp4", "--render", "d.mp4"], "expected one of --render and --clips"),
        (["--each"], "--each, --reaction: go with --clips"),
        (["--clips", "c.mp4", "--end", "3"], "--start, --end: go without --clips"),
        (["--clips", "c.txt"], r"c\.txt: expected a name that ends in \.mp4 or \.mkv"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense(recording, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    result = run(recording, *arguments)
    with pytest.raises(ValueError, match=message):
        raise result.exception


def test_a_session_without_events(make_session, tmp_path):
    make_session([(1, "nobody")], name="n")
    video = write_video(tmp_path / "n.mp4", np.arange(25) / 25)
    with pytest.raises(SessionError, match="no negative or positive event of partner"):
        raise run(video, "--clips", tmp_path / "c.mp4").exception
