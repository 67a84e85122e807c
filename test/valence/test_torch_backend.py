# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.models import find_model
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.checkpoint import load_checkpoint
from emotion_perception.valence.torch_backend import TorchBackend

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(find_model("valence-base"))


def crops(count, seed=0):
    """Grey images with structure, uint8 (N, 48, 48)."""
    noise = np.random.default_rng(seed).normal(size=(count, 48, 48)).cumsum(1).cumsum(2)
    low, high = (f(noise, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    return ((noise - low) / (high - low) * 255).astype(np.uint8)


@pytest.mark.parametrize("device", DEVICES)
def test_probabilities_of_the_shipped_model_are_those_of_onnx_runtime(device, checkpoint):
    images = crops(5)
    batch = FacePreprocessing().batch(images)
    expected = softmax(OnnxBackend(checkpoint).logits(batch), checkpoint.temperature)
    backend = TorchBackend(checkpoint, device)
    on_device = torch.from_numpy(images).to(device)
    for logits in (
        backend.logits(batch),
        backend.logits(torch.from_numpy(batch).to(device)),
        backend.logits_of_crops(images),
        backend.logits_of_crops(on_device),
    ):
        assert logits.dtype == np.float32
        found = softmax(logits, checkpoint.temperature)
        np.testing.assert_allclose(found, expected, atol=1e-4 if device == "cpu" else 0.01)


@pytest.mark.parametrize("device", DEVICES)
def test_nobody(device, checkpoint):
    backend = TorchBackend(checkpoint, device)
    assert backend.logits(np.empty((0, 1, 48, 48), np.float32)).shape == (0, 3)


def test_a_face_is_judged_alike_in_any_batch(checkpoint):
    backend = TorchBackend(checkpoint, "cpu")
    images = crops(130)
    whole = backend.logits_of_crops(images)
    for count in (1, 3, 17):
        np.testing.assert_allclose(
            backend.logits_of_crops(images[:count]), whole[:count], atol=1e-4
        )


@needs_cuda
def test_graphs_judge_as_plain_calls_do(checkpoint):
    """Other faces in turn: what one batch leaves behind must not be told of the next."""
    backend = TorchBackend(checkpoint, "cuda")
    before = [backend.logits_of_crops(crops(3, seed)) for seed in range(4)]
    assert not backend._graphs._graphs
    backend.warm_up()
    assert backend._graphs._graphs
    for seed, expected in enumerate(before):
        np.testing.assert_allclose(backend.logits_of_crops(crops(3, seed)), expected, atol=0.02)


def test_warm_up(checkpoint):
    TorchBackend(checkpoint, "cpu").warm_up(2)


def test_the_module_does_not_import_torch():
    """The node on a CPU imports it with the backends."""
    code = "import sys, emotion_perception.valence.backends; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
