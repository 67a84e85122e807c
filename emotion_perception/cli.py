# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The ``emotion-perception`` command."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

import emotion_perception
from emotion_perception.commands.bench import bench
from emotion_perception.commands.calibrate import calibrate
from emotion_perception.commands.capture import capture
from emotion_perception.commands.consent import consent
from emotion_perception.commands.display import display
from emotion_perception.commands.enrol import enrol
from emotion_perception.commands.evaluate import evaluate
from emotion_perception.commands.events import events
from emotion_perception.commands.finetune import finetune
from emotion_perception.commands.forget import forget
from emotion_perception.commands.models import models_app
from emotion_perception.commands.playback import playback
from emotion_perception.commands.predict import predict
from emotion_perception.commands.quantise import quantise
from emotion_perception.commands.relabel import relabel
from emotion_perception.commands.report import report
from emotion_perception.commands.retention import retention
from emotion_perception.commands.review import review
from emotion_perception.commands.train import train
from emotion_perception.window import WindowError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Judge how a person in front of a robot received its last action.",
)


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


for command in (
    display, train, evaluate, calibrate, capture, consent, enrol, forget, retention, relabel,
    finetune, bench,
    quantise, predict, review, events, playback, report,
):  # fmt: skip
    app.command()(command)
app.add_typer(models_app, name="models")


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
