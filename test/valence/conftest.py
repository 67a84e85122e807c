# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest


@pytest.fixture
def checkpoint_dir(tmp_path):
    """A small untrained checkpoint, written by the real exporter."""
    pytest.importorskip("torch")
    import torch

    from emotion_perception.image.preprocess import FacePreprocessing
    from emotion_perception.training.export import export_checkpoint
    from emotion_perception.valence.network import ValenceNet

    torch.manual_seed(0)
    directory = tmp_path / "net"
    export_checkpoint(
        ValenceNet((8, 8), (1,)),
        directory,
        FacePreprocessing(),
        {"name": "tiny", "version": "1.2.3", "temperature": 1.5, "confidence_threshold": 0.4},
    )
    return directory
