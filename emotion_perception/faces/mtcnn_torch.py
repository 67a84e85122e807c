# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""MTCNN on torch, for a GPU. The only module of this stage that imports torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

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
from emotion_perception.faces.mtcnn_geometry import Boxes, Level, Strip, window_boxes
from emotion_perception.faces.nms import nms
from emotion_perception.image.device_frame import (
    MOST_IN_BATCH,
    DeviceFrame,
    DeviceFrames,
    Graphs,
    download,
    upload,
    warm_up_calls,
)

# Fewer boxes are suppressed sooner on the host, where they are, than sent there and back.
_NMS_ON_HOST: Final = 128


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
    """A frame on the device, and how it is brought to other sizes.

    Attributes:
        frame: the pixels.
        exact: by averages as `area` takes them, else as `quick` does.
    """

    frame: DeviceFrame
    exact: bool


class TorchMtcnnDetector(MtcnnCascade):
    """Face detector for a GPU; same boxes as `MtcnnDetector` in single precision.

    The networks, the pyramid and the crops run on the device; what passes a network comes back in
    one copy and continues in NumPy, in the same code as on a CPU.

    Args:
        model_dir: folder of the exported networks; the shipped ones where none is given.
        min_face_size: side in pixels of the smallest face looked for, at least 12.
        thresholds: probabilities above which P-Net, R-Net and O-Net believe in a face.
        factor: scale from one image of the pyramid to the next.
        device: torch device.
        half: run the networks in half precision, CUDA only; boxes then move by about a pixel.

    Attributes:
        frames: brings frames to the device; hold a frame there to upload it once for all.

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
        self._graphs = Graphs(self._device)
        self.frames = DeviceFrames(self._device)

    def warm_up(self, height: int, width: int) -> None:
        """Run what frames of this size and batches of all usual sizes need until it is recorded.

        Args:
            height: height of the frames in pixels.
            width: width of the frames in pixels.
        """
        frame = np.zeros((height, width, 3), np.uint8)
        image = self._quick(frame)
        parts = range(len(self.costs(height, width)))
        nobody = np.empty((0, 4), np.float32)
        counts = [2**n for n in range(8)] if self._device.type == "cuda" else [1]
        for _ in range(warm_up_calls(self._device)):
            super().warm_up(height, width)
            self.search(frame, parts, nobody)
            for count in counts:
                windows = np.tile(np.array([[0, 0, width, height]], np.intp), (count, 1))
                self._rnet(image, windows)
                self._onet(image, windows)

    def _load(self, frame_bgr: NDArray[np.uint8]) -> _Image:
        return _Image(self.frames.of(frame_bgr), exact=True)

    def _quick(self, frame_bgr: NDArray[np.uint8]) -> _Image:
        return _Image(self.frames.of(frame_bgr), exact=False)

    def _scan(self, image: _Image, parts: Sequence[Strip], threshold: float) -> list[Candidates]:
        levels = tuple(part.level for part in parts)  # each in one strip
        scan = partial(self._scan_all, levels, image.exact)
        # All cells come back: they are fewer bytes than the frame, and to choose some of them on
        # the device would take a wait to learn how many there are.
        cells = download(self._graphs.run((levels, image.exact), scan, image.frame.pixels))
        found, start = [], 0
        for level in levels:
            rows, columns = _output_size(level)
            own = cells[:, start : start + rows * columns]
            picks = np.flatnonzero(own[0] >= np.float32(threshold))
            window = window_boxes(*np.divmod(picks, columns), level.scale)
            found.append(Candidates(window, own[0, picks], own[1:, picks].T))
            start += rows * columns
        return found

    def _scan_all(self, levels: Sequence[Level], exact: bool, pixels: Tensor) -> Tensor:
        """Run P-Net on images of the pyramid of a frame, uint8 BGR (H, W, 3).

        Returns:
            float32 (5, N), the cells of all outputs one after another: probability, offsets.
        """
        frame = DeviceFrame(pixels)
        outputs = []
        for level in levels:
            size = (level.height, level.width)
            if exact:
                resized = functional.interpolate(frame.planes, size=size, mode="area")
            else:
                resized = _resized(frame, size)
            outputs.append(self._forward("pnet", resized)[0].flatten(1))
        cells = torch.cat(outputs, dim=1)
        cells[0].sigmoid_()
        return cells

    def _rnet(self, image: _Image, windows: NDArray[np.intp]) -> Verdicts:
        output = self._look("rnet", [image], [windows], 24)
        return output[:, 0], output[:, 1:]

    def _onet(self, image: _Image, windows: NDArray[np.intp]) -> Details:
        return self._onet_many([image], [windows])

    def _onet_many(self, images: Sequence[_Image], windows: Sequence[NDArray[np.intp]]) -> Details:
        """Run O-Net on windows (N, 4) of each of several frames, in one batch; some N > 0."""
        output = self._look("onet", images, windows, 48)
        return output[:, 0], output[:, 1:5], output[:, 5:].reshape(-1, 5, 2)

    def _nms(self, boxes: Boxes, scores: NDArray[np.float32], limit: float) -> NDArray[np.intp]:
        # The boxes are on the host, and which are kept decides there what is cropped next.
        if len(boxes) <= _NMS_ON_HOST or self._device.type != "cuda":
            return nms(boxes, scores, limit)
        on_device = (upload(array, self._device) for array in (boxes, scores))
        return np.asarray(download(torchvision_nms(*on_device, limit)), np.intp)

    def _look(
        self,
        name: str,
        images: Sequence[_Image],
        windows: Sequence[NDArray[np.intp]],
        size: int,
    ) -> NDArray[np.float32]:
        """Run a network on crops; float32 (N, outputs) with the logit made a probability."""
        crops, order = self._crops(images, windows, size)
        found = download(self._graphs.run_batch(name, partial(self._judge, name), crops))
        output = np.empty_like(found)
        output[order] = found
        return output

    def _judge(self, name: str, crops: Tensor) -> Tensor:
        output = self._forward(name, crops)
        output[:, 0].sigmoid_()
        return output

    def _forward(self, name: str, images: Tensor) -> Tensor:
        """Run a network on images of 0 to 255, in full single precision where that is the type.

        Returns:
            float32.
        """
        normalised = ((images - 127.5) / 128).to(self._dtype)
        # TF32 has 10 bits of mantissa: it would move boxes by pixels.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            output: Tensor = self._nets[name](normalised).float()
        return output

    def _crops(
        self, images: Sequence[_Image], windows: Sequence[NDArray[np.intp]], size: int
    ) -> tuple[Tensor, NDArray[np.intp]]:
        """Return float32 crops (N, 3, size, size), RGB, 0 to 255, of windows (N, 4) of the images.

        They come in another order: the second value has the place of each among the windows.
        """
        every = np.concatenate(windows)
        owners = np.repeat(np.arange(len(images)), [len(own) for own in windows])
        steps = _halvings(every, size)
        order = np.lexsort((steps, owners))
        # One copy for all, and one computation of where their pixels lie.
        units = 0.5 ** steps[:, None]
        on_device = upload(np.concatenate([every, units], axis=1)[order], self._device)
        y, x = _positions(on_device, (size, size))
        crops, start = [], 0
        for owner, image in enumerate(images):
            for step in np.unique(steps[owners == owner]).tolist():
                part = slice(start, start + int(((owners == owner) & (steps == step)).sum()))
                if image.exact:
                    parts = torch.split(on_device[part], MOST_IN_BATCH)
                    crops += [_averages(image.frame, windows, size) for windows in parts]
                else:
                    crops.append(_interpolated(image.frame.halved(step), y[part], x[part]))
                start = part.stop
        return torch.cat(crops), order


def _output_size(level: Level) -> tuple[int, int]:
    """Return rows and columns of P-Net's output for an image."""
    return -(-(level.height - 2) // 2) - 4, -(-(level.width - 2) // 2) - 4


def _halvings(windows: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Return how often QuickImage halves a frame before it samples crops of windows (N, 4)."""
    sides = windows[:, 2:] - windows[:, :2]
    exponents: NDArray[np.intc] = np.frexp(sides.min(axis=1) / size)[1]
    return np.maximum(exponents - 1, 0).astype(np.intp)


def _resized(frame: DeviceFrame, size: tuple[int, int]) -> Tensor:
    """Return a frame at another size (h, w), float32 RGB (1, 3, h, w), as QuickImage does."""
    height, width = frame.pixels.shape[:2]
    step = max(int(np.frexp(min(height / size[0], width / size[1]))[1]) - 1, 0)
    # Made on the device: a graph may hold no copy from the host.
    whole = torch.zeros((1, 5), dtype=torch.float64, device=frame.pixels.device)
    for column, value in ((2, width), (3, height), (4, 0.5**step)):
        whole[:, column].fill_(value)
    return _interpolated(frame.halved(step), *_positions(whole, size))


def _positions(windows: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return where QuickImage reads the rows (N, h) and columns (N, w) of windows.

    Args:
        windows: float64 (N, 5), corners in pixels of the frame; pixels of the halved frame in one.
        size: height and width that the windows are brought to.

    Returns:
        int64, in 1/32 pixels of the halved frame.
    """
    left, top, right, bottom = (windows[:, :4] * windows[:, 4:])[:, :, None].unbind(1)
    row, column = (torch.arange(n, dtype=torch.float64, device=windows.device) for n in size)
    down, across = (bottom - top) / size[0], (right - left) / size[1]
    # Pixel centres: a continuous coordinate c is the pixel index c - 0.5. OpenCV rounds what a row
    # and what a column adds to 1/1024, and the sum to 1/32.
    y = ((top + down / 2 - 0.5 + down * row) * 1024).round()
    x = ((left + across / 2 - 0.5) * 1024).round() + (across * column * 1024).round()
    return (y.long() + 16) >> 5, (x.long() + 16) >> 5


def _interpolated(planes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """Return images interpolated between pixels of a halved frame.

    To the bit what QuickImage returns: boxes move by pixels where one proposal more passes a
    network. torchvision's roi_align reads the same places but for OpenCV's rounding to 1/32 pixel,
    and that alone moved landmarks by up to 5 pixels.

    Args:
        planes: float32 RGB (1, 3, H, W), 0 to 255.
        y: int64 (N, h), rows in 1/32 pixels; beyond the border it is repeated.
        x: int64 (N, w), columns.

    Returns:
        float32 RGB (N, 3, h, w), whole numbers from 0 to 255.
    """
    source = planes[0]
    height, width = source.shape[1:]
    y, x = y[:, :, None], x[:, None, :]
    below, beside = (y & 31).float() / 32, (x & 31).float() / 32
    y0, y1 = (((y >> 5) + n).clamp(0, height - 1) for n in (0, 1))
    x0, x1 = (((x >> 5) + n).clamp(0, width - 1) for n in (0, 1))
    upper = torch.lerp(source[:, y0, x0], source[:, y0, x1], beside)
    lower = torch.lerp(source[:, y1, x0], source[:, y1, x1], beside)
    return (torch.lerp(upper, lower, below) + 0.5).floor_().transpose(0, 1)


def _averages(frame: DeviceFrame, windows: Tensor, size: int) -> Tensor:
    """Return area averages, float32 RGB (N, 3, size, size), 0 to 255; see `AreaImage.crops`."""
    windows = windows.long()
    index = torch.arange(size, device=windows.device)
    edges = []
    for axis in (0, 1):
        start = windows[:, axis, None]
        length = windows[:, axis + 2, None] - start
        edges += [start + index * length // size]
        edges += [start + ((index + 1) * length + size - 1) // size]
    left, right, top, bottom = edges
    left, right = left[:, None, :], right[:, None, :]
    top, bottom = top[:, :, None], bottom[:, :, None]
    table = frame.sums
    sums = table[bottom, right] - table[top, right] - table[bottom, left] + table[top, left]
    area = ((bottom - top) * (right - left))[..., None]
    return (sums / area).permute(0, 3, 1, 2)
