# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception capture`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from emotion_perception.commands.patient_options import PatientDataOption, PersonArgument

if TYPE_CHECKING:
    from emotion_perception.training.capture import CaptureReport


def capture(
    person: PersonArgument,
    data: PatientDataOption,
    sources: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            help="Webcam index, videos, GIFs, images, folders of images, ROS 2 bags, or demo.",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV of labelled spans: file,start,end,valence (seconds)."),
    ] = None,
    label: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Class of every frame: negative, neutral or positive."),
    ] = None,
    prompts: Annotated[
        bool,
        typer.Option(
            "--prompts", help="Be led through the classes; a webcam always is. Try it with demo."
        ),
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.5, help="Length of a prompted take.")] = 10.0,
    countdown: Annotated[float, typer.Option(min=0, help="Seconds before a take.")] = 3.0,
    window: Annotated[
        bool, typer.Option("--window/--no-window", help="Show the camera's image.")
    ] = False,
    topic: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Image topic of a bag that has several."),
    ] = None,
    face: Annotated[
        str, typer.Option(help="Which face, if several are in view: largest or centre.")
    ] = "largest",
    min_face: Annotated[
        int, typer.Option(min=20, help="Least shorter side of the face, pixels.")
    ] = 48,
    min_score: Annotated[float, typer.Option(help="Least confidence of the detector.")] = 0.9,
    min_brightness: Annotated[float, typer.Option(help="Least mean grey level, 0 to 255.")] = 30.0,
    min_sharpness: Annotated[
        float, typer.Option(help="Least variance of the Laplacian; see docs/capture.md.")
    ] = 0.05,
    min_difference: Annotated[
        float, typer.Option(help="Least difference from every image kept; 0 keeps all.")
    ] = 0.15,
    corrections: Annotated[
        bool,
        typer.Option(
            "--apply-corrections", help="Carry out what was corrected in labels.csv or folders."
        ),
    ] = False,
) -> None:
    """Build a patient's data set from a webcam, videos, pictures or ROS bags.

    Needs a consent on record (emotion-perception consent). Face crops are stored under
    DATA/PERSON/CLASS, with labels.csv and sheets to check the labels by. See docs/capture.md.
    """
    import contextlib
    import sys

    from rich.console import Console

    from emotion_perception.training.capture import capture as run
    from emotion_perception.training.capture_prompts import Guide, Keys
    from emotion_perception.training.capture_select import SelectionOptions
    from emotion_perception.training.capture_spans import parse_label, read_spans
    from emotion_perception.training.faces import DataError
    from emotion_perception.window import Window

    if corrections:
        if sources:
            raise DataError("--apply-corrections: goes without sources")
        _apply_corrections(data, person)
        return
    if not sources:
        raise DataError("expected a source: a webcam index, videos, folders or bags")
    if sum((labels is not None, label is not None, prompts)) > 1:
        raise DataError("expected one of --labels, --label and --prompts")
    if label is not None and parse_label(label, "--label") is None:
        raise DataError("--label: expected negative, neutral or positive")
    options = SelectionOptions(
        face=face, min_face=min_face, min_score=min_score, min_brightness=min_brightness,
        min_sharpness=min_sharpness, min_difference=min_difference,
    )  # fmt: skip
    spans = read_spans(labels) if labels is not None else []
    live = any(source.isdigit() or source.startswith("/dev/") for source in sources)
    with contextlib.ExitStack() as stack:
        guide = None
        if prompts or (live and labels is None and label is None):
            screen = Window(f"{person}: Enter, s, r, q") if window else None
            if screen is not None:
                stack.callback(screen.close)
            guide = Guide(
                Console(highlight=False), stack.enter_context(Keys(sys.stdin.fileno())),
                seconds=seconds, countdown=countdown, window=screen,
            )  # fmt: skip
        report = run(
            data, person, sources, spans=spans,
            label=parse_label(label, "--label") if label else None,
            guide=guide, options=options, topic=topic,
        )  # fmt: skip
    _print(data, person, report)
    if report.interrupted:
        raise typer.Exit(130)


def _apply_corrections(data: Path, person: str) -> None:
    from emotion_perception.training.capture_corrections import apply_corrections
    from emotion_perception.training.capture_sheet import write_overview
    from emotion_perception.training.capture_store import PatientStore
    from emotion_perception.training.consent import require_consent

    require_consent(data, person)
    with PatientStore(data, person) as store:
        done = apply_corrections(store)
        write_overview(store)
        total = store.counts()
    typer.echo(f"{done.relabelled} relabelled, {done.dropped} dropped")
    if done.taken_in:
        typer.echo(f"{done.taken_in} images had no row in labels.csv and got one")
    typer.echo(_counts(total))


def _print(data: Path, person: str, report: CaptureReport) -> None:
    frames = sum(report.verdicts.values())
    typer.echo(f"{frames} labelled frames, {report.skipped} without a label:")
    for verdict, count in report.verdicts.most_common():
        typer.echo(f"  {count:6}  {verdict.value}")
    if report.several:
        typer.echo(
            f"{report.several} frames showed several people: check that every image is of {person}"
        )
    if report.taken_in:
        typer.echo(f"{len(report.taken_in)} images of a run that broke off were taken in")
    for problem in report.problems:
        typer.echo(f"warning: {problem}", err=True)
    typer.echo(f"New:  {_counts(report.kept)}  ({', '.join(report.recordings) or 'no recording'})")
    typer.echo(f"All:  {_counts(report.total)}")
    missing = [name for name, count in report.total.items() if not count]
    if missing:
        typer.echo(f"Still missing: {', '.join(missing)}")
    for sheet in report.sheets:
        typer.echo(f"Look at {sheet}")
    if report.sheets:
        typer.echo(
            "Wrong labels? Move the image to another class folder, or change labels.csv, then:"
            f" emotion-perception capture {person} --data {data} --apply-corrections"
        )


def _counts(counts: dict[str, int]) -> str:
    from emotion_perception.valence.labels import CLASSES

    return ", ".join(f"{counts.get(name, 0)} {name}" for name in CLASSES)
