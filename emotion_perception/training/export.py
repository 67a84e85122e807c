# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Writing a trained network as a checkpoint folder."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.valence.checkpoint import (
    ONNX_FILE,
    WEIGHTS_FILE,
    load_checkpoint,
    write_card,
)


def export_checkpoint(
    network: nn.Module, directory: Path, preprocessing: FacePreprocessing, card: dict[str, Any]
) -> None:
    """Write weights, ONNX and card beside ``directory``, verify them, then move them there.

    Args:
        network: has ``arguments`` (its constructor's) and maps (N, 1, S, S) to logits (N, 3).
        directory: target; must not exist.
        preprocessing: what the network was trained with.
        card: the fields of Checkpoint that people and the calibration give.

    Raises:
        FileExistsError: if ``directory`` exists; weights are never overwritten.
    """
    if directory.exists():
        raise FileExistsError(f"{directory} exists already; choose another --output")
    directory.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        network = network.cpu().float().eval()
        save_file(
            {key: value.contiguous() for key, value in network.state_dict().items()},
            work / WEIGHTS_FILE,
        )
        _export_onnx(network, work / ONNX_FILE, preprocessing.size)
        architecture = {"name": type(network).__name__, "arguments": network.arguments}
        write_card(work, {**card, "architecture": architecture, "preprocessing": preprocessing})
        load_checkpoint(work)
        work.chmod(0o755)
        work.rename(directory)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _export_onnx(network: nn.Module, path: Path, size: int) -> None:
    with warnings.catch_warnings():
        # The tracing exporter is deprecated but needs no onnxscript and folds batch normalisation.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(1, 1, size, size),),
            str(path),
            input_names=["crops"],
            output_names=["logits"],
            dynamic_axes={"crops": {0: "faces"}, "logits": {0: "faces"}},
            opset_version=17,
            dynamo=False,
        )
