# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception models`: the models of patients, and networks of other people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from emotion_perception.commands.finetune import RegistryOption
from emotion_perception.commands.patient_options import PersonArgument

models_app = typer.Typer(
    no_args_is_help=True,
    help="List, show, promote and roll back the models of patients; import other networks.",
)

VersionArgument = Annotated[
    Optional[str],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
    typer.Argument(help="Version such as 0002; default: the newest.", show_default=False),
]


@models_app.command("list")
def list_models(
    person: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(help="Pseudonym; default: everybody.", show_default=False),
    ] = None,
    models: RegistryOption = None,
) -> None:
    """List patients and their versions; * marks the one in use."""
    from emotion_perception.faces.model_files import ModelError
    from emotion_perception.training import registry

    root = registry.patients_root(models)
    people = [person] if person else registry.patients(root)
    found = False
    for name in people:
        current = registry.read_current(root, name)
        for version in registry.versions(root, name):
            found = True
            try:
                state = _state(registry.load_version(root, name, version).figures)
            except ModelError as error:
                state = f"DAMAGED: {error}"
            mark = "*" if version == current.version else " "
            typer.echo(f"{mark} {name}  {version}  {state}")
    if not found:
        typer.echo(f"no models{f' of {person}' if person else ''} in {root}")


@models_app.command("show")
def show_model(
    person: PersonArgument, version: VersionArgument = None, models: RegistryOption = None
) -> None:
    """Show the card of a version, every file of which is checked."""
    from emotion_perception.training import registry

    root = registry.patients_root(models)
    checkpoint = registry.load_version(root, person, version or _newest(root, person))
    current = registry.read_current(root, person)
    about = {
        "model_id": checkpoint.model_id,
        "directory": str(checkpoint.directory),
        "in_use": checkpoint.version == current.version,
        "temperature": checkpoint.temperature,
        "confidence_threshold": checkpoint.confidence_threshold,
        "training": checkpoint.training,
        "figures": checkpoint.figures,
        "history": list(current.log),
    }
    typer.echo(json.dumps(about, indent=2, ensure_ascii=False))


@models_app.command("promote")
def promote_model(
    person: PersonArgument, version: VersionArgument = None, models: RegistryOption = None
) -> None:
    """Put a version to use, if it beat the base on what it had not seen; there is no way around."""
    from emotion_perception.training import registry

    root = registry.patients_root(models)
    chosen = version or _newest(root, person)
    reasons = registry.promote(root, person, chosen)
    typer.echo(f"{person} {chosen} is in use now: {'; '.join(reasons)}.")


@models_app.command("rollback")
def rollback_model(person: PersonArgument, models: RegistryOption = None) -> None:
    """Go back to the version that was in use before, or to the base."""
    from emotion_perception.training import registry

    version = registry.rollback(registry.patients_root(models), person)
    typer.echo(f"{person}: {f'version {version}' if version else 'the base'} is in use now.")


@models_app.command("import")
def import_model(
    network: Annotated[
        str,
        typer.Argument(
            help="Name of the network, such as ferplus-8, or a card of your own.",
            show_default=False,
        ),
    ],
    file: Annotated[Path, typer.Argument(help="Its weights: one ONNX file.", show_default=False)],
    output: Annotated[Path, typer.Option(help="Folder to make.", show_default=False)],
) -> None:
    """Make a model of an emotion network's ONNX file, which --model and the node then take."""
    from emotion_perception.valence.emotion_import import card_of, import_network

    card = import_network(card_of(network), file, output)
    typer.echo(f"{output}: {card.model_id}, tells {', '.join(card.classes)} ({card.output}).")
    typer.echo(f"licence: {card.licence}")
    for note in card.unverified:
        typer.echo(f"note: {note}")


def _newest(root: Path, person: str) -> str:
    from emotion_perception.faces.model_files import ModelError
    from emotion_perception.training import registry

    known = registry.versions(root, person)
    if not known:
        raise ModelError(f"{person}: no model in {root}; `emotion-perception finetune` makes one")
    return known[-1]


def _state(figures: dict[str, Any]) -> str:
    promotion = figures.get("promotion", {})
    gain = promotion.get("gain_points")
    told = "may be promoted" if promotion.get("allowed") else "may not be promoted"
    if gain is None:
        return told
    return f"{told}: {gain:+.1f} points of mean recall against the base on held-out images"
