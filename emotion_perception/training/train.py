# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Base training."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import warnings
from collections.abc import Sequence
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
    LearningRateMonitor,
    ModelCheckpoint,
    TQDMProgressBar,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from numpy.typing import NDArray
from torch import nn

import emotion_perception
from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.limited_arrays import read_arrays
from emotion_perception.training.adapt import predict
from emotion_perception.training.augment import PRESETS, Augmentation
from emotion_perception.training.export import export_checkpoint
from emotion_perception.training.faces import DataError, FaceSet, concatenate
from emotion_perception.training.module import (
    NETWORKS,
    FaceDataset,
    ValenceModule,
    choose_precision,
    loader,
    standardise,
)
from emotion_perception.training.narrow import narrow
from emotion_perception.training.pretrained import FaceMobileNet
from emotion_perception.training.sources import (
    Source,
    load_source,
    load_sources,
    parse_source,
    require_classes,
    source_splits,
)
from emotion_perception.training.state import read_state
from emotion_perception.valence.backends import OnnxBackend
from emotion_perception.valence.calibration import calibrate, softmax
from emotion_perception.valence.checkpoint import Checkpoint, load_checkpoint
from emotion_perception.valence.labels import CLASSES
from emotion_perception.valence.network import ValenceNet

logger = logging.getLogger(__name__)

TEACHER_CACHE = "teacher.npz"


class _EpochSeed(Callback):
    """Seeds every epoch on its own, so that a resumed run draws what an unbroken one would."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        epoch = np.random.SeedSequence([self.seed, trainer.current_epoch, trainer.global_rank])
        torch.manual_seed(int(epoch.generate_state(1)[0]))


class _Progress(TQDMProgressBar):
    """Lightning's progress bar without the number of the log folder."""

    def get_metrics(self, *arguments: Any) -> dict[str, Any]:
        metrics = super().get_metrics(*arguments)
        metrics.pop("v_num", None)
        return metrics


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Settings of a base training.

    Attributes:
        epochs: passes over the data.
        batch_size: of all devices together.
        lr: peak learning rate.
        weight_decay: of the weights, not of biases and normalisation.
        emotion_weight: weight of the second task, the ten emotions.
        teacher_share: of each target that comes from the teachers, where there are any.
        mixup: see ValenceModule.
        settle: share of the epochs, the last ones, with the ``mild`` augmentation and no mixup.
        ema_decay: of the averaged weights that are validated and exported.
        patience: epochs without a better validation accuracy before it stops.
        seed: of everything random.
        precision: ``auto``, or one of Lightning's.
        devices: GPUs, or processes of one thread on a CPU.
        nodes: machines.
        strategy: one of Lightning's; ``auto`` takes DDP for several devices.
        network: name of the architecture, a key of NETWORKS.
        arguments: of the architecture.
        preprocessing: framing and size of the crops.
        augmentation: how crops are bent.
    """

    epochs: int = 30
    batch_size: int = 128
    lr: float = 0.1
    weight_decay: float = 5e-4
    emotion_weight: float = 0.5
    teacher_share: float = 0.6
    mixup: float = 0.0
    settle: float = 0.0
    ema_decay: float = 0.998
    patience: int = 15
    seed: int = 0
    precision: str = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    network: str = "ValenceNet"
    arguments: dict[str, Any] = field(default_factory=dict)
    preprocessing: FacePreprocessing = field(default_factory=FacePreprocessing)
    augmentation: Augmentation = field(default_factory=Augmentation)


def train(
    data: Sequence[str], runs: Path, output: Path, version: str, options: TrainingOptions,
    *,
    name: str = "valence-base",
    teachers: Sequence[Path] = (),
    pretrained: Path | None = None,
    resume: Path | None = None,
    start_from: Path | None = None,
) -> None:  # fmt: skip
    """Train on the train splits; choose epoch, temperature and threshold on validation splits.

    Test splits are not opened here.

    Args:
        data: sources as ``KIND:PATH@WEIGHT`` (see parse_source). Every source with a train split
            is trained on; those with a validation split are what the choices are made on.
        runs: folder for logs and Lightning checkpoints.
        output: checkpoint folder to write; must not exist.
        version: of the new weights.
        options: settings.
        name: of the model family.
        teachers: checkpoint folders whose averaged probabilities are part of the targets
            (Hinton et al., Distilling the Knowledge in a Neural Network, 2015).
        pretrained: published weights for FaceMobileNet (see FaceMobileNet.load_pretrained).
        resume: Lightning checkpoint of a broken run to continue.
        start_from: Lightning checkpoint of a finished run whose weights this one starts with; of
            a wider ValenceNet the strongest channels are taken (see narrow).

    Raises:
        FileExistsError: if ``output`` exists.
        DataError, ModelError: if a source, a teacher or the pretrained weights are unusable.
    """
    if output.exists():
        raise FileExistsError(f"{output} exists already; choose another --output")
    if options.network not in NETWORKS:
        raise ValueError(f"network: expected one of {sorted(NETWORKS)}, got {options.network!r}")
    if resume is not None:
        read_state(resume)  # said now and in a line, not by Lightning when all is read
    lightning.seed_everything(options.seed, workers=True)
    if options.devices > 1 and not torch.cuda.is_available():
        # One thread a process: threads that wait for each other stall as soon as anything else
        # runs on the machine.
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.devices))
    torch.set_float32_matmul_precision("high")
    sources = [parse_source(text) for text in data]
    known = [load_checkpoint(folder) for folder in teachers]
    training, validation = _load(sources, options.preprocessing)
    logger.info("train %d images, validation %d", len(training), len(validation))
    dataset = FaceDataset(
        training, options.preprocessing,
        teach(known, training, runs / TEACHER_CACHE) if known else None, options.teacher_share,
    )  # fmt: skip
    choosing = FaceDataset(validation, options.preprocessing)
    module = _module(options, dataset, pretrained, start_from)
    # At the end of an epoch only: from its middle a run could not go on to the same figures.
    best = ModelCheckpoint(
        runs, "best-{epoch}", monitor="val_accuracy", mode="max", save_last=True
    )  # fmt: skip
    share = max(1, options.batch_size // (options.devices * options.nodes))
    callbacks: list[Callback] = [
        best,
        _EpochSeed(options.seed),
        EarlyStopping("val_accuracy", mode="max", patience=options.patience),
        EMAWeightAveraging(decay=options.ema_decay),
        LearningRateMonitor("epoch"),
        _Progress(refresh_rate=20),
    ]
    strategy = options.strategy
    if strategy == "auto" and options.devices * options.nodes > 1:
        strategy = "ddp"
    trainer = lightning.Trainer(
        max_epochs=options.epochs, precision=choose_precision(options.precision),
        callbacks=callbacks, default_root_dir=runs, num_sanity_val_steps=0, log_every_n_steps=50,
        logger=[
            CSVLogger(runs, name="", version=""),
            TensorBoardLogger(runs, name="", version="tensorboard"),
        ],
        devices=options.devices, num_nodes=options.nodes, strategy=strategy,
    )  # fmt: skip
    # Between releases of Lightning and torch; a user can do nothing about it.
    warnings.filterwarnings("ignore", ".*LeafSpec.*")
    try:
        trainer.fit(
            module,
            loader(
                dataset,
                share,
                shuffle=True,
                seed=options.seed if options.devices * options.nodes == 1 else None,
            ),
            loader(choosing, 512, shuffle=False),
            ckpt_path=resume,
            weights_only=True,
        )
    except SystemExit:  # what Lightning makes of Ctrl-C, after it has saved
        last = runs / "last.ckpt"
        if last.is_file():
            logger.warning("interrupted; finished epochs are saved: --resume %s goes on", last)
        else:
            logger.warning("interrupted before the end of the first epoch; nothing was saved")
        raise
    if not trainer.is_global_zero:
        return
    network, epoch = load_best(Path(best.best_model_path))
    logits = predict(network, choosing.images, options.preprocessing.min_std).numpy()
    calibration = calibrate(logits, validation.labels)
    export_checkpoint(
        network,
        output,
        options.preprocessing,
        {
            "name": name,
            "version": version,
            **calibration.to_card(),
            "training": {
                "data": [f"{at.kind} (weight {at.weight:g})" for at in sources],
                "images": len(training),
                "chosen_on": "validation splits (accuracy of the epoch, temperature, threshold)",
                "validation_images": len(validation),
                "best_epoch": epoch,
                "teachers": [teacher.model_id for teacher in known],
                "pretrained": pretrained.name if pretrained else None,
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


def teach(teachers: Sequence[Checkpoint], faces: FaceSet, cache: Path) -> NDArray[np.float32]:
    """Return what the teachers think of each face and of its mirror image, averaged.

    Args:
        teachers: verified checkpoints; their calibrated probabilities are used.
        faces: N faces.
        cache: file that keeps the answer, so that other processes and a resumed run need not ask
            again; it is used only for these very teachers and images.

    Returns:
        float32 (N, 3).
    """
    asked = hashlib.sha256(b"mirrored" + faces.images.tobytes())
    for teacher in teachers:
        asked.update(teacher.model_id.encode())
    key = asked.hexdigest()
    try:
        stored = read_arrays(cache, most=len(faces) * len(CLASSES) * 8 + 4096)
        if str(stored["key"]) == key:
            return np.asarray(stored["probabilities"], np.float32)
    except (OSError, ValueError, KeyError):
        pass  # not there, or cut short by a kill
    total = np.zeros((len(faces), len(CLASSES)), np.float32)
    for teacher in teachers:
        logger.info("asking the teacher %s about %d faces", teacher.model_id, len(faces))
        backend = OnnxBackend(teacher, threads=os.cpu_count() or 1)
        for start in range(0, len(faces), 64):
            crops = [teacher.preprocessing.resize(i) for i in faces.images[start : start + 64]]
            for seen in (crops, [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]):
                logits = backend.logits(teacher.preprocessing.batch(seen))
                total[start : start + 64] += softmax(logits, teacher.temperature) / 2
    answer = np.asarray(total / len(teachers), np.float32)
    cache.parent.mkdir(parents=True, exist_ok=True)
    beside = cache.with_name(f".{os.getpid()}-{cache.name}")
    np.savez(beside, key=np.array(key), probabilities=answer)
    beside.replace(cache)
    return answer


def load_best(path: Path) -> tuple[nn.Module, int]:
    """Return the averaged network of a Lightning checkpoint, in inference mode, and its epoch."""
    saved = read_state(path)
    network: dict[str, Any] = saved["hyper_parameters"]["network"]
    module = NETWORKS[network["name"]](**network["arguments"])
    prefix = "network."
    module.load_state_dict(
        {
            key.removeprefix(prefix): value
            for key, value in saved["state_dict"].items()
            if key.startswith(prefix)
        }
    )
    return module.eval(), int(saved["epoch"])


def _load(sources: Sequence[Source], preprocessing: FacePreprocessing) -> tuple[FaceSet, FaceSet]:
    """Return the train splits and the labelled validation splits of all sources."""
    training = [s for s in sources if {"train", "all"} & set(source_splits(s))]
    choosing = [s for s in sources if "validation" in source_splits(s)]
    if not choosing:
        raise DataError(
            "data: no source has a validation split to choose the epoch on; add one that has,"
            " such as FER+ or AffectNet"
        )
    train_set = concatenate(
        [
            load_source(s, "train" if "train" in source_splits(s) else "all", preprocessing)
            for s in training
        ]
    )
    require_classes(train_set, "training data")
    return train_set, load_sources(choosing, "validation", preprocessing).labelled()


def _module(
    options: TrainingOptions, dataset: FaceDataset, pretrained: Path | None, start_from: Path | None
) -> ValenceModule:
    module = ValenceModule(
        network={"name": options.network, "arguments": options.arguments},
        preprocessing=options.preprocessing.to_card(),
        augmentation=asdict(options.augmentation),
        lr=options.lr,
        weight_decay=options.weight_decay,
        emotion_weight=options.emotion_weight,
        mixup=options.mixup,
        settle=options.settle,
        settled=asdict(PRESETS["mild"]),
    )
    if pretrained is not None:
        if not isinstance(module.network, FaceMobileNet):
            raise ValueError("pretrained: only FaceMobileNet has published weights to start from")
        some = dataset.images[:: max(1, len(dataset) // 256)].float()
        module.network.load_pretrained(pretrained, standardise(some, options.preprocessing.min_std))
    if start_from is not None:
        saved = read_state(start_from)
        try:
            state, known = saved["state_dict"], saved["hyper_parameters"]["network"]
            if isinstance(module.network, ValenceNet) and known["name"] == options.network:
                state = narrow(state, ValenceNet(**known["arguments"]).arguments, module.network)
            module.load_state_dict(state)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{start_from}: the state of another architecture: {error}") from error
    return module.to(memory_format=torch.channels_last)


def _plain(value: Any) -> Any:
    """Turn tuples into lists, as JSON will."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
