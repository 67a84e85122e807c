# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="pip install '.[sessions]'")
pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

import cv2
from typer.testing import CliRunner
from videos import GREY, change_table, coded, number_in, read_video, write_video

from emotion_perception.cli import app
from emotion_perception.drawing import COLOURS
from emotion_perception.reaction.reaction import Reaction
from emotion_perception.sessions.events import events_path, find_events, write_events
from emotion_perception.sessions.frames import Frames
from emotion_perception.sessions.lettering import hms, parse_time
from emotion_perception.sessions.overlay import Look, blur
from emotion_perception.sessions.playback import find_table, open_playback, render
from emotion_perception.sessions.recording import open_recording
from emotion_perception.sessions.strip import CURSOR, HATCH
from emotion_perception.sessions.table import SessionError, Unreadable, read_session
from emotion_perception.sessions.video_file import TICK

PLAN = [(1, "neutral"), (1, "positive"), (0.6, "nobody"), (1, "negative")]
COUNT = 90
UNEVEN = np.cumsum([0.0, *np.random.default_rng(3).uniform(0.005, 0.12, COUNT - 1)]).round(4)


def near(pixel, colour, by=40):
    return np.abs(np.array(pixel, int) - np.array(colour)).max() <= by


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("v") / "v.mp4", UNEVEN, gop=250, b_frames=3)


@pytest.fixture
def recording(video, make_session, tmp_path):
    """A recording at uneven times with its table: ``clip.mp4`` and ``clip.parquet``."""
    table = make_session(PLAN, name="clip", noise=0.01)

    def at_uneven_times(rows):
        rows["time"] = UNEVEN[rows["frame"]]

    change_table(table, at_uneven_times, seconds=float(UNEVEN[-1]))
    return Path(shutil.copy(video, tmp_path / "clip.mp4"))


@pytest.fixture
def opened(recording):
    playback = open_playback(recording)
    yield playback
    playback.frames.close()


def run(*arguments):
    return CliRunner().invoke(app, ["playback", *map(str, arguments)])


def error_of(result):
    assert result.exit_code != 0
    assert isinstance(result.exception, (ValueError, OSError)), result.exception
    assert "\n" not in str(result.exception)
    return str(result.exception)


# Frames


@pytest.mark.parametrize(("gop", "b_frames"), [(1, 0), (12, 2), (500, 4)])
@pytest.mark.parametrize("every", [1, 7])
def test_seeking_lands_on_the_right_frame(tmp_path, gop, b_frames, every):
    """Wherever the keyframes are, and also where the table knows few of the times."""
    path = write_video(tmp_path / "v.mp4", UNEVEN, gop=gop, b_frames=b_frames)
    known = np.arange(0, COUNT, every)
    with Frames(path, known, UNEVEN[known]) as frames:
        order = np.random.default_rng(1).permutation(COUNT)
        for index in [*order[:15], 0, COUNT - 1, COUNT - 2, 1]:
            for late in (0.0, 0.002):
                frame = frames.at(UNEVEN[index] + late)
                assert number_in(frame.image) == frame.index == index
                assert abs(frame.time - UNEVEN[index]) < TICK
        assert frames.at(1e9).index == COUNT - 1
        assert frames.at(-1).index == 0


def test_reading_on_and_stepping_back_seldom_seek(recording, monkeypatch):
    opened = []

    def open_noted(*arguments, **options):
        opened.append(options["after"])
        return open_recording(*arguments, **options)

    monkeypatch.setattr("emotion_perception.sessions.frames.open_recording", open_noted)
    with Frames(recording, np.arange(COUNT), UNEVEN) as frames:
        shown = [number_in(frame.image) for frame, _ in frames.between(0, 1e9)]
        assert shown == list(range(COUNT))
        assert len(opened) == 1
        frame = frames.at(UNEVEN[80])
        for expected in (79, 78, 77, 76, 75):
            frame = frames.before(frame)
            assert number_in(frame.image) == expected
        assert frames.after(frame).index == 76
        assert len(opened) == 1
        frames.at(0.0)
        frame = frames.at(UNEVEN[70])
        seeks = len(opened)
        for expected in range(69, 49, -1):
            frame = frames.before(frame)
            assert frame.index == expected
        assert len(opened) - seeks <= 3
        assert frames.before(frames.at(0.0)).index == 0
        assert frames.after(frames.at(1e9)) is None


def test_frames_between_two_times(recording):
    with Frames(recording, np.arange(COUNT), UNEVEN) as frames:
        got = list(frames.between(UNEVEN[10], UNEVEN[14]))
        assert [frame.index for frame, _ in got] == [10, 11, 12, 13]
        assert np.allclose([after for _, after in got], UNEVEN[11:15], atol=1e-4)
        # A time between two frames: the one on show has begun before.
        middle = (UNEVEN[10] + UNEVEN[11]) / 2
        assert [f.index for f, _ in frames.between(middle, UNEVEN[13])] == [11, 12]
        assert [f.index for f, _ in frames.between(middle, middle + 1e-4)] == [10]


def test_a_folder_of_images_is_shown_by_number(make_session, tmp_path):
    table = make_session([(0.8, "positive")], name="visit 2.b", rate=10.0)
    folder = tmp_path / "visit 2.b"
    folder.mkdir()
    for index in range(8):
        cv2.imwrite(str(folder / f"{index}.png"), coded(index))
    (folder / "3.png").write_bytes(b"nothing")
    playback = open_playback(folder)
    with playback.frames as frames:
        assert playback.session.path == table
        assert [number_in(frames.at(i / 10).image) for i in (6, 1, 3, 7, 4)] == [6, 1, 2, 7, 4]


def test_a_bag_is_shown_by_time(make_session, tmp_path):
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="pip install '.[capture]'")
    from rosbags.typesys import Stores, get_typestore

    make_session([(1, "positive")], name="drive", rate=5.0)
    store = get_typestore(Stores.ROS2_JAZZY)
    image, header, stamp = (
        store.types[name]
        for name in ("sensor_msgs/msg/Image", "std_msgs/msg/Header", "builtin_interfaces/msg/Time")
    )
    with rosbag2.Writer(tmp_path / "drive", version=9) as writer:
        connection = writer.add_connection("/image", image.__msgtype__, typestore=store)
        for index in range(5):
            head = header(stamp(1_800_000_000, index * 200_000_000), "camera")
            message = image(head, 480, 640, "bgr8", 0, 1920, coded(index).reshape(-1))
            raw = store.serialize_cdr(message, image.__msgtype__)
            writer.write(connection, 1_800_000_000_000_000_000 + index * 200_000_000, raw)
    with open_playback(tmp_path / "drive").frames as frames:
        assert [number_in(frames.at(t).image) for t in (0.8, 0.3, 0.0, 0.61)] == [4, 1, 0, 3]


# Rendering


def test_a_rendered_video_shows_each_frame_at_its_time(opened, recording, tmp_path):
    output = tmp_path / "out ü.mp4"
    look = Look()
    strip = opened.overlay(look).strip
    told = []
    assert render(opened, output, look, progress=lambda *done: told.append(done)) == COUNT
    times, images = read_video(output)
    assert np.abs(times - UNEVEN).max() <= TICK
    assert [number_in(image) for image in images] == list(range(COUNT))
    assert images[0].shape == (480 + strip.height, 640, 3)
    assert told[-1] == pytest.approx((UNEVEN[-1], UNEVEN[-1]))
    rows = read_session(recording.with_suffix(".parquet")).rows
    colours = set()
    for index, image in enumerate(images):
        row = rows.iloc[index]
        place = strip.place(UNEVEN[index])
        column = (
            image[480 + 30 : 480 + 56, max(place - 6, 0) : place + 7].astype(int).min(axis=(0, 2))
        )
        assert near(CURSOR, column.max(), 60)  # a white line from top to bottom
        assert column.argmax() + max(place - 6, 0) == pytest.approx(place, abs=1)
        if row.face_id == "":
            assert near(image[225, 250], [GREY] * 3, 15)  # no box
            continue
        reaction = Reaction[row.reaction.upper()]
        colours.add(reaction)
        assert near(image[225, round(row.x1)], COLOURS[reaction])
    assert {Reaction.NEUTRAL, Reaction.POSITIVE, Reaction.NEGATIVE} <= colours


def test_start_and_end(opened, tmp_path):
    output = tmp_path / "part.mkv"
    count = render(opened, output, Look(), start=float(UNEVEN[20]), end=float(UNEVEN[30]))
    times, images = read_video(output)
    assert count == 10
    assert [number_in(image) for image in images] == list(range(20, 30))
    assert np.abs(times - (UNEVEN[20:30] - UNEVEN[20])).max() <= 1.1e-3  # Matroska's tick
    for start, end in ((3.0, 2.0), (1e4, None), (1.0, 1.0)):
        with pytest.raises(SessionError, match="--start, --end: expected start before end"):
            render(opened, tmp_path / "x.mp4", Look(), start=start, end=end)
    assert not (tmp_path / "x.mp4").exists()


@pytest.mark.parametrize(
    ("look", "size", "scale"),
    [
        (Look(scale=0.5), (320, 240), 0.5),
        (Look(max_side=321), (320, 240), 0.5),
        (Look(max_side=5000), (640, 480), 1.0),
        (Look(scale=2.0, max_side=1280), (1280, 960), 2.0),
    ],
)
def test_sizes(opened, tmp_path, look, size, scale):
    output = tmp_path / "out.mp4"
    render(opened, output, look, end=0.3)
    _, images = read_video(output)
    assert images[0].shape[1] == size[0]
    assert images[0].shape[0] % 2 == 0
    assert images[0].shape[0] > size[1] + 50
    assert [number_in(image, scale=scale) for image in images] == list(range(len(images)))


@pytest.mark.parametrize("size", [(641, 479), (333, 251)])
def test_odd_sizes_are_made_even(make_session, tmp_path, size):
    make_session([(0.2, "positive")], name="odd", width=size[0], height=size[1])
    folder = tmp_path / "odd"
    folder.mkdir()
    for index in range(5):
        cv2.imwrite(str(folder / f"{index}.png"), coded(index, size))
    result = run(folder, "--render", tmp_path / "odd.mp4")
    assert result.exit_code == 0, result.output
    times, images = read_video(tmp_path / "odd.mp4")
    assert images[0].shape[0] % 2 == images[0].shape[1] % 2 == 0
    assert [number_in(image) for image in images] == list(range(5))
    assert np.allclose(times, np.arange(5) / 25, atol=1e-4)


def test_images_of_another_shape_are_fitted_with_their_faces(make_session, tmp_path):
    make_session([(0.08, "positive")], name="mixed", noise=0)
    (tmp_path / "mixed").mkdir()
    for index, size in enumerate([(640, 480), (480, 960)]):
        cv2.imwrite(str(tmp_path / f"mixed/{index}.png"), np.full((*size[::-1], 3), GREY, np.uint8))
    playback = open_playback(tmp_path / "mixed")
    with playback.frames as frames:
        overlay = playback.overlay(Look())
        pictures = [overlay.draw(frames.at(t), t) for t in (0.0, 0.04)]
    assert pictures[0].shape == pictures[1].shape
    # At half its size, between black bars, and the box at x1 = 250.8, y from 150 to 300 with it.
    assert not pictures[1][200:480, [0, 190, 450, 639]].any()  # below the label
    assert near(pictures[1][300, 300], [GREY] * 3, 2)
    left = 200 + round(250.8 / 2)
    green = (
        np.abs(pictures[1][110, :480].astype(int) - COLOURS[Reaction.POSITIVE]).max(axis=1)
    ) < 9
    assert abs(np.flatnonzero(green)[0] - left) <= 2
    assert near(pictures[0][225, 250], COLOURS[Reaction.POSITIVE])


def test_the_last_frame_lasts_as_long_as_the_one_before(opened, tmp_path):
    import av

    render(opened, tmp_path / "out.mp4", Look(scale=0.25))
    with av.open(str(tmp_path / "out.mp4")) as container:
        length = container.duration / av.time_base
    assert length == pytest.approx(UNEVEN[-1] + UNEVEN[-1] - UNEVEN[-2], abs=2e-3)


def test_without_libx264_it_is_mpeg4(opened, tmp_path, monkeypatch):
    import av

    from emotion_perception.sessions import video_file

    assert video_file._codec() == "libx264"
    monkeypatch.setattr(video_file, "_codec", lambda: "mpeg4")
    render(opened, tmp_path / "out.mp4", Look())
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    times, images = read_video(tmp_path / "out.mp4")
    assert np.abs(times - UNEVEN).max() <= TICK
    assert [number_in(image) for image in images] == list(range(COUNT))


def test_a_frame_that_breaks_off_ends_the_video(make_session, tmp_path):
    """A file that was cut by a full disk: what is there is shown."""
    make_session([(3.6, "positive")], name="cut")
    whole = write_video(tmp_path / "whole.ts", np.arange(COUNT) / 25)
    path = tmp_path / "cut.ts"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    result = run(path, "--render", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.output
    _, images = read_video(tmp_path / "out.mp4")
    assert 20 < len(images) < COUNT
    assert [number_in(image) for image in images][:20] == list(range(20))


# Privacy


@pytest.fixture
def two_people(make_session, tmp_path):
    """A checked wall, on which every blur shows, with the partner f1 and beside it f2."""
    table = make_session([(2, "positive")], name="two", noise=0.01)

    def change(rows):
        import pandas

        other = rows.copy()
        other[["x1", "x2"]] = [20.0, 140.0]
        other["face_id"], other["is_partner"] = "f2", False
        # For a third of a second the other one is missed.
        other = other[(other["frame"] < 20) | (other["frame"] > 28)]
        return pandas.concat([rows, other]).sort_values("frame", kind="stable")

    change_table(table, change)
    y, x = np.mgrid[:480, :640]
    wall = np.repeat(((x // 8 + y // 8) % 2 * 200 + 20).astype(np.uint8)[:, :, None], 3, axis=2)
    write_video(tmp_path / "two.mp4", np.arange(60) / 25, frames=[wall] * 60)
    return tmp_path / "two.mp4"


def contrast(image, x):
    """How much of the checks is left in the middle of a face."""
    return float(image[180:280, x : x + 60].std())


@pytest.mark.parametrize(
    ("options", "hidden"),
    [
        ([], ()),
        (["--blur-others"], ("f2",)),
        (["--blur-others", "--person", "f2"], ("f1",)),
        (["--blur-all"], ("f1", "f2")),
    ],
)
def test_blurred_faces_are_hidden_in_every_frame(two_people, tmp_path, options, hidden):
    result = run(two_people, "--render", tmp_path / "out.mp4", *options)
    assert result.exit_code == 0, result.output
    _, images = read_video(tmp_path / "out.mp4")
    for index, image in enumerate(images[:50]):
        for face, x in (("f1", 300), ("f2", 50)):
            left = contrast(image, x)
            assert left < 12 if face in hidden else left > 60, (index, face)
    # Nobody looked for faces in what comes after the table's end.
    for image in images[52:]:
        assert (contrast(image, 300) < 12) == bool(hidden)
        assert (contrast(image, 540) < 12) == bool(hidden)


def test_the_edges_of_a_face_are_hidden_too(two_people):
    frame = np.zeros((200, 200, 3), np.uint8)
    frame[::2] = 255
    done = blur(frame, np.array([[80.0, 80.0, 120.0, 130.0]]))
    assert done[70:140, 72:128].std(axis=0).max() < 3
    assert (done[:60] == frame[:60]).all()
    assert (blur(frame, np.array([[300.0, 300.0, 320.0, 320.0]])) == frame).all()  # outside


def test_blur_options_that_make_no_sense(two_people, tmp_path):
    out = tmp_path / "out.mp4"
    assert "one of --blur-others and --blur-all" in error_of(
        run(two_people, "--render", out, "--blur-others", "--blur-all")
    )
    assert "--blur-others: goes with one person" in error_of(
        run(two_people, "--render", out, "--blur-others", "--person", "all")
    )


# Files


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_nothing(make_session, tmp_path):
    make_session([(20, "positive")], name="long", width=160, height=120)
    small = [coded(0, (160, 120))] * 500
    write_video(tmp_path / "long.mp4", np.arange(500) / 25, size=(160, 120), frames=small)
    before = sorted(tmp_path.iterdir())
    code = "import sys; from emotion_perception.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "playback", tmp_path / "long.mp4", "--render",
         tmp_path / "out.mp4", "--scale", "8"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 30
    while sorted(tmp_path.iterdir()) == before and time.monotonic() < until:
        time.sleep(0.01)
    assert sorted(tmp_path.iterdir()) != before
    assert not (tmp_path / "out.mp4").exists()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped; nothing was written" in told
    assert sorted(tmp_path.iterdir()) == before


def test_only_own_files_are_overwritten(opened, recording, tmp_path):
    assert "would overwrite the recording" in error_of(run(recording, "--render", recording))
    other = write_video(tmp_path / "other.mp4", [0.0, 0.1])
    content = other.read_bytes()
    assert "is another file; move it away" in error_of(run(recording, "--render", other))
    assert other.read_bytes() == content
    (tmp_path / "text.mp4").write_text("a text")
    assert "is another file" in error_of(run(recording, "--render", tmp_path / "text.mp4"))
    for _ in range(2):
        render(opened, tmp_path / "own.mp4", Look(scale=0.2), end=0.2)
    assert error_of(run(recording, "--render", tmp_path / "x.avi")).endswith(
        "x.avi: expected a name that ends in .mp4 or .mkv"
    )
    assert "no such folder" in error_of(run(recording, "--render", tmp_path / "no/x.mp4"))
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(recording, tmp_path):
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    assert "no permission to write" in error_of(run(recording, "--render", folder / "x.mp4"))


def test_the_table_is_found_beside_or_here_or_by_name(make_session, tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    video = write_video(tmp_path / "a b.mp4", [0.0, 0.04])
    monkeypatch.chdir(folder)
    with pytest.raises(SessionError, match=r"a b\.mp4: no a b\.parquet beside it or in this folde"):
        find_table(video)
    here = make_session([(0.1, "positive")], name="a b", folder=folder)
    assert find_table(video).resolve() == here
    beside = make_session([(0.1, "positive")], name="a b")
    assert find_table(video) == beside
    assert find_table(video, here) == here
    with pytest.raises(SessionError, match=r"nix\.mp4: no such file or folder"):
        find_table(Path("nix.mp4"))
    assert "no such file" in error_of(run(video, "--table", tmp_path / "nix.parquet"))


def test_a_table_of_another_recording_is_refused(make_session, tmp_path):
    make_session([(0.1, "positive")], name="v", width=1280, height=720)
    video = write_video(tmp_path / "v.mp4", [0.0, 0.04])
    message = error_of(run(video, "--render", tmp_path / "x.mp4"))
    assert "640x480 pixels, but" in message
    assert "is of 1280x720 pixels (v.mp4); is it of another recording?" in message


def test_a_table_of_a_recording_of_another_name_is_told(make_session, tmp_path, caplog):
    table = make_session([(0.1, "positive")], name="other")
    video = write_video(tmp_path / "v.mp4", [0.0, 0.04])
    open_playback(video, table).frames.close()
    assert "made of a recording named other.mp4; is this the same one?" in caplog.text
    caplog.clear()
    open_playback(video, make_session([(0.1, "positive")], name="v")).frames.close()
    assert not caplog.text


@pytest.mark.parametrize("plan", [[(2, "nobody")], [(0.04, "positive")], [(2, "dark")]])
def test_poor_sessions_are_shown(make_session, tmp_path, plan):
    """No face at all, one frame only, faces that were never judged."""
    make_session(plan, name="poor")
    count = round(plan[0][0] * 25)
    write_video(tmp_path / "poor.mp4", np.arange(count) / 25)
    result = run(tmp_path / "poor.mp4", "--render", tmp_path / "out.mp4")
    assert result.exit_code == 0, result.output
    assert len(read_video(tmp_path / "out.mp4")[1]) == count


def test_tables_with_holes(make_session, tmp_path):
    table = make_session(PLAN, name="holes")

    def change(rows):
        rows["reason"] = None
        rows["problem"] = None
        rows["is_partner"] = None
        rows.loc[3:9, "p_positive"] = np.nan
        rows.loc[12:14, "x2"] = np.nan

    change_table(table, change)
    write_video(tmp_path / "holes.mp4", np.arange(COUNT) / 25)
    result = run(tmp_path / "holes.mp4", "--render", tmp_path / "out.mp4", "--person", "f1")
    assert result.exit_code == 0, result.output

    def no_time(rows):
        rows.loc[5, "time"] = np.nan

    change_table(table, no_time)
    assert "expected a number in every row" in error_of(run(tmp_path / "holes.mp4"))
    change_table(table, lambda rows: rows[:0])
    assert "no frame in it" in error_of(run(tmp_path / "holes.mp4"))


@pytest.mark.parametrize("blur", [False, True])
def test_frames_left_out_show_what_was_seen_before_them(make_session, tmp_path, blur):
    table = make_session([(2, "positive")], name="few", noise=0.01)
    change_table(table, lambda rows: rows[rows["frame"] % 10 == 0], every=10, frames=5)
    write_video(tmp_path / "few.mp4", np.arange(50) / 25, frames=[coded(i % 2) for i in range(50)])
    options = ["--blur-all"] if blur else []
    result = run(tmp_path / "few.mp4", "--render", tmp_path / "out.mp4", *options)
    assert result.exit_code == 0, result.output
    rows = read_session(table).rows
    for index, image in enumerate(read_video(tmp_path / "out.mp4")[1]):
        row = rows.iloc[index // 10]
        assert near(image[225, round(row.x1)], COLOURS[Reaction[row.reaction.upper()]])
        assert number_in(image) == index % 2  # known frames are not blurred whole


def test_somebody_unknown_is_refused(recording, tmp_path):
    message = error_of(run(recording, "--render", tmp_path / "x.mp4", "--person", "f9"))
    assert message.endswith("person: expected partner, all or a face_id (f1), got f9")


# The strip


def test_the_strip_tells_reactions_events_and_gaps(make_session, tmp_path):
    path = make_session(
        [(4, "negative"), (4, "positive"), (2, "nobody")], name="s", noise=0.01,
        unreadable=(Unreadable(start=8.5, end=9.5, frames=25, why="damaged"),),
    )  # fmt: skip
    write_video(tmp_path / "s.mp4", np.arange(250) / 25, frames=[coded(0)] * 250)
    playback = open_playback(tmp_path / "s.mp4")
    with playback.frames:
        strip = playback.overlay(Look()).strip
        image = strip.draw(0.0)
        top, bottom = strip._plot
        for seconds, reaction in ((2.0, Reaction.NEGATIVE), (6.5, Reaction.POSITIVE)):
            column = image[top:bottom, strip.place(seconds)]
            colour = (np.array(COLOURS[reaction]) + 30) / 2
            assert (np.abs(column - colour).max(axis=1) < 3).sum() > 20  # the band
            line = np.flatnonzero((column > 200).all(axis=1)).mean() / (bottom - top)
            assert line < 0.3 if reaction == Reaction.POSITIVE else line > 0.7
            mark = image[sum(strip._events) // 2, strip.place(seconds)]
            assert tuple(mark) == COLOURS[reaction]
        hatched = image[top:bottom, strip.place(8.6) : strip.place(9.4)]
        assert 0.1 < (hatched == HATCH).all(axis=2).mean() < 0.5
        empty = image[top:bottom, strip.place(8.1) : strip.place(8.4)]
        assert not (empty == HATCH).all(axis=2).any()
        assert not (image[sum(strip._events) // 2, strip.place(8.3) :] > 100).any()
        assert strip.time(strip.place(5.0)) == pytest.approx(5.0, abs=0.02)
        assert strip.time(-50) == 0
        assert strip.time(9999) == pytest.approx(playback.length)
    assert path.is_file()


def test_events_of_the_file_come_before_those_found_anew(recording, tmp_path):
    table = recording.with_suffix(".parquet")
    events = find_events(read_session(table))
    assert [event.reaction for event in events] == ["positive", "negative"]
    assert list(open_playback(recording).events) == events
    write_events(events_path(table), events[:1])
    assert list(open_playback(recording).events) == events[:1]
    events_path(table).write_text("nonsense\n")
    assert "clip.events.csv: expected a header" in error_of(run(recording))


def test_times_in_words():
    assert [hms(0), hms(59.96), hms(3723.456, 2), hms(-1.5), hms(7325, 0)] == [
        "0:00:00.0", "0:01:00.0", "1:02:03.46", "-0:00:01.5", "2:02:05",
    ]  # fmt: skip
    assert [parse_time(text, "--end") for text in ("12.5", "1:02:03.5", "2:00", " 7 ")] == [
        12.5, 3723.5, 120.0, 7.0,
    ]  # fmt: skip
    for text in ("", "a", "1:60", "-3", "nan", "inf", "1:2:3:4", "1:"):
        with pytest.raises(ValueError, match="--end: expected seconds or h:mm:ss, got"):
            parse_time(text, "--end")


def test_names_in_other_alphabets_are_written():
    from emotion_perception.sessions.lettering import put_text, text_width

    shapes = []
    for text in ("Ж", "ß", "?"):
        canvas = np.zeros((40, 60, 3), np.uint8)
        assert put_text(canvas, text, (2, 2), 24) == text_width(text, 24) > 5
        shapes.append(canvas.tobytes())
    assert len(set(shapes)) == 3
    canvas = np.zeros((20, 60, 3), np.uint8)
    assert put_text(canvas, "a very long name", (0, 0), 14, max_width=50) <= 50
    put_text(canvas, "outside", (55, 15), 14)
    put_text(canvas, "outside", (-20, -5), 14)


def test_in_a_recording_whose_times_come_again_frames_are_counted(tmp_path, make_session):
    """A stream of joined pieces: seeking by time would lead to either."""
    from emotion_perception.image.source import TIMES_JUMP
    from emotion_perception.sessions.recording import open_recording
    from emotion_perception.sessions.table import read_info

    pieces = b""
    for number in range(2):
        own = [coded(60 * number + index) for index in range(60)]
        piece = write_video(tmp_path / f"{number}.ts", np.arange(60) / 30, frames=own)
        pieces += piece.read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(pieces)
    with open_recording(path) as source:
        frames = list(source)
    assert TIMES_JUMP in source.notes
    info = read_info(make_session([(2, "neutral")], notes=tuple(source.notes)))
    assert not info.exact
    indices = np.array([frame.index for frame in frames])
    times = np.array([frame.time for frame in frames])
    with Frames(path, indices, times, seek=info.exact) as found:
        for place in (100, 20, 70, len(frames) - 1):
            assert number_in(found.at(times[place]).image) == number_in(frames[place].image)
