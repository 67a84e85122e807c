# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception forget`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from emotion_perception.commands.finetune import RegistryOption
from emotion_perception.commands.patient_options import PatientDataOption, PersonArgument


def forget(
    person: PersonArgument,
    data: PatientDataOption,
    models: RegistryOption = None,
    runs: Annotated[Path, typer.Option(help="Folder with logs of training runs.")] = Path("runs"),
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete all images, models, logs and sheets of a person. This cannot be undone."""
    from emotion_perception.training.faces import DataError
    from emotion_perception.training.forget import DELETIONS_LOG, find_person
    from emotion_perception.training.forget import forget as delete
    from emotion_perception.training.registry import patients_root

    models = patients_root(models)
    found = find_person(person, data, models, runs)
    if not found.folders and not found.files:
        raise DataError(f"{person}: nothing found in {data}, {models} and {runs}")
    for folder in found.folders:
        typer.echo(f"folder  {folder}")
    for file in found.files[:10]:
        typer.echo(f"file    {file}")
    if len(found.files) > 10:
        typer.echo(f"        and {len(found.files) - 10} more images outside these folders")
    typer.echo(", ".join(f"{count} {kind}" for kind, count in found.counts().items()))
    if not yes and not typer.confirm(f"Delete all of this, everything of {person}, for good?"):
        typer.echo("Nothing was deleted.")
        raise typer.Exit(1)
    mentioned = delete(found, person, data, models, runs)
    typer.echo(f"Deleted; nothing of {person} is left. Noted in {data / DELETIONS_LOG}.")
    if mentioned:
        typer.echo("These files still mention the pseudonym; decide on them yourself:")
        for path in mentioned:
            typer.echo(f"  {path}")
    typer.echo("Copies elsewhere (backups, recordings, other machines) are not reached by this.")
