# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception bench`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer


def bench(
    only: Annotated[
        Optional[list[str]],  # noqa: UP045 - Typer reads the annotation on Python 3.10
        typer.Option(
            help="Part to measure: pipeline, peers, scaling, limits, network, node or sessions; "
            "repeat it for several. Default: all.",
            show_default=False,
        ),
    ] = None,
    clip: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Recording to use instead of the demo clip.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A few frames only, to try it.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="JSON file; default: in benchmarks/results/.", show_default=False),
    ] = None,
) -> None:
    """Measure the package beside its peers; works in a checkout only."""
    if not Path("benchmarks/run.py").is_file():
        raise ValueError(
            "benchmarks/ is part of the source checkout: run `emotion-perception bench` there, "
            "or `make bench`"
        )
    arguments = ["--device", device]
    arguments += ["--only", *only] if only else []
    arguments += ["--clip", str(clip)] if clip else []
    arguments += ["--output", str(output)] if output else []
    arguments += ["--quick"] if quick else []
    # Last on the path: the copy of the package in the checkout has no messages.
    sys.path.append(str(Path.cwd()))
    raise typer.Exit(importlib.import_module("benchmarks.run").main(arguments))
