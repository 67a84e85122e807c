"""Making base images look as if the patient's camera had taken them.

A few hundred images of a patient tell little of emotions but much of the place: how the camera is
turned, how sharp and how noisy it is, what is always covered or in shadow. These are estimated
from the patient's images alone, without their labels, and given to base images, whose labels are
many and good. Nothing here knows of particular defects: what is matched are the mean face, and
mean and spread of each band of spatial frequencies at each place.
"""

from __future__ import annotations

import itertools
import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from emotion_perception.training.module import standardise

_EDGES: Final = (0, 2, 4, 7, 11, 16, 24, 99)
"""Edges of the bands, in half-periods across a crop of 48 pixels."""

_COARSE: Final = 4
"""So many bands are coarse enough to show the contrast without a sensor's noise."""

_ROUNDS: Final = 3
_LEAST: Final = 1e-3
_TURNS: Final = (0, 10, -10, 20, -20, 30, -30, 40, -40, 50, -50, 60, -60)
_FARTHEST: Final = 0.4  # logarithm of the zoom, and shift in half sides


class PatientLook:
    """Gives base images the look of a patient's.

    Args:
        own: crops of the patient, uint8 (N, 1, S, S).
        base: base crops, uint8 (M, 1, S, S); about a thousand are enough.
        min_std: of FacePreprocessing.

    Attributes:
        turn: how the patient's mean face is turned against that of the base, degrees.
    """

    def __init__(self, own: Tensor, base: Tensor, min_std: float) -> None:
        self.min_std = min_std
        self._bands = _masks(own.shape[-1])
        self._cosines = _cosines(own.shape[-1])
        wanted = standardise(own.float(), min_std)
        usual = standardise(base.float(), min_std)
        self._place, self.turn = _register(wanted.mean(0), usual.mean(0))
        usual = standardise(_warp(base.float(), self._place), min_std)
        aim = self._statistics(wanted)
        self._rounds: list[list[tuple[Tensor, Tensor, Tensor, Tensor]]] = []
        # The bands overlap in place, so a change of one shows in its neighbours: again.
        for _ in range(_ROUNDS):
            now = self._statistics(usual)
            ratios = [want / have for (_, want), (_, have) in zip(aim, now, strict=True)]
            contrast = torch.stack(ratios[:_COARSE]).median(0).values.clamp(1.0, 1.5)
            changes = []
            for index, ((mean, want), (was, have)) in enumerate(zip(aim, now, strict=True)):
                gain = torch.minimum(ratios[index], contrast)
                missing = (want**2 - (gain * have) ** 2).flatten()
                # A sensor's noise is everywhere; structure that is missing in places is not noise.
                noise = missing.quantile(0.05).clamp(min=0).sqrt()
                changes.append((mean, was, gain, noise if index >= _COARSE else noise * 0))
            self._rounds.append(changes)
            usual = self._change(usual, changes)
        self._last = (
            wanted.mean(0),
            usual.mean(0),
            (_spread(wanted, 0.7) / _spread(usual, 0.7).clamp(min=0.02)).clamp(max=1.5),
        )

    def __call__(self, images: Tensor) -> Tensor:
        """Return standardised crops (N, 1, S, S) of float crops (N, 1, S, S) in [0, 255]."""
        device = images.device
        x = standardise(_warp(images, self._place), self.min_std)
        for changes in self._rounds:
            x = self._change(x, changes)
        mean, was, gain = (part.to(device) for part in self._last)
        return standardise(mean + (x - was) * gain, _LEAST)

    def _change(self, x: Tensor, changes: list[tuple[Tensor, Tensor, Tensor, Tensor]]) -> Tensor:
        result = torch.zeros_like(x)
        grains = self._split(torch.randn_like(x))
        for band, grain, change in zip(self._split(x), grains, changes, strict=True):
            mean, was, gain, noise = (part.to(x.device) for part in change)
            result += mean + (band - was) * gain + grain / grain.std() * noise
        return standardise(result, _LEAST)

    def _split(self, x: Tensor) -> list[Tensor]:
        """Split crops into bands of the cosine transform, which has no seam at the border."""
        cosines = self._cosines.to(x.device)
        spectrum = cosines @ x @ cosines.T
        return [cosines.T @ (spectrum * mask.to(x.device)) @ cosines for mask in self._bands]

    def _statistics(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return mean and spread (1, S, S) of each band at each place."""
        return [(band.mean(0), _spread(band, 1.2)) for band in self._split(x)]


def _spread(x: Tensor, sigma: float) -> Tensor:
    """Return the standard deviation (1, S, S) over crops (N, 1, S, S), smoothed over places."""
    return _blur(x.var(0, correction=0)[None], sigma)[0].clamp(min=_LEAST**2).sqrt()


def _blur(x: Tensor, sigma: float) -> Tensor:
    reach = math.ceil(3 * sigma)
    at = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    line = torch.exp(-(at**2) / (2 * sigma**2))
    line = line / line.sum()
    x = functional.conv2d(
        functional.pad(x, (reach, reach, 0, 0), mode="replicate"), line[None, None, None]
    )
    return functional.conv2d(
        functional.pad(x, (0, 0, reach, reach), mode="replicate"), line[None, None, :, None]
    )


def _cosines(side: int) -> Tensor:
    """Return the orthonormal matrix (S, S) of the cosine transform (DCT-II)."""
    at = torch.arange(side, dtype=torch.float32)
    matrix = torch.cos(math.pi * (at[None] + 0.5) * at[:, None] / side) * math.sqrt(2 / side)
    matrix[0] /= math.sqrt(2)
    return matrix


def _masks(side: int) -> list[Tensor]:
    at = torch.arange(side, dtype=torch.float32) * 48 / side
    radius = (at[:, None] ** 2 + at[None] ** 2).sqrt()
    return [((radius >= a) & (radius < b)).float() for a, b in itertools.pairwise(_EDGES)]


def _register(wanted: Tensor, usual: Tensor) -> tuple[Tensor, float]:
    """Find turn, scale and shift that bring one mean face (1, S, S) onto the other.

    Returns:
        The matrix float (2, 3) for affine_grid, and the turn in degrees.
    """
    aim = standardise(wanted[None], _LEAST)

    def likeness(pose: list[float]) -> float:
        return float((standardise(_warp(usual[None], _matrix(pose)), _LEAST) * aim).mean())

    starts = [[math.radians(turn), 0.0, 0.0, 0.0] for turn in _TURNS]
    pose = max(starts, key=likeness)
    best = likeness(pose)
    steps = [math.radians(5), 0.1, 0.1, 0.1]
    for _ in range(6):
        moved = True
        while moved:
            moved = False
            for axis, sign in itertools.product(range(4), (-1, 1)):
                tried = list(pose)
                tried[axis] += sign * steps[axis]
                if max(map(abs, tried[1:])) > _FARTHEST:
                    continue
                value = likeness(tried)
                if value > best + 1e-5:
                    best, pose, moved = value, tried, True
        steps = [step / 2 for step in steps]
    return _matrix(pose), math.degrees(pose[0])


def _matrix(pose: list[float]) -> Tensor:
    angle, zoom, x, y = pose
    cos, sin = math.cos(angle) * math.exp(zoom), math.sin(angle) * math.exp(zoom)
    return torch.tensor([[cos, -sin, x], [sin, cos, y]])


def _warp(images: Tensor, matrix: Tensor) -> Tensor:
    theta = matrix.to(images.device)[None].expand(len(images), -1, -1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
