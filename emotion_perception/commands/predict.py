# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emotion_perception.commands.options import (
    DeviceOption,
    JobsOption,
    RayOption,
    RetriesOption,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from emotion_perception.sessions.batch import Result
    from emotion_perception.sessions.runs import Summary, Task

_SHOWN = 10
"""Differences between two models that are printed."""


def predict(
    recordings: Annotated[
        Optional[list[Path]],  # noqa: UP045 - Typer reads the annotation at run time on Python 3.10
        typer.Argument(
            help="Videos, ROS 2 bags, folders of images, or folders of videos and bags.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the tables; default: beside each recording."),
    ] = None,
    sheet: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="CSV of recordings: recording,session,participant,started."),
    ] = None,
    model: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            help="Checkpoint folder, NAME=FOLDER, or base for the shipped weights. Several judge"
            " beside each other; the first decides.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Judge one of so many frames.")] = 1,
    batch: Annotated[int, typer.Option(min=1, max=256, help="Frames judged together.")] = 8,
    threshold: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(min=0, max=1, help="Least probability of an answer; default: the card's."),
    ] = None,
    detector: Annotated[str, typer.Option(help="Face detector: mtcnn or yunet.")] = "mtcnn",
    yunet_model: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="ONNX file of YuNet."),
    ] = None,
    min_face_size: Annotated[
        int, typer.Option(min=20, help="Smallest face looked for, pixels.")
    ] = 40,
    max_side: Annotated[
        int, typer.Option(min=160, help="Larger frames are shrunk to this side, pixels.")
    ] = 1920,
    fps: Annotated[float, typer.Option(help="Frames a second of a folder of images.")] = 10.0,
    topic: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Image topic of a bag that has several."),
    ] = None,
    participant: Annotated[str, typer.Option(help="Pseudonym of the person.")] = "",
    session: Annotated[str, typer.Option(help="What to call the session; default: its file.")] = "",
    started: Annotated[
        str, typer.Option(help="When it was recorded, such as 2026-11-21T14:30.")
    ] = "",
    csv: Annotated[bool, typer.Option("--csv", help="Write the rows as CSV too.")] = False,
    mcap: Annotated[
        bool,
        typer.Option(
            "--mcap", help="Write an MCAP for Foxglove and RViz too; it holds the pictures."
        ),
    ] = False,
    preview: Annotated[bool, typer.Option("--preview", help="Show each frame; q stops.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Write over tables that were made otherwise.")
    ] = False,
    jobs: JobsOption = 0,
    ray: RayOption = None,
    retries: RetriesOption = 1,
    summary: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Write the table at the end as CSV."),
    ] = None,
    device: DeviceOption = "auto",
    threads: Annotated[
        int, typer.Option(min=0, help="Processor threads of one recording; 0: all or one.")
    ] = 0,
) -> None:
    """Judge recordings: one row for each face of each frame, in a Parquet file.

    Stopped with Ctrl-C or by anything else, the same command goes on where it was. Nothing but
    numbers is stored. See docs/sessions.md.
    """
    from emotion_perception.sessions.batch import run_all, usable_cores
    from emotion_perception.sessions.predict import About, PredictOptions
    from emotion_perception.sessions.runs import Task, failed, judge_one, write_summary
    from emotion_perception.sessions.sheet import collect
    from emotion_perception.sessions.table import SessionError

    about = About(session=session, participant=participant, started=started)
    entries = collect(recordings or [], sheet, output, about)
    cores = usable_cores()
    jobs = min(jobs or cores, len(entries))
    if preview and (len(entries) > 1 or ray):
        raise SessionError("--preview: shows one recording, got several")
    options = PredictOptions(
        models=_models(model or []), every=every, batch=batch, threshold=threshold,
        detector=detector, yunet_model=yunet_model, min_face_size=min_face_size,
        max_side=max_side, fps=fps, topic=topic, device=device,
        threads=threads or (1 if jobs > 1 or ray else min(cores, 2)),
    )  # fmt: skip
    tasks = [Task(entry, options, replace, csv, mcap) for entry in entries]
    if preview:
        _preview(tasks[0])
        tasks = [Task(entries[0], options, False, csv, mcap)]  # its table is made
    with _Bars(tasks) as bars:
        try:
            results = run_all(
                judge_one, tasks, jobs=jobs, ray=ray, retries=retries, tell=bars.tell,
                done=bars.done,
            )  # fmt: skip
        except KeyboardInterrupt:
            interrupted = True
        else:
            interrupted = False
    if interrupted:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130)
    lines = [
        result.answer or failed(entry, result)
        for entry, result in zip(entries, results, strict=True)
    ]
    _print(lines)
    for task, result in zip(tasks, results, strict=True):
        if not result.error:
            _print_details(task)
    if summary is not None:
        write_summary(summary, lines)
    if any(line.error for line in lines):
        raise typer.Exit(1)


def _models(told: Sequence[str]) -> tuple[tuple[str, Path | None], ...]:
    from emotion_perception.models import find_model
    from emotion_perception.pipeline import BASE_MODEL

    models: list[tuple[str, Path | None]] = []
    for text in told or ["base"]:
        name, equals, folder = text.rpartition("=")
        path = find_model(BASE_MODEL) if folder == "base" else Path(folder)
        models.append((name if equals else path.resolve().name, path))
    return tuple(models)


class _Bars:
    """Progress, with the time left."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("frames"), TimeRemainingColumn(), transient=True,
        )  # fmt: skip
        self._names = [task.entry.recording.name for task in tasks]
        self._bars: dict[int, Any] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def tell(self, number: int, at: float, of: float | None) -> None:
        """Move a bar."""
        if number not in self._bars:
            self._bars[number] = self._progress.add_task(_plain(self._names[number]), total=of)
        self._progress.update(self._bars[number], completed=at, total=of)

    def done(self, number: int, result: Result) -> None:
        """Take a bar away."""
        if number in self._bars:
            self._progress.remove_task(self._bars.pop(number))
        how = f"failed: {result.error}" if result.error else "done"
        line = f"{self._names[number]}: {how}"
        self._progress.console.print(line, markup=False, highlight=False, soft_wrap=True)


def _preview(task: Task) -> None:
    """Judge a recording in a window; what is done counts."""
    from emotion_perception.sessions.predict import make_pipeline
    from emotion_perception.sessions.predict import predict as run
    from emotion_perception.window import Window

    pipeline = make_pipeline(task.options)
    window = Window(f"{task.entry.recording.name}: q stops")

    def show(frame: Any, reactions: Any) -> None:
        if not window.show(pipeline.draw(frame, reactions)):
            raise KeyboardInterrupt

    try:
        run(
            task.entry.recording, task.entry.table, task.options, task.entry.about,
            replace=task.replace, preview=show, pipeline=pipeline,
        )  # fmt: skip
    except KeyboardInterrupt:
        typer.echo("stopped; the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    finally:
        window.close()


def _print(lines: Sequence[Summary]) -> None:
    from rich.console import Console
    from rich.table import Table

    shares = ("positive", "neutral", "negative", "unknown", "nobody")
    columns = {
        "session": [line.session for line in lines],
        "participant": [line.participant for line in lines],
        "minutes": [f"{line.seconds / 60:.1f}" for line in lines],
        "faces": [str(line.faces) for line in lines],
        **{name: [f"{getattr(line, name):.0%}" for line in lines] for name in shares},
        "unreadable": [str(line.unreadable or "") for line in lines],
        "": ["failed" if line.error else "" for line in lines],
    }
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0))
    shown = {name: values for name, values in columns.items() if any(values)}
    for name in shown:
        left = name in ("session", "participant", "")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*(_plain(value) for value in row))
    Console(highlight=False).print(table)


def _print_details(task: Task) -> None:
    from emotion_perception.sessions.table import read_info, read_session

    info = read_info(task.entry.table)
    for part in info.unreadable:
        count = f"{part.frames} frames" if part.frames >= 0 else "some frames"
        typer.echo(
            f"{info.session}: {part.start:.2f} to {part.end:.2f} s: {count} unreadable: {part.why}",
            err=True,
        )
    for note in info.notes:
        typer.echo(f"{info.session}: {note}")
    if len(info.models) > 1:
        from emotion_perception.sessions.compare import compare, describe

        for found in compare(read_session(task.entry.table)):
            typer.echo(f"{info.session}: {describe(found)}")
            for d in found.differences[:_SHOWN]:
                typer.echo(f"  {d.start:8.2f} to {d.end:8.2f} s {d.face_id}: {d.first}, {d.second}")
            if len(found.differences) > _SHOWN:
                typer.echo(f"  and {len(found.differences) - _SHOWN} more")


def _plain(text: str) -> str:
    """Return a text that rich takes as it is."""
    from rich.markup import escape

    return escape(text)
