# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Real bags, written by rosbags itself, in both formats."""

import datetime

import cv2
import numpy as np
import pytest

from emotion_perception.image.bag import is_bag, open_bag
from emotion_perception.image.demo_clip import demo_frames
from emotion_perception.image.source import SourceError
from emotion_perception.training.capture import capture
from emotion_perception.training.consent import Consent, record_consent

rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="pip install '.[capture]'")
from rosbags.typesys import Stores, get_typestore

BEGIN = 1_800_000_000


@pytest.fixture(scope="module")
def frames():
    pytest.importorskip("matplotlib")
    return [frame for index, frame in enumerate(demo_frames(1.0)) if index in (0, 2, 6, 9)]


def write_bag(path, topics, *, plugin="MCAP", compress=False, stamped=True):
    """Write images a second apart.

    Args:
        path: of the bag.
        topics: name to frames; frames of a topic that ends in ``compressed`` become JPEG. An
            entry that is bytes becomes the data of a broken image.
        stamped: whether headers have stamps, or which, seconds.
    """
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    bag = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin[plugin])
    if compress:
        bag.set_compression(rosbag2.CompressionMode.MESSAGE, rosbag2.CompressionFormat.ZSTD)
    with bag as writer:
        for topic, images in topics.items():
            jpeg = topic.endswith("compressed")
            kind = "sensor_msgs/msg/" + ("CompressedImage" if jpeg else "Image")
            connection = writer.add_connection(topic, kind, typestore=store)
            for index, image in enumerate(images):
                seconds = BEGIN + index if stamped else 0
                if isinstance(stamped, list):
                    seconds = stamped[index]
                time = types["builtin_interfaces/msg/Time"](int(seconds), round(seconds % 1 * 1e9))
                header = types["std_msgs/msg/Header"](time, "camera")
                if isinstance(image, bytes):
                    data = np.frombuffer(image, np.uint8)
                    message = types[kind](header, 480, 640, "bgr8", 0, 1920, data)
                elif jpeg:
                    data = cv2.imencode(".jpg", image)[1].reshape(-1)
                    message = types[kind](header, "bgr8; jpeg compressed bgr8", data)
                else:
                    height, width = image.shape[:2]
                    rgb = np.ascontiguousarray(image[:, :, ::-1]).reshape(-1)
                    message = types[kind](header, height, width, "rgb8", 0, 3 * width, rgb)
                writer.write(
                    connection, (BEGIN + index) * 10**9, store.serialize_cdr(message, kind)
                )
    return path


def read(path, topic=None):
    with open_bag(path, topic) as source:
        return source, list(source)


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
@pytest.mark.parametrize("stamped", [True, False])
def test_raw_images(tmp_path, frames, plugin, stamped):
    path = write_bag(tmp_path / "bag", {"/image": frames}, plugin=plugin, stamped=stamped)
    assert is_bag(path)
    source, found = read(path)
    assert (source.size, source.frame_count, source.live) == ((640, 480), 4, False)
    assert [frame.time for frame in found] == pytest.approx([0, 1, 2, 3])
    for frame, image in zip(found, frames, strict=True):
        np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 7, 8, 9], [0, 1, 2, 3]),  # a simulation that begins at 0, which is no stamp
        ([50, 51, 3, 4], [0, 1, 2, 3]),  # it began anew, or the bag was played again
        ([50, 53, 0, 55], [0, 3, 4, 5]),
        ([50, 51, 50.9, 52], [0, 1, 1.001, 2]),  # two that were exchanged
        ([50, 50, 50, 50], [0, 0.001, 0.002, 0.003]),
    ],
)
def test_stamps_that_jump(tmp_path, frames, stamps, times):
    path = write_bag(tmp_path / "bag", {"/image": frames}, stamped=stamps)
    source, found = read(path)
    assert [frame.time for frame in found] == pytest.approx(times, abs=1e-6)
    assert source.notes == (["its time stamps jump back"] if stamps[2] == 3 else [])
    for frame in found:
        with open_bag(path, after=frame) as rest:
            expected = [(f.index, f.time) for f in found[frame.index + 1 :]]
            assert [(f.index, f.time) for f in rest] == expected


def test_jpeg_images_in_a_compressed_bag(tmp_path, frames):
    path = write_bag(
        tmp_path / "bag", {"/image/compressed": frames}, plugin="SQLITE3", compress=True
    )
    _, found = read(path)
    assert len(found) == 4
    assert np.abs(found[0].image.astype(int) - frames[0]).mean() < 4


def test_a_storage_file_without_its_folder(tmp_path, frames):
    path = write_bag(tmp_path / "bag", {"/image": frames[:1]})
    (storage,) = path.glob("*.mcap")
    assert is_bag(storage)
    assert len(read(storage)[1]) == 1


def test_several_topics(tmp_path, frames):
    path = write_bag(tmp_path / "bag", {"/b/image": frames[:1], "/a/image": frames[1:]})
    with pytest.raises(SourceError, match="choose one with --topic: /a/image, /b/image"):
        open_bag(path)
    with pytest.raises(SourceError, match="expected one of /a/image, /b/image, got /c"):
        open_bag(path, "/c")
    assert len(read(path, "/a/image")[1]) == 3


def test_broken_images_are_left_out(tmp_path, frames, caplog):
    path = write_bag(tmp_path / "bag", {"/image": [b"short", frames[0], b"x", frames[1]]})
    _, found = read(path)
    assert [frame.index for frame in found] == [1, 3]
    assert "image 0 left out: data: truncated" in caplog.text
    path = write_bag(tmp_path / "bad", {"/image": [b"short"]})
    with pytest.raises(SourceError, match="no readable image"):
        open_bag(path)


@pytest.mark.parametrize("plugin", ["MCAP", "SQLITE3"])
def test_damaged_bags(tmp_path, frames, plugin):
    path = write_bag(tmp_path / "bag", {"/image": frames * 3}, plugin=plugin)
    (storage,) = [file for file in path.iterdir() if file.suffix in (".mcap", ".db3")]
    whole = storage.read_bytes()
    storage.write_bytes(whole[: len(whole) // 2])  # the robot was switched off
    with pytest.raises(SourceError, match="bag"):
        read(path)
    storage.write_bytes(b"")
    with pytest.raises(SourceError, match="bag"):
        read(path)
    (path / "metadata.yaml").write_text("a: [")
    with pytest.raises(SourceError, match="not a readable bag"):
        read(path)


def test_no_images(tmp_path):
    store = get_typestore(Stores.ROS2_JAZZY)
    with rosbag2.Writer(tmp_path / "bag", version=9) as writer:
        connection = writer.add_connection("/x", "std_msgs/msg/String", typestore=store)
        message = store.types["std_msgs/msg/String"]("hello")
        writer.write(connection, 1, store.serialize_cdr(message, "std_msgs/msg/String"))
    with pytest.raises(SourceError, match="a bag without image topics"):
        open_bag(tmp_path / "bag")


def test_capture_from_a_bag(tmp_path, frames):
    bag = write_bag(tmp_path / "session", {"/image": frames})
    given = Consent(
        given_by="legal-representative", given=datetime.date.today(), purpose="test",
        recorded_by="tester",
    )  # fmt: skip
    record_consent(tmp_path / "data", "P-1", given)
    report = capture(tmp_path / "data", "P-1", [str(bag)], label="neutral", topic="/image")
    assert report.kept["neutral"] == 2
    assert "session" in (tmp_path / "data" / "P-1" / "labels.csv").read_text()
