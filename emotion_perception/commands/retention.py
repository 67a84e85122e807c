# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception retention`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from emotion_perception.commands.finetune import RegistryOption


def retention(
    data: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder with one private folder a patient: whose consent is over?"),
    ] = None,
    models: RegistryOption = None,
    runs: Annotated[Path, typer.Option(help="Folder with logs of training runs.")] = Path("runs"),
    sessions: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="Folder with tables of sessions; may be given several times."),
    ] = None,
    observation_log: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="File of the robot's parameter of this name."),
    ] = None,
    older_than: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            metavar="DAYS", min=0, help="How long sessions and observations are kept, and data "
            "after the end of a consent that names no last day.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete it.")] = False,
) -> None:  # fmt: skip
    """List what has been kept for long enough; --yes deletes it, and that cannot be undone.

    Due are people whose consent was withdrawn or does not let their data be kept any longer,
    and sessions and observations older than --older-than.
    """
    import datetime

    from emotion_perception.retention import Due, due_observations, due_people, due_sessions
    from emotion_perception.training.faces import DataError
    from emotion_perception.training.registry import patients_root

    if data is None and not sessions and not observation_log:
        raise DataError("nothing to look at: name --data, --sessions or --observation-log")
    if older_than is None and (sessions or observation_log):
        raise DataError("--older-than: needed for --sessions and --observation-log")
    for folder in [*([data] if data else []), *(sessions or [])]:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder")
    now = datetime.datetime.now().astimezone()
    due: list[Due] = []
    if data is not None:
        due += due_people(data, patients_root(models), runs, now.date(), older_than)
    if older_than is not None:
        for folder in sessions or []:
            due += due_sessions(folder, now.date(), older_than)
        for log in observation_log or []:
            due += due_observations(log, now, older_than)
    for item in due:
        typer.echo(f"{item.what}: {item.why}")
        for path in item.paths:
            typer.echo(f"  {path}")
    if not due:
        typer.echo("Nothing is due.")
        return
    if not yes:
        typer.echo("Nothing was deleted; --yes deletes all of this for good.")
        return
    mentioned = {path for item in due for path in item.delete()}
    typer.echo(f"Deleted: {len(due)}.")
    # What was deleted after a person may have been one of these.
    for path in sorted(path for path in mentioned if path.exists()):
        typer.echo(f"{path}: still mentions somebody; decide on it yourself")
    typer.echo("Copies elsewhere (backups, recordings, other machines) are not reached by this.")
