"""`emotion-perception train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer


def train(
    data: Annotated[Path, typer.Option(help="FER+ folder with labels.csv and sheets/.")],
    output: Annotated[Path, typer.Option(help="Checkpoint folder to write; must not exist.")],
    runs: Annotated[Path, typer.Option(help="Folder for logs and resumable states.")] = Path(
        "runs/train"
    ),
    version: Annotated[str, typer.Option(help="Version of the new weights.")] = "0.0.0",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    batch_size: Annotated[int, typer.Option(min=2)] = 128,
    lr: Annotated[float, typer.Option(min=1e-6, help="Peak learning rate.")] = 0.1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    devices: Annotated[
        int, typer.Option(min=1, help="GPUs, or processes of one thread on a CPU.")
    ] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true, bf16-mixed or 16-mixed.")] = "auto",
    augmentation: Annotated[str, typer.Option(help="strong or mild.")] = "strong",
    resume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="State of a broken run to go on from (RUNS/last.ckpt)."),
    ] = None,
    start_from: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Best state of a finished run whose weights to start with."),
    ] = None,
) -> None:
    """Train the base weights on FER+ and write a checkpoint."""
    from emotion_perception.training.augment import PRESETS
    from emotion_perception.training.train import TrainingOptions
    from emotion_perception.training.train import train as run

    if augmentation not in PRESETS:
        raise ValueError(f"--augmentation: expected {' or '.join(PRESETS)}, got {augmentation!r}")
    options = TrainingOptions(
        augmentation=PRESETS[augmentation],
        epochs=epochs, batch_size=batch_size, lr=lr, seed=seed, devices=devices,
        precision=precision,
    )  # fmt: skip
    run(data, runs, output, version, options, resume, start_from)
