# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whose face it is: embeddings of faces, alike for one person and unlike for two.

The network is the MobileNet v1 of HSE FaceRes, pretrained on VGGFace2 (models/face-identity). It
is given the same grey aligned crop as the valence network, enlarged: so a live crop and one that
`emotion-perception capture` stored are comparable, and colours of a lamp or camera do not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError, verify_files
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.limited_arrays import read_array
from emotion_perception.models import find_model

IDENTITY_MODEL: Final = "face-identity"
ONNX_FILE: Final = "model.onnx"
CENTRE_FILE: Final = "centre.npy"

_BATCH: Final = 16


class FaceIdentity:
    """Turns face crops into embeddings; needs no torch. Not for two threads at once.

    Args:
        folder: of the model; None for the shipped one.
        threads: processor threads.

    Attributes:
        model_id: name, version and the start of the weights' hash; embeddings of two models cannot
            be compared.
        threshold: the likeness from which on two embeddings are taken for one person, as measured
            by ``benchmarks/identity.py``.
        framing: how crops are framed; that of the valence network.
        dimensions: length D of an embedding.

    Raises:
        ModelError: if the model is missing, damaged or of another kind.

    Example:
        >>> identity = FaceIdentity()
        >>> live = identity.framing.align(frame_bgr, face.landmarks)
        >>> first, second = identity.embed([live, stored_crop])
        >>> likeness = float(first @ second)
    """

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        import onnxruntime

        folder = folder or find_model(IDENTITY_MODEL)
        card = verify_files(folder)
        missing = {ONNX_FILE, CENTRE_FILE} - set(card["files"])
        if missing:
            raise ModelError(f"{folder / 'card.json'}: files: {', '.join(sorted(missing))} missing")
        try:
            self.model_id = f"{card['name']}-{card['version']}+{card['files'][ONNX_FILE][:8]}"
            self.threshold = float(card["threshold"])
            self.framing = FacePreprocessing.from_card(card["preprocessing"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"{folder / 'card.json'}: {error!r}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads would take the robot's other processes their processor.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        path = folder / ONNX_FILE
        check_network_file(path)
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            self._centre = read_array(folder / CENTRE_FILE, most=1 << 20).astype(np.float32)
        except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
            raise ModelError(f"{folder}: not a usable identity network: {error}") from error
        shape = list(self._session.get_inputs()[0].shape)[1:]
        self._side = shape[-1]
        self.dimensions = int(self._session.get_outputs()[0].shape[1])
        if shape != [1, self._side, self._side] or self._centre.shape != (self.dimensions,):
            raise ModelError(
                f"{path}: input {shape}, centre {self._centre.shape}, expected [1, S, S] and"
                f" ({self.dimensions},)"
            )

    def embed(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the embeddings of faces.

        Args:
            crops: uint8 crops, grey (S, S) as `framing.align` gives them or BGR (S, S, 3) as
                `capture` stored them.

        Returns:
            float32 (N, D), each of length 1: the scalar product of two is their likeness, -1 to 1.
            The mean of many other people is taken off first: what all faces have in common says
            nothing on who it is.

        Raises:
            ValueError: for an empty crop, or one that is not uint8 with 1 or 3 channels.
        """
        return _unit(self.features(crops) - self._centre)

    def features(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return the network's own features, float32 (N, D) of length 1, for `embed`'s crops."""
        parts = [
            self._session.run(None, {"crops": self._batch(crops[start : start + _BATCH])})[0]
            for start in range(0, len(crops), _BATCH)
        ]
        return _unit(np.concatenate(parts)) if parts else np.empty((0, self.dimensions), np.float32)

    def _batch(self, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        batch = np.empty((len(crops), 1, self._side, self._side), np.float32)
        for index, crop in enumerate(crops):
            small = self.framing.resize(crop)
            batch[index, 0] = cv2.resize(
                small, (self._side, self._side), interpolation=cv2.INTER_LINEAR
            )
        return batch


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
