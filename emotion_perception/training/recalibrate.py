# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Giving a finished checkpoint a new temperature and a new threshold; its weights stay."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError
from emotion_perception.limited_files import read_json
from emotion_perception.models import find_model
from emotion_perception.pipeline import BASE_MODEL
from emotion_perception.training.evaluate import require_labels
from emotion_perception.training.faces import FaceSet
from emotion_perception.training.intervals import clusters_of
from emotion_perception.training.output_folder import new_folder
from emotion_perception.valence.backends import cpu_backend
from emotion_perception.valence.calibration import Calibration, calibrate
from emotion_perception.valence.checkpoint import (
    CARD_FILE,
    ONNX_FILE,
    WEIGHTS_FILE,
    Checkpoint,
    load_checkpoint,
    write_atomically,
)

_BATCH = 256


def logits_of(checkpoint: Checkpoint, images: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Return logits (N, 3) of uint8 face crops, as the node's own backend computes them."""
    backend, preprocessing = cpu_backend(checkpoint), checkpoint.preprocessing
    parts = [np.empty((0, 3), np.float32)]
    for start in range(0, len(images), _BATCH):
        crops = [preprocessing.resize(image) for image in images[start : start + _BATCH]]
        parts.append(backend.logits(preprocessing.batch(crops)))
    return np.concatenate(parts)


def calibrate_on(
    checkpoint: Checkpoint, faces: FaceSet, *, target_accuracy: float, coverage_floor: float
) -> Calibration:
    """Choose temperature and threshold on held-out faces; persons or recordings stay whole.

    Raises:
        DataError: if no face has a label.
        ValueError: for a share out of range.
    """
    labelled = faces.labelled()
    require_labels(labelled)
    return calibrate(
        logits_of(checkpoint, list(labelled.images)), labelled.labels,
        target_accuracy=target_accuracy, coverage_floor=coverage_floor,
        clusters=clusters_of(labelled)[0],
    )  # fmt: skip


def require_changeable(checkpoint: Checkpoint) -> None:
    """Refuse to change a model that others may already use under its name.

    Raises:
        ModelError: if it is shipped with the package or is a patient's version.
    """
    directory = checkpoint.directory.resolve()
    shipped = find_model(BASE_MODEL).resolve().parent
    if directory.parent == shipped:
        reason = "is shipped with this package"
    elif checkpoint.training.get("patient"):
        reason = "is a version of a patient's model, which never changes"
    else:
        return
    raise ModelError(f"{checkpoint.directory}: {reason}; write a copy with --output")


def recalibrate(
    checkpoint: Checkpoint, calibration: Calibration, *, data: str, output: Path | None = None,
    version: str | None = None,
) -> Path:  # fmt: skip
    """Write a calibration into a checkpoint's card, or into a copy.

    Figures measured before are taken out of the card: they were those of the old calibration.

    Args:
        checkpoint: verified checkpoint.
        calibration: to write.
        data: what it was chosen on, for the card.
        output: folder of the copy; must not exist. None changes the card in place, all at once.
        version: of the copy; None appends ``-recalibrated``.

    Returns:
        The folder that holds the new card.

    Raises:
        ModelError: if the checkpoint is shipped or a patient's, and ``output`` is None.
        FileExistsError: if ``output`` exists.
    """
    if output is None:
        require_changeable(checkpoint)
        _write(checkpoint.directory, checkpoint, calibration, data, checkpoint.version)
        return checkpoint.directory
    with new_folder(output) as work:
        for name in (ONNX_FILE, WEIGHTS_FILE):
            shutil.copyfile(checkpoint.directory / name, work / name)
        _write(work, checkpoint, calibration, data, version or f"{checkpoint.version}-recalibrated")
        load_checkpoint(work)
        if not checkpoint.training.get("patient"):
            work.chmod(0o755)
    return output


def _write(
    directory: Path, checkpoint: Checkpoint, calibration: Calibration, data: str, version: str
) -> None:
    card: dict[str, Any] = read_json(checkpoint.directory / CARD_FILE)
    fields = calibration.to_card()
    fields["calibration"]["data"] = data
    card.update(fields)
    card["version"] = version
    card["figures"] = {}
    if directory != checkpoint.directory:
        files = card["files"]
        card["files"] = {name: files[name] for name in (ONNX_FILE, WEIGHTS_FILE)}
    write_atomically(directory / CARD_FILE, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
