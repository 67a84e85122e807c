# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Networks of integers, made and chosen."""

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from emotion_perception import device
from emotion_perception.faces.model_files import ModelError
from emotion_perception.models import find_model
from emotion_perception.valence import backends
from emotion_perception.valence.backends import OnnxBackend, cpu_backend
from emotion_perception.valence.checkpoint import INT8_FILE, load_checkpoint

pytest.importorskip("onnx")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(find_model("valence-base"), tmp_path / "model", symlinks=False)
    return tmp_path / "model"


def crops(count=64):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 1, 48, 48)).astype(np.float32)


def test_integers_are_used_where_they_are_fast(copy, monkeypatch):
    checkpoint = load_checkpoint(copy)
    floats, integers = OnnxBackend(checkpoint), OnnxBackend(checkpoint, file=checkpoint.int8_file)
    batch = crops()
    both = [backend.logits(batch) for backend in (floats, integers)]
    assert 1e-4 < np.abs(both[0] - both[1]).max() < 2
    for fast, expected in ((True, both[1]), (False, both[0])):
        monkeypatch.setattr(backends, "fast_integers", lambda fast=fast: fast)
        np.testing.assert_allclose(cpu_backend(checkpoint).logits(batch), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("lines", "fast"),
    [
        (["flags\t\t: fpu avx2 avx512_vnni amx_int8"], True),
        (["flags\t\t: fpu avx2 avx_vnni"], True),
        (["Features\t: fp asimd asimddp"], True),
        (["flags\t\t: fpu avx2 avx512f"], False),
        (["Features\t: fp asimd"], False),
        (["Features\t: fp asimd asimddp", "Features\t: fp asimd"], False),
        (["vmx flags\t: avx_vnni"], False),
        ([], False),
    ],
)
def test_what_a_processor_says_of_itself(lines, fast):
    text = "".join(f"processor\t: {n}\n{line}\n\n" for n, line in enumerate(lines))
    assert device.has_fast_integers(text) == fast


def test_a_patients_version_never_changes(copy, command):
    card = json.loads((copy / "card.json").read_text())
    card["training"]["patient"] = "P-1"
    (copy / "card.json").write_text(json.dumps(card))
    before = (copy / "card.json").read_bytes()
    answer = command(copy)
    assert "a version of a patient's model, which never changes" in str(answer.exception)
    assert (copy / "card.json").read_bytes() == before


def test_a_checkpoint_may_do_without(copy, monkeypatch):
    monkeypatch.setattr(backends, "fast_integers", lambda: True)
    (copy / INT8_FILE).unlink()
    checkpoint = load_checkpoint(copy)
    assert checkpoint.int8_file is None
    assert cpu_backend(checkpoint).logits(crops(2)).shape == (2, 3)


def test_damaged_integers_are_refused(copy):
    with (copy / INT8_FILE).open("r+b") as stream:
        stream.write(b"damaged")
    with pytest.raises(ModelError, match="differs from its hash"):
        load_checkpoint(copy).int8_file  # noqa: B018


@pytest.fixture
def command(fer_plus):
    from emotion_perception.cli import app

    def run(model):
        return CliRunner().invoke(
            app, ["quantise", "--model", str(model), "--data", f"fer-plus:{fer_plus}"]
        )

    return run


def test_integers_are_made_and_compared(copy, command):
    (copy / INT8_FILE).unlink()
    card = json.loads((copy / "card.json").read_text())
    del card["variants"]
    (copy / "card.json").write_text(json.dumps(card))
    answer = command(copy)
    assert answer.exit_code == 0, answer.output
    assert "in integers" in answer.output
    checkpoint = load_checkpoint(copy)
    assert checkpoint.int8_file == copy / INT8_FILE
    found = checkpoint.figures["int8"]
    assert found["images"] == 2933
    assert found["alike"] >= 0.99
    assert found["accuracy"] >= found["accuracy_of_floats"] - 0.002
    assert sorted(path.name for path in copy.iterdir()) == sorted(
        ["README.md", "card.json", "model.int8.onnx", "model.onnx", "model.safetensors"]
    )


def test_integers_that_are_too_far_off_are_refused(copy, command, monkeypatch):
    from emotion_perception.training import quantise

    monkeypatch.setattr(quantise, "LEAST_ALIKE", 1.01)
    before = (copy / INT8_FILE).read_bytes()
    answer = command(copy)
    assert isinstance(answer.exception, ValueError)
    assert "the floats stay in use" in str(answer.exception)
    assert (copy / INT8_FILE).read_bytes() == before
    assert len(list(copy.iterdir())) == 5
