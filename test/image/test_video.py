# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Real files, made by FFmpeg through PyAV, and damaged by hand."""

import re
import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

av = pytest.importorskip("av", reason="pip install '.[sessions]'")

from emotion_perception.image.source import Frame, SourceError, open_source
from emotion_perception.image.video import open_video


def image_of(index, size=(160, 120)):
    """Return a picture that tells its number: 12 bits as black and white squares."""
    width, height = size
    image = np.full((height, width, 3), 96, np.uint8)
    for bit in range(12):
        x, y = bit % 4 * width // 4, bit // 4 * height // 3
        image[y + 4 : y + height // 3 - 4, x + 4 : x + width // 4 - 4] = (
            235 if index >> bit & 1 else 20
        )
    return image


def number_in(image):
    height, width = image.shape[:2]
    centres = [
        image[(bit // 4 * 2 + 1) * height // 6, (bit % 4 * 2 + 1) * width // 8].mean()
        for bit in range(12)
    ]
    return sum(1 << bit for bit, grey in enumerate(centres) if grey > 128)


def write(path, times, *, codec="libx264", size=(160, 120), options=None, audio=False, images=None):
    """Write a video whose frames are shown at these times in seconds."""
    # MPEG-4 and AVI count frames, and so do their times.
    base = Fraction(1, 25) if codec in ("mpeg4", "mpeg2video") else Fraction(1, 90000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {"bf": "2", "g": "30"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = base
        stream.time_base = base
        for index, time in enumerate(times):
            image = image_of(index, size) if images is None else images[index]
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = round(time / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def even(count, rate=25.0):
    return [index / rate for index in range(count)]


def read(path, **options):
    with open_video(path, **options) as source:
        return source, list(source)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_frames_and_times(tmp_path, suffix):
    options = {"codec": "mpeg4", "options": {}} if suffix == ".avi" else {}
    path = write(tmp_path / f"a session - Jürgen{suffix}", even(60), **options)
    source, frames = read(path)
    assert [number_in(frame.image) for frame in frames] == list(range(60))
    assert [frame.index for frame in frames] == list(range(60))
    assert [frame.time for frame in frames] == pytest.approx(even(60), abs=0.0011)
    assert (source.size, source.unreadable, source.notes) == ((160, 120), [], [])


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.choice([0.011, 0.04, 0.2, 1.5], 50)) - 0.011
    _, frames = read(write(tmp_path / "x.mp4", times))
    assert [frame.time for frame in frames] == pytest.approx(times - times[0], abs=1e-4)


@pytest.mark.parametrize("every", [2, 7])
def test_only_some_frames_are_told(tmp_path, every):
    _, frames = read(write(tmp_path / "x.mp4", even(60)), every=every)
    assert [frame.index for frame in frames] == list(range(0, 60, every))
    assert [number_in(frame.image) for frame in frames] == list(range(0, 60, every))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("index", [0, 1, 29, 30, 31, 149, 298, 299])
def test_going_on_after_a_frame(tmp_path, suffix, index):
    options = {"codec": "mpeg4", "options": {"g": "12"}} if suffix == ".avi" else {}
    path = write(tmp_path / f"x{suffix}", even(300), **options)
    _, frames = read(path)
    mark = Frame(index, frames[index].time, np.empty((0, 0, 3), np.uint8))
    _, rest = read(path, after=mark)
    assert [(f.index, f.time) for f in rest] == [(f.index, f.time) for f in frames[index + 1 :]]
    for frame, expected in zip(rest, frames[index + 1 :], strict=True):
        np.testing.assert_array_equal(frame.image, expected.image)


def test_a_turned_video_is_shown_upright(tmp_path):
    path = write(tmp_path / "x.mp4", even(5))
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40  # the matrix of the track, version 0
    one = 1 << 16
    for n, value in enumerate((0, one, 0, -one, 0, 0, 0, 0, 1 << 30)):  # clockwise by 90 degrees
        content[at + 4 * n : at + 4 * n + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(bytes(content))
    source, frames = read(path)
    assert source.size == (120, 160)
    assert source.notes == ["rotated by what its file says"]
    assert frames[0].image.shape == (160, 120, 3)
    _, expected = cv2.VideoCapture(str(path)).read()  # which turns it by the same matrix
    assert np.abs(frames[0].image.astype(int) - expected).mean() < 3


def test_an_interlaced_video_has_no_combs(tmp_path):
    """Every other line is a moment later, as in old cameras."""
    rows, images = np.arange(240), []
    for n in range(20):
        image = np.full((240, 320, 3), 30, np.uint8)
        for field in (0, 1):
            x = 20 + 12 * n + 6 * field
            image[rows % 2 == field, x : x + 60] = 220
        images.append(image)
    path = write(
        tmp_path / "x.mkv", even(20), size=(320, 240), codec="mpeg2video", images=images,
        options={"flags": "+ilme+ildct", "b": "8000000"},
    )  # fmt: skip
    source, frames = read(path)
    assert source.notes == ["interlaced: the combs were taken out"]
    assert len(frames) == 20
    assert [frame.time for frame in frames] == pytest.approx(even(20), abs=0.0021)

    def combs(image):
        grey = image[:, :, 0].astype(int)
        return float((np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2) > 60).mean())

    assert combs(images[10]) > 0.02
    assert max(combs(frame.image) for frame in frames[2:-2]) < 0.005


def test_large_frames_are_shrunk(tmp_path):
    source, frames = read(write(tmp_path / "x.mp4", even(4), size=(640, 480)), max_side=320)
    assert (source.size, frames[3].scale) == ((640, 480), 0.5)
    assert frames[3].image.shape == (240, 320, 3)
    assert number_in(frames[3].image) == 3


def test_damaged_parts_are_left_out_and_listed(tmp_path):
    path = write(tmp_path / "x.mkv", even(300), options={"g": "25", "bf": "0"})
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + 3000] = bytes(range(250)) * 12
    path.write_bytes(bytes(content))
    source, frames = read(path)
    (lost, *more) = source.unreadable
    assert 2.0 < lost.start < lost.end <= 8.0
    assert abs(lost.frames - 25 * (lost.end - lost.start)) <= 1
    assert lost.why
    # What came is right, whatever came: the picture tells its number, the time too.
    assert all(abs(number_in(f.image) / 25 - f.time) < 0.0021 for f in frames)
    assert 150 < len(frames) < 300
    assert len(more) <= 2


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_truncated_video_is_read_as_far_as_it_goes(tmp_path, share):
    path = write(tmp_path / "x.mp4", even(300), options={"movflags": "faststart"})
    with av.open(str(path)) as whole, av.open(str(tmp_path / "y.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    cut = tmp_path / "z.mkv"
    content = (tmp_path / "y.mkv").read_bytes()
    cut.write_bytes(content[: int(len(content) * share)])
    source, frames = read(cut)
    assert 0 < len(frames) < 300
    assert [number_in(frame.image) for frame in frames] == list(range(len(frames)))
    if share < 0.9:
        last = source.unreadable[-1]
        assert "truncated" in last.why or last.why
        assert last.end == pytest.approx(12.0, abs=0.1)


def test_damage_gives_the_same_frames_with_any_threads_and_after_a_stop(tmp_path):
    """Threads race in what they make of a damaged frame, and of those that refer to it."""
    path = write(tmp_path / "x.mkv", even(200), options={"g": "50", "bf": "2"}, size=(320, 240))
    content = bytearray(path.read_bytes())
    for share in (0.3, 0.6):
        at = int(len(content) * share)
        content[at : at + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(bytes(content))

    def told(**options):
        source, frames = read(path, **options)
        assert source.unreadable
        assert not source.exact
        return [(f.index, f.time, f.image.tobytes()) for f in frames]

    whole = told(threads=1)
    assert told(threads=4) == whole
    for index in (20, len(whole) // 2, len(whole) - 20):
        mark = Frame(*whole[index][:2], np.empty((0, 0, 3), np.uint8))
        with open_video(path, after=mark, seek=False, threads=4) as source:
            assert [(f.index, f.time, f.image.tobytes()) for f in source] == whole[index + 1 :]


def join(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


@pytest.mark.parametrize("index", [30, 90, 130, 190])
def test_going_on_in_a_stream_whose_times_come_again(tmp_path, index):
    """Camcorders and recorders put files together; a time is then there twice."""
    one = write(tmp_path / "x.ts", even(100), options={"g": "12", "bf": "0"})
    path = join(tmp_path / "two.ts", one, one)
    source, frames = read(path)
    assert [number_in(frame.image) for frame in frames] == [*range(100), *range(100)]
    assert [frame.time for frame in frames] == pytest.approx(even(200), abs=1e-3)
    assert (source.notes, source.exact) == (["its time stamps jump back"], False)
    mark = Frame(index, frames[index].time, np.empty((0, 0, 3), np.uint8))
    with open_video(one) as source:
        assert not source.exact  # before anybody could know
    _, rest = read(path, after=mark, seek=False)
    assert [frame.index for frame in rest] == list(range(index + 1, 200))
    assert [f.image.tobytes() for f in rest] == [f.image.tobytes() for f in frames[index + 1 :]]


def test_a_stream_of_two_sizes(tmp_path):
    flags = {"codec": "mpeg2video", "options": {"flags": "+ilme+ildct", "b": "8000000"}}
    for name, told in (("interlaced", flags), ("whole", {})):
        one = write(tmp_path / f"{name} 1.ts", even(20), size=(320, 240), **told)
        two = write(tmp_path / f"{name} 2.ts", even(20), size=(160, 128), **told)
        source, frames = read(join(tmp_path / f"{name}.ts", one, two))
        assert source.size == (320, 240)
        heights = [frame.image.shape[0] for frame in frames]
        assert heights == sorted(heights, reverse=True)
        # FFmpeg's MPEG-2 loses the last frame before the change.
        assert heights.count(240) in (19, 20)
        assert heights.count(128) == 20


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "x.mp4", even(3)).rename("2026-11-21T14:30.mp4")
    _, frames = read(Path("2026-11-21T14:30.mp4"))
    assert len(frames) == 3


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_sound_that_goes_on_is_no_lost_video(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        sound = container.add_stream("aac", rate=16000)
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(image_of(index), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for index in range(50):  # three seconds
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            samples.sample_rate, samples.pts = 16000, index * 1024
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    source, frames = read(path)
    assert len(frames) == 25
    assert source.unreadable == []


def test_a_stream_that_begins_in_the_middle_has_its_end(tmp_path):
    whole = write(tmp_path / "x.ts", even(100), options={"g": "50", "bf": "0"}).read_bytes()
    cut = tmp_path / "cut.ts"
    cut.write_bytes(whole[len(whole) // 188 // 4 * 188 :])
    source, frames = read(cut)
    assert [number_in(frame.image) for frame in frames] == list(range(50, 100))
    assert source.unreadable == []


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_a_truncated_video_tells_how_many_are_missing(tmp_path, suffix):
    options = {"codec": "mpeg4", "options": {"g": "12"}} if suffix == ".avi" else {}
    path = write(tmp_path / f"x{suffix}", even(100), **options)
    if suffix == ".mp4":  # its index first, so that it can be read without its end
        whole, path = path, tmp_path / "fast.mp4"
        with (
            av.open(str(whole)) as read_from,
            av.open(str(path), "w", options={"movflags": "faststart"}) as copy,
        ):
            stream = copy.add_stream_from_template(read_from.streams.video[0])
            for packet in read_from.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
    content = path.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: len(content) // 2])
    source, frames = read(cut)
    assert sum(part.frames for part in source.unreadable) == 100 - len(frames)
    assert source.unreadable[-1].end == pytest.approx(4.0, abs=0.05)


def bad_files(tmp_path):
    whole = write(tmp_path / "whole.mp4", even(50)).read_bytes()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return {
        "without its end": (whole[: len(whole) // 2], "not a readable video"),
        "empty": (b"", "empty file, expected a video"),
        "text": (b"hello\n", "a text file, expected a video"),
        "playlist": (b"#EXTM3U\n/etc/passwd\n", "a text file, expected a video"),
        "noise": (np.random.default_rng(0).bytes(5000), "not a readable video"),
        "sound": ((tmp_path / "sound.mp4").read_bytes(), "only sound in it, expected a video"),
    }


@pytest.mark.parametrize("kind", ["without its end", "empty", "text", "playlist", "noise", "sound"])
def test_what_is_no_video_is_refused_in_a_line(tmp_path, kind):
    content, message = bad_files(tmp_path)[kind]
    path = tmp_path / f"{kind}.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        open_video(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_video_without_frames_is_refused(tmp_path):
    path = write(tmp_path / "x.mkv", even(2))
    content = path.read_bytes()
    cut = tmp_path / "y.mkv"
    cut.write_bytes(content[: content.index(b"\x1f\x43\xb6\x75")])  # before the first cluster
    with pytest.raises(SourceError, match=r"without one readable frame|not a readable video"):
        open_video(cut)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(SourceError, match="no such file or folder"):
        open_video(tmp_path / "x.mp4")
    with pytest.raises(SourceError, match="not a file, expected a video"):
        open_video(tmp_path)


@pytest.mark.parametrize("opened", [open_video, open_source])
@pytest.mark.parametrize("size", [2**64 - 1, 2**63, 1 << 40, 8, 0])
def test_a_box_of_an_impossible_size(tmp_path, opened, size):
    path = write(tmp_path / "x.mp4", even(4))
    path.write_bytes(path.read_bytes() + struct.pack(">I4sQ", 1, b"free", size))
    with opened(path) as source:
        assert len(list(source)) == 4


@pytest.mark.parametrize("opened", [open_video, open_source])
@pytest.mark.parametrize("box", [b"stsz", b"trun"])
def test_samples_that_a_file_cannot_hold(tmp_path, opened, box):
    """FFmpeg would make a list of them all: 3 GB for 50 million."""
    path = write(tmp_path / "x.mp4", even(4))
    content = bytearray(path.read_bytes())
    if box == b"stsz":
        at = content.index(b"stsz") + 8
        content[at : at + 8] = struct.pack(">II", 16, 50_000_000)
    else:
        fragment = b"trun" + struct.pack(">II", 0, 50_000_000)
        content += struct.pack(">I4s", 8 + len(fragment), b"moof") + fragment
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"x\.mp4: announces 500\d{5} samples"):
        opened(path)


def test_colours_that_nobody_knows_are_left_out_and_told(tmp_path):
    path = tmp_path / "x.mpg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"g": "2"})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        for index in range(4):
            frame = av.VideoFrame.from_ndarray(image_of(index), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert len(read(path)[1]) == 4
    # Of the sequence display extension: format, primaries, transfer characteristics, matrix.
    known = re.compile(rb"(\x00\x00\x01\xb5[\x20-\x2f]\x01\x01)\x01")
    path.write_bytes(known.sub(b"\\g<1>\xd1", content))
    with pytest.raises(SourceError, match="without one readable frame"):
        open_video(path)
    path.write_bytes(known.sub(b"\\g<1>\xd1", content, count=1))
    source, frames = read(path)
    assert [number_in(frame.image) for frame in frames] == [2, 3]
    (part,) = source.unreadable
    assert (part.frames, part.start, part.end) == (2, 0.0, pytest.approx(0.08))
    assert "frames that can't be shown" in part.why
