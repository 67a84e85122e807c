"""MTCNN on a CPU, through ONNX Runtime and without torch."""

from __future__ import annotations

from collections.abc import Sequence
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
from emotion_perception.faces.mtcnn_geometry import Level, window_boxes

# Crops in one run of a network: more would leave the cache (O-Net takes 0.3 ms a crop in batches
# of 16, 0.4 ms in batches of 64).
_RNET_BATCH = 64
_ONET_BATCH = 16


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
        if threads < 1:
            raise ValueError(f"threads: expected at least 1, got {threads}")
        directory = checked_model(model_dir)
        self._pnet_session = _session(directory / "pnet.onnx", threads)
        self._rnet_session = _session(directory / "rnet.onnx", threads)
        self._onet_session = _session(directory / "onet.onnx", threads)
        self._area = AreaImage()

    def _load(self, frame_bgr: NDArray[np.uint8]) -> None:
        self._area.load(frame_bgr)

    def _scan(self, levels: list[Level]) -> list[Candidates]:
        found = []
        for level in levels:
            image = self._area.resized(level.height, level.width)
            probability, offsets = self._pnet_session.run(None, {"image": image})
            cells = np.flatnonzero(probability >= self.thresholds[0])
            rows, columns = np.divmod(cells, probability.shape[-1])
            found.append(
                Candidates(
                    window_boxes(rows, columns, level.scale),
                    probability.reshape(-1)[cells],
                    offsets.reshape(4, -1)[:, cells].T,
                )
            )
        return found

    def _rnet(self, windows: NDArray[np.intp]) -> Verdicts:
        probability, offsets = self._run(self._rnet_session, windows, 24, _RNET_BATCH)
        return probability, offsets

    def _onet(self, windows: NDArray[np.intp]) -> Details:
        probability, offsets, points = self._run(self._onet_session, windows, 48, _ONET_BATCH)
        return probability, offsets, points

    def _run(
        self, session: Any, windows: NDArray[np.intp], size: int, batch: int
    ) -> list[NDArray[np.float32]]:
        """Run a network on crops of the frame, some at a time."""
        parts = [
            session.run(None, {"image": self._area.crops(windows[start : start + batch], size)})
            for start in range(0, len(windows), batch)
        ]
        if len(parts) == 1:
            return list(parts[0])
        return [np.concatenate(part) for part in zip(*parts, strict=True)]


def _session(path: Path, threads: int) -> Any:
    """Load a network.

    Raises:
        ModelError: ONNX Runtime cannot read the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads would keep the robot's cores busy between frames, for little gain.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's own exceptions share no narrower base
        raise ModelError(f"{path}: ONNX Runtime cannot load it ({error})") from error
