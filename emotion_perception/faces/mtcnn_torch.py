"""MTCNN on torch, for a GPU. The only module of this stage that imports torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import nms as torchvision_nms  # type: ignore[import-untyped]

from emotion_perception.faces.model_files import ModelError
from emotion_perception.faces.mtcnn_cascade import (
    Candidates,
    Details,
    MtcnnCascade,
    Verdicts,
    checked_model,
)
from emotion_perception.faces.mtcnn_geometry import Boxes, Strip, window_boxes

# Crops in one run of a network, as in facenet-pytorch: bounds the memory in a crowd.
_BATCH = 512


class _Network(nn.Module):
    """P-, R- or O-Net with its heads joined: logit, four offsets and perhaps ten landmarks.

    Args:
        convolutions: output channels and kernel side of each convolution.
        pools: kernel side of the max-pooling behind each convolution, stride 2; 0 for none.
        dense: inputs and outputs of the dense layer, None for the fully convolutional P-Net.
        outputs: number of outputs.
    """

    def __init__(
        self,
        convolutions: Sequence[tuple[int, int]],
        pools: Sequence[int],
        dense: tuple[int, int] | None,
        outputs: int,
    ) -> None:
        super().__init__()
        self.pools = pools
        channels = 3
        for index, (size, kernel) in enumerate(convolutions, 1):
            self.add_module(f"conv{index}", nn.Conv2d(channels, size, kernel))
            self.add_module(f"prelu{index}", nn.PReLU(size))
            channels = size
        self.dense = nn.Linear(*dense) if dense else None
        if dense:
            self.add_module(f"prelu{len(convolutions) + 1}", nn.PReLU(dense[1]))
            self.head: nn.Module = nn.Linear(dense[1], outputs)
        else:
            self.head = nn.Conv2d(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map float images (N, 3, h, w), RGB, ``(x - 127.5) / 128``, to (N, outputs, ...)."""
        for index, pool in enumerate(self.pools, 1):
            x = self.get_submodule(f"prelu{index}")(self.get_submodule(f"conv{index}")(x))
            if pool:
                x = functional.max_pool2d(x, pool, 2, ceil_mode=True)
        if self.dense is not None:
            x = self.dense(x.flatten(1))
            x = self.get_submodule(f"prelu{len(self.pools) + 1}")(x)
        scores: Tensor = self.head(x)
        return scores


def _networks() -> dict[str, _Network]:
    return {
        "pnet": _Network([(10, 3), (16, 3), (32, 3)], [2, 0, 0], None, 5),
        "rnet": _Network([(28, 3), (48, 3), (64, 2)], [3, 3, 0], (576, 128), 5),
        "onet": _Network([(32, 3), (64, 3), (64, 3), (128, 2)], [3, 3, 2, 0], (1152, 256), 15),
    }


class _Image(NamedTuple):
    """A frame on the device: float RGB (1, 3, H, W), and int32 sums (H + 1, W + 1, 3)."""

    frame: Tensor
    integral: Tensor


class TorchMtcnnDetector(MtcnnCascade):
    """Face detector for a GPU; same boxes as `MtcnnDetector` in single precision.

    The networks, the pyramid, the crops and the suppression run on the device; what passes a
    network is a few kilobytes and continues in NumPy, in the same code as on a CPU.

    Args:
        model_dir: folder of the exported networks; the shipped ones where none is given.
        min_face_size: side in pixels of the smallest face looked for, at least 12.
        thresholds: probabilities above which P-Net, R-Net and O-Net believe in a face.
        factor: scale from one image of the pyramid to the next.
        device: torch device.
        half: run the networks in half precision, CUDA only; boxes then move by about a pixel.

    Raises:
        ModelError: the model is missing or damaged.
        ValueError: a parameter is out of its range.
    """

    strip_pixels = sys.maxsize  # a GPU is not full with one whole image

    def __init__(
        self,
        model_dir: Path | None = None,
        *,
        min_face_size: int = 40,
        thresholds: Sequence[float] = (0.6, 0.7, 0.7),
        factor: float = 0.709,
        device: str = "cuda",
        half: bool = False,
    ) -> None:
        super().__init__(min_face_size, thresholds, factor)
        self._device = torch.device(device)
        if half and self._device.type != "cuda":
            raise ValueError(f"half: needs a CUDA device, got {device!r}")
        self._dtype = torch.float16 if half else torch.float32
        weights = checked_model(model_dir) / "mtcnn.safetensors"
        try:
            tensors = load_file(weights)
            networks = _networks()
            for name, network in networks.items():
                own = {k.split(".", 1)[1]: v for k, v in tensors.items() if k.startswith(name)}
                network.load_state_dict(own)
                network.requires_grad_(False).eval().to(self._device, self._dtype)
        except Exception as error:  # safetensors and torch raise types of their own
            raise ModelError(f"{weights}: cannot load the weights ({error})") from error
        self._nets = networks

    def _load(self, frame_bgr: NDArray[np.uint8]) -> _Image:
        # A copy, because torch takes neither read-only nor mirrored arrays without complaint.
        image = torch.from_numpy(frame_bgr.copy()).to(self._device).flip(2)
        frame = image.permute(2, 0, 1)[None].float().contiguous()
        # Sums beyond int32 wrap around; differences of them are right again.
        sums = image.to(torch.int32).cumsum(0, dtype=torch.int32).cumsum(1, dtype=torch.int32)
        return _Image(frame, functional.pad(sums, (0, 0, 1, 0, 1, 0)))

    @torch.inference_mode()
    def _scan(self, image: _Image, parts: Sequence[Strip], threshold: float) -> list[Candidates]:
        levels = [part.level for part in parts]  # each in one strip
        outputs = []
        for level in levels:
            size = (level.height, level.width)
            pixels = functional.interpolate(image.frame, size=size, mode="area")
            outputs.append(self._forward("pnet", (pixels - 127.5) / 128)[0])
        # All images are under way before the first result is waited for.
        cells = torch.cat([output.flatten(1) for output in outputs], dim=1)
        cells[0].sigmoid_()
        picks = (cells[0] >= threshold).nonzero()[:, 0]
        picked = cells[:, picks].T.cpu().numpy()
        places = picks.cpu().numpy()
        found, start = [], 0
        for level, output in zip(levels, outputs, strict=True):
            rows, columns = output.shape[1:]
            first, last = np.searchsorted(places, [start, start + rows * columns])
            window = window_boxes(*np.divmod(places[first:last] - start, columns), level.scale)
            found.append(Candidates(window, picked[first:last, 0], picked[first:last, 1:]))
            start += rows * columns
        return found

    def _rnet(self, image: _Image, windows: NDArray[np.intp]) -> Verdicts:
        output = self._look("rnet", image, windows, 24)
        return output[:, 0], output[:, 1:]

    def _onet(self, image: _Image, windows: NDArray[np.intp]) -> Details:
        output = self._look("onet", image, windows, 48)
        return output[:, 0], output[:, 1:5], output[:, 5:].reshape(-1, 5, 2)

    def _nms(self, boxes: Boxes, scores: NDArray[np.float32], limit: float) -> NDArray[np.intp]:
        on_device = (torch.from_numpy(array).to(self._device) for array in (boxes, scores))
        return np.asarray(torchvision_nms(*on_device, limit).cpu().numpy(), np.intp)

    @torch.inference_mode()
    def _look(
        self, name: str, image: _Image, windows: NDArray[np.intp], size: int
    ) -> NDArray[np.float32]:
        """Run a network on crops; float32 (N, outputs) with the logit made a probability."""
        outputs = []
        for part in torch.split(torch.from_numpy(windows).to(self._device), _BATCH):
            output = self._forward(name, self._crops(image, part, size))
            output[:, 0].sigmoid_()
            outputs.append(output)
        return np.asarray(torch.cat(outputs).cpu().numpy(), np.float32)

    def _forward(self, name: str, images: Tensor) -> Tensor:
        """Run a network, in full single precision where that is the type, and return float32."""
        # TF32 has 10 bits of mantissa: it would move boxes by pixels.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            output: Tensor = self._nets[name](images.to(self._dtype)).float()
        return output

    def _crops(self, image: _Image, windows: Tensor, size: int) -> Tensor:
        """Return area averages (N, 3, size, size) of windows (N, 4); see `AreaImage.crops`."""
        index = torch.arange(size, device=self._device)
        edges = []
        for axis in (0, 1):
            start = windows[:, axis, None]
            length = windows[:, axis + 2, None] - start
            edges += [start + index * length // size]
            edges += [start + ((index + 1) * length + size - 1) // size]
        left, right, top, bottom = edges
        left, right = left[:, None, :], right[:, None, :]
        top, bottom = top[:, :, None], bottom[:, :, None]
        table = image.integral
        sums = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
        area = ((bottom - top) * (right - left))[..., None]
        return ((sums / area - 127.5) / 128).permute(0, 3, 1, 2)
