# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception enrol`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emotion_perception.commands.finetune import RegistryOption
from emotion_perception.commands.patient_options import PatientDataOption, PersonArgument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emotion_perception.faces.identity import FaceIdentity


def enrol(
    person: PersonArgument,
    data: PatientDataOption,
    key_file: Annotated[
        Path,
        typer.Option(
            help="File with the key that the enrolment is encrypted with; made if it is missing.",
            show_default=False,
        ),
    ],
    models: RegistryOption = None,
    least: Annotated[int, typer.Option(min=4, help="Least number of usable images.")] = 10,
    most: Annotated[int, typer.Option(min=4, max=200, help="Most faces that are enrolled.")] = 20,
) -> None:
    """Let the robot recognise a patient by face and look at nobody else. Off unless asked for.

    Needs a consent on record and captured images (emotion-perception capture). What is stored are
    numbers that describe faces, encrypted, beside the patient's models. See docs/enrolment.md.
    """
    import numpy as np

    from emotion_perception.faces.enrolment import choose_faces
    from emotion_perception.faces.identity import FaceIdentity
    from emotion_perception.image.still import read_still
    from emotion_perception.training.capture_crop import is_aligned_crop
    from emotion_perception.training.capture_store import PatientStore
    from emotion_perception.training.consent import require_consent
    from emotion_perception.training.faces import DataError
    from emotion_perception.training.registry import patients_root

    consent = require_consent(data, person)
    root = patients_root(models)
    for folder in (root, data):
        if key_file.absolute().resolve().is_relative_to(folder.absolute().resolve()):
            raise DataError(
                f"--key-file: {key_file} lies in {folder}, beside what it locks; choose another"
                " place, best another device"
            )
    identity = FaceIdentity()
    store = PatientStore(data, person)
    crops, names, other = [], [], 0
    for name in store.images():
        path = store.folder / name
        image = read_still(path) if is_aligned_crop(path, identity.framing) else None
        if image is None:
            other += 1
        else:
            crops.append(np.asarray(image, np.uint8))
            names.append(name)
    if len(crops) < least:
        aside = f" ({other} others were not made by capture)" if other else ""
        raise DataError(
            f"{person}: {len(crops)} images in {store.folder}{aside}, at least {least} are needed;"
            f" make some: emotion-perception capture {person} --data {data} SOURCE"
        )
    embeddings = identity.embed(crops)
    choice = choose_faces(embeddings, identity.threshold, most)
    usable = len(crops) - len(choice.unlike)
    if usable < least or 3 * usable < 2 * len(crops):
        raise DataError(
            f"{person}: only {usable} of {len(crops)} images are alike enough to be of one person,"
            f" at least {least} and two thirds are needed; look at {store.folder / 'overview'}:"
            f" are they all of {person}, sharp and from the front?"
        )
    path = _save(root, person, key_file, identity, embeddings[choice.chosen])

    typer.echo(f"{len(crops)} images of {person}; {len(choice.chosen)} faces enrolled.")
    if other:
        typer.echo(f"{other} images were not made by capture and left out.")
    if len(choice.unlike):
        typer.echo(f"{len(choice.unlike)} are unlike the rest and were left out; look at them:")
        for index in choice.unlike[:10].tolist():
            typer.echo(f"  {store.folder / names[index]}")
    typer.echo(
        f"Two of the images are alike by {choice.likeness:.2f} on average (1: the same, 0: as two"
        f" people); by the others, {choice.recognised:.0%} would be recognised."
    )
    if choice.recognised < 0.8:
        typer.echo(
            "warning: that is little; the robot will often not know the patient. Record more"
            " images in the room, light and at the distance where the robot will be.",
            err=True,
        )
    typer.echo(f"The consent on record is for: {consent.purpose}. Recognising a face is a purpose")
    typer.echo("of its own: make sure that the consent covers it (docs/enrolment.md).")
    typer.echo(
        f"Stored, encrypted: {path}; the key: {key_file.absolute()}. The robot's parameters:"
    )
    typer.echo("  partner: enrolled")
    typer.echo(f"  patient_id: {person}")
    typer.echo(f"  patients: {root.absolute()}")
    typer.echo(f"  enrolment_key_file: {key_file.absolute()}")
    typer.echo(
        f"emotion-perception forget {person} --data {data} deletes {path.name} with the rest."
    )


def _save(
    root: Path, person: str, key_file: Path, identity: FaceIdentity,
    embeddings: NDArray[np.float32],
) -> Path:  # fmt: skip
    import datetime

    from emotion_perception.faces.enrolment import (
        ENROLMENT_FILE,
        Enrolment,
        make_key,
        read_key,
        save_enrolment,
    )
    from emotion_perception.training.registry import locked

    key = read_key(key_file) if key_file.exists() else make_key(key_file)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    enrolment = Enrolment(person, embeddings, identity.model_id, now, identity.threshold)
    with locked(root, person) as folder:
        save_enrolment(folder / ENROLMENT_FILE, enrolment, key)
    return folder / ENROLMENT_FILE
