# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""A faster network of 8-bit integers beside the one of floats.

The wide 3x3 convolutions, which are most of the work, are computed in integers, everything else in
floats: that is twice as fast on processors with instructions for it, and nearly always says the
same. Scales are fitted to the training images (post-training quantisation, per channel, activations
by percentile; Wu et al., Integer Quantization for Deep Learning Inference, 2020).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError
from emotion_perception.training.evaluate import require_labels
from emotion_perception.training.faces import FaceSet
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.calibration import softmax
from emotion_perception.valence.checkpoint import (
    INT8_FILE,
    Checkpoint,
    load_checkpoint,
    record_figures,
    record_variant,
)

MOST_LOST: Final = 0.002
"""Of the accuracy; with more the integers are refused."""

LEAST_ALIKE: Final = 0.99
"""Share of the images on which both must say the same."""

CALIBRATION_IMAGES: Final = 1024
_WIDE: Final = 64
_BATCH: Final = 32


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What integers change.

    Attributes:
        images: labelled ones that were judged.
        accuracy: of the integers.
        accuracy_of_floats: of the floats.
        alike: share of the images with the same likeliest class.
        mean_difference: of the probability that changes most, mean over the images.
    """

    images: int
    accuracy: float
    accuracy_of_floats: float
    alike: float
    mean_difference: float


def quantise(checkpoint: Checkpoint, training: FaceSet, held_out: FaceSet) -> Difference:
    """Write the integers beside a checkpoint's other files and name them in its card.

    Args:
        checkpoint: with a network of convolutions.
        training: faces that the scales are fitted to, without their labels.
        held_out: labelled faces that it is compared on.

    Raises:
        DataError: if no held-out face has a label.
        ModelError: if the checkpoint is a patient's.
        ValueError: if the integers are too far from the floats; nothing is written.
    """
    if checkpoint.training.get("patient"):
        raise ModelError(
            f"{checkpoint.directory}: is a version of a patient's model, which never changes"
        )
    labelled = held_out.labelled()
    require_labels(labelled)
    chosen = np.random.default_rng(0).permutation(len(training))[:CALIBRATION_IMAGES]
    images = [training.images[index] for index in chosen]
    # In the same folder, so that it can be moved into place as a whole.
    handle, name = tempfile.mkstemp(prefix=".int8-", suffix=".onnx", dir=checkpoint.directory)
    os.close(handle)
    new = Path(name)
    try:
        _quantise_file(checkpoint.onnx_file, new, _batch(checkpoint, images))
        difference = _compare(checkpoint, new, labelled)
        lost = difference.accuracy_of_floats - difference.accuracy
        if lost > MOST_LOST or difference.alike < LEAST_ALIKE:
            raise ValueError(
                f"{checkpoint.directory}: in integers the accuracy is {difference.accuracy:.4f} "
                f"instead of {difference.accuracy_of_floats:.4f}, and {difference.alike:.1%} of the"
                f" answers are the same; expected at most {MOST_LOST:g} less and at least "
                f"{LEAST_ALIKE:.0%}: the floats stay in use"
            )
        new.chmod(0o644)
        new.replace(checkpoint.directory / INT8_FILE)
    finally:
        new.unlink(missing_ok=True)
    record_variant(checkpoint, INT8_FILE)
    record_figures(
        load_checkpoint(checkpoint.directory), "int8",
        {key: round(value, 4) for key, value in asdict(difference).items()},
    )  # fmt: skip
    return difference


def _batch(checkpoint: Checkpoint, images: Any) -> NDArray[np.float32]:
    resize = checkpoint.preprocessing.resize
    return checkpoint.preprocessing.batch([resize(image) for image in images])


def _quantise_file(source: Path, target: Path, images: NDArray[np.float32]) -> None:
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._parts: Iterator[dict[str, Any]] = iter(
                [{"crops": images[at : at + _BATCH]} for at in range(0, len(images), _BATCH)]
            )

        def get_next(self) -> dict[str, Any] | None:
            return next(self._parts, None)

    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        graph = onnx.load(str(prepared)).graph
        shapes = {constant.name: list(constant.dims) for constant in graph.initializer}
        wide = [
            node.name
            for node in graph.node
            if node.op_type == "Conv"
            and shapes[node.input[1]][0] >= _WIDE
            and shapes[node.input[1]][2] > 1
        ]
        if not wide:
            raise ValueError(f"{source}: no convolution with at least {_WIDE} channels")
        quantize_static(
            str(prepared), str(target), Images(), quant_format=QuantFormat.QDQ, per_channel=True,
            weight_type=QuantType.QInt8, activation_type=QuantType.QUInt8,
            op_types_to_quantize=["Conv"], nodes_to_quantize=wide,
            calibrate_method=CalibrationMethod.Percentile,
        )  # fmt: skip


def _compare(checkpoint: Checkpoint, integers: Path, labelled: FaceSet) -> Difference:
    backends = [OnnxBackend(checkpoint), OnnxBackend(checkpoint, file=integers)]
    told = []
    for backend in backends:
        parts = [
            backend.logits(_batch(checkpoint, labelled.images[at : at + 256]))
            for at in range(0, len(labelled), 256)
        ]
        told.append(softmax(np.concatenate(parts), checkpoint.temperature))
    floats, ints = told
    right = [float((one.argmax(axis=1) == labelled.labels).mean()) for one in told]
    return Difference(
        images=len(labelled), accuracy=right[1], accuracy_of_floats=right[0],
        alike=float((ints.argmax(axis=1) == floats.argmax(axis=1)).mean()),
        mean_difference=float(np.abs(ints - floats).max(axis=1).mean()),
    )  # fmt: skip
