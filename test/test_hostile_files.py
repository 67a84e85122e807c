# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files made to exhaust a machine: each is refused in a line, in a process of bounded memory."""

import json
import os
import struct
import subprocess
import sys
import textwrap
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from emotion_perception import limited_files
from emotion_perception.faces.model_files import ModelError, verify_files
from emotion_perception.image.still import read_still
from emotion_perception.limited_arrays import read_array, read_arrays
from emotion_perception.limited_files import parse_json, read_bytes, read_json
from emotion_perception.training.faces import DataError
from emotion_perception.training.listing import inside

ALLOWED_MB = 700
"""That reading may take: twice what a bag may unpack at once, and libraries."""

CHILD = """
import sys
from pathlib import Path

def most():
    # Not ru_maxrss, which a process inherits of the one that started it.
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

path = Path(sys.argv[1])
{imports}
before = most()
try:
    {work}
    print("READ")
except ({errors}) as error:
    said = str(error)
    assert "\\n" not in said, said
    print(said)
print((most() - before) / 1024)
"""


def refused(path, imports, work, errors):
    """Read a file in a process of its own; return what it said."""
    text = CHILD.format(imports=textwrap.dedent(imports), work=work, errors=errors)
    done = subprocess.run(
        [sys.executable, "-c", text, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    *said, memory = done.stdout.strip().splitlines()
    assert float(memory) < ALLOWED_MB, f"took {memory} MB"
    return said[-1]


# JSON, names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": -Infinity}', "-Infinity is not a number"),
        ('{"a": 1e999}', "too large a number"),
        ('{"files": {}, "files": {}}', "'files' is there twice"),
        ("[" * 100_000 + "]" * 100_000, "more than 40 levels"),
        ("[" * 50 + "]" * 50, "more than 40 levels"),
        ("9" * 10_000, "too large a number"),
        ('{"a"', "."),
        (b"\xff\xfe", "."),
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_json_that_is_usual_is_read(tmp_path):
    told = {"a": [1, 2.5, "x", None, True, {"b": [[]]}], "c": {"a": 1}}
    (tmp_path / "x.json").write_text(json.dumps(told))
    assert read_json(tmp_path / "x.json") == told


def test_files_that_are_none_and_files_too_large(tmp_path):
    os.mkfifo(tmp_path / "card.json")
    with pytest.raises(ModelError, match=r"card\.json: .*not an ordinary file"):
        verify_files(tmp_path)
    for odd in ("/dev/zero", "/dev/urandom"):
        with pytest.raises(ValueError, match="not an ordinary file"):
            read_bytes(Path(odd), 1000)
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(limited_files.MOST_JSON_BYTES + 1)
    with pytest.raises(ValueError, match=r"larger than 4\.2 MB"):
        read_json(large)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", "a\0b", "..", 3000 * "a"])
def test_names_do_not_lead_out_of_a_data_set(tmp_path, name):
    with pytest.raises(DataError, match=r"row 2: file: (expected a path inside|no file can be)"):
        inside(tmp_path, name, "labels.csv, row 2")


def test_names_within_a_data_set_are_taken(tmp_path):
    for name in ("a", "a/b.png", "...", "a..b"):
        assert inside(tmp_path, name, "labels.csv, row 2") == tmp_path / name


# Arrays


def packed(path, size, name="logits.npy", head=None):
    """An archive of zeros, of which nothing is ever held in memory."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(name, "w", force_zip64=True) as file,
    ):
        file.write(head or b"")
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return path


def head(shape, kind="<f4"):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def test_archive_of_zeros_is_refused(tmp_path):
    path = packed(tmp_path / "held_out.npz", 1 << 30, head=head((1 << 28,)))
    assert path.stat().st_size < 20e6
    said = refused(
        path, "from emotion_perception.training.promotion import HeldOut", "HeldOut.load(path)",
        "ValueError",
    )  # fmt: skip
    assert "held_out.npz: no usable held-out answers (1073.7 MB unpacked" in said


@pytest.mark.parametrize("shape", [f"({1 << 40},)", "(-1,)"])
def test_array_that_declares_more_than_there_is(tmp_path, shape):
    path = tmp_path / "x.npy"
    path.write_bytes(head(shape) + bytes(64))
    with pytest.raises(ValueError, match=r"declares the shape"):
        read_array(path, most=1 << 20)
    packed(tmp_path / "x.npz", 0, head=path.read_bytes())
    with pytest.raises(ValueError, match=r"declares the shape"):
        read_arrays(tmp_path / "x.npz", most=1 << 20)


def test_arrays_come_back(tmp_path):
    told = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array("text"),
        "c": np.asfortranarray(np.arange(6).reshape(2, 3)), "d": np.empty((0, 3), np.uint8),
    }  # fmt: skip
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **told)
        found = read_arrays(tmp_path / "x.npz", most=1 << 20)
        assert found.keys() == told.keys()
        for name, values in told.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype
    np.save(tmp_path / "x.npy", told["c"])
    np.testing.assert_array_equal(read_array(tmp_path / "x.npy", most=1 << 20), told["c"])


# Images


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(side):
    """A whole and valid PNG of side x side white pixels of one bit."""
    packer = zlib.compressobj(9)
    row = b"\0" + b"\xff" * ((side + 7) // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def small(suffix):
    import cv2

    return cv2.imencode(suffix, np.full((64, 64, 3), 90, np.uint8))[1].tobytes()


def jpeg(side):
    data = bytearray(small(".jpg"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", side, side)
    return bytes(data)


def bmp(side):
    data = bytearray(small(".bmp"))
    data[18:26] = struct.pack("<ii", side, side)
    return bytes(data)


def tiff(side):
    data = small(".tiff")
    at = struct.unpack("<I", data[4:8])[0]
    out = bytearray(data)
    for index in range(struct.unpack("<H", data[at : at + 2])[0]):
        place = at + 2 + 12 * index
        if struct.unpack("<H", data[place : place + 2])[0] in (256, 257):
            out[place + 2 : place + 12] = struct.pack("<HII", 4, 1, side)
    return bytes(out)


def webp(side):
    """The canvas of an extended WebP, which may be larger than what is in it."""
    size = (side - 1).to_bytes(3, "little")
    head = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + size
    inside = small(".webp")[12:]
    return b"RIFF" + struct.pack("<I", 4 + len(head) + len(inside)) + b"WEBP" + head + inside


def gif(side):
    frame = b",\0\0\0\0" + struct.pack("<HH", side, side) + b"\0\x08\x01\0\0;"
    return b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6) + frame


IMAGES = {
    "png": png(30_000), "jpg": jpeg(65_000), "bmp": bmp(40_000), "tiff": tiff(60_000),
    "webp": webp(16_000), "gif": gif(60_000),
}  # fmt: skip


@pytest.mark.parametrize("suffix", IMAGES)
def test_image_that_unpacks_to_gigabytes(tmp_path, suffix):
    path = tmp_path / f"bomb.{suffix}"
    path.write_bytes(IMAGES[suffix])
    assert path.stat().st_size < 300_000
    said = refused(
        path,
        """
        from emotion_perception.image.source import SourceError, open_source
        from emotion_perception.image.still import read_still
        """,
        "assert read_still(path) is None; list(open_source(str(path)))", "SourceError",
    )  # fmt: skip
    assert f"bomb.{suffix}: not a readable" in said


# More pixels than we take, and few enough for Pillow, which has a limit of its own.
JUST_ABOVE = {"png": png(8200), "gif": gif(4000)}


@pytest.mark.parametrize("suffix", JUST_ABOVE)
def test_image_just_above_our_own_limit(tmp_path, suffix):
    path = tmp_path / f"large.{suffix}"
    path.write_bytes(JUST_ABOVE[suffix])
    said = refused(
        path, "from emotion_perception.image.source import SourceError, open_source",
        "list(open_source(str(path)))", "SourceError",
    )  # fmt: skip
    assert f"large.{suffix}: not a readable" in said
    assert "pixels, expected at most " in said


def test_image_of_a_data_set_just_above_our_own_limit(tmp_path):
    (tmp_path / "large.png").write_bytes(JUST_ABOVE["png"])
    assert read_still(tmp_path / "large.png") is None
    (tmp_path / "large.png").write_bytes(png(8000))
    assert read_still(tmp_path / "large.png").shape == (8000, 8000, 3)


def test_image_of_a_data_set_that_is_too_large_is_left_out(tmp_path):
    (tmp_path / "bomb.png").write_bytes(IMAGES["png"])
    said = refused(
        tmp_path / "bomb.png",
        "from emotion_perception.training.face_finder import read_image",
        "raise ValueError(repr(read_image(path)))", "ValueError",
    )  # fmt: skip
    assert said == "None"


# Videos


def huge_video(path, headers, side=60_000):
    """A motion JPEG of which every frame says that it has side x side pixels."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    assert writer.isOpened()
    for _ in range(5):
        writer.write(np.full((64, 64, 3), 90, np.uint8))
    writer.release()
    data = bytearray(path.read_bytes())
    at = data.find(b"\xff\xc0")
    while at >= 0:
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
        at = data.find(b"\xff\xc0", at + 9)
    if headers:
        for name, offset in ((b"avih", 40), (b"strf", 12)):
            place = data.index(name) + offset
            assert struct.unpack("<ii", data[place : place + 8]) == (64, 64)
            data[place : place + 8] = struct.pack("<ii", side, side)
    path.write_bytes(data)
    return path


def refused_by(reader, path):
    """Return what a reader of videos says of a file that it refuses."""
    if reader == "av":
        pytest.importorskip("av")
        imports = "from emotion_perception.image.video import open_video as open_it"
    else:
        imports = "from emotion_perception.image.source import open_source as open_it"
    imports += "\nfrom emotion_perception.image.source import SourceError"
    given = "path" if reader == "av" else "str(path)"
    return refused(path, imports, f"list(open_it({given}))", "SourceError")


@pytest.mark.parametrize("headers", [True, False], ids=["all of it", "the frames only"])
@pytest.mark.parametrize("reader", ["av", "opencv"])
def test_video_of_60000_by_60000_pixels(tmp_path, reader, headers):
    assert "huge.avi: " in refused_by(reader, huge_video(tmp_path / "huge.avi", headers))


@pytest.mark.parametrize("reader", ["av", "opencv"])
def test_video_just_above_our_own_limit(tmp_path, reader):
    path = huge_video(tmp_path / "large.avi", headers=True, side=8200)
    assert "large.avi: 8200x8200 pixels, expected at most " in refused_by(reader, path)


# Bags


@pytest.fixture(scope="module")
def zeros():
    """Three gigabytes of zeros, packed."""
    zstd = pytest.importorskip("backports.zstd")
    packer = zstd.ZstdCompressor()
    parts = [packer.compress(bytes(16 << 20)) for _ in range(192)]
    return b"".join(parts) + packer.flush()


def make_bag(path, plugin, mode):
    rosbag2 = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    types, kind = store.types, "sensor_msgs/msg/Image"
    writer = rosbag2.Writer(path, version=9, storage_plugin=rosbag2.StoragePlugin[plugin])
    if mode:
        writer.set_compression(rosbag2.CompressionMode[mode], rosbag2.CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/image", kind, typestore=store)
        time = types["builtin_interfaces/msg/Time"](1, 0)
        header = types["std_msgs/msg/Header"](time, "")
        message = types[kind](header, 4, 4, "mono8", 0, 4, np.zeros(16, np.uint8))
        writer.write(connection, 10**9, store.serialize_cdr(message, kind))
    return path


def open_hostile_bag(path):
    return refused(
        path,
        """
        from emotion_perception.image.bag import open_bag
        from emotion_perception.image.source import SourceError
        """,
        "list(open_bag(path))", "SourceError",
    )  # fmt: skip


def test_message_that_unpacks_to_gigabytes(tmp_path, zeros):
    import sqlite3

    bag = make_bag(tmp_path / "bag", "SQLITE3", "MESSAGE")
    with sqlite3.connect(next(bag.glob("*.db3"))) as base:
        base.execute("UPDATE messages SET data = ?", (zeros,))
    assert "unpacks to more than 256 MB" in open_hostile_bag(bag)


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_chunk_that_unpacks_to_gigabytes(tmp_path, zeros, kind, monkeypatch):
    if kind == "lz4":
        frame = pytest.importorskip("lz4.frame")
        with frame.open(tmp_path / "zeros", "wb") as file:
            for _ in range(96):
                file.write(bytes(16 << 20))
        zeros = (tmp_path / "zeros").read_bytes()
    mcap = pytest.importorskip("rosbags.rosbag2.storage_mcap")
    usual = mcap.McapWriter.__init__

    def hostile(self, *arguments):
        usual(self, *arguments)
        self.compression, self.compressor = kind, lambda _: zeros

    monkeypatch.setattr(mcap.McapWriter, "__init__", hostile)
    bag = make_bag(tmp_path / "bag", "MCAP", "STORAGE")
    assert "unpacks to more than 256 MB" in open_hostile_bag(bag)


def test_rosbags_that_unpacks_by_other_means_is_not_used(tmp_path, monkeypatch):
    reader = pytest.importorskip("rosbags.rosbag2.reader")
    from emotion_perception.image.bag import open_bag
    from emotion_perception.image.source import SourceError

    bag = make_bag(tmp_path / "bag", "SQLITE3", "")
    monkeypatch.delattr(reader, "zstd")  # as before 0.11.7: with it there would be no limit
    with pytest.raises(SourceError, match=r"needs rosbags: .* \(0\.11\.7 or newer"):
        open_bag(bag)


def packed_bag(path, data):
    bag = make_bag(path, "SQLITE3", "")
    (file,) = bag.glob("*.db3")
    file.with_name(file.name + ".zstd").write_bytes(data)
    text = (bag / "metadata.yaml").read_text().replace(file.name, file.name + ".zstd")
    text = text.replace("compression_format: ''", "compression_format: zstd")
    text = text.replace("compression_mode: ''", "compression_mode: FILE")
    assert "FILE" in text
    file.unlink()
    (bag / "metadata.yaml").write_text(text)
    return bag


def test_bag_that_unpacks_into_the_whole_disk(tmp_path, zeros, monkeypatch):
    zstd = pytest.importorskip("backports.zstd")
    bag = packed_bag(tmp_path / "one", zeros)
    assert "does not say how large it is unpacked" in open_hostile_bag(bag)
    # Two frames, of which the first one is small.
    two = packed_bag(tmp_path / "two", zstd.compress(b"small") + zeros)
    assert "does not say how large it is unpacked" in open_hostile_bag(two)
    # It says truly how much, which is more than there is.
    from emotion_perception.image import bag_limits

    honest = packed_bag(tmp_path / "three", zstd.compress(bytes(64 << 20)))
    bag_limits.check_bag(honest)
    usage = type("Usage", (), {"free": 100 << 20})()
    monkeypatch.setattr(bag_limits.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(bag_limits.TooLargeError, match=r"unpacks to 0\.1 GB, and .* has 0\.1 GB"):
        bag_limits.check_bag(honest)


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.db3", "../../../etc/passwd"])
def test_metadata_of_a_bag_name_no_file_outside(tmp_path, name):
    bag = make_bag(tmp_path / "bag", "SQLITE3", "")
    (file,) = bag.glob("*.db3")
    file.rename(tmp_path / "secret.db3")  # a good file, but not in the bag
    text = (bag / "metadata.yaml").read_text().replace(file.name, name)
    (bag / "metadata.yaml").write_text(text)
    assert "are missing" in open_hostile_bag(bag)


def test_metadata_of_a_bag_run_nothing(tmp_path):
    bag = make_bag(tmp_path / "bag", "SQLITE3", "")
    marker = tmp_path / "made"
    (bag / "metadata.yaml").write_text(f"!!python/object/apply:os.mkdir ['{marker}']\n")
    assert "not a readable bag" in open_hostile_bag(bag)
    assert not marker.exists()
    with (bag / "metadata.yaml").open("wb") as file:
        file.truncate(17 << 20)
    assert "larger than 16.8 MB" in open_hostile_bag(bag)


def test_table_of_billions_of_rows(tmp_path):
    """Rows of nothing take no room in a file: with all columns this one would take 18 GB."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    from emotion_perception.sessions import table as tables

    models = (tables.JudgedBy(name="base", model_id="base-1+0", threshold=0.5),)
    info = tables.SessionInfo(
        recording="x.mp4", session="x", width=640, height=480, rate=25.0, frames=1, seconds=1.0,
        detector="mtcnn", models=models, version="0",
    )  # fmt: skip
    # One column is enough to have rows, and soon written.
    told = pa.schema([tables.schema(models).field("frame")], {tables.KEY: info.to_json()})
    path = tmp_path / "x.parquet"
    blank = pa.array(np.zeros(tables.MOST_ROWS + 200_000, np.int64), told.field("frame").type)
    pq.write_table(pa.table([blank], schema=told), path, compression="zstd")
    assert path.stat().st_size < 1e6
    said = refused(
        path, "from emotion_perception.sessions.table import read_session, SessionError",
        "read_session(path)", "SessionError",
    )  # fmt: skip
    assert said.endswith("x.parquet: 20,200,000 rows, expected at most 20,000,000")
