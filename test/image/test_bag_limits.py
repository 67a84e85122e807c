# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What a bag may unpack to. Whole bags are in test_hostile_files.py."""

from types import SimpleNamespace

import pytest

pytest.importorskip("rosbags")
frame = pytest.importorskip("lz4.frame")

from rosbags.rosbag2 import reader, storage_mcap

from emotion_perception.image import bag_limits
from emotion_perception.image.bag_limits import TooLargeError, check_bag, limit_rosbags

DATA = bytes(range(256)) * 8  # 2048
METADATA = "rosbag2_bagfile_information:\n  compression_format: zstd\n"


@pytest.fixture(autouse=True)
def limited(monkeypatch):
    limit_rosbags()
    monkeypatch.setattr(bag_limits, "MOST_UNPACKED", len(DATA))


@pytest.fixture
def zstd():
    return reader.zstd._module


def test_both_modules_of_rosbags_have_limits(zstd):
    limit_rosbags()  # again
    for module in (reader, storage_mcap):
        assert isinstance(module.zstd, bag_limits._LimitedZstd)
        assert module.zstd._module is zstd  # not one in another
        assert module.zstd.compress is zstd.compress  # all else is as it was
    assert storage_mcap.lz4_decompress is bag_limits._limited_lz4


@pytest.mark.parametrize("module", [reader, storage_mcap])
def test_a_rosbags_that_unpacks_by_other_means_is_refused(monkeypatch, module):
    monkeypatch.setattr(module, "zstd", SimpleNamespace(decompress=bytes))
    with pytest.raises(ImportError, match=rf"{module.__name__}: unpacks by other means"):
        limit_rosbags()


def test_zstd_up_to_the_limit(zstd):
    assert reader.zstd.decompress(zstd.compress(DATA)) == DATA
    with pytest.raises(TooLargeError, match="unpacks to more than 0 MB"):
        reader.zstd.decompress(zstd.compress(DATA + b"x"))


def test_zstd_frames_count_together(zstd):
    one, other = zstd.compress(DATA[:1000]), zstd.compress(DATA[1000:])
    assert reader.zstd.decompress(one + other) == DATA
    with pytest.raises(TooLargeError):
        reader.zstd.decompress(one + other + zstd.compress(b"x"))


@pytest.mark.parametrize("kept", [5, -1])
def test_half_of_zstd_is_an_error(zstd, kept):
    with pytest.raises(ValueError, match="truncated zstd data"):
        reader.zstd.decompress(zstd.compress(DATA)[:kept])


def test_lz4_up_to_the_limit():
    assert storage_mcap.lz4_decompress(frame.compress(DATA)) == DATA
    with pytest.raises(TooLargeError, match="unpacks to more than 0 MB"):
        storage_mcap.lz4_decompress(frame.compress(DATA + b"x"))


def test_half_of_lz4_is_an_error():
    with pytest.raises(ValueError, match="truncated lz4 data"):
        storage_mcap.lz4_decompress(frame.compress(DATA)[:-6])


@pytest.fixture
def bag(tmp_path, zstd):
    (tmp_path / "metadata.yaml").write_text(METADATA)
    for name in ("a", "b"):
        (tmp_path / f"{name}.db3.zstd").write_bytes(zstd.compress(DATA))
    return tmp_path


def free(monkeypatch, size):
    usage = SimpleNamespace(free=size)
    monkeypatch.setattr(bag_limits.shutil, "disk_usage", lambda _: usage)


def test_files_may_take_half_of_what_is_free(bag, monkeypatch):
    free(monkeypatch, 4 * len(DATA))
    check_bag(bag)
    free(monkeypatch, 4 * len(DATA) - 2)
    with pytest.raises(TooLargeError, match=r"unpacks to 0\.0 GB, and .* has 0\.0 GB"):
        check_bag(bag)


def test_a_bag_that_is_not_packed_is_not_looked_at(bag, monkeypatch):
    free(monkeypatch, 0)
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information:\n")
    check_bag(bag)
    (bag / "metadata.yaml").unlink()
    check_bag(bag)


def test_metadata_have_a_limit(bag, monkeypatch):
    free(monkeypatch, 1 << 30)
    monkeypatch.setattr(bag_limits, "MOST_METADATA", len(METADATA))
    check_bag(bag)
    monkeypatch.setattr(bag_limits, "MOST_METADATA", len(METADATA) - 1)
    with pytest.raises(ValueError, match=r"metadata\.yaml"):
        check_bag(bag)


def test_more_than_one_frame_in_a_file_hides_its_size(bag, zstd, monkeypatch):
    free(monkeypatch, 1 << 30)
    (bag / "b.db3.zstd").write_bytes(zstd.compress(DATA) + zstd.compress(DATA))
    with pytest.raises(TooLargeError, match=r"b\.db3\.zstd: does not say how large it is unpacked"):
        check_bag(bag)


def test_a_size_that_is_not_told_is_refused(bag, zstd, monkeypatch):
    free(monkeypatch, 1 << 30)
    told = zstd.get_frame_info

    def unknown(data):
        assert told(data).decompressed_size == len(DATA)
        return SimpleNamespace(decompressed_size=None)

    monkeypatch.setattr(zstd, "get_frame_info", unknown)
    with pytest.raises(TooLargeError, match=r"a\.db3\.zstd: does not say how large it is unpacked"):
        check_bag(bag)
