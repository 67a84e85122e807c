# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

ModelOption = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
    typer.Option(help="Checkpoint folder; default: the shipped base weights."),
]
JobsOption = Annotated[
    int, typer.Option(min=0, help="Recordings at once; 0 takes as many as there are cores.")
]
RayOption = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(help="Run on a Ray cluster: HOST:PORT, auto, or local.", show_default=False),
]
RetriesOption = Annotated[int, typer.Option(min=0, help="Tries after the first that failed.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
DataOption = Annotated[
    str,
    typer.Option(
        help="Folder of labelled faces (FER+, RAF-DB, AffectNet, IMFDB, classes) or KIND:PATH.",
        show_default=False,
    ),
]
