# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Running the valence network in torch. Importing this does not import torch; using it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emotion_perception.faces.model_files import ModelError
from emotion_perception.valence.checkpoint import Checkpoint

if TYPE_CHECKING:
    import torch


class TorchBackend:
    """The same weights in torch, for CUDA; half precision there, float32 on a CPU.

    Args:
        checkpoint: the weights.
        device: ``cuda``, ``cuda:N`` or ``cpu``.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cuda") -> None:
        import torch

        from emotion_perception.image import device_frame

        self.device = device
        self._tools = device_frame
        self._device = torch.device(device)
        self._dtype = torch.float16 if self._device.type == "cuda" else torch.float32
        network = load_network(checkpoint.weights_file, checkpoint).requires_grad_(False)
        self._network = network.to(device=self._device, dtype=self._dtype)
        self._size = checkpoint.preprocessing.size
        self._min_std = checkpoint.preprocessing.min_std
        self._graphs = device_frame.Graphs(self._device)

    def logits(self, batch: NDArray[np.float32] | torch.Tensor) -> NDArray[np.float32]:
        """Return logits (N, 3) for standardised grey crops.

        Args:
            batch: float32 (N, 1, S, S), an array or a tensor on the device.
        """
        return self._run("standardised", batch)

    def logits_of_crops(self, crops: NDArray[np.uint8] | torch.Tensor) -> NDArray[np.float32]:
        """Return logits (N, 3) for grey crops, which are standardised on the device.

        Args:
            crops: uint8 (N, S, S), an array or a tensor on the device.
        """
        return self._run("crops", crops)

    def warm_up(self, most: int = 32) -> None:
        """Run batches of up to so many faces until all is compiled and recorded."""
        size = self._size
        for _ in range(self._tools.warm_up_calls(self._device)):
            for count in [1 << n for n in range(most.bit_length())]:
                self.logits(np.zeros((count, 1, size, size), np.float32))
                self.logits_of_crops(np.zeros((count, size, size), np.uint8))

    def _run(self, name: str, crops: NDArray[Any] | torch.Tensor) -> NDArray[np.float32]:
        if not len(crops):
            return np.empty((0, 3), np.float32)
        if isinstance(crops, np.ndarray):
            crops = self._tools.upload(crops, self._device)
        function = self._of_crops if name == "crops" else self._forward
        found: NDArray[np.float32] = self._tools.download(
            self._graphs.run_batch(name, function, crops)
        )
        return found

    def _of_crops(self, crops: torch.Tensor) -> torch.Tensor:
        return self._forward(self._tools.standardise(crops, self._min_std)[:, None])

    def _forward(self, batch: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self._network(batch.to(self._dtype)).float()
        return result


def load_network(weights: Path, checkpoint: Checkpoint) -> torch.nn.Module:
    """Build the torch network of a checkpoint, on the CPU, in evaluation mode.

    Raises:
        ModelError: if the weights do not fit the architecture that the card names.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from emotion_perception.valence.network import ARCHITECTURES

    name = checkpoint.architecture.get("name", "")
    if name not in ARCHITECTURES:
        raise ModelError(
            f"{checkpoint.directory}: architecture {name!r} is not one of {sorted(ARCHITECTURES)}"
        )
    arguments = checkpoint.architecture.get("arguments", {})
    try:
        _check_modest(arguments)
        state = load_file(weights)
        # Without memory first: the card may ask for a network that the weights are not of.
        with torch.device("meta"):
            wanted = ARCHITECTURES[name](**arguments).state_dict()
        for key, value in wanted.items():
            if key not in state or state[key].shape != value.shape:
                raise ValueError(f"{key} should have the shape {list(value.shape)}")
        network = ARCHITECTURES[name](**arguments)
        network.load_state_dict(state)
    except (OSError, RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise ModelError(f"{weights}: does not fit {name} of the card: {error}") from error
    return network.eval()


def _check_modest(arguments: Any) -> None:
    """Refuse arguments of an architecture with more layers or channels than any of ours has."""
    if not isinstance(arguments, dict):
        raise ValueError(f"arguments: expected an object, got {str(arguments)[:60]}")
    for name, value in arguments.items():
        several = value if isinstance(value, list) else [value]
        most = 4096 if name == "widths" else 64
        if len(several) > 16 or not all(
            isinstance(one, (int, float)) and 0 <= one <= most for one in several
        ):
            raise ValueError(f"{name}: expected numbers up to {most}, got {str(value)[:60]}")
