# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from emotion_perception.commands.options import DataOption, DeviceOption


def evaluate(
    data: DataOption,
    model: Annotated[
        Optional[list[Path]],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
        typer.Option(
            help="Checkpoint folder; default: the shipped base weights. Several times compares "
            "each with the first.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="train, validation, test or all; default: test, or all without one."),
    ] = None,
    device: DeviceOption = "cpu",
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the figures to this JSON file too."),
    ] = None,
    report: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write a page, tables and figures to this new folder."),
    ] = None,
    with_images: Annotated[
        bool,
        typer.Option("--with-images", help="Put faces in the report; they are personal data."),
    ] = False,
    log: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="metrics.csv of the training, for learning curves in the report."),
    ] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into each model's card.")
    ] = False,
) -> None:
    """Score checkpoints on labelled faces, three classes, and report on them."""
    from emotion_perception.pipeline import ReactionPipeline
    from emotion_perception.training.evaluate import Judged, compare, evaluate_judged, judge
    from emotion_perception.training.faces import DataError
    from emotion_perception.training.metrics import learning_curves
    from emotion_perception.training.sources import load_source, parse_source, source_splits
    from emotion_perception.valence.checkpoint import record_figures, write_atomically

    if report is None and (with_images or log is not None):
        raise ValueError("--with-images and --log are for a report: name its folder by --report")
    if output is not None and not output.parent.is_dir():
        raise ValueError(f"--output: {output.parent}: no such folder")
    if report is not None:
        from emotion_perception.training.output_folder import refuse_existing

        refuse_existing(report)
    curves = None if log is None else learning_curves(log)
    source = parse_source(data)
    chosen = split or ("test" if "test" in source_splits(source) else "all")
    paths: Sequence[Path | None] = model if model else [None]
    pipelines = [ReactionPipeline(path, device=device) for path in paths]
    faces = load_source(source, chosen, pipelines[0].checkpoint.preprocessing).labelled()
    judged: list[Judged] = []
    for number, pipeline in enumerate(pipelines, 1):
        framing = pipeline.checkpoint.preprocessing
        own = faces
        if framing != pipelines[0].checkpoint.preprocessing:
            own = load_source(source, chosen, framing).labelled()
            if own.files.tolist() != faces.files.tolist():
                raise DataError(
                    f"{data}: the models' framings find different faces: not comparable"
                )
        name = pipeline.checkpoint.model_id
        # Two calibrations of the same weights have the same name.
        taken = [other.name for other in judged]
        judged.append(judge(pipeline, own, f"{name} ({number})" if name in taken else name))
    results = [evaluate_judged(each, faces) for each in judged]
    values: list[dict[str, Any]] = [result.to_json() for result in results]
    for each, value in zip(judged[1:], values[1:], strict=True):
        difference = compare(judged[0].probabilities, each.probabilities, faces)
        value["compared_with_first"] = difference.to_json()
    shown = values[0] if len(values) == 1 else {"models": values}
    text = json.dumps({"data": source.kind, "split": chosen, **shown}, indent=2)
    if record:
        for pipeline, result in zip(pipelines, results, strict=True):
            # Folders of classes are many: they go by their own name.
            known = source.path.name if source.kind in ("folders", "emotions") else source.kind
            name = f"{known.replace('-', '_')}_{chosen}"
            record_figures(pipeline.checkpoint, name, result.to_json())
    typer.echo(text)
    if output is not None:
        write_atomically(output, text + "\n")
    if report is not None:
        from emotion_perception.training.report import write_report

        write_report(
            report, faces, judged, title="How well the reactions are judged",
            data=f"{source.kind} ({source.path.name}), {chosen}", learning=curves,
            with_images=with_images,
        )  # fmt: skip
        typer.echo(f"report: {report / 'index.html'}", err=True)
