# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from emotion_perception.models import find_model

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "export_face_mtcnn.py"


@pytest.fixture(scope="module")
def networks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("facenet_pytorch.models.mtcnn")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("PNet", (1, 3, 12, 12)),
        ("PNet", (2, 3, 57, 40)),
        ("RNet", (5, 3, 24, 24)),
        ("ONet", (5, 3, 48, 48)),
    ],
)
def test_outputs_agree_with_facenet(networks, name, shape):
    torch = pytest.importorskip("torch")
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    with torch.no_grad():
        expected = getattr(networks, name)()(torch.from_numpy(images))
    session = onnxruntime.InferenceSession(
        find_model("face-mtcnn") / f"{name.lower()}.onnx", providers=["CPUExecutionProvider"]
    )
    outputs = session.run(None, {"image": images})
    probability, offsets = outputs[:2]
    wanted = expected[-1][:, 1].numpy()
    np.testing.assert_allclose(probability.reshape(wanted.shape), wanted, atol=1e-5)
    np.testing.assert_allclose(offsets, expected[0].numpy(), atol=1e-5)
    if name == "ONet":
        points = expected[1].numpy().reshape(-1, 2, 5).transpose(0, 2, 1)
        np.testing.assert_allclose(outputs[2], points, atol=1e-5)


def test_export_repeats_itself(tmp_path):
    for package in ("torch", "onnx", "safetensors", "facenet_pytorch"):
        pytest.importorskip(package)
    for run in ("first", "second"):
        subprocess.run(
            [sys.executable, SCRIPT, "--output", tmp_path / run], check=True, capture_output=True
        )
    names = {path.name for path in (tmp_path / "first").iterdir()}
    card = json.loads((tmp_path / "first" / "card.json").read_text())
    assert names == {*card["files"], "card.json", "LICENSE"}
    for name in names:
        content = (tmp_path / "first" / name).read_bytes()
        assert content == (tmp_path / "second" / name).read_bytes()
    # Other releases of onnx may write other bytes, but the weights are what is shipped.
    shipped = find_model("face-mtcnn") / "mtcnn.safetensors"
    assert (tmp_path / "first" / "mtcnn.safetensors").read_bytes() == shipped.read_bytes()
