"""The ``emotion-perception`` command."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

import emotion_perception
from emotion_perception.window import WindowError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Judge how a person in front of a robot received its last action.",
)

ModelOption = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
    typer.Option(help="Checkpoint folder; default: the shipped base weights."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emotion_perception {emotion_perception.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(levelname)s: %(message)s"
    )


@app.command()
def display(
    source: Annotated[
        str, typer.Option(help="Webcam index, video, GIF, image, or folder of images.")
    ] = "0",
    window: Annotated[bool, typer.Option(help="Open a window; q quits.")] = True,
    model: ModelOption = None,
    device: DeviceOption = "auto",
    min_face_size: Annotated[
        int, typer.Option(min=20, help="Smallest face looked for, pixels.")
    ] = 40,
) -> None:
    """Show the reactions in a camera or recording, without ROS."""
    from emotion_perception.display import display as run

    run(source, window=window, model=model, device=device, min_face_size=min_face_size)


@app.command()
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


@app.command()
def evaluate(
    data: Annotated[Path, typer.Option(help="FER+ folder with labels.csv and sheets/.")],
    model: ModelOption = None,
    split: Annotated[str, typer.Option(help="validation or test.")] = "test",
    device: DeviceOption = "cpu",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the figures to this JSON file too."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's card.")
    ] = False,
) -> None:
    """Score a checkpoint on FER+, three classes, one copy of each image."""
    from emotion_perception.pipeline import ReactionPipeline
    from emotion_perception.training.evaluate import evaluate_fer
    from emotion_perception.training.fer import load_fer
    from emotion_perception.valence.checkpoint import record_figures, write_atomically

    pipeline = ReactionPipeline(model, device=device)
    result = evaluate_fer(pipeline, load_fer(data, split))
    text = json.dumps({"split": split, **result.to_json()}, indent=2)
    if record:
        record_figures(pipeline.checkpoint, f"fer_plus_{split}", result.to_json())
    typer.echo(text)
    if output is not None:
        write_atomically(output, text + "\n")


def main() -> int:
    """Run the command; an expected error is one line, not a traceback."""
    try:
        app()
    # Every error of this project is a ValueError or WindowError that says what to do.
    except (ValueError, WindowError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
