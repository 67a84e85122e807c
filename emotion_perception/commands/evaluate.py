"""`emotion-perception evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from emotion_perception.commands.options import DeviceOption, ModelOption


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
    from emotion_perception.training.evaluate import evaluate_faces
    from emotion_perception.training.fer import load_fer
    from emotion_perception.valence.checkpoint import record_figures, write_atomically

    pipeline = ReactionPipeline(model, device=device)
    result = evaluate_faces(pipeline, load_fer(data, split))
    text = json.dumps({"split": split, **result.to_json()}, indent=2)
    if record:
        record_figures(pipeline.checkpoint, f"fer_plus_{split}", result.to_json())
    typer.echo(text)
    if output is not None:
        write_atomically(output, text + "\n")
