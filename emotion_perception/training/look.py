# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Making base images look as if the patient's camera had taken them.

A few hundred images of a patient tell little of emotions but much of the place: how the camera is
turned, how sharp and how noisy it is, what is always covered or in shadow. These are estimated
from the patient's images alone, without their labels, and given to base images, whose labels are
many and good.

The estimate is one of a camera's physics: a turn and a shift of the mean face; as few pixels as
the patient's faces were seen with; one strength of noise; and at each place of the face a blur, or
a cover. Noise, blurs and cover are those under which base images have the energy that the
patient's images have in each band of spatial frequencies at each place. What a blur takes is gone,
as it is for the robot; scaling the bands instead would leave details that no longer exist to learn
from, if faintly.
"""

from __future__ import annotations

import itertools
import math
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from emotion_perception.training.module import standardise

_EDGES: Final = (0.7, 1.4, 2.8, 5.6, 11.2)
"""Blurs between which the bands lie, sigma in pixels of a crop of 48."""

_BLURS: Final = (0.0, 0.7, 1.1, 1.6, 2.3, 3.2, 4.5, 6.5)
"""Blurs that are tried at each place, in the same unit; a cover is one more."""

_NOISES: Final = (0.0, 2.0, 4.0, 7.0, 11.0, 16.0, 22.0, 30.0, 40.0, 55.0)
"""Noises that are tried, in grey levels of a well-lit crop."""

_PIXELS: Final = tuple(range(6, 33))
"""Sides in pixels that a face may have been seen with; above, nothing is lost."""

_EXPLAINED: Final = 0.001  # of an image's variance may be missing in so few pixels
_ROUNDS: Final = 3
_NEAR: Final = 2.0  # places that decide together, sigma
_DOUBT: Final = 0.05  # squared logarithm of energy; below it the face is as sharp as others
_LEAST_COVER: Final = 0.02  # of the crop
_STILL: Final = 0.2  # of the variance that blurred faces have at a place
_LEAST: Final = 1e-3
_SAME: Final = 0.02  # correlation of mean faces
_TURNS: Final = (0, 10, -10, 20, -20, 30, -30, 40, -40, 50, -50, 60, -60)
_FARTHEST: Final = 0.4  # logarithm of the zoom, and shift in half sides


class PatientLook:
    """Gives base images the look of a patient's.

    Args:
        own: crops of the patient, uint8 (N, 1, S, S).
        base: base crops, uint8 (M, 1, S, S); a few hundred are enough.
        min_std: of FacePreprocessing.

    Attributes:
        turn: how the patient's mean face is turned against that of the base, degrees.
        pixels: side in pixels with which each of the patient's faces was seen, the largest of
            _PIXELS at most; 0 where nothing is lost.
        noise: standard deviation, grey levels of a well-lit crop.
        levels: float (L, S, S), how much of each place comes from each of _BLURS and, last, from
            the cover; their sum is 1.
    """

    def __init__(self, own: Tensor, base: Tensor, min_std: float) -> None:
        self.min_std = min_std
        self._unit = own.shape[-1] / 48
        with torch.random.fork_rng():
            torch.manual_seed(0)  # the same images have the same look
            self._learn(own.float(), base.float())

    def _learn(self, own: Tensor, base: Tensor) -> None:
        wanted = standardise(own, self.min_std)
        usual = standardise(base, self.min_std)
        self._place, self.turn = _register(wanted.mean(0), usual.mean(0))
        self.pixels = _seen_pixels(wanted)
        matrices = torch.stack(
            [torch.eye(own.shape[-1])] + [_resampling(own.shape[-1], k) for k in _PIXELS]
        )
        self._resampling = matrices
        raw = self._resampled(_warp(base, self._place))
        self.noise, self.levels = self._estimate(wanted, raw)
        self._cover = wanted.mean(0)
        self._cover_spread = self._find_cover(wanted, self._blur(raw, _BLURS[-1]))
        # What is left is light and shadow: the coarse part of the mean face.
        self._light = torch.zeros_like(self._cover)
        now = self(base).mean(0)
        # A few images show whose face it is more than what light is there.
        trust = len(own) / (len(own) + 30)
        self._light = trust * self._blur((self._cover - now)[None], 4.0)[0]

    def __call__(self, images: Tensor) -> Tensor:
        """Return standardised crops (N, 1, S, S) of float crops (N, 1, S, S) in [0, 255]."""
        x = self._blurred(self._resampled(_warp(images, self._place)), self.levels)
        if self.noise:
            x = x + torch.randn_like(x) * self.noise
        x = standardise(x, self.min_std) + self._light.to(x.device)
        cover = self._cover.to(x.device)
        # It is brighter or darker against one face than against the next.
        cover = cover + torch.randn(len(x), 1, 1, 1, device=x.device) * self._cover_spread
        return standardise(torch.lerp(x, cover, self.levels[-1].to(x.device)), _LEAST)

    def _resampled(self, x: Tensor) -> Tensor:
        """See each face with as few pixels as one of the patient's, drawn at random."""
        if not self.pixels.any():
            return x
        drawn = self.pixels[torch.randint(len(self.pixels), (len(x),))]
        index = torch.where(drawn > 0, drawn - (_PIXELS[0] - 1), 0)
        matrix = self._resampling[index][:, None].to(x.device)
        return matrix @ x @ matrix.mT

    def _find_cover(self, wanted: Tensor, usual: Tensor) -> float:
        """Move to the cover what has no detail and is no blurred face either.

        What covers has one pattern, brighter or darker as a whole from image to image; a blurred
        face has not. Only the first such place is taken.

        Returns:
            The standard deviation of its brightness from image to image.
        """
        plain = (self.levels.argmax(0) >= len(_BLURS) - 2).numpy().astype(np.uint8)
        count, parts = cv2.connectedComponents(plain)
        for index in range(1, count):
            seed = torch.from_numpy(parts == index)
            if seed.float().mean() < _LEAST_COVER:
                continue
            brightness = wanted[:, :, seed].mean(2)
            own = (wanted - brightness[:, :, None, None]).var(0, correction=0)[0]
            others = (usual - usual[:, :, seed].mean(2)[:, :, None, None]).var(0, correction=0)[0]
            others = others / usual.var((1, 2, 3)).mean()
            covered = own < _STILL * others
            if covered[seed].float().mean() < 0.5:
                continue
            covered |= seed
            self.levels *= ~covered
            self.levels[-1] += covered
            return float(brightness.std(correction=0))
        return 0.0

    def _estimate(self, wanted: Tensor, raw: Tensor) -> tuple[float, Tensor]:
        """Return noise and levels under which base crops have the energies of the patient's."""
        side = wanted.shape[-1]
        aim = self._energies(wanted).mean(0)  # (bands, S, S)
        stack = torch.stack([self._energies(self._blur(raw, sigma)) for sigma in _BLURS], 1)
        grain = self._energies(torch.randn(64, 1, side, side)).mean((0, 2, 3))[:, None, None]
        levels = torch.zeros(len(_BLURS) + 1, side, side)
        levels[0] = 1
        chosen = levels
        noise = 0.0
        for _ in range(_ROUNDS):
            spread = self._blurred(raw, levels).var((1, 2, 3), correction=0)
            best = math.inf
            for tried in _NOISES:
                share = 1 / (spread + tried**2).clamp(min=self.min_std**2)
                have = torch.einsum("nlbhw,n->lbhw", stack, share / len(share))
                have = have + grain * tried**2 * share.mean()
                far = ((have + _LEAST).log() - (aim + _LEAST).log()).square().mean(1)
                far = self._blur(far[:, None], _NEAR)[:, 0]
                far[1:] += _DOUBT
                cost, at = far.min(0)
                cost = cost + _DOUBT * (tried > 0)
                if cost.mean() < best:
                    best, noise = float(cost.mean()), tried
                    chosen = functional.one_hot(at, len(levels)).permute(2, 0, 1).float()
            levels = self._blur(chosen[:, None], 0.7)[:, 0]
        return noise, levels

    def _blurred(self, x: Tensor, levels: Tensor) -> Tensor:
        """Blur each place as much as its level says; under a cover nothing is seen."""
        result = torch.zeros_like(x)
        mean = x.mean((1, 2, 3), keepdim=True)
        for sigma, level in zip((*_BLURS, None), levels.to(x.device), strict=True):
            if level.max() > 0.01:
                result += level * (mean if sigma is None else self._blur(x, sigma))
        return result

    def _energies(self, x: Tensor) -> Tensor:
        """Return the energy float (N, bands, S, S) of each band at each place."""
        smooth = [x, *(self._blur(x, sigma) for sigma in _EDGES)]
        bands = torch.cat([a - b for a, b in itertools.pairwise(smooth)], 1)
        return self._blur(bands.square().flatten(0, 1)[:, None], 1.5).view(bands.shape)

    def _blur(self, x: Tensor, sigma: float) -> Tensor:
        """Blur (N, 1, S, S); sigma in pixels of a crop of 48."""
        sigma *= self._unit
        if not sigma:
            return x
        side = x.shape[-1]
        reach = min(math.ceil(3 * sigma), side - 1)
        at = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
        line = torch.exp(-(at**2) / (2 * sigma**2))
        line = line / line.sum()
        # As a product with a matrix, the border repeated: faster than long convolutions.
        place = torch.arange(side, device=x.device)
        source = (place[:, None] + at.long()[None]).clamp(0, side - 1)
        matrix = x.new_zeros(side, side).scatter_add_(1, source, line.expand(side, -1))
        return matrix @ x @ matrix.T


def _seen_pixels(images: Tensor) -> Tensor:
    """Return the side in pixels long (N,) of the smallest grid that explains each crop; else 0.

    A face of few pixels that was enlarged bilinearly is one of few numbers.
    """
    side = images.shape[-1]
    found = torch.zeros(len(images), dtype=torch.long)
    for pixels in reversed(_PIXELS):
        enlarge = _enlarging(side, pixels)
        project = enlarge @ torch.linalg.pinv(enlarge)
        missing = (images - project @ images @ project.T).var((1, 2, 3), correction=0)
        explained = missing < _EXPLAINED * images.var((1, 2, 3), correction=0)
        found[explained] = pixels
    return found


def _enlarging(side: int, pixels: int) -> Tensor:
    """Return the matrix float (side, pixels) of bilinear enlargement."""
    lines = torch.eye(pixels)[None]
    return functional.interpolate(lines, side, mode="linear", align_corners=False)[0].T


def _resampling(side: int, pixels: int) -> Tensor:
    """Return the matrix float (side, side) that shrinks a line by area and enlarges it again."""
    edges = torch.linspace(0, side, pixels + 1)
    at = torch.arange(side)
    overlap = torch.minimum(edges[1:, None], at + 1) - torch.maximum(edges[:-1, None], at)
    return _enlarging(side, pixels) @ (overlap.clamp(min=0) * pixels / side)


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
    if best - likeness([0.0] * 4) < _SAME:  # and warping softens
        pose = [0.0] * 4
    return _matrix(pose), math.degrees(pose[0])


def _matrix(pose: list[float]) -> Tensor:
    angle, zoom, x, y = pose
    cos, sin = math.cos(angle) * math.exp(zoom), math.sin(angle) * math.exp(zoom)
    return torch.tensor([[cos, -sin, x], [sin, cos, y]])


def _warp(images: Tensor, matrix: Tensor) -> Tensor:
    theta = matrix.to(images.device)[None].expand(len(images), -1, -1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
