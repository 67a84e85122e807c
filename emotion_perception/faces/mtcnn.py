# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""MTCNN on a CPU, through ONNX Runtime and without torch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from emotion_perception.faces.area import AreaImage
from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.mtcnn_cascade import (
    Candidates,
    Details,
    MtcnnCascade,
    Verdicts,
    checked_model,
)
from emotion_perception.faces.mtcnn_geometry import STRIDE, Strip, window_boxes
from emotion_perception.faces.network_file import check_network_file
from emotion_perception.faces.quick import QuickImage
from emotion_perception.team import team

# Crops in one run of a network: more would leave the cache, and could not be shared out.
_MOST_CROPS = 16

Images = AreaImage | QuickImage


class MtcnnDetector(MtcnnCascade):
    """Face detector for a CPU; same boxes as facenet-pytorch's MTCNN.

    Args:
        model_dir: folder of the exported networks; the shipped ones where none is given.
        min_face_size: side in pixels of the smallest face looked for, at least 12. Halving it
            costs four times the work.
        thresholds: probabilities above which P-Net, R-Net and O-Net believe in a face.
        factor: scale from one image of the pyramid to the next.
        threads: CPU threads for the networks.
        device: "cpu"; `TorchMtcnnDetector` is the one for a GPU.

    Raises:
        ModelError: the model is missing or damaged.
        ValueError: a parameter is out of its range.
    """

    strip_pixels = 14_000

    def __init__(
        self,
        model_dir: Path | None = None,
        *,
        min_face_size: int = 40,
        thresholds: Sequence[float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
        threads: int = 2,
        device: str = "cpu",
    ) -> None:
        super().__init__(min_face_size, thresholds, factor)
        if device != "cpu":
            raise ValueError(f"device: expected 'cpu', got {device!r}; see TorchMtcnnDetector")
        directory = checked_model(model_dir)
        self._pnet_session = _session(directory / "pnet.onnx")
        self._rnet_session = _session(directory / "rnet.onnx")
        self._onet_session = _session(directory / "onet.onnx")
        self._team = team(threads)
        self._own = threading.local()

    def _quick(self, frame_bgr: NDArray[np.uint8]) -> QuickImage:
        return QuickImage(frame_bgr)

    def _load(self, frame_bgr: NDArray[np.uint8]) -> AreaImage:
        image: AreaImage | None = getattr(self._own, "image", None)
        if image is None:
            image = self._own.image = AreaImage()
        image.load(frame_bgr)
        return image

    def _scan(self, image: Images, parts: Sequence[Strip], threshold: float) -> list[Candidates]:
        return self._team.run([partial(self._scan_strip, image, part, threshold) for part in parts])

    def _scan_strip(self, image: Images, strip: Strip, threshold: float) -> Candidates:
        level = strip.level
        pixels = image.resized(level.height, level.width, strip.top, strip.rows)
        probability, offsets = self._pnet_session.run(None, {"image": pixels})
        cells = np.flatnonzero(probability >= np.float32(threshold))
        rows, columns = np.divmod(cells, probability.shape[-1])
        return Candidates(
            window_boxes(rows + strip.top // STRIDE, columns, level.scale),
            probability.reshape(-1)[cells],
            offsets.reshape(4, -1)[:, cells].T,
        )

    def _rnet(self, image: Images, windows: NDArray[np.intp]) -> Verdicts:
        probability, offsets = self._run(self._rnet_session, image, windows, 24)
        return probability, offsets

    def _onet(self, image: Images, windows: NDArray[np.intp]) -> Details:
        found = self._run(self._onet_session, image, windows, 48)
        probability, offsets, points = found
        return probability, offsets, points

    def _onet_many(self, images: Sequence[Any], windows: Sequence[NDArray[np.intp]]) -> Details:
        crops = [image.crops(of_it, 48) for image, of_it in zip(images, windows, strict=True)]
        found = self._shared(self._onet_session, np.concatenate(crops))
        probability, offsets, points = found
        return probability, offsets, points

    def _run(
        self, session: Any, image: Images, windows: NDArray[np.intp], size: int
    ) -> list[NDArray[np.float32]]:
        """Run a network on crops of the frame, some at a time and side by side."""
        return self._shared(session, image.crops(windows, size))

    def _shared(self, session: Any, crops: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run a network on crops, some at a time and side by side."""
        runs = max(-(-len(crops) // _MOST_CROPS), min(self._team.threads, len(crops)))
        most = -(-len(crops) // runs)
        parts = [crops[start : start + most] for start in range(0, len(crops), most)]
        found = self._team.run([partial(session.run, None, {"image": part}) for part in parts])
        if len(found) == 1:
            return list(found[0])
        return [np.concatenate(outputs) for outputs in zip(*found, strict=True)]


def _session(path: Path) -> Any:
    """Load a network.

    Raises:
        ModelError: ONNX Runtime cannot read the file, or should not.
    """
    check_network_file(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({error})") from error
