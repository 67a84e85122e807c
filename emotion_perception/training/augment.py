# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Augmentations that stand for what a robot's camera sees, on whole batches of grey crops."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How far training crops are bent; probabilities are per crop.

    Attributes:
        roll: usual in-plane rotation, degrees either way.
        strong_roll: rotation of a head on a cushion or of a badly mounted camera, degrees.
        strong_roll_share: share of the crops rolled that far.
        zoom: largest change of scale, as a natural logarithm.
        shift: largest translation as a share of the side: a detector's jitter.
        dark: probability of low light with sensor noise.
        low_resolution: probability that the face was only 8 to 40 pixels wide.
        blur: probability of blur by focus or motion.
        partial_blur: probability that one side of the face is blurred: a drop or a fingerprint on
            the lens, the edge of a depth of field.
        occlusion: probability that a rectangle (hand, cup, book) hides a part.
        cover: probability that the lower face is covered (mask, scarf, blanket).
        jpeg: probability of strong JPEG compression.
    """

    roll: float = 15.0
    strong_roll: float = 45.0
    strong_roll_share: float = 0.15
    zoom: float = 0.2
    shift: float = 0.08
    dark: float = 0.15
    low_resolution: float = 0.15
    blur: float = 0.1
    partial_blur: float = 0.1
    occlusion: float = 0.15
    cover: float = 0.08
    jpeg: float = 0.05

    def __call__(self, images: Tensor) -> Tensor:
        """Bend float crops (N, 1, S, S) in [0, 255]; the result is of the same form."""
        images = self._warp(images)
        images = self._tone(images)
        images = self._cover(self._occlude(images))
        images = self._blur_parts(images)
        images = self._degrade(images).clamp_(0, 255).round_()
        return self._compress(images)

    def _warp(self, images: Tensor) -> Tensor:
        n, device = len(images), images.device
        strong = torch.rand(n, device=device) < self.strong_roll_share
        limit = torch.where(strong, self.strong_roll, self.roll) * (math.pi / 180)
        angle = _uniform(n, device) * limit
        scale = torch.exp(_uniform(n, device) * self.zoom)
        stretch = torch.exp(_uniform(n, device) * self.zoom / 3)
        flip = torch.where(torch.rand(n, device=device) < 0.5, -1.0, 1.0)
        cos, sin = torch.cos(angle), torch.sin(angle)
        theta = torch.empty(n, 2, 3, device=device)
        theta[:, 0, 0], theta[:, 0, 1] = cos * scale * stretch * flip, -sin * scale
        theta[:, 1, 0], theta[:, 1, 1] = sin * scale * stretch * flip, cos * scale
        theta[:, :, 2] = torch.stack([_uniform(n, device), _uniform(n, device)], 1) * 2 * self.shift
        grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
        return functional.grid_sample(
            images, grid, mode="bilinear", padding_mode="border", align_corners=False
        )

    def _tone(self, images: Tensor) -> Tensor:
        n, device = len(images), images.device
        gamma = torch.exp(_uniform(n, device) * 0.5)[:, None, None, None]
        images = (images / 255).clamp(0, 1).pow(gamma) * 255
        # Light from one side.
        tilt = _uniform(n, device)[:, None, None, None] * 0.35
        ramp = torch.linspace(-1, 1, images.shape[-1], device=device)
        return images * (1 + tilt * ramp)

    def _degrade(self, images: Tensor) -> Tensor:
        n, side, device = len(images), images.shape[-1], images.device
        # One strength a batch: over many batches every strength is met, and it stays one operation.
        pick = torch.rand(n, device=device) < self.low_resolution
        if pick.any():
            small = int(torch.randint(8, 41, ()).item()) * side // 48
            low = functional.interpolate(images[pick], (small, small), mode="area")
            images[pick] = functional.interpolate(
                low, (side, side), mode="bilinear", align_corners=False
            )
        pick = torch.rand(n, device=device) < self.blur
        if pick.any():
            images[pick] = functional.conv2d(
                functional.pad(images[pick], (3, 3, 3, 3), mode="replicate"),
                _blur_kernel().to(device),
            )
        dark = torch.rand(n, device=device) < self.dark
        # As many images in each octave of light, from an eighth of it on.
        light = torch.exp(torch.rand(n, device=device) * math.log(0.12))
        exposure = torch.where(dark, light, 1.0)
        noise = torch.where(dark, torch.rand(n, device=device) * 8, torch.rand(n, device=device))
        images = images * exposure[:, None, None, None]
        return images + torch.randn_like(images) * noise[:, None, None, None]

    def _occlude(self, images: Tensor) -> Tensor:
        n, side, device = len(images), images.shape[-1], images.device
        pick = torch.rand(n, device=device) < self.occlusion
        height = (0.1 + 0.35 * torch.rand(n, device=device)) * side
        width = (0.1 + 0.6 * torch.rand(n, device=device)) * side
        top = torch.rand(n, device=device) * (side - height / 2)
        left = (torch.rand(n, device=device) * 1.4 - 0.2) * side - width / 4
        at = torch.arange(side, device=device)
        inside_y = (at >= top[:, None]) & (at < (top + height)[:, None])
        inside_x = (at >= left[:, None]) & (at < (left + width)[:, None])
        mask = (inside_y[:, :, None] & inside_x[:, None, :] & pick[:, None, None])[:, None]
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        fill = (mean * (2 * torch.rand_like(mean))).clamp(0, 255)
        return torch.where(mask, fill, images)

    def _cover(self, images: Tensor) -> Tensor:
        n, side, device = len(images), images.shape[-1], images.device
        pick = torch.rand(n, device=device) < self.cover
        top = (0.5 + 0.3 * torch.rand(n, device=device)) * side
        slope = _uniform(n, device) * 0.2
        at = torch.arange(side, device=device)
        edge = top[:, None] + slope[:, None] * (at - side / 2)
        mask = ((at[None, :, None] >= edge[:, None, :]) & pick[:, None, None])[:, None]
        fill = 255 * torch.rand(n, 1, 1, 1, device=device)
        return torch.where(mask, fill, images)

    def _blur_parts(self, images: Tensor) -> Tensor:
        n, side, device = len(images), images.shape[-1], images.device
        pick = torch.rand(n, device=device) < self.partial_blur
        if not pick.any():
            return images
        some = images[pick]
        # A coarse copy, enlarged again, is as blurred as a wide Gaussian and cheaper.
        small = max(3, int(side * (0.06 + 0.2 * torch.rand(()).item())))
        low = functional.interpolate(some, (small, small), mode="area")
        smooth = functional.interpolate(low, (side, side), mode="bicubic", align_corners=False)
        angle = 2 * math.pi * torch.rand(len(some), 1, 1, device=device)
        at = torch.arange(side, device=device) - (side - 1) / 2
        along = at[None, None, :] * torch.cos(angle) + at[None, :, None] * torch.sin(angle)
        edge = _uniform(len(some), device)[:, None, None] * side / 6
        images[pick] = torch.where((along > edge)[:, None], smooth, some)
        return images

    def _compress(self, images: Tensor) -> Tensor:
        for index in torch.nonzero(torch.rand(len(images)) < self.jpeg)[:, 0].tolist():
            pixels = images[index, 0].to("cpu", torch.uint8).numpy()
            quality = int(torch.randint(8, 50, ()).item())
            _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
            back = cv2.imdecode(code, cv2.IMREAD_GRAYSCALE)
            images[index, 0] = torch.from_numpy(np.asarray(back, np.float32)).to(images.device)
        return images


PRESETS = {
    # For base weights: about half of the crops stay as they were, but for a tilt.
    "robust": Augmentation(),
    # For faces that already look like those the network will see: a patient's own.
    "mild": Augmentation(
        roll=12.0,
        strong_roll_share=0.05,
        zoom=0.15,
        shift=0.06,
        dark=0.05,
        low_resolution=0.05,
        blur=0.05,
        partial_blur=0.03,
        occlusion=0.08,
        cover=0.03,
        jpeg=0.03,
    ),
}


def _uniform(n: int, device: torch.device) -> Tensor:
    """Return n numbers in [-1, 1]."""
    return torch.rand(n, device=device) * 2 - 1


def _blur_kernel() -> Tensor:
    """Return one random 7x7 kernel (1, 1, 7, 7): Gaussian, or motion along a random line."""
    at = torch.arange(7) - 3.0
    if torch.rand(()) < 0.5:
        sigma = 0.5 + 1.5 * torch.rand(())
        line = torch.exp(-(at**2) / (2 * sigma**2))
        kernel = line[:, None] * line[None]
    else:
        angle = math.pi * torch.rand(())
        reach = 1 + 2 * torch.rand(())
        along = at[None] * torch.cos(angle) + at[:, None] * torch.sin(angle)
        across = -at[None] * torch.sin(angle) + at[:, None] * torch.cos(angle)
        kernel = torch.exp(-2 * across**2) * (along.abs() <= reach)
    return (kernel / kernel.sum())[None, None]
