# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import resource
import shutil
from dataclasses import replace

import numpy as np
import pytest

from emotion_perception.faces.model_files import ModelError
from emotion_perception.models import find_model
from emotion_perception.valence.backends import OnnxBackend, TorchBackend, load_network
from emotion_perception.valence.checkpoint import load_checkpoint, record_figures, write_card
from emotion_perception.valence.labels import CLASSES


def edit(directory, **fields):
    path = directory / "card.json"
    card = json.loads(path.read_text())
    for key, value in fields.items():
        if value is None:
            del card[key]
        else:
            card[key] = value
    path.write_text(json.dumps(card))


def test_class_order_is_the_contract():
    assert CLASSES == ("negative", "neutral", "positive")


def test_round_trip(checkpoint_dir):
    checkpoint = load_checkpoint(checkpoint_dir)
    assert (checkpoint.name, checkpoint.version) == ("tiny", "1.2.3")
    assert checkpoint.temperature == 1.5
    assert checkpoint.model_id.startswith("tiny-1.2.3+")


def test_figures_can_be_recorded(checkpoint_dir):
    record_figures(load_checkpoint(checkpoint_dir), "somewhere", {"accuracy": 0.5})
    again = load_checkpoint(checkpoint_dir)
    assert again.figures == {"somewhere": {"accuracy": 0.5}}
    assert again.name == "tiny"


def test_figures_reach_the_card_behind_a_symbolic_link(checkpoint_dir, tmp_path):
    """A symlinked install has links; the package's own card is the one that ships."""
    linked = tmp_path / "linked"
    linked.mkdir()
    for file in checkpoint_dir.iterdir():
        (linked / file.name).symlink_to(file)
    record_figures(load_checkpoint(linked), "somewhere", {"accuracy": 0.5})
    assert (linked / "card.json").is_symlink()
    assert load_checkpoint(checkpoint_dir).figures["somewhere"] == {"accuracy": 0.5}


def test_onnx_and_torch_agree(checkpoint_dir):
    checkpoint = load_checkpoint(checkpoint_dir)
    batch = np.random.default_rng(0).normal(size=(5, 1, 48, 48)).astype(np.float32)
    onnx = OnnxBackend(checkpoint).logits(batch)
    torch = TorchBackend(checkpoint, "cpu").logits(batch)
    assert onnx.shape == (5, 3)
    np.testing.assert_allclose(onnx, torch, atol=1e-4)


def test_exporter_never_overwrites(checkpoint_dir):
    from emotion_perception.image.preprocess import FacePreprocessing
    from emotion_perception.training.export import export_checkpoint
    from emotion_perception.valence.network import ValenceNet

    before = (checkpoint_dir / "model.onnx").read_bytes()
    with pytest.raises(FileExistsError, match="choose another"):
        export_checkpoint(ValenceNet((8, 8), (1,)), checkpoint_dir, FacePreprocessing(), {})
    assert (checkpoint_dir / "model.onnx").read_bytes() == before


def test_failed_export_leaves_nothing(tmp_path):
    from emotion_perception.image.preprocess import FacePreprocessing
    from emotion_perception.training.export import export_checkpoint
    from emotion_perception.valence.network import ValenceNet

    with pytest.raises(ModelError):  # the card lacks its name
        export_checkpoint(ValenceNet((8, 8), (1,)), tmp_path / "x", FacePreprocessing(), {})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"classes": ["positive", "neutral", "negative"]}, "classes"),  # the field's classic error
        ({"format": 2}, "format 2"),  # written by newer code
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"confidence_threshold": 1.5}, "confidence_threshold"),
        ({"preprocessing": {"size": 48}}, "preprocessing"),
        ({"files": {}}, "files"),
        ({"files": {"\ud800": "0"}}, "files: expected plain file names"),
        ({"temperature": 10**400}, "too large a number"),
        ({"variants": 3}, "'variants': expected an object, got 3"),
        ({"figures": ["x"]}, "'figures': expected an object"),
    ],
)
def test_wrong_card_is_refused_by_field(checkpoint_dir, fields, words):
    edit(checkpoint_dir, **fields)
    with pytest.raises(ModelError, match=words) as caught:
        load_checkpoint(checkpoint_dir)
    assert "card.json" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors"])
def test_damaged_or_missing_file_is_refused_by_name(checkpoint_dir, name):
    path = checkpoint_dir / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=name):
        load_checkpoint(checkpoint_dir)
    path.unlink()
    with pytest.raises(ModelError, match=name):
        load_checkpoint(checkpoint_dir)


def test_swapped_network_is_refused(checkpoint_dir):
    # A face network under the valence network's name, hash and all.
    shutil.copy(find_model("face-mtcnn") / "onet.onnx", checkpoint_dir / "model.onnx")
    card = json.loads((checkpoint_dir / "card.json").read_text())
    fields = {k: v for k, v in card.items() if k not in ("files", "format", "classes")}
    write_card(checkpoint_dir, fields)
    with pytest.raises(ModelError, match="input"):
        OnnxBackend(load_checkpoint(checkpoint_dir))


def test_garbage_with_a_right_hash_is_refused(checkpoint_dir):
    (checkpoint_dir / "model.onnx").write_bytes(b"not a network")
    card = json.loads((checkpoint_dir / "card.json").read_text())
    write_card(
        checkpoint_dir,
        {k: v for k, v in card.items() if k not in ("files", "format", "classes")},
    )
    with pytest.raises(ModelError, match=r"model\.onnx: not an ONNX network"):
        OnnxBackend(load_checkpoint(checkpoint_dir))


def test_weights_of_another_architecture_are_refused(checkpoint_dir):
    checkpoint = load_checkpoint(checkpoint_dir)
    other = replace(
        checkpoint,
        architecture={"name": "ValenceNet", "arguments": {"widths": [8, 16], "depths": [1]}},
    )
    with pytest.raises(ModelError, match="does not fit"):
        load_network(checkpoint.weights_file, other)
    with pytest.raises(ModelError, match="architecture 'Other'"):
        load_network(checkpoint.weights_file, replace(other, architecture={"name": "Other"}))


def test_missing_folder(tmp_path):
    with pytest.raises(ModelError, match=r"card\.json"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "arguments",
    [
        {"widths": [4096] * 32, "depths": [4096] * 31},
        {"widths": [10**12, 8], "depths": [1]},
        {"widths": [8] * 10_000, "depths": [1]},
        {"widths": [4096, 4096, 4096, 4096], "depths": [1, 1, 1]},
        {"widths": "8"},
        {"widths": [[8]]},
        [8],
    ],
)
def test_architecture_larger_than_its_weights_takes_no_memory(checkpoint_dir, arguments):
    """The card is not bound by a hash of its own; the first would take 70 TB."""
    checkpoint = load_checkpoint(checkpoint_dir)
    other = replace(checkpoint, architecture={"name": "ValenceNet", "arguments": arguments})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match="does not fit ValenceNet of the card"):
        load_network(checkpoint.weights_file, other)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
