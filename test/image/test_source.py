# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frame sources on real files: what they yield, when, and what they say when they can't."""

from __future__ import annotations

import io
import itertools
import logging
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from emotion_perception.image.decode import MAX_PIXELS
from emotion_perception.image.source import (
    Frame,
    SourceError,
    _webcam_frames,
    first_webcam,
    open_source,
)

GREYS = [20, 60, 100, 140, 180, 220]


def grey(value: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def write_video(path: Path, frames: list[np.ndarray], fps: float = 20.0) -> Path:
    height, width = frames[0].shape[:2]
    fourcc = cv2.VideoWriter_fourcc(*("mp4v" if path.suffix == ".mp4" else "MJPG"))
    writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV can't write {path.suffix}")
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def write_gif(path: Path, durations_ms: list[int]) -> Path:
    frames = [Image.fromarray(grey(value)) for value in GREYS[: len(durations_ms)]]
    duration = durations_ms if len(durations_ms) > 1 else durations_ms[0]
    frames[0].save(path, "GIF", save_all=True, append_images=frames[1:], duration=duration)
    return path


def noise_video(path: Path, count: int = 40) -> Path:
    rng = np.random.default_rng(0)
    return write_video(path, [rng.integers(0, 255, (96, 128, 3), np.uint8) for _ in range(count)])


def read(source, **options) -> list[Frame]:
    with open_source(source, **options) as frames:
        return list(frames)


def levels(frames: list[Frame]) -> list[int]:
    return [round(float(frame.image.mean())) for frame in frames]


class TestVideo:
    @pytest.mark.parametrize("suffix", [".avi", ".mp4"])
    def test_frames_and_times(self, tmp_path, suffix):
        path = write_video(tmp_path / f"clip{suffix}", [grey(value) for value in GREYS])
        with open_source(str(path)) as source:
            assert (source.name, source.live, source.skipped) == (str(path), False, 0)
            assert (source.size, source.frame_count) == ((64, 48), 6)
            assert source.fps == pytest.approx(20)
            frames = list(source)
        assert [frame.index for frame in frames] == list(range(6))
        assert [frame.time for frame in frames] == pytest.approx(np.arange(6) / 20, abs=1e-3)
        assert frames[0].image.dtype == np.uint8
        assert levels(frames) == pytest.approx(GREYS, abs=4)

    def test_colour_order_is_bgr(self, tmp_path):
        blue = grey(0)
        blue[..., 0] = 255
        frame = read(write_video(tmp_path / "clip.avi", [blue] * 2))[0]
        assert frame.image[..., 0].mean() > 200
        assert frame.image[..., 2].mean() < 50

    def test_variable_frame_rate_keeps_its_stamps(self, tmp_path):
        # FFmpeg tells a GIF by its content: here it stands for any video with uneven stamps.
        path = write_gif(tmp_path / "uneven.avi", [100, 300, 50, 700, 100])
        times = [frame.time for frame in read(path)]
        assert times == pytest.approx([0, 0.1, 0.4, 0.45, 1.15], abs=1e-3)

    def test_frames_are_not_one_reused_buffer(self, tmp_path):
        frames = read(write_video(tmp_path / "clip.avi", [grey(value) for value in GREYS]))
        assert not np.shares_memory(frames[0].image, frames[1].image)

    @pytest.mark.parametrize("kept", [0.3, 0.6])
    def test_a_truncated_video_says_so_after_its_last_good_frame(self, tmp_path, kept):
        data = noise_video(tmp_path / "whole.avi").read_bytes()
        path = tmp_path / "cut.avi"
        path.write_bytes(data[: int(len(data) * kept)])
        frames = []
        with (
            pytest.raises(SourceError, match=r"truncated or corrupt, \d+ of 40 frames"),
            open_source(path) as source,
        ):
            frames.extend(source)
        assert len(frames) == pytest.approx(40 * kept, abs=3)

    def test_a_truncated_mp4_has_lost_its_index(self, tmp_path):
        data = noise_video(tmp_path / "whole.mp4").read_bytes()
        path = tmp_path / "cut.mp4"
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(SourceError, match="not a video that OpenCV can read"):
            open_source(path)

    def test_closing_ends_the_frames(self, tmp_path):
        source = open_source(write_video(tmp_path / "clip.avi", [grey(value) for value in GREYS]))
        next(source)
        source.close()
        assert list(source) == []
        source.close()


class TestGif:
    def test_frames_keep_their_delays(self, tmp_path):
        path = write_gif(tmp_path / "face.gif", [100, 300, 50, 700, 120])
        with open_source(path) as source:
            assert (source.size, source.frame_count, source.fps) == ((64, 48), 5, 10)
            frames = list(source)
        assert [frame.time for frame in frames] == pytest.approx([0, 0.1, 0.4, 0.45, 1.15])
        assert levels(frames) == pytest.approx(GREYS[:5], abs=2)

    @pytest.mark.parametrize("delay", [0, 10])
    def test_delays_that_nobody_meant_become_a_tenth_of_a_second(self, tmp_path, delay):
        path = write_gif(tmp_path / "fast.gif", [delay, delay, delay])
        assert [frame.time for frame in read(path)] == pytest.approx([0, 0.1, 0.2])

    def test_one_frame(self, tmp_path):
        assert len(read(write_gif(tmp_path / "one.gif", [100]))) == 1

    def test_frames_are_whole_pictures_in_bgr(self, tmp_path):
        # The second frame changes one corner only: the file stores no more than that.
        red = Image.new("RGB", (64, 48), (255, 0, 0))
        corner = red.copy()
        corner.paste((0, 0, 255), (0, 0, 8, 8))
        red.save(tmp_path / "a.gif", save_all=True, append_images=[corner], duration=100)
        second = read(tmp_path / "a.gif")[1].image
        assert second[0, 0].tolist() == [255, 0, 0]
        assert second[40, 60].tolist() == [0, 0, 255]

    def test_transparency_shows_white(self, tmp_path):
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "a.gif")
        assert read(tmp_path / "a.gif")[0].image.min() == 255

    def test_a_kilobyte_does_not_buy_frames_of_a_gigabyte(self, tmp_path):
        data = bytearray(write_gif(tmp_path / "a.gif", [100, 100]).read_bytes())
        data[6:10] = (8192).to_bytes(2, "little") * 2
        (tmp_path / "a.gif").write_bytes(data)
        with pytest.raises(SourceError, match=r"a\.gif: .*8192x8192 pixels, expected at most"):
            read(tmp_path / "a.gif")

    def test_truncated(self, tmp_path):
        rng = np.random.default_rng(0)
        images = [Image.fromarray(rng.integers(0, 255, (48, 64), np.uint8)) for _ in range(3)]
        images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=100)
        data = (tmp_path / "a.gif").read_bytes()
        (tmp_path / "a.gif").write_bytes(data[: len(data) // 2])
        with pytest.raises(SourceError, match=r"a\.gif: (truncated|not a readable GIF)"):
            read(tmp_path / "a.gif")


class TestImage:
    @pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif", ".PNG"])
    def test_is_one_frame(self, tmp_path, suffix):
        pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
        path = tmp_path / f"face{suffix}"
        assert cv2.imwrite(str(path), pixels)
        with open_source(path) as source:
            assert (source.size, source.frame_count, source.fps) == ((7, 5), 1, None)
            (frame,) = source
        assert (frame.index, frame.time) == (0, 0.0)
        np.testing.assert_array_equal(frame.image, pixels)

    @pytest.mark.parametrize(
        ("pixels", "expected"),
        [
            # 16 bits are scaled, not clipped
            (np.full((4, 4), 0x8000, np.uint16), 128),
            # grey
            (np.full((4, 4), 77, np.uint8), 77),
            # a transparent black is white
            (np.zeros((4, 4, 4), np.uint8), 255),
            (np.full((4, 4, 4), 255, np.uint8), 255),
        ],
    )
    def test_kinds_of_png(self, tmp_path, pixels, expected):
        cv2.imwrite(str(tmp_path / "a.png"), pixels)
        image = read(tmp_path / "a.png")[0].image
        assert image.shape == (4, 4, 3)
        assert (image == expected).all()

    def test_exif_orientation_is_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(grey(9)).save(tmp_path / "a.jpg", exif=exif)
        assert open_source(tmp_path / "a.jpg").size == (48, 64)

    @pytest.mark.parametrize("suffix", [".jpg", ".png"])
    def test_truncated(self, tmp_path, suffix):
        path = tmp_path / f"a{suffix}"
        cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
        path.write_bytes(path.read_bytes()[:-2000])
        with pytest.raises(SourceError, match=f"a{suffix}: not a readable image"):
            open_source(path)

    def test_an_absurd_size_is_refused_before_decoding(self, tmp_path):
        stream = io.BytesIO()
        Image.new("1", (8, 8)).save(stream, "BMP")
        data = bytearray(stream.getvalue())
        data[18:26] = (20000).to_bytes(4, "little") * 2
        (tmp_path / "a.bmp").write_bytes(data)
        with pytest.raises(SourceError, match=r"a\.bmp: not a readable image"):
            open_source(tmp_path / "a.bmp")
        assert MAX_PIXELS < 20000 * 20000


class TestFolder:
    def fill(self, folder: Path, names: list[str]) -> Path:
        for value, name in zip(GREYS, names, strict=False):
            cv2.imwrite(str(folder / name), grey(value))
        return folder

    def test_natural_order_and_rate(self, tmp_path):
        self.fill(tmp_path, ["img1.png", "img2.png", "IMG10.png", "img11.png"])
        with open_source(tmp_path, fps=4) as source:
            assert (source.frame_count, source.fps, source.live) == (4, 4, False)
            frames = list(source)
        assert levels(frames) == GREYS[:4]
        assert [frame.time for frame in frames] == [0, 0.25, 0.5, 0.75]

    def test_default_rate(self, tmp_path):
        assert read(self.fill(tmp_path, ["1.png", "2.png"]))[1].time == pytest.approx(0.1)

    def test_sizes_may_differ(self, tmp_path):
        cv2.imwrite(str(tmp_path / "1.png"), grey(1, 10, 20))
        cv2.imwrite(str(tmp_path / "2.png"), grey(1, 30, 5))
        with open_source(tmp_path) as source:
            assert source.size == (20, 10)
            assert [frame.image.shape for frame in source] == [(10, 20, 3), (30, 5, 3)]

    def test_other_and_hidden_files_are_left_alone(self, tmp_path):
        self.fill(tmp_path, ["1.png"])
        (tmp_path / "notes.txt").write_text("not an image")
        (tmp_path / "._1.png").write_bytes(b"a Mac's shadow file")
        with open_source(tmp_path) as source:
            assert (len(list(source)), source.skipped) == (1, 0)

    @pytest.mark.parametrize("corrupt", ["1.png", "3.png", "5.png"])
    def test_a_corrupt_image_is_skipped_and_leaves_a_gap(self, tmp_path, corrupt, caplog):
        self.fill(tmp_path, ["1.png", "2.png", "3.png", "4.png", "5.png"])
        (tmp_path / corrupt).write_bytes(b"not a png")
        with caplog.at_level(logging.WARNING), open_source(tmp_path) as source:
            indices = [frame.index for frame in source]
            assert source.skipped == 1
            assert source.skipped_files == [tmp_path / corrupt]
        assert indices == [i for i in range(5) if f"{i + 1}.png" != corrupt]
        assert corrupt in caplog.text

    @pytest.mark.parametrize(
        ("names", "options", "expected"),
        [
            # nothing in it
            ([], {}, "a folder without images, expected some of .bmp"),
            # a folder of videos is not a video
            (["clip.mp4", "notes.txt"], {}, "a folder without images"),
            # images, but none of them good
            (["a.png", "b.jpg"], {}, "none of 2 images can be read"),
            (["a.png"], {"fps": 0}, "fps of a folder of images must be above 0, got 0"),
            (["a.png"], {"fps": float("nan")}, "must be above 0, got nan"),
        ],
    )
    def test_faults(self, tmp_path, names, options, expected):
        for name in names:
            (tmp_path / name).write_bytes(b"junk")
        with pytest.raises(SourceError, match=re.escape(f"{tmp_path}: ") + f".*{expected}"):
            open_source(tmp_path, **options)


class TestFaults:
    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("missing.mp4", None, "no such file or folder"),
            ("empty.mp4", b"", "empty file"),
            ("notes.txt", b"Session of Monday\n", "a text file"),
            # a suffix doesn't make a video
            ("notes.mp4", "Sitzung: schön\n".encode(), "a text file"),
            # a playlist would lead FFmpeg to other files
            ("list.m3u8", b"#EXTM3U\nhttp://localhost/a.ts\n", "a text file"),
            ("noise.mp4", bytes(range(256)) * 20, "not a video that OpenCV can read"),
            ("junk.png", bytes(range(256)), "not a readable image"),
            ("junk.gif", b"GIF89a" + bytes(3), "not a readable GIF"),
        ],
    )
    def test_one_line_that_names_the_source(self, tmp_path, name, content, expected):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SourceError, match=re.escape(str(path)) + f": .*{expected}") as error:
            open_source(path)
        assert "\n" not in str(error.value)

    def test_text_cut_within_a_character_is_text(self, tmp_path):
        (tmp_path / "a.mp4").write_text("ü" * 5000, encoding="utf-8")
        (tmp_path / "b.mp4").write_text("a" + "ü" * 5000, encoding="utf-8")
        for name in ("a.mp4", "b.mp4"):
            with pytest.raises(SourceError, match="a text file"):
                open_source(tmp_path / name)

    @pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no device files here")
    def test_a_device_that_is_no_webcam(self):
        with pytest.raises(SourceError, match="neither a file, a folder nor a webcam"):
            open_source("/dev/zero")

    def test_an_error_is_a_value_error(self):
        assert issubclass(SourceError, ValueError)

    def test_corrupt_files_print_nothing(self, tmp_path):
        # In a process of its own: FFmpeg's level is set when OpenCV first loads it.
        path = tmp_path / "noise.mp4"
        path.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(range(256)) * 20)
        code = (
            "import sys\nfrom emotion_perception.image.source import SourceError, open_source\n"
            "try:\n    open_source(sys.argv[1])\nexcept SourceError:\n    print('refused')\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert (done.stdout, done.stderr) == ("refused\n", "")


class TestWebcam:
    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="device files are Linux's")
    @pytest.mark.parametrize("source", [63, "63", "/dev/video63"])
    def test_none_there(self, source):
        with pytest.raises(SourceError, match=r"webcam 63: no /dev/video63; ls /dev/video\*"):
            open_source(source)

    def test_a_negative_index(self):
        with pytest.raises(SourceError, match="webcam -1: expected an index of at least 0"):
            open_source(-1)

    def test_a_camera_that_stops_raises_so_that_the_node_can_retry(self, tmp_path):
        # A video that ends stands for a camera that is unplugged: OpenCV reports both alike.
        capture = cv2.VideoCapture(str(write_video(tmp_path / "clip.avi", [grey(9)] * 3)))
        frames = []
        with pytest.raises(SourceError, match="webcam 0: sends no frames"):
            frames.extend(_webcam_frames(capture, "webcam 0"))
        assert [frame.index for frame in frames] == [0, 1, 2]
        assert all(a.time < b.time for a, b in itertools.pairwise(frames))

    @pytest.mark.skipif(Path("/dev/video0").exists(), reason="this machine has a webcam")
    def test_first_webcam_without_any(self, capfd):
        assert first_webcam() is None
        assert capfd.readouterr().err == ""

    @pytest.mark.skipif(not Path("/dev/video0").exists(), reason="this machine has no webcam")
    def test_a_real_webcam(self):
        index = first_webcam()
        if index is None:
            pytest.skip("no webcam delivers a frame")
        with open_source(index) as camera:
            frame = next(camera)
            assert camera.live
            assert frame.image.shape == (camera.size[1], camera.size[0], 3)
