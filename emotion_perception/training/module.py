# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The Lightning module and data loaders of base training."""

from __future__ import annotations

from typing import Any, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.distributed import DistributedSampler
from torchmetrics.classification import MulticlassAccuracy

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.augment import Augmentation
from emotion_perception.training.faces import EMOTIONS, FaceSet
from emotion_perception.training.pretrained import FaceMobileNet
from emotion_perception.valence.labels import CLASSES
from emotion_perception.valence.network import ARCHITECTURES

Batch = tuple[Tensor, Tensor, Tensor, Tensor]

NETWORKS: dict[str, type[nn.Module]] = {**ARCHITECTURES, "FaceMobileNet": FaceMobileNet}
"""What can be trained: what a robot runs, and a teacher."""


class FaceDataset(Dataset[Batch]):
    """Faces held in memory; yields whole batches, since one image at a time costs more than it.

    Each batch is ``images`` uint8 (N, 1, S, S); ``emotions`` float (N, 10), shares of the votes
    times the weight of the source, zeros where unknown; ``valence`` float (N, 3), shares of the
    votes; and ``weight`` float (N,) of the valence.

    Args:
        faces: what to train on.
        preprocessing: brings the crops to the network's size.
        teacher: float32 (N, 3), a teacher's probabilities for each face, or None.
        teacher_share: of the target that comes from the teacher, 0 to 1; the rest are the votes.
    """

    def __init__(
        self, faces: FaceSet, preprocessing: FacePreprocessing,
        teacher: NDArray[np.float32] | None = None, teacher_share: float = 0.0,
    ) -> None:  # fmt: skip
        images = np.stack([preprocessing.resize(image) for image in faces.images])
        self.images = torch.from_numpy(images)[:, None]
        votes = torch.from_numpy(faces.emotions)
        total = votes.sum(1)
        share = torch.from_numpy(faces.valence).sum(1) / total.clamp(min=1e-6)
        known, weight = total > 0, torch.from_numpy(faces.weight)
        # What the source counts; of an image without valence that is all there is.
        source = torch.where(known & (share > 0), weight / share.clamp(min=1e-6), weight)
        source = torch.where(known & (share == 0), torch.ones_like(weight), source)
        self.emotions = votes / total[:, None].clamp(min=1e-6) * source[:, None]
        self.valence = torch.from_numpy(faces.soft_targets)
        self.weight = weight
        if teacher is not None:
            # A teacher judges every face, also those that the votes say nothing of.
            ours = weight * (1 - teacher_share)
            self.weight = ours + teacher_share
            mixed = self.valence * ours[:, None] + torch.from_numpy(teacher) * teacher_share
            self.valence = mixed / self.weight[:, None].clamp(min=1e-6)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: list[int]) -> Batch:
        at = torch.as_tensor(indices)
        return self.images[at], self.emotions[at], self.valence[at], self.weight[at]


def _whole(batch: Any) -> Any:
    return batch


def loader(
    dataset: FaceDataset, batch_size: int, *, shuffle: bool, seed: int | None = None
) -> DataLoader[Batch]:
    """Return a loader of ready batches.

    Args:
        dataset: what to load.
        batch_size: images a batch.
        shuffle: draw a new order for every epoch, and drop an incomplete last batch.
        seed: makes the order depend on seed and epoch alone. None: Lightning puts such an order
            in for several devices.
    """
    order: DistributedSampler[Batch] | None = None
    if shuffle and seed is not None:
        order = DistributedSampler(dataset, num_replicas=1, rank=0, shuffle=True, seed=seed)
    return DataLoader(
        dataset, batch_size=batch_size, shuffle=shuffle and order is None, sampler=order,
        drop_last=shuffle, collate_fn=_whole,
    )  # fmt: skip


def choose_precision(wanted: str = "auto", device: str = "auto") -> Any:
    """Return Lightning's name of a precision: mixed where the device has it, half the time."""
    if wanted != "auto":
        return wanted
    if device != "cpu" and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    capable = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16-mixed" if capable.get("avx512_bf16") or capable.get("amx_bf16") else "32-true"


def standardise(images: Tensor, min_std: float) -> Tensor:
    """Do what FacePreprocessing.batch does, on a float tensor (N, 1, S, S)."""
    std, mean = torch.std_mean(images, dim=(1, 2, 3), correction=0, keepdim=True)
    return (images - mean) / std.clamp(min=min_std)


def _mix(
    x: Tensor, emotions: Tensor, valence: Tensor, weight: Tensor, alpha: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Blend each crop and its targets with another one of the batch."""
    share = float(np.random.default_rng(int(torch.randint(2**31, ()))).beta(alpha, alpha))
    other = torch.randperm(len(x), device=x.device)
    mixed_weight = share * weight + (1 - share) * weight[other]
    both = share * weight[:, None] * valence + (1 - share) * weight[other, None] * valence[other]
    return (
        torch.lerp(x[other], x, share),
        torch.lerp(emotions[other], emotions, share),
        both / mixed_weight[:, None].clamp(min=1e-6),
        mixed_weight,
    )


class ValenceModule(lightning.LightningModule):
    """Trains a ValenceNet on soft votes, with the ten FER+ categories as a second task.

    The second head is a teacher only: telling fear from sadness makes better features than
    "negative" alone does. It is left out of the checkpoint that ships.

    Args:
        network: ``{"name": key of NETWORKS, "arguments": {...}}``.
        preprocessing: fields of FacePreprocessing.
        augmentation: fields of Augmentation.
        lr: peak learning rate of SGD with Nesterov momentum 0.9.
        weight_decay: of convolutions and linear layers only.
        emotion_weight: weight of the ten-category loss.
        warmup: share of all steps over which the rate rises; it then falls by a cosine.
        mixup: parameter of the Beta distribution that pairs of crops are blended by (Zhang et al.
            2018); 0 turns it off.
        settle: share of the epochs, the last ones, that see ``settled`` crops without mixup: the
            strong bends are for learning to see through them, the end for the faces most met.
        settled: fields of the Augmentation of that part.
    """

    def __init__(
        self,
        network: dict[str, Any],
        preprocessing: dict[str, Any],
        augmentation: dict[str, Any],
        lr: float = 0.1,
        weight_decay: float = 5e-4,
        emotion_weight: float = 0.5,
        warmup: float = 0.05,
        mixup: float = 0.0,
        settle: float = 0.0,
        settled: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = cast(Any, NETWORKS[network["name"]](**network["arguments"]))
        self.emotions = nn.Linear(self.network.classifier.in_features, len(EMOTIONS))
        self.min_std = FacePreprocessing.from_card(preprocessing).min_std
        self.augment = Augmentation(**augmentation)
        self.settle, self.settled = settle, Augmentation(**(settled or augmentation))
        self.lr, self.weight_decay = lr, weight_decay
        self.emotion_weight, self.warmup, self.mixup = emotion_weight, warmup, mixup
        self.accuracy = MulticlassAccuracy(len(CLASSES), average="micro")
        self.recall = MulticlassAccuracy(len(CLASSES), average="macro")

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, 3) for float grey crops (N, 1, S, S) in [0, 255]."""
        return cast(Tensor, self.network(standardise(images, self.min_std)))

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Return the loss of one batch."""
        images, emotions, valence, weight = batch
        with torch.autocast(images.device.type, enabled=False):
            settling = self.current_epoch >= (1 - self.settle) * (self.trainer.max_epochs or 0)
            bend = self.settled if settling else self.augment
            x = standardise(bend(images.float()), self.min_std)
            if self.mixup > 0 and not settling:
                x, emotions, valence, weight = _mix(x, emotions, valence, weight, self.mixup)
        features = self.network.dropout(self.network.features(x))
        logits = self.network.classifier(features).float()
        other = self.emotions(features).float()
        per_image = functional.cross_entropy(logits, valence, reduction="none")
        loss = (per_image * weight).sum() / weight.sum().clamp(min=1)
        if self.emotion_weight > 0:
            loss = loss + self.emotion_weight * functional.cross_entropy(other, emotions)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Score the images whose majority names a valence."""
        images, _, valence, _ = batch
        logits = self(images.float()).float()
        target = valence.argmax(1)
        self.accuracy(logits, target)
        self.recall(logits, target)
        self.log("val_nll", functional.cross_entropy(logits, valence), batch_size=len(images))
        self.log("val_accuracy", self.accuracy, prog_bar=True)
        self.log("val_recall", self.recall, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """SGD, warm-up, then a cosine to zero over the planned number of steps."""
        decay = [p for p in self.parameters() if p.ndim > 1]
        rest = [p for p in self.parameters() if p.ndim <= 1]
        optimizer = torch.optim.SGD(
            [{"params": decay, "weight_decay": self.weight_decay},
             {"params": rest, "weight_decay": 0.0}],
            lr=self.lr, momentum=0.9, nesterov=True,
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=self.lr, total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=self.warmup, cycle_momentum=False, div_factor=10, final_div_factor=1000,
        )  # fmt: skip
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
