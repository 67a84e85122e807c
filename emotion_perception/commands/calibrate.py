# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from emotion_perception.commands.options import DataOption


def calibrate(
    model: Annotated[Path, typer.Option(help="Checkpoint folder.", show_default=False)],
    data: DataOption,
    split: Annotated[str, typer.Option(help="Images it was not trained on.")] = "validation",
    target_accuracy: Annotated[
        float, typer.Option(help="Share of the answers that should be right.")
    ] = 0.94,
    coverage_floor: Annotated[
        float, typer.Option(help="Share of the images that must be answered all the same.")
    ] = 0.5,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
        typer.Option(help="Write a copy there; without it the card is changed in place."),
    ] = None,
    version: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Version of the copy; default: the old one and -recalibrated."),
    ] = None,
) -> None:
    """Choose a model's temperature and its threshold for "I don't know" anew.

    A model that is shipped, or that belongs to a patient, is never changed: it gets a copy.
    """
    from emotion_perception.training.output_folder import refuse_existing
    from emotion_perception.training.recalibrate import (
        calibrate_on,
        recalibrate,
        require_changeable,
    )
    from emotion_perception.training.sources import load_source, parse_source
    from emotion_perception.training.wording import percent
    from emotion_perception.valence.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(model)
    if output is None:
        require_changeable(checkpoint)
    else:
        refuse_existing(output)
    source = parse_source(data)
    found = calibrate_on(
        checkpoint, load_source(source, split, checkpoint.preprocessing),
        target_accuracy=target_accuracy, coverage_floor=coverage_floor,
    )  # fmt: skip
    where = recalibrate(
        checkpoint, found, data=f"{source.kind}, {split}", output=output, version=version
    )
    typer.echo(
        f"{where}: temperature {checkpoint.temperature:.4f} -> {found.temperature:.4f}, "
        f"threshold {checkpoint.confidence_threshold:.4f} -> {found.threshold:.4f}"
    )
    if not found.reached:
        typer.echo(
            f"note: no threshold reaches {percent(target_accuracy)} while {percent(coverage_floor)}"
            f" of the images are answered; it is that of the floor",
            err=True,
        )
    typer.echo(
        f"on images it was not fitted to: ECE {found.ece:.4f} ({found.ece_before:.4f} at "
        f"temperature 1), answered {percent(found.coverage, 1)}, of these right "
        f"{percent(found.accuracy_answered, 1)}"
    )
    typer.echo("the card's figures were of the old calibration and are gone; evaluate --record")
