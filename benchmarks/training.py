# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Time of a training epoch: this project's on Lightning, and a plain loop, in the same run.

python -m benchmarks.training --data FER_PLUS [--images 4096] [--rounds 3] [--output JSON]

Both train the same network on the same images with the same batches, augmentation, loss, precision
and optimiser, one epoch in turn, so that other load on the machine meets both alike. The plain loop
has what anyone would write by hand: no averaged weights, no metrics, no checkpoints, no logs.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.nn import functional

from benchmarks import machine
from emotion_perception.training.augment import Augmentation
from emotion_perception.training.fer import load_fer
from emotion_perception.training.module import (
    FaceDataset,
    ValenceModule,
    choose_precision,
    loader,
    standardise,
)
from emotion_perception.training.train import TrainingOptions

BATCH = 128
LIMIT = 1.10


def lightning_epoch(module: ValenceModule, data: FaceDataset, precision: str, runs: Path) -> float:
    """Return the seconds of one epoch as `emotion-perception train` runs it."""
    watch = Stopwatch()
    trainer = lightning.Trainer(
        max_epochs=1, precision=precision, accelerator="cpu", num_sanity_val_steps=0,
        logger=CSVLogger(runs, name="", version=""), log_every_n_steps=50,
        callbacks=[EMAWeightAveraging(decay=0.998), watch], enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, barebones=False,
    )  # fmt: skip
    trainer.fit(module, loader(data, BATCH, shuffle=True))
    return watch.seconds


class Stopwatch(lightning.Callback):
    """Times the epoch alone, as the plain loop is timed."""

    seconds = float("nan")

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self._start


def plain_epoch(module: ValenceModule, data: FaceDataset, precision: str) -> float:
    """Return the seconds of one epoch of a hand-written loop."""
    network, second = module.network.train(), module.emotions
    parameters = [*network.parameters(), *second.parameters()]
    optimizer = torch.optim.SGD(
        parameters, lr=module.lr, momentum=0.9, nesterov=True, weight_decay=module.weight_decay
    )
    half = precision.startswith("bf16")
    start = time.perf_counter()
    order = torch.randperm(len(data))
    for at in range(0, len(order) - BATCH + 1, BATCH):
        images, emotions, valence, weight = data.__getitems__(order[at : at + BATCH].tolist())
        x = standardise(module.augment(images.float()), module.min_std)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            features = network.dropout(network.features(x))
            logits, other = network.classifier(features).float(), second(features).float()
            each = functional.cross_entropy(logits, valence, reduction="none")
            loss = (each * weight).sum() / weight.sum().clamp(min=1)
            loss = loss + module.emotion_weight * functional.cross_entropy(other, emotions)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - start


def main() -> int:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="FER+ folder")
    parser.add_argument("--images", type=int, default=4096, help="images an epoch; 0: all")
    parser.add_argument("--rounds", type=int, default=3, help="epochs of each, in turn")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    defaults = TrainingOptions()
    faces = load_fer(options.data, "train")
    if options.images:
        faces = faces.subset(list(range(min(options.images, len(faces)))))
    data = FaceDataset(faces, defaults.preprocessing)
    precision = choose_precision("auto")
    torch.manual_seed(0)
    module = ValenceModule(
        network={"name": defaults.network, "arguments": {}},
        preprocessing=defaults.preprocessing.to_card(),
        augmentation=vars(Augmentation()),
    ).to(memory_format=torch.channels_last)
    ours, plain = [], []
    with tempfile.TemporaryDirectory() as runs:
        plain_epoch(copy.deepcopy(module), data, precision)  # warm-up
        for _ in range(options.rounds):
            ours.append(lightning_epoch(copy.deepcopy(module), data, precision, Path(runs)))
            plain.append(plain_epoch(copy.deepcopy(module), data, precision))
    ratio = statistics.median(a / b for a, b in zip(ours, plain, strict=True))
    result = {
        "benchmark": "training",
        "machine": machine.machine(),
        "images": len(faces), "batch": BATCH, "precision": precision,
        "threads": torch.get_num_threads(),
        "lightning_s": [round(v, 2) for v in ours], "plain_s": [round(v, 2) for v in plain],
        "ratio": round(ratio, 3), "limit": LIMIT, "met": ratio <= LIMIT,
    }  # fmt: skip
    text = json.dumps(result, indent=2)
    print(text)
    if options.output:
        options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
