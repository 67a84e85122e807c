# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import os
import stat
import sys

import numpy as np
import pytest

pytest.importorskip("cryptography")

from emotion_perception.faces.enrolment import (
    Enrolment,
    choose_faces,
    load_enrolment,
    make_key,
    read_key,
    save_enrolment,
)
from emotion_perception.faces.model_files import ModelError


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def faces(person, count, spread, dimensions=256):
    """Embeddings of one person; two of them are alike by about 1 / (1 + spread ** 2)."""
    centre = unit(np.random.default_rng(person).normal(size=dimensions))
    noise = np.random.default_rng(1000 + person).normal(size=(count, dimensions))
    return unit(centre + spread * noise / np.sqrt(dimensions))


@pytest.fixture
def enrolment():
    return Enrolment("P-1", faces(0, 6, 0.5), "face-identity-1+0123abcd", "2026-11-20", 0.5)


@pytest.fixture
def key():
    from cryptography.fernet import Fernet

    return Fernet.generate_key()


@pytest.fixture
def path(tmp_path, enrolment, key):
    save_enrolment(tmp_path / "enrolment.bin", enrolment, key)
    return tmp_path / "enrolment.bin"


def test_it_comes_back_as_it_was(path, enrolment, key):
    found = load_enrolment(path, key, patient="P-1", model_id=enrolment.model_id)
    np.testing.assert_array_equal(found.embeddings, enrolment.embeddings)
    for name in ("patient", "model_id", "created", "threshold"):
        assert getattr(found, name) == getattr(enrolment, name)


def test_nothing_can_be_read_without_the_key(path, enrolment):
    raw = path.read_bytes()
    # Not the pseudonym: three letters turn up in any long text.
    for secret in (b"face-identity", b"embeddings", enrolment.embeddings.tobytes()[:16]):
        assert secret not in raw
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["enrolment.bin"]


def test_private_also_where_files_are_public_by_default(tmp_path, enrolment, key):
    target = tmp_path / "enrolment.bin"
    target.write_text("old")
    target.chmod(0o644)
    before = os.umask(0)
    try:
        save_enrolment(target, enrolment, key)
        make_key(tmp_path / "key")
    finally:
        os.umask(before)
    for file in (target, tmp_path / "key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_failed_write_leaves_the_old_one(path, enrolment, key, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_enrolment(path, enrolment, key)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["enrolment.bin"]


def test_another_key(path):
    from cryptography.fernet import Fernet

    with pytest.raises(ModelError, match=r"enrolment\.bin: cannot be decrypted.*key file"):
        load_enrolment(path, Fernet.generate_key())


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-7],
        lambda raw: raw[:40],
        lambda raw: b"",
        lambda raw: raw[:200] + (b"A" if raw[200:201] != b"A" else b"B") + raw[201:],
        lambda raw: b"\xff" * len(raw),
    ],
    ids=["truncated", "a stump", "empty", "one byte changed", "not text"],
)
def test_damaged_files(path, key, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"enrolment\.bin: .*enrol again"):
        load_enrolment(path, key)


def test_missing_file(tmp_path, key):
    with pytest.raises(ModelError, match=r"enrolment\.bin: cannot read"):
        load_enrolment(tmp_path / "enrolment.bin", key)


@pytest.mark.parametrize("plain", [b"", b"not an archive", b"PK\x03\x04" + b"\0" * 60])
def test_wrong_contents_under_the_right_key(path, key, plain):
    from cryptography.fernet import Fernet

    path.write_bytes(Fernet(key).encrypt(plain))
    with pytest.raises(ModelError, match=r"not a usable enrolment"):
        load_enrolment(path, key)


@pytest.mark.parametrize(
    ("wanted", "named"),
    [({"model_id": "face-identity-2+ffff"}, "face-identity-2"), ({"patient": "P-2"}, "P-2")],
)
def test_of_another_model_or_patient(path, key, wanted, named):
    with pytest.raises(ModelError, match=rf"enrolment\.bin: .*{named}.*enrol again"):
        load_enrolment(path, key, **wanted)


def test_a_key_is_made_once_and_read_again(tmp_path):
    made = make_key(tmp_path / "new" / "key")
    assert read_key(tmp_path / "new" / "key") == made
    with pytest.raises(FileExistsError):
        make_key(tmp_path / "new" / "key")
    assert read_key(tmp_path / "new" / "key") == made
    assert make_key(tmp_path / "other") != made


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    make_key(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ModelError, match=f"key: others can read.*{mode:o}.*chmod 600"):
        read_key(tmp_path / "key")


@pytest.mark.parametrize("text", [b"", b"secret", b"\xff\xfe", b"A" * 43 + b"\n"])
def test_a_file_that_is_no_key(tmp_path, text):
    (tmp_path / "key").write_bytes(text)
    (tmp_path / "key").chmod(0o600)
    with pytest.raises(ModelError, match="key: holds no key"):
        read_key(tmp_path / "key")


def test_a_missing_key(tmp_path):
    with pytest.raises(ModelError, match="key: cannot read"):
        read_key(tmp_path / "key")


def test_without_cryptography(path, key, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(ModelError, match="pip install cryptography"):
        load_enrolment(path, key)


def test_likeness_is_the_mean_of_the_three_most_similar():
    axes = np.eye(5, dtype=np.float32)
    enrolment = Enrolment("P-1", axes[:4], "m", "", 0.5)
    looked_at = unit(np.array([3, 2, 1, 0, 5], np.float32))
    assert enrolment.likeness(looked_at) == pytest.approx(float(looked_at[:3].mean()))
    alone = Enrolment("P-1", axes[:1], "m", "", 0.5)
    assert alone.likeness(axes[0]) == 1
    assert alone.likeness(axes[4]) == 0


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"embeddings": np.zeros((0, 4), np.float32)}, "embeddings"),
        ({"embeddings": np.full((1, 4), np.nan, np.float32)}, "embeddings"),
        ({"embeddings": np.ones((1, 4), np.float32)}, "length 1"),
        ({"threshold": 1.5}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
    ],
)
def test_impossible_enrolments(enrolment, changes, field):
    with pytest.raises(ValueError, match=field):
        Enrolment(**{**vars(enrolment), **changes})


def test_another_person_among_the_images_is_left_out():
    own, other = faces(0, 12, 0.8), faces(1, 4, 0.1)  # the other's are most alike of all
    choice = choose_faces(np.concatenate([own[:5], other, own[5:]]), 0.4)
    assert choice.unlike.tolist() == [5, 6, 7, 8]
    assert set(choice.chosen.tolist()) == set(range(16)) - {5, 6, 7, 8}
    assert choice.likeness == pytest.approx(1 / 1.64, abs=0.1)
    assert choice.recognised == 1
    assert choose_faces(np.concatenate([own, other]), 0.95).recognised == 0


def test_the_chosen_ones_differ():
    close, apart = faces(0, 30, 0.05), faces(0, 3, 0.9)
    choice = choose_faces(np.concatenate([close, apart]), 0.4, most=5)
    assert len(choice.chosen) == 5
    assert {30, 31, 32} <= set(choice.chosen.tolist())
    assert len(set(choice.chosen.tolist())) == 5


def test_strangers_to_one_another_enrol_nobody():
    choice = choose_faces(np.concatenate([faces(person, 1, 0.1) for person in range(8)]), 0.4)
    assert len(choice.chosen) == 0
    assert len(choice.unlike) == 8
