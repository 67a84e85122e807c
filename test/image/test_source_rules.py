# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Sources at their limits: which kind is what, webcams, what is skipped, times of frames."""

import itertools
import math
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from emotion_perception.image import source as source_module
from emotion_perception.image.source import (
    Frame,
    SourceError,
    Unreadable,
    first_webcam,
    is_text,
    open_source,
    read_head,
)


class Capture:
    """Stands in for cv2.VideoCapture: a camera or a file with these frames and properties."""

    def __init__(self, images, stamps=None, opened=True, fails=False, **properties):
        self.images = iter(images)
        self.stamps = iter(stamps or itertools.repeat(0.0))
        self.properties = {getattr(cv2, f"CAP_PROP_{k}"): v for k, v in properties.items()}
        self.opened, self.fails, self.released, self.set_to = opened, fails, False, {}

    def isOpened(self):
        return self.opened

    def read(self):
        image = next(self.images, None)
        self.properties[cv2.CAP_PROP_POS_MSEC] = next(self.stamps, 0.0)
        if image is None and self.fails:
            raise cv2.error("Timeout")
        return image is not None, image

    def get(self, name):
        return float(self.properties.get(name, 0.0))

    def set(self, name, value):
        self.set_to[name] = value

    def release(self):
        self.released = True


def grey(value, height=6, width=8):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def devices(tmp_path, monkeypatch):
    """Put cameras there: number to what OpenCV opens."""
    cameras, asked = {}, []

    def place(path):
        return tmp_path / Path(path).name if str(path).startswith("/dev/") else Path(path)

    def capture(index, way):
        asked.append((index, way))
        return cameras[index]

    def plug(index, camera):
        cameras[index] = camera
        (tmp_path / f"video{index}").touch()
        return asked

    monkeypatch.setattr(source_module, "Path", place)
    monkeypatch.setattr(source_module.sys, "platform", "linux")
    monkeypatch.setattr(cv2, "VideoCapture", capture)
    return plug


@pytest.mark.parametrize("name", [1, "1", "/dev/video1"])
def test_a_webcam(devices, name):
    camera = Capture([grey(1), grey(2)], FRAME_WIDTH=8, FRAME_HEIGHT=6, FPS=15, FRAME_COUNT=-1)
    asked = devices(1, camera)
    with open_source(name) as source:
        assert (source.name, source.size, source.fps) == ("webcam 1", (8, 6), 15)
        assert (source.live, source.frame_count, source.origin) == (True, None, None)
        frames = [next(source), next(source)]
    assert [(frame.index, int(frame.image[0, 0, 0])) for frame in frames] == [(0, 1), (1, 2)]
    assert 0 <= frames[0].time <= frames[1].time < 60
    assert asked == [(1, cv2.CAP_V4L2)]
    assert camera.set_to == {cv2.CAP_PROP_BUFFERSIZE: 1}  # an old frame is no use to a robot
    assert camera.released


@pytest.mark.parametrize("fps", [0, -5, 1001, math.nan])
def test_a_rate_that_nobody_means_is_unknown(devices, fps):
    devices(0, Capture([], FPS=fps))
    assert open_source(0).fps is None


def test_the_highest_rate(devices):
    devices(0, Capture([], FPS=1000))
    assert open_source(0).fps == 1000


def test_a_webcam_in_use_or_forbidden(devices, monkeypatch):
    devices(2, Capture([], opened=False))
    with pytest.raises(SourceError, match=r"^webcam 2: can't be opened; try another .* 'video'$"):
        open_source(2)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK | os.W_OK)
    with pytest.raises(SourceError, match=r"webcam 2: no permission for .*video2; join the group"):
        open_source(2)


def test_elsewhere_than_on_linux_there_are_no_device_files(devices, monkeypatch):
    monkeypatch.setattr(source_module.sys, "platform", "darwin")
    monkeypatch.setattr(cv2, "VideoCapture", lambda index, way: Capture([grey(way)]))
    with open_source(7) as source:
        assert next(source).image[0, 0, 0] == cv2.CAP_ANY


def test_a_driver_that_raises_is_a_camera_that_stopped(devices):
    devices(0, Capture([grey(1)], fails=True))
    source = open_source(0)
    next(source)
    with pytest.raises(SourceError, match=r"^webcam 0: sends no frames; unplugged, or used by"):
        next(source)


def test_the_first_webcam_that_delivers(devices):
    silent, good = Capture([]), Capture([grey(1)] * 2)
    devices(1, silent)
    devices(3, good)
    assert first_webcam() == 3
    assert silent.released
    assert good.released
    assert first_webcam(3) is None
    devices(4, Capture([grey(1)]))
    assert first_webcam(3) is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/dev/video", "no such file or folder"),
        ("/dev/video1x", "no such file or folder"),
        ("١", "no such file or folder"),  # a digit, but not one of ours
        ("1.5", "no such file or folder"),
    ],
)
def test_what_is_no_webcam_is_a_file(name, message):
    with pytest.raises(SourceError, match=message):
        open_source(name)


def test_a_stable_name_of_a_webcam(devices, monkeypatch):
    devices(5, Capture([grey(1)]))
    monkeypatch.setattr(os.path, "realpath", lambda path: "/dev/video5")
    assert open_source("/dev/v4l/by-id/usb-cam").name == "webcam 5"


# Files


@pytest.fixture
def film(tmp_path, monkeypatch):
    """Read a made film; return its frames."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"\0 not a text")

    def read(count, **properties):
        images = [grey(n) for n in range(count)]
        made.append(Capture(images, **properties))
        monkeypatch.setattr(cv2, "VideoCapture", lambda name: made[-1])
        with open_source(path) as source:
            told.append(source)
            return list(source)

    made, told = [], []
    read.made, read.told, read.path = made, told, path
    return read


def times(frames):
    return [round(frame.time, 6) for frame in frames]


def test_a_film(film):
    frames = film(3, stamps=[500.0, 600.0, 650.0], FPS=10, FRAME_COUNT=3)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert times(frames) == [0.0, 0.1, 0.15]
    (source,) = film.told
    assert (source.name, source.size, source.live) == (str(film.path), (8, 6), False)
    assert (source.fps, source.frame_count) == (10, 3)
    assert film.made[0].released


@pytest.mark.parametrize(
    ("stamps", "fps", "expected"),
    [
        ([0.0, 100.0, 100.0, 150.0, 400.0], 10, [0, 0.1, 0.2, 0.3, 0.4]),  # repeated, late
        ([0.0, 0.0, 0.0], 0, [0, 1 / 30, 2 / 30]),  # none at all
        ([math.nan] * 3, 20, [0, 0.05, 0.1]),
        ([-9e12, 40.0, 80.0], 20, [0, 0.05, 0.1]),
    ],
)
def test_times_rise(film, stamps, fps, expected):
    frames = film(len(stamps), stamps=stamps, FPS=fps)
    assert times(frames) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("count", "frame_count", "fps", "complete"),
    [
        (9, 10, 10, True),
        (8, 10, 10, False),
        (8, 0, 10, True),  # nobody knows how many there should be
        (8, 2e9, 10, True),
        (8, 10, 0, True),
    ],
)
def test_when_a_film_is_complete(film, count, frame_count, fps, complete):
    def read():
        return film(count, FPS=fps, FRAME_COUNT=frame_count)

    if complete:
        assert len(read()) == count
        assert film.told[0].frame_count == (10 if frame_count == 10 else None)
    else:
        with pytest.raises(SourceError, match=r"film.mp4: truncated or corrupt, 8 of 10 frames"):
            read()


def test_a_film_of_few_frames_that_lasts_as_long_as_it_says_is_complete(film):
    # Its rate varies: the number of frames is the container's guess.
    assert len(film(5, stamps=[0, 200, 400, 600, 800], FPS=10, FRAME_COUNT=10)) == 5
    with pytest.raises(SourceError, match=r"5 of 10"):
        film(5, stamps=[0, 200, 400, 600, 790], FPS=10, FRAME_COUNT=10)


def test_a_film_without_frames(film):
    with pytest.raises(SourceError, match=r"film.mp4: a video without one readable frame"):
        film(0, FPS=10)
    assert film.made[0].released


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gif", b"GIF87b\0\0"),
        ("a.mp4", b"GIF89a\0\0\0"),  # only what is called so is read as one
        ("a.avi", b"RIFF\0\0"),
    ],
)
def test_whatever_else_is_a_video(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    message = "not a readable GIF" if name == "a.gif" else "not a video that OpenCV can read"
    with pytest.raises(SourceError, match=message):
        open_source(tmp_path / name)


def test_the_suffix_of_a_gif_may_be_large(tmp_path):
    images = [Image.fromarray(grey(n * 50)) for n in range(3)]
    images[0].save(tmp_path / "A.GIF", save_all=True, append_images=images[1:], duration=20)
    with open_source(tmp_path / "A.GIF") as source:
        assert (source.name, source.live) == (str(tmp_path / "A.GIF"), False)
        assert source.fps == pytest.approx(50)
        assert [(f.index, round(f.time, 6)) for f in source] == [(0, 0), (1, 0.02), (2, 0.04)]


def test_a_huge_gif_is_refused(tmp_path, monkeypatch):
    Image.fromarray(grey(1)).save(tmp_path / "a.gif")
    monkeypatch.setattr(source_module, "_MOST_GIF_PIXELS", 47)
    with pytest.raises(SourceError, match="8x6 pixels, expected at most 47 in all"):
        open_source(tmp_path / "a.gif")
    monkeypatch.setattr(source_module, "_MOST_GIF_PIXELS", 48)
    assert open_source(tmp_path / "a.gif").size == (8, 6)


@pytest.mark.parametrize("width", [8192, 8193])
def test_a_huge_image_is_refused_by_its_header(tmp_path, width):
    data = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", width, 8192, 1, 0, 0, 0, 0)
    for kind, body in ((b"IHDR", header), (b"IDAT", b"x")):
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(SourceError, match="not a readable image") as error:
        open_source(tmp_path / "a.png")
    told = "8193x8192 pixels, expected at most 67108864 in all" in str(error.value)
    assert told == (width == 8193)


@pytest.mark.parametrize(
    ("mode", "colour", "bgr"),
    [
        ("RGB", (10, 20, 30), [30, 20, 10]),
        ("RGBA", (10, 20, 30, 255), [30, 20, 10]),
        ("RGBA", (0, 0, 0, 128), [127, 127, 127]),
        ("LA", (0, 0), [255, 255, 255]),
        ("L", 40, [40, 40, 40]),
        ("I;16", 0x8000, [128, 128, 128]),
        ("I", 70000, [255, 255, 255]),
        ("1", 1, [255, 255, 255]),
    ],
)
def test_colours_of_images(tmp_path, mode, colour, bgr):
    path = tmp_path / ("a.tif" if mode == "I" else "a.png")
    Image.new(mode, (3, 2), colour).save(path)
    image = next(open_source(path)).image
    assert image.shape == (2, 3, 3)
    assert image.dtype == np.uint8
    assert image[1, 2].tolist() == bgr


def test_a_palette_with_a_transparent_colour(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([9, 9, 9, 60, 70, 80])
    image.save(tmp_path / "a.png", transparency=0)
    assert next(open_source(tmp_path / "a.png")).image[0, 0].tolist() == [80, 70, 60]
    image.save(tmp_path / "b.png", transparency=1)
    assert next(open_source(tmp_path / "b.png")).image[0, 0].tolist() == [255, 255, 255]


# Folders


def fill(folder, count, bad=()):
    for n in range(count):
        cv2.imwrite(str(folder / f"{n}.png"), grey(n))
    for n in bad:
        (folder / f"{n}.png").write_bytes(b"junk")
    return folder


def test_a_folder_in_parts(tmp_path):
    fill(tmp_path, 10)
    assert [f.index for f in open_source(tmp_path, every=3)] == [0, 3, 6, 9]
    after = Frame(3, 0.3, grey(0))
    rest = list(open_source(tmp_path, every=3, after=after, fps=5))
    assert [(f.index, f.time, int(f.image[0, 0, 0])) for f in rest] == [(6, 1.2, 6), (9, 1.8, 9)]
    first = Frame(0, 0.0, grey(0))
    assert [f.index for f in open_source(tmp_path, after=first)] == list(range(1, 10))


def test_after_the_last_image_there_is_none(tmp_path):
    fill(tmp_path, 3)
    for index in (2, 7):
        source = open_source(tmp_path, after=Frame(index, 0.0, grey(0)))
        assert (list(source), source.frame_count) == ([], 3)


def test_what_is_skipped_is_told(tmp_path, caplog):
    fill(tmp_path, 5, bad=(0, 3))
    with open_source(tmp_path, fps=4) as source:
        assert [f.index for f in source] == [1, 2, 4]
    assert source.skipped == 2
    assert source.skipped_files == [tmp_path / "0.png", tmp_path / "3.png"]
    assert source.unreadable == [
        Unreadable(0.0, 0.25, 1, "0.png: not a readable image"),
        Unreadable(0.75, 1.0, 1, "3.png: not a readable image"),
    ]
    assert f"skipped {tmp_path / '3.png'}: not a readable image" in caplog.text
    assert (source.name, source.size, source.fps) == (str(tmp_path), (8, 6), 4)


def test_the_order_of_names(tmp_path):
    names = ["A2.png", "a10.png", "a02.png", "b1.png", "10.png", "9.png"]
    for name in names:
        cv2.imwrite(str(tmp_path / name), grey(names.index(name)))
    values = [int(f.image[0, 0, 0]) for f in open_source(tmp_path)]
    assert [names[v] for v in values] == [
        "9.png",
        "10.png",
        "A2.png",
        "a02.png",
        "a10.png",
        "b1.png",
    ]


def test_a_folder_says_what_it_could_hold(tmp_path):
    (tmp_path / ".hidden.png").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"expected some of \.bmp \.jpeg .*\.tiff \.webp$"):
        open_source(tmp_path)


@pytest.mark.parametrize("fps", [0, -1.0, math.inf, math.nan])
def test_the_rate_of_a_folder(tmp_path, fps):
    with pytest.raises(SourceError, match=f"fps of a folder of images must be above 0, got {fps}"):
        open_source(fill(tmp_path, 1), fps=fps)


# Beginnings


def test_how_a_file_begins(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(1, 11)) * 1000)
    assert read_head(path, "x") == (bytes(range(1, 11)) * 1000)[:4096]
    path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"x: empty file, expected a fish$"):
        read_head(path, "a fish")
    with pytest.raises(SourceError, match=r"not a file, expected a fish$"):
        read_head(tmp_path, "a fish")
    with pytest.raises(SourceError, match=r"y: no such file or folder$"):
        read_head(tmp_path / "y", "a fish")


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"x")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match=r"x: can't be read, Permission denied$"):
        read_head(tmp_path / "x", "a fish")
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(SourceError, match=r"can't be read, Permission denied$"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("head", "text"),
    [
        (b"hello", True),
        (b"hel\0lo", False),
        ("über".encode(), True),
        (b"\xff\xfe rest", False),
        # Cut within the last character, however long that is.
        ("a€".encode()[:-1], True),
        ("a😀".encode()[:-1], True),
        (b"a\xff" + b"b" * 3, False),
        (b"\xe2\x82 ..", False),
    ],
)
def test_what_is_a_text(head, text):
    assert is_text(head) == text


def test_closing_twice(tmp_path):
    source = open_source(fill(tmp_path, 2))
    next(source)
    source.close()
    source.close()
    assert list(source) == []
    assert (source.notes, source.started, source.exact) == ([], "", True)
