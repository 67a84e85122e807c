# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception finetune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from emotion_perception.commands.options import DeviceOption
from emotion_perception.commands.patient_options import PersonArgument

if TYPE_CHECKING:
    from emotion_perception.image.preprocess import FacePreprocessing
    from emotion_perception.training.faces import FaceSet
    from emotion_perception.training.finetune import FineTuned
    from emotion_perception.training.rounds import Round

RegistryOption = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
    typer.Option(
        help="Folder of all patients' models; default: $EMOTION_PERCEPTION_PATIENTS, else"
        " ~/.local/share/emotion_perception/models/patients.",
        show_default=False,
    ),
]


def finetune(
    person: PersonArgument,
    data: Annotated[
        str,
        typer.Option(
            help="The patient's images: the folder that capture fills, negative/neutral/positive"
            " folders, folders of folds with train/ and test/, or KIND:PATH.",
            show_default=False,
        ),
    ],
    base_data: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            help="Base images to learn from besides and to measure forgetting on (FER+, KIND:PATH);"
            " without it the model cannot be promoted.",
            show_default=False,
        ),
    ] = None,
    base_model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Checkpoint to start from; default: the shipped base weights."),
    ] = None,
    models: RegistryOption = None,
    base_percentage: Annotated[
        float, typer.Option(min=0, max=100, help="Share of each batch that is base data, percent.")
    ] = 60.0,
    look_images: Annotated[
        int,
        typer.Option(
            min=0,
            help="Base images that are given the look of the patient's and learned from first;"
            " 0: none.",
        ),
    ] = 24_000,
    epochs: Annotated[
        int, typer.Option(min=1, help="Rounds in which each image of the patient is met once.")
    ] = 3,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images a step, base images included.")
    ] = 32,
    lr: Annotated[float, typer.Option(help="Learning rate of the first epoch.")] = 0.003,
    gamma: Annotated[float, typer.Option(help="Factor on the rate after each epoch.")] = 0.6,
    weight_decay: Annotated[float, typer.Option(min=0)] = 5e-4,
    loss: Annotated[
        str, typer.Option(help="On the patient's images: cross-entropy, soft or constrained.")
    ] = "constrained",
    stages: Annotated[
        str, typer.Option(help="Parts that learn: all, last, norm or classifier.")
    ] = "all",
    folds: Annotated[
        int,
        typer.Option(
            min=2, help="Rounds of cross-validation, by recording where there are several."
        ),
    ] = 3,
    max_forgetting: Annotated[
        float,
        typer.Option(min=0, max=100, help="Points of accuracy that may be lost on base data."),
    ] = 1.5,
    results_per_person: Annotated[
        bool, typer.Option("--results-per-person", help="Write a table of the persons too.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the same run where it was killed.")
    ] = False,
    device: DeviceOption = "auto",
) -> None:
    """Fine-tune the base to a patient and store the result as a new version.

    It is not put to use: `emotion-perception models promote PERSON` does, if it may.
    """
    from emotion_perception.models import find_model
    from emotion_perception.pipeline import BASE_MODEL
    from emotion_perception.training.adapt import Adaptation
    from emotion_perception.training.finetune import FineTuneOptions
    from emotion_perception.training.finetune import finetune as run
    from emotion_perception.training.registry import patients_root
    from emotion_perception.valence.checkpoint import load_checkpoint

    options = FineTuneOptions(
        adaptation=Adaptation(
            epochs=epochs, batch_size=batch_size, lr=lr, gamma=gamma, weight_decay=weight_decay,
            base_percentage=base_percentage, look_images=look_images, loss=loss, stages=stages,
        ),
        folds=folds, max_forgetting=max_forgetting, seed=seed,
        results_per_person=results_per_person, device=device, progress=True,
    )  # fmt: skip
    base = load_checkpoint(base_model or find_model(BASE_MODEL))
    faces = _patient_images(person, data, base.preprocessing)
    replay, base_test = _base_images(base_data, base.preprocessing)
    result = run(
        base, person, faces, replay, patients_root(models), options, base_test=base_test,
        resume=resume,
    )  # fmt: skip
    _report(result, person)


def _patient_images(
    person: str, data: str, preprocessing: FacePreprocessing
) -> FaceSet | list[Round]:
    """Load the patient's images, or the rounds that lie on disk."""
    import logging

    from emotion_perception.training.consent import CONSENT_FILE, require_consent
    from emotion_perception.training.patients import patient_folder
    from emotion_perception.training.rounds import Round
    from emotion_perception.training.sources import load_source
    from emotion_perception.training.sources_folders import fold_folders, folder_splits
    from emotion_perception.training.splits import load_fold_folders

    path = Path(data).expanduser()
    if path.is_dir():
        captured = patient_folder(path, person)
        if captured.is_dir():
            if (captured / CONSENT_FILE).exists():
                require_consent(path, person)
            path = captured
        if fold_folders(path) or {"train", "test"} <= set(folder_splits(path)):
            return [Round(*fold) for fold in load_fold_folders(path, preprocessing)]
        data = str(path)
    faces = load_source(data, "all", preprocessing)
    people = sorted(set(faces.persons.tolist()) - {""})
    if person in people:
        return faces.subset(faces.persons == person)
    if len(people) > 1:
        logging.getLogger(__name__).warning(
            "%s: none of its %d persons is called %s; the model learns from all of them",
            data, len(people), person,
        )  # fmt: skip
    return faces


def _base_images(
    data: str | None, preprocessing: FacePreprocessing
) -> tuple[FaceSet | None, FaceSet | None]:
    """Load base images to learn from, and others to measure forgetting on."""
    import logging

    from emotion_perception.training.sources import load_source, parse_source, source_splits

    if data is None:
        return None, None
    source = parse_source(data)
    replay = load_source(source, "train", preprocessing)
    if "validation" in source_splits(source):
        return replay, load_source(source, "validation", preprocessing)
    logging.getLogger(__name__).warning(
        "%s: no validation split, so forgetting cannot be measured", source.path
    )
    return replay, None


def _report(result: FineTuned, person: str) -> None:
    for row in [*result.folds, *result.persons]:
        typer.echo(
            f"{next(iter(row.values()))!s:40}  {row['images']:5} images  accuracy"
            f" {100 * row['accuracy']:5.1f} %  base {100 * row['base_accuracy']:5.1f} %"
            f"  gain {100 * row['gain_low']:+.1f} to {100 * row['gain_high']:+.1f} points"
        )
    typer.echo(f"wrote version {result.version}: {result.directory}")
    if result.decision.allowed:
        typer.echo(f"It may be promoted: {'; '.join(result.decision.reasons)}.")
        typer.echo(f"emotion-perception models promote {person}")
    else:
        typer.echo(f"It may not be promoted: {'; '.join(result.decision.reasons)}.")
