# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Frames on a torch device: uploaded once, looked at by all, and aligned there.

Everything is queued on the device's current stream and runs in that order; nothing waits for the
device but `download`. Threads of one process may share all of this as long as they keep to one
stream, as they do unless told otherwise. Importing this imports torch.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from emotion_perception.image.preprocess import FacePreprocessing

_logger = logging.getLogger(__name__)

MOST_IN_BATCH: Final = 512
"""Larger batches are run in parts, which bounds the memory in a crowd."""

# A shape seen so often becomes a graph. That takes a few frames' time and memory for good, which
# photos and regions of any size are not worth; `warm_up` methods go through it beforehand.
_CAPTURE_AT: Final = 20
_MOST_GRAPHS: Final = 64
_MOST_COUNTED: Final = 1024
_WARM_UPS: Final = 3
_BUCKET: Final = 128
_GREY_BGR: Final = (3735, 19235, 9798)  # shares in 2**15, as OpenCV rounds them

# One capture at a time may be under way in a process, and graphs share their scratch memory.
_graph_lock = threading.RLock()


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """Copy an array to a device without waiting for the device.

    Args:
        array: of any shape, strides and dtype that torch has too.
        device: torch device.

    Returns:
        A contiguous tensor of the same shape and dtype, which shares no memory with the array.
    """
    dtype = torch.from_numpy(np.empty(0, array.dtype)).dtype
    # torch keeps pinned blocks for reuse, and gives none out whose copy is still under way.
    staging = torch.empty(array.shape, dtype=dtype, pin_memory=device.type == "cuda")
    np.copyto(staging.numpy(), array)
    return staging.to(device, non_blocking=True)


def download(tensor: Tensor) -> NDArray[Any]:
    """Wait for a tensor and return it as an array of its shape and dtype.

    Args:
        tensor: of any shape; on a CPU the array shares its memory.
    """
    if not tensor.is_cuda:
        return np.asarray(tensor.numpy())
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensor.device).synchronize()
    return np.asarray(host.numpy())


class DeviceFrame:
    """A frame on a device; what is made of it is made once.

    Args:
        pixels: uint8 BGR (H, W, 3), of any strides.
    """

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels
        self._halved: list[Tensor] = []
        self._sums: Tensor | None = None

    @property
    def planes(self) -> Tensor:
        """The frame as float32 RGB (1, 3, H, W), 0 to 255."""
        return self.halved(0)

    def halved(self, step: int) -> Tensor:
        """Return the frame halved so many times, float32 RGB (1, 3, h, w), as QuickImage does."""
        while len(self._halved) <= step:
            if not self._halved:
                planes = self.pixels.flip(2).permute(2, 0, 1)[None]
                half = planes.to(torch.float32, memory_format=torch.contiguous_format)
            else:
                large = self._halved[-1]
                # An odd last row or column is left out; OpenCV rounds halves up.
                block = (min(2, large.shape[2]), min(2, large.shape[3]))
                half = (functional.avg_pool2d(large, block) + 0.5).floor_()
            self._halved.append(half)
        return self._halved[step]

    @property
    def sums(self) -> Tensor:
        """Sums of all pixels above and to the left, int32 RGB (H + 1, W + 1, 3)."""
        if self._sums is None:
            self._sums = _sums(self.pixels.flip(2)[None])[0]
        return self._sums


class DeviceFrames:
    """Brings frames to one device.

    Args:
        device: torch device.

    Example:
        >>> with frames.held([frame_bgr]):
        ...     faces = detector.detect(frame_bgr)  # finds it uploaded
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self._held: list[tuple[NDArray[np.uint8], DeviceFrame]] = []

    @contextmanager
    def held(self, frames_bgr: Sequence[NDArray[np.uint8]]) -> Iterator[list[DeviceFrame]]:
        """Upload frames, and let `of` find them until the block ends.

        One thread at a time holds frames.

        Args:
            frames_bgr: each uint8 BGR (H, W, 3); they must not change within the block.
        """
        uploaded = [DeviceFrame(upload(frame, self.device)) for frame in frames_bgr]
        self._held = list(zip(frames_bgr, uploaded, strict=True))
        try:
            yield uploaded
        finally:
            self._held = []

    def of(self, frame_bgr: NDArray[np.uint8]) -> DeviceFrame:
        """Return a frame, uint8 BGR (H, W, 3), or a part of one, on the device.

        It is uploaded unless it is a view of a frame that is held.
        """
        for whole, known in self._held:
            place = _place(frame_bgr, whole)
            if place is not None:
                if frame_bgr.shape == whole.shape:
                    return known
                (row, column), (height, width) = place, frame_bgr.shape[:2]
                return DeviceFrame(known.pixels[row : row + height, column : column + width])
        return DeviceFrame(upload(frame_bgr, self.device))


def _place(part: NDArray[np.uint8], whole: NDArray[np.uint8]) -> tuple[int, int] | None:
    """Return the row and column of a frame where a view of it begins, None if it is no such view.

    The frame is alive, so no other array can lie where it does.
    """
    if part.strides != whole.strides or min(whole.strides) < 1:
        return None
    rows, columns = whole.strides[:2]
    row, rest = divmod(part.ctypes.data - whole.ctypes.data, rows)
    column, rest = divmod(rest, columns)
    height, width = whole.shape[:2]
    inside = 0 <= row <= height - part.shape[0] and column <= width - part.shape[1]
    return (row, column) if inside and rest == 0 and part.shape[2] == whole.shape[2] else None


class _Graph(NamedTuple):
    """A recording, which reads `inputs` and writes `outputs`; other replays may overwrite those."""

    recording: torch.cuda.CUDAGraph
    inputs: Tensor
    outputs: Tensor


class Graphs:
    """Runs functions of one tensor: on CUDA as graphs, one launch each; elsewhere it calls them.

    A function must do the same on each call with a tensor of that shape, and must not read results.
    Threads may share one.

    Args:
        device: torch device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()  # the last used is the last
        self._seen: dict[Hashable, int] = {}
        self._capturing = True
        if device.type == "cuda":
            # The pool asks for the same stream in all captures that share it.
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            self._pool = torch.cuda.graph_pool_handle()

    def run(self, name: Hashable, function: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
        """Return ``function(tensor)``.

        Args:
            name: tells functions apart: the same name, the same function.
            function: of a tensor on the device.
            tensor: on the device.
        """
        # Not inference_mode: a graph first captured in it spoils later ones (pytorch #166792).
        if self._device.type != "cuda":
            with torch.no_grad():
                return function(tensor)
        with _graph_lock, torch.no_grad(), torch.cuda.device(self._device):
            key = (name, tensor.shape, tensor.dtype)
            graph = self._graphs.pop(key, None)
            if graph is None:
                if not self._is_usual(key):
                    return function(tensor)
                try:
                    graph = self._capture(function, tensor)
                except RuntimeError as error:
                    self._capturing = False
                    _logger.warning("going on without CUDA graphs: %s", error)
                    return function(tensor)
            self._graphs[key] = graph
            if len(self._graphs) > _MOST_GRAPHS:
                self._graphs.popitem(last=False)
            graph.inputs.copy_(tensor)
            graph.recording.replay()
            # Queued before any other replay, which may overwrite the result.
            return graph.outputs.clone()

    def run_batch(
        self, name: Hashable, function: Callable[[Tensor], Tensor], batch: Tensor
    ) -> Tensor:
        """Return ``function(batch)`` for a batch (N, ...), N > 0, that is padded to few sizes."""
        parts = []
        for part in torch.split(batch, MOST_IN_BATCH):
            padding = bucket(len(part)) - len(part)
            padded = functional.pad(part, (0, 0) * (part.ndim - 1) + (0, padding))
            parts.append(self.run(name, function, padded)[: len(part)])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _is_usual(self, key: Hashable) -> bool:
        """Count a shape; return whether it came often enough for a graph."""
        if len(self._seen) > _MOST_COUNTED:
            self._seen.clear()
        self._seen[key] = self._seen.get(key, 0) + 1
        return self._capturing and self._seen[key] >= _CAPTURE_AT

    def _capture(self, function: Callable[[Tensor], Tensor], tensor: Tensor) -> _Graph:
        inputs = tensor.contiguous().clone()
        current = torch.cuda.current_stream()
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):  # libraries choose and allocate before the capture
            for _ in range(_WARM_UPS):
                function(inputs)
        current.wait_stream(self._stream)
        recording = torch.cuda.CUDAGraph()
        # Other threads may go on allocating and copying meanwhile. The outer block brings the
        # stream back where a capture fails.
        with (
            torch.cuda.stream(current),
            torch.cuda.graph(
                recording, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ),
        ):
            outputs = function(inputs)
        return _Graph(recording, inputs, outputs)


def bucket(count: int) -> int:
    """Return the size that a batch of at least one is padded to."""
    if count > _BUCKET:
        return -(-count // _BUCKET) * _BUCKET
    return 1 << (count - 1).bit_length()


def warm_up_calls(device: torch.device) -> int:
    """Return how often a shape must be run until it is as fast as it gets."""
    return _CAPTURE_AT if device.type == "cuda" else 1


def standardise(crops: Tensor, min_std: float) -> Tensor:
    """Do what `preprocess.standardise` does: crops (N, H, W) of any type to float32."""
    crops = crops.float()
    mean = crops.mean(dim=(1, 2), keepdim=True)
    std = crops.std(dim=(1, 2), keepdim=True, correction=0)
    return (crops - mean) / std.clamp(min=min_std)


def align_many(
    frames: Sequence[DeviceFrame],
    landmarks: Sequence[NDArray[np.float32]],
    preprocessing: FacePreprocessing,
) -> Tensor:
    """Cut out faces as `FacePreprocessing.align` does, all at once.

    The crops are the same but for one grey level in one pixel of ten thousand.

    Args:
        frames: the frame of each face; the same object where faces share one.
        landmarks: of each face, float32 (5, 2), see `FacePreprocessing.align`.
        preprocessing: framing and size.

    Returns:
        uint8 grey crops (N, S, S) on the device of the frames; N > 0.

    Raises:
        ValueError: if landmarks are not finite or fall together.
    """
    # Frames of one size are stacked, so that the cameras of a ward cost no more launches than one.
    stacks: dict[torch.Size, dict[int, Tensor]] = {}
    for frame in frames:
        stacks.setdefault(frame.pixels.shape, {})[id(frame)] = frame.pixels
    sizes, places = list(stacks), []
    for frame in frames:
        shape = frame.pixels.shape
        places.append((sizes.index(shape), list(stacks[shape]).index(id(frame))))
    order = sorted(range(len(frames)), key=lambda i: places[i][0])
    rows = []
    for i in order:
        height, width = frames[i].pixels.shape[:2]
        rows.append([places[i][1], *_geometry(preprocessing, landmarks[i], height, width)])
    geometry = upload(np.array(rows).astype(np.int32), frames[0].pixels.device)
    crops, start = [], 0
    for number, size in enumerate(sizes):
        count = sum(place[0] == number for place in places)
        pixels = torch.stack(list(stacks[size].values()))
        crops.append(_aligned(pixels, geometry[start : start + count], preprocessing.size))
        start += count
    if len(crops) == 1:
        return crops[0]
    back = upload(np.argsort(np.array(order)), crops[0].device)
    return torch.cat(crops)[back]


def _geometry(
    preprocessing: FacePreprocessing, landmarks: NDArray[np.float32], height: int, width: int
) -> NDArray[np.float64]:
    """Return how `FacePreprocessing.align` cuts out a face, the last columns of `_aligned`."""
    matrix, side = preprocessing._crop_to_frame(landmarks)
    size = preprocessing.size
    shrink = max(1, int(side / size))
    corners = matrix @ np.array([[0, size, 0, size], [0, 0, size, size], [1, 1, 1, 1]], np.float64)
    x0, y0 = np.clip(np.floor(corners.min(axis=1)).astype(int) - 2, 0, [width - 1, height - 1])
    x1, y1 = np.clip(
        np.ceil(corners.max(axis=1)).astype(int) + 2 + shrink, [x0 + 1, y0 + 1], [width, height]
    )
    blocks = [max(1, (x1 - x0) // shrink), max(1, (y1 - y0) // shrink)]
    block = [min(shrink, x1 - x0), min(shrink, y1 - y0)]
    linear = matrix[:, :2] / np.array(block)[:, None]
    shift = (matrix @ [0.5, 0.5, 1.0] - [x0, y0]) / block - 0.5
    # OpenCV rounds what a row adds to a position and what a column adds, each to 1/1024.
    index = np.arange(size)
    by_column = np.rint(linear[:, :1] * index * 1024)
    by_row = np.rint((linear[:, 1:] * index + shift[:, None]) * 1024)
    return np.concatenate([[x0, y0], block, blocks, by_column.ravel(), by_row.ravel()])


def _aligned(pixels: Tensor, geometry: Tensor, size: int) -> Tensor:
    """Cut out faces.

    Args:
        pixels: uint8 BGR (F, H, W, 3), frames.
        geometry: int32 (N, 7 + 4 * size): number of the frame; where the face's patch begins
            (x, y); size of the blocks that are averaged to the pixels of a shrunk patch (x, y)
            and how many there are (x, y); then what a crop's column adds to the position in
            that patch, in 1/1024 pixels (x, then y), and what a row adds.
        size: of the crops.

    Returns:
        uint8 (N, size, size).
    """
    blue, green, red = (
        channel.int() * share for channel, share in zip(pixels.unbind(3), _GREY_BGR, strict=True)
    )
    sums = _sums(((blue + green + red + (1 << 14)) >> 15)[..., None])[..., 0]
    geometry = geometry.long()
    frame, left, top, block_x, block_y, count_x, count_y = geometry[:, :7, None, None].unbind(1)
    by_column, by_row = geometry[:, 7:].reshape(-1, 2, 2, size).unbind(1)
    # Then it looks up 32nds of a pixel.
    steps = (by_column[:, :, None, :] + by_row[:, :, :, None] + 16) >> 5
    x, y = (steps >> 5).unbind(1)
    across, down = ((steps & 31).float() / 32).unbind(1)
    area = block_x * block_y

    def average(x: Tensor, y: Tensor) -> Tensor:
        """Return averages of blocks, rounded as a shrunk image is; the border is repeated."""
        x1 = left + torch.minimum(x.clamp(min=0), count_x - 1) * block_x
        y1 = top + torch.minimum(y.clamp(min=0), count_y - 1) * block_y
        x2, y2 = x1 + block_x, y1 + block_y
        above = sums[frame, y1, x2] - sums[frame, y1, x1]
        mean = (sums[frame, y2, x2] - sums[frame, y2, x1] - above) / area
        # OpenCV rounds halves up where it halves, else to even numbers.
        return torch.where(area == 4, (mean + 0.5).floor(), mean.round())

    upper = torch.lerp(average(x, y), average(x + 1, y), across)
    lower = torch.lerp(average(x, y + 1), average(x + 1, y + 1), across)
    return (torch.lerp(upper, lower, down) + 0.5).floor_().to(torch.uint8)


def _sums(images: Tensor) -> Tensor:
    """Return sums of all pixels above and to the left, int32 (F, H + 1, W + 1, C), of (F, H, W, C).

    Sums beyond int32 wrap around; differences of them are right again.
    """
    sums = images.cumsum(1, dtype=torch.int32).cumsum(2, dtype=torch.int32)
    return functional.pad(sums, (0, 0, 1, 0, 1, 0))
