# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import hashlib
import json

import pytest

from emotion_perception.faces.model_files import ModelError, read_card, sha256_of, verify_files


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (tmp_path / "card.json").write_text(json.dumps({"name": "m", "files": {"weights.bin": digest}}))
    return tmp_path


def test_returns_the_card(folder):
    assert verify_files(folder)["name"] == "m"


def test_hash_may_be_upper_case(folder):
    card = read_card(folder)
    card["files"]["weights.bin"] = card["files"]["weights.bin"].upper()
    (folder / "card.json").write_text(json.dumps(card))
    verify_files(folder)


def test_other_card_name(folder):
    (folder / "card.json").rename(folder / "model.json")
    assert verify_files(folder, "model.json")["name"] == "m"


def test_changed_file(folder):
    (folder / "weights.bin").write_bytes(b"weight")
    with pytest.raises(ModelError, match=r"weights\.bin: sha256 is .*restore the model folder"):
        verify_files(folder)


def test_missing_file(folder):
    (folder / "weights.bin").unlink()
    with pytest.raises(ModelError, match=r"weights\.bin: cannot read the model file \(No such"):
        verify_files(folder)


def test_missing_card(tmp_path):
    with pytest.raises(ModelError, match=r"card\.json: cannot read the model card \(No such"):
        verify_files(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("\xff", "not valid JSON"),
        ("[]", "expected an object 'files'"),
        ("{}", "expected an object 'files'"),
        ('{"files": {}}', "expected an object 'files'"),
        ('{"files": ["weights.bin"]}', "expected an object 'files'"),
        ('{"files": {"weights.bin": 1}}', "expected plain file names"),
        ('{"files": {"../weights.bin": "00"}}', "expected plain file names"),
    ],
)
def test_unusable_card(folder, text, message):
    (folder / "card.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=message):
        verify_files(folder)


def test_messages_are_one_line(folder):
    (folder / "weights.bin").write_bytes(b"")
    with pytest.raises(ModelError) as caught:
        verify_files(folder)
    assert "\n" not in str(caught.value)


def test_hash_of_a_large_file(tmp_path):
    content = bytes(range(256)) * 10_000
    (tmp_path / "large").write_bytes(content)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(content).hexdigest()
