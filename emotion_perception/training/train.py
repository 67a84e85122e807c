"""Base training on FER+."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger
from numpy.typing import NDArray

import emotion_perception
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.augment import Augmentation
from emotion_perception.training.export import export_checkpoint
from emotion_perception.training.fer import load_fer
from emotion_perception.training.module import FaceDataset, ValenceModule, loader
from emotion_perception.valence.calibration import fit_temperature
from emotion_perception.valence.network import ValenceNet

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Settings of a base training; the defaults gave the shipped weights."""

    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.1
    weight_decay: float = 5e-4
    emotion_weight: float = 0.5
    ema_decay: float = 0.998
    patience: int = 15
    seed: int = 0
    precision: str = "auto"
    devices: int = 1
    widths: tuple[int, ...] = (32, 48, 96, 192)
    depths: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.3
    confidence_threshold: float = 0.5
    preprocessing: FacePreprocessing = field(default_factory=FacePreprocessing)
    augmentation: Augmentation = field(default_factory=Augmentation)


def train(
    data: Path, runs: Path, output: Path, version: str, options: TrainingOptions,
    resume: Path | None = None,
    start_from: Path | None = None,
) -> None:  # fmt: skip
    """Train on the train split, choose the epoch and the temperature on the validation split.

    The test split is not opened here.

    Args:
        data: FER+ folder (see load_fer).
        runs: folder for logs and Lightning checkpoints.
        output: checkpoint folder to write; must not exist.
        version: of the new weights.
        options: settings.
        resume: Lightning checkpoint of a broken run to continue.
        start_from: Lightning checkpoint of a finished run whose weights this one starts with.
    """
    if output.exists():
        raise FileExistsError(f"{output} exists already; choose another --output")
    lightning.seed_everything(options.seed, workers=True)
    if options.devices > 1 and not torch.cuda.is_available():
        # One thread a process: threads that wait for each other stall as soon as anything else
        # runs on the machine.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.devices))
    torch.set_float32_matmul_precision("high")
    training = load_fer(data, "train")
    validation = load_fer(data, "validation").labelled()
    logger.info("train %d images, validation %d", len(training.images), len(validation.images))
    module = ValenceModule(
        network={"widths": options.widths, "depths": options.depths, "dropout": options.dropout},
        preprocessing=options.preprocessing.to_card(),
        augmentation=asdict(options.augmentation),
        lr=options.lr,
        weight_decay=options.weight_decay,
        emotion_weight=options.emotion_weight,
    ).to(memory_format=torch.channels_last)
    best = ModelCheckpoint(
        runs, "best-{epoch}", monitor="val_accuracy", mode="max", save_last=True,
        save_on_exception=True,
    )  # fmt: skip
    if start_from is not None:
        module.load_state_dict(torch.load(start_from, weights_only=True)["state_dict"])
    share = options.batch_size // options.devices
    callbacks: list[Callback] = [
        best,
        EarlyStopping("val_accuracy", mode="max", patience=options.patience),
        EMAWeightAveraging(decay=options.ema_decay),
        TQDMProgressBar(refresh_rate=20),
    ]
    trainer = lightning.Trainer(
        max_epochs=options.epochs, precision=_precision(options.precision),  # type: ignore[arg-type]
        callbacks=callbacks, logger=CSVLogger(runs, name="", version=""), default_root_dir=runs,
        num_sanity_val_steps=0, log_every_n_steps=50, devices=options.devices,
        strategy="ddp" if options.devices > 1 else "auto",
    )  # fmt: skip
    try:
        trainer.fit(
            module,
            loader(FaceDataset(training, options.preprocessing), share, shuffle=True),
            loader(FaceDataset(validation, options.preprocessing), 512, shuffle=False),
            ckpt_path=resume,
            weights_only=True,
        )
    except SystemExit:  # what Lightning makes of Ctrl-C, after it has saved
        logger.warning("interrupted; go on with --resume %s", runs / "last.ckpt")
        raise
    if not trainer.is_global_zero:
        return
    network, epoch = _load_best(Path(best.best_model_path), options)
    logits = predict(network, validation.images, options.preprocessing)
    temperature = fit_temperature(logits, validation.soft_targets)
    export_checkpoint(
        network,
        output,
        options.preprocessing,
        {
            "name": "valence-base",
            "version": version,
            "temperature": round(temperature, 4),
            "confidence_threshold": options.confidence_threshold,
            "licence": "Apache-2.0",
            "training": {
                "data": "FER2013 images (web images, research use) with FER+ votes (MIT), "
                "copies across splits removed",
                "images": len(training.images),
                "chosen_on": "PublicTest (accuracy of the epoch, temperature)",
                "best_epoch": epoch,
                "started_from": start_from.name if start_from else None,
                "options": _plain(asdict(options)),
                "software": {
                    "emotion_perception": emotion_perception.__version__,
                    "torch": torch.__version__,
                    "lightning": lightning.__version__,
                    "python": platform.python_version(),
                },
            },
            "figures": {},
        },
    )
    logger.info("wrote %s", output)


def predict(
    network: torch.nn.Module, images: NDArray[np.uint8], preprocessing: FacePreprocessing
) -> NDArray[np.float32]:
    """Return logits (N, 3) of uint8 grey images (N, H, W), through the shared preprocessing."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), 256):
            crops = [preprocessing.resize(image) for image in images[start : start + 256]]
            parts.append(network(torch.from_numpy(preprocessing.batch(crops))).numpy())
    return np.concatenate(parts)


def _load_best(path: Path, options: TrainingOptions) -> tuple[ValenceNet, int]:
    """Return the averaged network of the best epoch, and that epoch."""
    saved = torch.load(path, map_location="cpu", weights_only=True)
    state: dict[str, Any] = saved["state_dict"]
    network = ValenceNet(options.widths, options.depths, options.dropout)
    prefix = "network."
    network.load_state_dict(
        {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    )
    return network.eval(), int(saved["epoch"])


def _precision(wanted: str) -> str:
    """Choose mixed precision where the processor has it."""
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "16-mixed"
    capable = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16-mixed" if capable.get("avx512_bf16") or capable.get("amx_bf16") else "32-true"


def _plain(value: Any) -> Any:
    """Turn tuples into lists, as JSON will."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
