# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from emotion_perception.faces.identity import FaceIdentity
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.models import find_model

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "export_face_identity.py"
SOURCE = Path(os.environ.get("EMOTION_PERCEPTION_FACERES", ROOT / ".cache" / "training")) / (
    "faceres-deep.json"
)
BLANK = np.zeros((144, 144, 3), np.uint8)


@pytest.fixture(scope="module")
def identity():
    return FaceIdentity()


@pytest.fixture(scope="module")
def detector():
    return MtcnnDetector(threads=1)


@pytest.fixture(scope="module")
def crop_of(identity, detector):
    """Find the one face of a photo as the node does and cut it out."""

    def cut(photo):
        return identity.framing.align(photo, detector.detect(photo)[0].landmarks)

    return cut


@pytest.fixture
def folder(tmp_path):
    """A copy of the model to spoil."""
    return Path(shutil.copytree(find_model("face-identity"), tmp_path / "face-identity"))


def darker_and_turned(photo):
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 12, 0.7)
    turned = cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return (turned * 0.6).astype(np.uint8)


def test_embeddings_have_length_one_whatever_the_batch(identity, crop_of, astronaut):
    crops = [crop_of(astronaut), BLANK, *[crop_of(astronaut)] * 16]
    found = identity.embed(crops)
    assert found.shape == (18, identity.dimensions)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(found[17], identity.embed(crops[:1])[0], atol=1e-4)
    assert identity.embed([]).shape == (0, identity.dimensions)


def test_one_person_is_alike_and_two_are_not(identity, crop_of, astronaut, hopper):
    first, again, flipped, other = identity.embed(
        [
            crop_of(astronaut), crop_of(darker_and_turned(astronaut)),
            crop_of(np.ascontiguousarray(astronaut[:, ::-1])), crop_of(hopper),
        ]
    )  # fmt: skip
    assert first @ again > identity.threshold
    assert first @ flipped > identity.threshold
    assert abs(first @ other) < identity.threshold / 2


def test_a_stored_crop_is_comparable_with_a_live_one(identity, detector, astronaut):
    pytest.importorskip("PIL")
    from emotion_perception.training.capture_crop import cut_crop, encode_crop

    landmarks = detector.detect(astronaut)[0].landmarks
    jpeg = encode_crop(cut_crop(astronaut, landmarks, identity.framing), identity.framing)
    stored = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    live = identity.framing.align(astronaut, landmarks)
    first, second = identity.embed([stored, live])
    assert first @ second > 0.99


def test_takes_the_crops_of_the_valence_network(identity):
    base = json.loads((find_model("valence-base") / "card.json").read_text())["preprocessing"]
    assert identity.framing == FacePreprocessing.from_card(base)


@pytest.mark.parametrize(
    "crop",
    [BLANK[:, :, :2], BLANK.astype(np.float32), BLANK[:0, :0]],
    ids=["two channels", "float", "empty"],
)
def test_wrong_crops_are_refused(identity, crop):
    with pytest.raises(ValueError, match="expected"):
        identity.embed([crop])


def recorded(folder, **changes):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, **changes}))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda f: (f / "model.onnx").write_bytes(b"\x08\x07"), "model.onnx"),
        (lambda f: (f / "model.onnx").unlink(), "model.onnx"),
        (lambda f: (f / "centre.npy").write_bytes(b"x"), "centre.npy"),
        (lambda f: recorded(f, threshold="high"), "card.json"),
        (lambda f: recorded(f, preprocessing={"size": 160}), "card.json"),
        (lambda f: recorded(f, version=None, name=None, preprocessing=None), "card.json"),
        (lambda f: recorded(f, files={"model.onnx": "0" * 64}), "model.onnx"),
    ],
)
def test_damaged_models_are_named(folder, damage, named):
    damage(folder)
    with pytest.raises(ModelError, match=named):
        FaceIdentity(folder)


def test_needs_no_torch():
    code = (
        "import sys, numpy as np; from emotion_perception.faces.identity import FaceIdentity;"
        "FaceIdentity().embed([np.zeros((144, 144, 3), np.uint8)]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture(scope="module")
def exporter():
    for package in ("torch", "onnx"):
        pytest.importorskip(package)
    if not SOURCE.is_file():
        pytest.skip("faceres-deep.json is not here; EMOTION_PERCEPTION_FACERES names its folder")
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        import export_face_identity
    finally:
        sys.path.remove(str(SCRIPT.parent))
    return export_face_identity


def test_onnx_computes_what_torch_computes(exporter, monkeypatch):
    import onnxruntime
    import torch

    from emotion_perception.training.pretrained import FaceMobileNet

    torch.manual_seed(0)
    crops = torch.randn(4, 1, 48, 48)
    network = FaceMobileNet(112).eval()
    network.load_pretrained(SOURCE, crops)
    with torch.no_grad():
        expected = network.features(crops).numpy()
        grey = network._enlarge(crops).numpy()
    level = np.float32(np.mean(exporter.MEAN_BGR))
    monkeypatch.setattr(exporter, "MEAN_BGR", [level] * 3)  # the other one sees grey around 0
    session = onnxruntime.InferenceSession(
        exporter.build(SOURCE, 112).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    found = session.run(None, {"crops": grey + level})[0]
    assert expected.std() > 0.05
    # The batch normalisation that was folded in is rounded to half precision once more.
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


def test_export_repeats_itself_and_is_what_is_shipped(exporter, tmp_path):
    shipped = find_model("face-identity")
    for run in ("first", "second"):
        shutil.copytree(shipped, tmp_path / run)
        (tmp_path / run / "model.onnx").unlink()
        subprocess.run(
            [sys.executable, SCRIPT, SOURCE, "--output", tmp_path / run], check=True,
            capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    for name in ("model.onnx", "centre.npy", "card.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    before, after = (
        json.loads((path / "card.json").read_text()) for path in (shipped, tmp_path / "first")
    )
    # Other releases of onnx may write other bytes.
    before["files"].pop("model.onnx"), after["files"].pop("model.onnx")
    assert after == before
