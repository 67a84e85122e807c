# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Adapting a network to one patient with a few hundred images, without losing everybody else.

First the network learns the patient's camera, from base images that are given the look of the
patient's and keep their own labels; then the patient's faces and labels. What keeps it from fitting
a hundred images, some of them labelled wrongly, by heart: small and quickly falling steps,
normalisation that keeps the base's statistics, base images in every batch, and a result that is
averaged with the base in weight space (WiSE-FT, Wortsman et al. 2022).
"""

from __future__ import annotations

import contextlib
import copy
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from emotion_perception.training.augment import PRESETS
from emotion_perception.training.look import PatientLook
from emotion_perception.training.losses import LOSSES, soft
from emotion_perception.training.module import choose_precision, standardise
from emotion_perception.valence.network import ResidualBlock

STAGES: Final = ("all", "last", "norm", "classifier")
"""Which parts may learn: everything; the last resolution and the classifier; the scales of
normalisation and the classifier; the classifier alone."""

_LOOK_BATCH: Final = 64

Faces = tuple[Tensor, Tensor]
"""Grey crops uint8 (N, 1, S, S) and shares of the votes float32 (N, 3)."""


@dataclass(frozen=True, kw_only=True)
class Adaptation:
    """How a network is adapted; the defaults are what won (docs/finetuning.md).

    Attributes:
        epochs: rounds in which each image of the patient is met once.
        batch_size: images a step, base images included.
        lr: learning rate of the first epoch, SGD with Nesterov momentum 0.9.
        gamma: factor on the rate after each epoch.
        weight_decay: of convolutions and linear layers.
        base_percentage: share of each batch that comes from base data, in percent.
        look_images: base images that are learned from before the patient's, at most twice as many
            as there are; 0 leaves that out.
        look_lr: highest learning rate of that part.
        look_percentage: share of the base images, in both parts, that are made to look as if the
            patient's camera had taken them, in percent.
        loss: on the patient's images, a key of LOSSES; base images always count by their votes.
        stages: which parts learn, one of STAGES.
    """

    epochs: int = 3
    batch_size: int = 32
    lr: float = 0.003
    gamma: float = 0.6
    weight_decay: float = 5e-4
    base_percentage: float = 60.0
    look_images: int = 24_000
    look_lr: float = 0.02
    look_percentage: float = 75.0
    loss: str = "constrained"
    stages: str = "all"

    def __post_init__(self) -> None:
        for name, known in (("loss", tuple(LOSSES)), ("stages", STAGES)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
        for name in ("base_percentage", "look_percentage"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name}: expected 0 to 100, got {getattr(self, name)}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.look_images < 0 or not self.look_lr > 0:
            raise ValueError(
                f"look_images, look_lr: expected at least 0 and more than 0, got "
                f"{self.look_images} and {self.look_lr}"
            )
        if not (self.lr > 0 and 0 < self.gamma <= 1 and self.weight_decay >= 0):
            raise ValueError(
                f"lr, gamma, weight_decay: expected lr > 0, gamma in (0, 1] and no negative decay, "
                f"got {self.lr}, {self.gamma} and {self.weight_decay}"
            )

    def base_images(self) -> int:
        """Return how many images of a batch come from base data.

        The share is rounded to whole images; 0 % and 100 % are exact, and between them both kinds
        are in every batch of at least two.
        """
        count = round(self.batch_size * self.base_percentage / 100)
        if 0 < self.base_percentage < 100 and self.batch_size > 1:
            count = min(max(count, 1), self.batch_size - 1)
        return count


def adapt(
    base: nn.Module, own: Faces, replay: Faces | None, options: Adaptation, *, min_std: float,
    seed: int, look: PatientLook | None = None, device: str = "auto", progress: bool = False,
) -> nn.Module:  # fmt: skip
    """Return a copy of a network adapted to a patient's labels, on the CPU, in evaluation mode.

    Args:
        base: a ValenceNet; it is not changed.
        own: the patient's images.
        replay: base images, drawn anew for every batch; None to do without.
        options: how.
        min_std: of FacePreprocessing.
        seed: of order, augmentation and dropout; the same seed on the same machine gives the same.
        look: of the patient's images; None leaves all base images as they are.
        device: ``auto``, ``cpu`` or ``cuda``.
        progress: show a bar.

    Raises:
        ValueError: if the training diverges, or the network is of another kind.
    """
    lightning.seed_everything(seed, workers=True, verbose=False)
    module = AdaptModule(copy.deepcopy(base), replay, look, options, min_std)
    with_base = options.base_images() if replay is not None else 0
    # At 100 % the patient's images set the number of steps and the look, and are not learned from.
    step = options.batch_size - with_base or options.batch_size
    data = DataLoader(TensorDataset(*own), batch_size=step, shuffle=True)
    return _fit(module, data, options.epochs, device, progress)


def adapt_to_look(
    base: nn.Module, look: PatientLook, replay: Faces, options: Adaptation, *, min_std: float,
    seed: int, device: str = "auto", progress: bool = False,
) -> nn.Module:  # fmt: skip
    """Return a copy of a network that has learned base images with the patient's look.

    Arguments and errors are those of `adapt`; no label of the patient is used.
    """
    lightning.seed_everything(seed, workers=True, verbose=False)
    module = LookModule(copy.deepcopy(base), look, options, min_std)
    count = len(replay[0])
    order = RandomSampler(range(count), num_samples=min(options.look_images, 2 * count))
    data = DataLoader(TensorDataset(*replay), batch_size=_LOOK_BATCH, sampler=order)
    return _fit(module, data, 1, device, progress)


def _fit(
    module: LookModule | AdaptModule, data: DataLoader[Any], epochs: int, device: str,
    progress: bool,
) -> nn.Module:  # fmt: skip
    with _quiet():
        trainer = lightning.Trainer(
            max_epochs=epochs, accelerator="gpu" if device == "cuda" else device, devices=1,
            precision=choose_precision(device=device), logger=False, enable_checkpointing=False,
            enable_progress_bar=progress, enable_model_summary=False, num_sanity_val_steps=0,
            gradient_clip_val=1.0,
        )  # fmt: skip
        trainer.fit(module, data)
    network: nn.Module = module.network.cpu().float().eval()
    if not all(value.isfinite().all() for value in network.state_dict().values()):
        raise ValueError(f"the training diverged; {module.remedy}")
    return network


def mixed(base: nn.Module, tuned: nn.Module, share: float) -> nn.Module:
    """Return a network with ``share`` of the tuned weights and the rest of the base's."""
    result = copy.deepcopy(base)
    with torch.no_grad():
        for mine, its in zip(
            result.state_dict().values(), tuned.state_dict().values(), strict=True
        ):
            if mine.is_floating_point():
                mine.lerp_(its, share)
    return result.eval()


def learnable(network: nn.Module, stages: str) -> list[nn.Parameter]:
    """Freeze what may not learn, and return the parameters that may.

    Raises:
        ValueError: for a network without ``features`` and ``classifier``.
    """
    if not isinstance(getattr(network, "features", None), nn.Sequential) or not isinstance(
        getattr(network, "classifier", None), nn.Module
    ):
        raise ValueError(
            f"{type(network).__name__}: only a network of features and classifier can be fine-tuned"
        )
    features = cast(nn.Sequential, network.features)
    parts: list[nn.Module] = [cast(nn.Module, network.classifier)]
    if stages == "all":
        parts.append(features)
    elif stages == "norm":
        parts += [module for module in features.modules() if isinstance(module, nn.BatchNorm2d)]
    elif stages == "last":
        # A stage begins with the block whose shortcut changes the resolution.
        begins = [
            index for index, layer in enumerate(features)
            if isinstance(layer, ResidualBlock) and not isinstance(layer.shortcut, nn.Identity)
        ]  # fmt: skip
        parts += list(features)[begins[-1] :] if begins else [features]
    network.requires_grad_(False)
    for part in parts:
        part.requires_grad_(True)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class _FrozenStatistics(lightning.LightningModule):
    """A network in training whose normalisation keeps the base's statistics.

    Args:
        network: is changed.
        options: how.
        min_std: of FacePreprocessing.
        lr: learning rate.
    """

    def __init__(self, network: nn.Module, options: Adaptation, min_std: float, lr: float) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network.train()
        self.options, self.min_std, self.lr = options, min_std, lr
        self.remedy = f"choose a smaller --lr than {lr:g}"

    def on_train_epoch_start(self) -> None:
        """Keep the statistics of normalisation: a hundred images give worse ones."""
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def forward(self, standardised: Tensor) -> Tensor:
        """Return logits float32 (N, 3) of standardised crops."""
        x = standardised.contiguous(memory_format=torch.channels_last)
        return cast(Tensor, self.network(x).float())

    def optimizer(self) -> torch.optim.SGD:
        """Return SGD for what may learn."""
        parameters = learnable(self.network, self.options.stages)
        return torch.optim.SGD(
            [
                {
                    "params": [p for p in parameters if p.ndim > 1],
                    "weight_decay": self.options.weight_decay,
                },
                {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
            ],
            lr=self.lr, momentum=0.9, nesterov=True,
        )  # fmt: skip


class LookModule(_FrozenStatistics):
    """Learns base images, most of them with the patient's look.

    Args:
        network: is changed.
        look: of the patient's images.
        options: how.
        min_std: of FacePreprocessing.
    """

    def __init__(
        self, network: nn.Module, look: PatientLook, options: Adaptation, min_std: float
    ) -> None:
        super().__init__(network, options, min_std, options.look_lr)
        self.remedy = "--look-images 0 leaves out the part in which it did"
        self.look = look

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        """Return the mean loss of a batch of base images."""
        images, votes = batch
        with torch.autocast(self.device.type, enabled=False):
            flip = torch.rand(len(images), 1, 1, 1, device=self.device) < 0.5
            seen = torch.where(flip, images.flip(-1), images).float()
            x = _with_look(seen, self.look, self.options.look_percentage, self.min_std)
        return soft(self(x), votes).mean()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD with a short warm-up and a straight line to zero."""
        optimizer = self.optimizer()
        steps = int(self.trainer.estimated_stepping_batches)
        warm = max(1, steps // 10)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": torch.optim.lr_scheduler.LambdaLR(
                    optimizer, lambda at: min((at + 1) / warm, 1 - at / (steps + 1))
                ),
                "interval": "step",
            },
        }


class AdaptModule(_FrozenStatistics):
    """Learns a patient's images beside base images.

    Args:
        network: is changed.
        replay: base images, or None.
        look: of the patient's images, or None.
        options: how.
        min_std: of FacePreprocessing.
    """

    def __init__(
        self, network: nn.Module, replay: Faces | None, look: PatientLook | None,
        options: Adaptation, min_std: float,
    ) -> None:  # fmt: skip
        super().__init__(network, options, min_std, options.lr)
        self.replay, self.look = replay, look
        self.count = options.base_images() if replay is not None else 0
        self.augment = PRESETS["mild"]

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        """Return the mean loss of the patient's images and as many base images as asked for."""
        own, shares = batch
        losses = []
        images = []
        with torch.autocast(self.device.type, enabled=False):
            if self.count < self.options.batch_size:
                images.append(standardise(self.augment(own.float()), self.min_std))
            if self.replay is not None and self.count:
                base, votes = self.replay
                at = torch.randint(len(base), (self.count,))
                seen = self.augment(base[at].to(self.device).float())
                share = self.options.look_percentage if self.look is not None else 0.0
                images.append(_with_look(seen, self.look, share, self.min_std))
        logits = self(torch.cat(images))
        mine = len(logits) - self.count
        if mine:
            losses.append(LOSSES[self.options.loss](logits[:mine], shares))
        if self.replay is not None and self.count:
            losses.append(soft(logits[mine:], votes[at].to(self.device)))
        return torch.cat(losses).mean()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD whose rate falls by gamma after each epoch."""
        optimizer = self.optimizer()
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, self.options.gamma),
        }


def _with_look(
    images: Tensor, look: PatientLook | None, percentage: float, min_std: float
) -> Tensor:
    """Return standardised crops of base images, the first ``percentage`` of them with the look."""
    count = round(len(images) * percentage / 100)
    parts = [standardise(images[count:], min_std)] if count < len(images) else []
    if look is not None and count:
        parts.insert(0, look(images[:count]))
    return torch.cat(parts)


def predict(network: nn.Module, images: Tensor, min_std: float, device: str = "cpu") -> Tensor:
    """Return logits float32 (N, 3) of uint8 crops (N, 1, S, S), in full precision."""
    network = network.to(device).eval()
    with torch.inference_mode():
        parts = [
            network(standardise(images[at : at + 128].to(device).float(), min_std)).float().cpu()
            for at in range(0, len(images), 128)
        ]
    network.cpu()
    return torch.cat(parts) if parts else torch.empty(0, 3)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide Lightning's remarks on devices and workers; they are no news to a clinician."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    with warnings.catch_warnings():
        for words in ("does not have many workers", "GPU available but not used",
                      "number of training batches", "LeafSpec"):  # fmt: skip
            warnings.filterwarnings("ignore", f".*{words}.*")
        log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            log.setLevel(level)
