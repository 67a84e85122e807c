"""Running the valence network: ONNX Runtime on a CPU, torch on a GPU."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError
from emotion_perception.team import team
from emotion_perception.valence.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch


class Backend(Protocol):
    """What runs the network of a checkpoint."""

    device: str

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, 3) for standardised grey crops, float32 (N, 1, S, S)."""
        ...


class OnnxBackend:
    """ONNX Runtime on the CPU; torch is not imported."""

    device = "cpu"

    def __init__(self, checkpoint: Checkpoint, threads: int = 2) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._team = team(threads)
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(checkpoint.onnx_file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no base class of their own
            raise ModelError(
                f"{checkpoint.onnx_file}: not a usable ONNX network: {error}"
            ) from error
        size = checkpoint.preprocessing.size
        shape = self._session.get_inputs()[0].shape
        if list(shape[1:]) != [1, size, size]:
            raise ModelError(
                f"{checkpoint.onnx_file}: its input is {shape}, the card says N, 1, {size}, {size}"
            )

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, 3) for standardised grey crops, float32 (N, 1, S, S)."""
        parts = np.array_split(batch, max(1, min(len(batch), self._team.threads)))
        found = self._team.run([partial(self._run, part) for part in parts])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(None, {"crops": batch})[0]
        return result


class TorchBackend:
    """The same weights in torch, for CUDA; half precision there, float32 on a CPU.

    Args:
        checkpoint: the weights.
        device: ``cuda``, ``cuda:N`` or ``cpu``.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cuda") -> None:
        import torch

        self.device = device
        self._torch = torch
        self._dtype = torch.float16 if device.startswith("cuda") else torch.float32
        network = load_network(checkpoint.weights_file, checkpoint)
        self._network = network.to(device=device, dtype=self._dtype).eval()

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return logits (N, 3) for standardised grey crops, float32 (N, 1, S, S)."""
        torch = self._torch
        with torch.inference_mode():
            crops = torch.from_numpy(batch).to(self.device, self._dtype, non_blocking=True)
            result: NDArray[np.float32] = self._network(crops).float().cpu().numpy()
            return result


def load_network(weights: Path, checkpoint: Checkpoint) -> torch.nn.Module:
    """Build the torch network of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        ModelError: if the weights do not fit the architecture that the card names.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from emotion_perception.valence.network import ARCHITECTURES

    name = checkpoint.architecture.get("name", "")
    if name not in ARCHITECTURES:
        raise ModelError(
            f"{checkpoint.directory}: architecture {name!r} is not one of {sorted(ARCHITECTURES)}"
        )
    try:
        network = ARCHITECTURES[name](**checkpoint.architecture.get("arguments", {}))
        network.load_state_dict(load_file(weights))
    except (RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{weights}: does not fit {name} of the card: {error}") from error
    return network.eval()
