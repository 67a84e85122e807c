# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Recordings of every kind, from the start and from the middle."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("av", reason="pip install '.[sessions]'")
rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="pip install '.[sessions]'")
pytest.importorskip("matplotlib")
sys.path.insert(0, str(Path(__file__).parent))

from films import portraits, write_film
from PIL import Image
from rosbags.typesys import Stores, get_typestore

from emotion_perception.image.source import Frame, SourceError
from emotion_perception.sessions.recording import find_recordings, open_recording

NOWHERE = np.empty((0, 0, 3), np.uint8)


@pytest.fixture(scope="module")
def images():
    return portraits(8)


def write_bag(path, images, broken=()):
    """Write a bag with an image every 0.1 s and a topic without images."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    with rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin.MCAP) as writer:
        image_topic = None
        if images:
            image_topic = writer.add_connection("/camera", "sensor_msgs/msg/Image", typestore=store)
        word_topic = writer.add_connection("/words", "std_msgs/msg/String", typestore=store)
        word = types["std_msgs/msg/String"](data="hello")
        raw = store.serialize_cdr(word, "std_msgs/msg/String")
        writer.write(word_topic, 1, raw)
        for index, image in enumerate(images):
            at = 1_700_000_000 * 10**9 + index * 10**8
            time = types["builtin_interfaces/msg/Time"](sec=at // 10**9, nanosec=at % 10**9)
            header = types["std_msgs/msg/Header"](stamp=time, frame_id="")
            height, width = image.shape[:2]
            data = np.frombuffer(b"x", np.uint8) if index in broken else image.ravel()
            message = types["sensor_msgs/msg/Image"](
                header=header, height=height, width=width, encoding="bgr8", is_bigendian=0,
                step=3 * width, data=data,
            )  # fmt: skip
            raw = store.serialize_cdr(message, "sensor_msgs/msg/Image")
            writer.write(image_topic, at, raw)
    return path


def write_folder(path, images):
    path.mkdir()
    for index, image in enumerate(images):
        cv2.imwrite(str(path / f"{index}.png"), image)
    return path


def write_gif(path, images):
    first, *rest = [Image.fromarray(image[:, :, ::-1]) for image in images]
    first.save(path, save_all=True, append_images=rest, duration=100)
    return path


WRITERS = {
    "video": lambda folder, images: write_film(folder / "x.mp4", images, rate=10.0),
    "bag": lambda folder, images: write_bag(folder / "x", images),
    "folder": lambda folder, images: write_folder(folder / "x", images),
    "gif": lambda folder, images: write_gif(folder / "x.gif", images),
}


@pytest.fixture(params=list(WRITERS))
def recording(request, tmp_path, images):
    return WRITERS[request.param](tmp_path, images)


def read(path, **options):
    with open_recording(path, **options) as source:
        return source, list(source)


def test_every_kind_is_read(recording, images):
    source, frames = read(recording)
    assert [frame.index for frame in frames] == list(range(8))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(8) / 10, abs=2e-4)
    assert source.size == (640, 480)
    for frame, image in zip(frames, images, strict=True):
        assert np.abs(frame.image.astype(int) - image).mean() < 12


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("index", [0, 4, 6])
def test_every_kind_goes_on_after_a_frame(recording, every, index):
    _, frames = read(recording, every=every)
    assert [frame.index for frame in frames] == list(range(0, 8, every))
    time = next(frame.time for frame in frames if frame.index == index)
    _, rest = read(recording, every=every, after=Frame(index, time, NOWHERE))
    expected = [frame for frame in frames if frame.index > index]
    assert [(f.index, f.time) for f in rest] == [(f.index, f.time) for f in expected]
    for frame, other in zip(rest, expected, strict=True):
        np.testing.assert_array_equal(frame.image, other.image)


def test_every_kind_is_shrunk(recording):
    _, frames = read(recording, max_side=320)
    assert frames[0].image.shape == (240, 320, 3)
    assert frames[0].scale == 0.5


def test_images_of_a_bag_that_are_broken_are_listed(tmp_path, images):
    source, frames = read(write_bag(tmp_path / "x", images, broken=(3, 4)))
    assert [frame.index for frame in frames] == [0, 1, 2, 5, 6, 7]
    (lost,) = source.unreadable
    assert (lost.start, lost.frames) == (pytest.approx(0.3), 2)
    assert source.origin == 1_700_000_000


def test_a_bag_without_images_is_refused(tmp_path):
    with pytest.raises(SourceError, match="a bag without image topics"):
        open_recording(write_bag(tmp_path / "x", []))


def test_folders_are_searched(tmp_path, images):
    (tmp_path / "week 1").mkdir()
    (tmp_path / ".hidden").mkdir()
    film = write_film(tmp_path / "week 1" / "ä.mp4", images[:2])
    write_film(tmp_path / ".hidden" / "x.mp4", images[:2])
    bag = write_bag(tmp_path / "bag", images[:1])
    gif = write_gif(tmp_path / "x.GIF", images[:2])
    assert find_recordings(tmp_path) == [bag, film, gif]
    assert find_recordings(bag) == [bag]
    pictures = write_folder(tmp_path / "pictures", images[:1])
    assert find_recordings(pictures) == [pictures]
    assert find_recordings(film) == [film]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="a folder without videos, bags or images"):
        find_recordings(tmp_path / "empty")


@pytest.mark.parametrize("every", [0, -1])
def test_wrong_numbers(tmp_path, every):
    with pytest.raises(ValueError, match="every: expected at least 1"):
        open_recording(tmp_path, every=every)
