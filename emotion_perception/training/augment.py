"""Augmentations that stand for what a robot's camera sees, on whole batches of grey crops."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
        low_resolution: probability that the face was only 10 to 40 pixels wide.
        blur: probability of blur by focus or motion.
        occlusion: probability that a rectangle (hand, cup, mask) hides a part.
    """

    roll: float = 15.0
    strong_roll: float = 45.0
    strong_roll_share: float = 0.15
    zoom: float = 0.2
    shift: float = 0.08
    dark: float = 0.2
    low_resolution: float = 0.2
    blur: float = 0.15
    occlusion: float = 0.3

    def __call__(self, images: Tensor) -> Tensor:
        """Bend float crops (N, 1, S, S) in [0, 255]; the result is of the same form."""
        images = self._warp(images)
        images = self._tone(images)
        images = self._degrade(images)
        images = self._occlude(images)
        return images.clamp_(0, 255).round_()

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
            small = int(torch.randint(10, 41, ()).item()) * side // 48
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
        exposure = torch.where(dark, torch.rand(n, device=device) * 0.85 + 0.12, 1.0)
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


PRESETS = {
    "strong": Augmentation(),
    # For the last epochs: closer to what most faces look like, so that the network settles there.
    "mild": Augmentation(
        roll=12.0,
        strong_roll_share=0.05,
        zoom=0.15,
        shift=0.06,
        dark=0.08,
        low_resolution=0.08,
        blur=0.05,
        occlusion=0.15,
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
