# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Times, topics and faults of bags, one by one."""

import logging
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="pip install '.[capture]'")
from rosbags.typesys import Stores, get_typestore

from emotion_perception.image.bag import _Clock, _stamp, is_bag, note_unreadable, open_bag
from emotion_perception.image.source import Frame, SourceError, Unreadable

BEGIN = 1_800_000_000
STORE = get_typestore(Stores.ROS2_JAZZY)


def message(kind, value, stamp):
    types = STORE.types
    time = types["builtin_interfaces/msg/Time"](int(stamp), round(stamp % 1 * 1e9))
    header = types["std_msgs/msg/Header"](time, "camera")
    if kind.endswith("CompressedImage"):
        return types[kind](header, "jpeg", np.frombuffer(value, np.uint8))
    height = 4 if value is not None else 0  # an image without rows is broken
    pixels = np.full(4 * 6 * 3, value or 0, np.uint8)
    return types[kind](header, height, 6, "bgr8", 0, 18, pixels)


def write(path, topics, stamps=None):
    """Write a bag of topics, name to grey levels; None is a broken image. Ten a second."""
    with rosbag2.Writer(path, version=9) as writer:
        for topic, values in topics.items():
            short = "CompressedImage" if "compressed" in topic else "Image"
            kind = f"sensor_msgs/msg/{short}"
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for index, value in enumerate(values):
                stamp = BEGIN + index / 10 if stamps is None else stamps[index]
                raw = STORE.serialize_cdr(message(kind, value, stamp), kind)
                writer.write(connection, BEGIN * 10**9 + index * 10**8, raw)
    return path


def read(path, topic=None, **options):
    with open_bag(path, topic, **options) as source:
        return source, [(f.index, round(f.time, 6), int(f.image[0, 0, 0])) for f in source]


def test_frames_of_a_bag(tmp_path):
    path = write(tmp_path / "bag", {"/image": [10, 20, 30]})
    source, frames = read(path)
    assert frames == [(0, 0.0, 10), (1, 0.1, 20), (2, 0.2, 30)]
    assert (source.name, source.size) == (f"{path} /image", (6, 4))
    assert (source.frame_count, source.live, source.unreadable) == (3, False, [])
    assert source.origin == pytest.approx(BEGIN)


def test_without_stamps_the_time_of_the_recording_counts(tmp_path):
    source, frames = read(write(tmp_path / "bag", {"/image": [10, 20]}, [0, 0]))
    assert [time for _, time, _ in frames] == [0.0, 0.1]
    assert source.origin == pytest.approx(BEGIN)


@pytest.mark.parametrize("every", [2, 3])
def test_some_frames_of_a_bag(tmp_path, every):
    path = write(tmp_path / "bag", {"/image": range(0, 100, 10)})
    whole = read(path)[1]
    assert read(path, every=every)[1] == whole[::every]
    after = Frame(whole[every][0], whole[every][1], np.empty(0))
    assert read(path, every=every, after=after)[1] == whole[::every][2:]


def test_after_the_last_frame_there_is_none(tmp_path):
    path = write(tmp_path / "bag", {"/image": [10, 20, None]})
    source, frames = read(path, after=Frame(1, 0.1, np.empty(0)))
    assert (frames, source.frame_count) == ([], 3)
    assert [part.frames for part in source.unreadable] == [1]


def test_broken_images_are_listed_and_the_first_are_told(tmp_path, caplog):
    path = write(tmp_path / "bag", {"/image": [10, None, None, 20, *[None] * 3, 30]})
    with caplog.at_level(logging.WARNING):
        source, frames = read(path)
    assert [index for index, _, _ in frames] == [0, 3, 7]
    why = "height: got 0, expected at least 1 pixel"
    # Less than a second apart they are one part.
    assert [(p.start, p.end, p.frames, p.why) for p in source.unreadable] == [
        (pytest.approx(0.1), pytest.approx(0.6), 5, why)
    ]
    assert [record.getMessage() for record in caplog.records] == [
        *[f"{path} /image: image {n} left out: {why}" for n in (1, 2, 4)],
        f"{path} /image: 5 images left out in all",
    ]


def test_three_broken_images_are_told_without_a_sum(tmp_path, caplog):
    source, frames = read(write(tmp_path / "bag", {"/image": [None] * 3 + [10]}))
    assert frames == [(3, 0.0, 10)]
    assert len(caplog.records) == 3
    assert [(p.start, p.end, p.frames) for p in source.unreadable] == [(0.0, 0.0, 3)]


def test_what_is_noted_before_a_frame_to_go_on_from_is_not_noted_again(tmp_path):
    path = write(tmp_path / "bag", {"/image": [10, None, 20, 30]})
    source, frames = read(path, after=Frame(2, 0.2, np.empty(0)))
    assert frames == [(3, pytest.approx(0.3), 30)]
    assert source.unreadable == []


@pytest.mark.parametrize(
    ("parts", "seconds", "why", "expected"),
    [
        ([], 3.0, "a", [(3.0, 3.0, 1, "a")]),
        ([(1.0, 2.0, 4, "a")], 2.9, "a", [(1.0, 2.9, 5, "a")]),
        ([(1.0, 2.0, 4, "a")], 3.0, "a", [(1.0, 2.0, 4, "a"), (3.0, 3.0, 1, "a")]),
        ([(1.0, 2.0, 4, "a")], 2.1, "b", [(1.0, 2.0, 4, "a"), (2.1, 2.1, 1, "b")]),
    ],
)
def test_parts_that_go_on(parts, seconds, why, expected):
    told = [Unreadable(*part) for part in parts]
    note_unreadable(told, seconds, why)
    assert told == [Unreadable(*part) for part in expected]


def test_topics(tmp_path):
    path = write(
        tmp_path / "bag", {"/b": [1], "/a/compressed": [b"x"], "/a/compressedDepth": [b"x"]}
    )
    listed = "/a/compressed, /b"
    with pytest.raises(SourceError, match=f"bag: several image topics; .* --topic: {listed}$"):
        open_bag(path)
    with pytest.raises(SourceError, match=f"bag: topic: expected one of {listed}, got /c$"):
        open_bag(path, "/c")
    assert read(path, "/b")[1] == [(0, 0.0, 1)]
    with pytest.raises(SourceError, match=r"bag: /a/compressed holds no readable image$"):
        open_bag(path, "/a/compressed")


def test_what_a_bag_is(tmp_path):
    path = write(tmp_path / "bag", {"/image": [1]})
    assert is_bag(path)
    (path / "metadata.yaml").rename(path / "other.yaml")
    assert not is_bag(path)
    for name in ("a.mcap", "a.db3", "a.mp4", "a.MCAP.txt"):
        (tmp_path / name).touch()
        assert is_bag(tmp_path / name) == (name in ("a.mcap", "a.db3"))
    assert not is_bag(tmp_path / "b.mcap")


def test_rosbags_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    expected = r"x: reading ROS bags needs rosbags: pip install 'emotion_perception\[capture\]'"
    with pytest.raises(SourceError, match=expected):
        open_bag(Path("x"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("seconds", "nanoseconds", "expected"),
    [
        (5, 7, 5_000_000_007),
        (0, 0, 0),
        (2**31 - 1, 10**9 - 1, (2**31 - 1) * 10**9 + 10**9 - 1),
        # Damaged: before 1970, or more than a second.
        (-1, 0, 0),
        (5, 10**9, 0),
    ],
)
def test_stamps_of_headers(order, seconds, nanoseconds, expected):
    raw = bytes([0, order == "<", 0, 0]) + struct.pack(f"{order}iI", seconds, nanoseconds)
    assert _stamp(raw) == expected
    assert _stamp(raw + b"rest") == expected
    assert _stamp(raw[:-1]) == 0


S = 10**9


@pytest.mark.parametrize(
    ("messages", "times", "jumped"),
    [
        # (stamp, recorded) in seconds, to the distance from the first
        ([(5, 100), (6, 101), (8, 103)], [0, 1, 3], False),
        ([(0, 100), (0, 102)], [0, 2], False),
        ([(5, 100), (3.9, 101), (4.9, 102)], [0, 1, 2], True),  # a jump of more than a second
        ([(5, 100), (4.1, 101), (7, 102)], [0, 0.001, 2], False),  # less is none
        ([(5, 100), (4, 101)], [0, 1], True),
        ([(5, 100), (5, 101), (5, 102)], [0, 0.001, 0.002], False),
        ([(5, 100), (0, 102), (8, 103)], [0, 2, 3], False),  # one without a stamp
        ([(5, 100), (2, 100), (3, 100)], [0, 0.001, 1.001], True),  # recorded all at once
        ([(5, 100), (2, 90), (3, 91)], [0, 0.001, 1.001], True),  # or by another clock
        ([(0, 100), (50, 101), (52, 103)], [0, 1, 3], False),
    ],
)
def test_a_clock_that_rises(messages, times, jumped):
    clock = _Clock()
    told = [clock.read(round(stamp * S), round(recorded * S)) for stamp, recorded in messages]
    assert [(t - told[0]) / S for t in told] == pytest.approx(times, abs=1e-9)
    assert clock.jumped == jumped
    assert (clock.zero, told[0] > 0) == (None, True)
