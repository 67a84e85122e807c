# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from emotion_perception.commands.options import JobsOption, RayOption, RetriesOption

if TYPE_CHECKING:
    from emotion_perception.sessions.batch import Tell, Work
    from emotion_perception.sessions.report_trend import Entry

_EACH = 4
"""Tables that are worth a process."""


def report(
    tables: Annotated[
        list[Path],
        typer.Argument(
            help="Tables of sessions (.parquet), as predict makes them; events and actions are "
            "read from the files beside them.",
            show_default=False,
        ),
    ],
    patient: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="One page over all sessions of the patient with this pseudonym."),
    ] = None,
    per_patient: Annotated[
        bool,
        typer.Option("--per-patient", help="One page for each patient that the tables name."),
    ] = False,
    with_images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            metavar="RECORDING",
            help="Put faces from this video into the page of its session; they are personal data.",
        ),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Folder for the pages; default: beside the tables."),
    ] = None,
    jobs: JobsOption = 0,
    ray: RayOption = None,
    retries: RetriesOption = 1,
) -> None:
    """Write a page about each session, or about each patient over many sessions.

    A page is one HTML file that needs nothing else. Without --with-images there is no picture of
    anybody in it. See docs/session_report.md.
    """
    if patient is not None and per_patient:
        raise ValueError("expected one of --patient and --per-patient")
    if patient is not None and not patient.strip():
        raise ValueError("--patient: expected a pseudonym, got nothing")
    if with_images is not None and (len(tables) > 1 or patient is not None or per_patient):
        raise ValueError("--with-images: goes with the table of one session")
    if output is not None and not output.is_dir():
        raise ValueError(f"--output: {output}: no such folder")
    try:
        import jinja2  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"report needs {error.name}: pip install 'emotion_perception[sessions]'"
        ) from None
    from emotion_perception.sessions.batch import run_all, usable_cores

    work: Work
    tasks: list[tuple[Any, ...]]
    if patient is not None or per_patient:
        work, tasks = _read, [(table, patient) for table in dict.fromkeys(tables)]
    else:
        work, tasks = _write, [(table, output, with_images) for table in _once(tables, output)]
    # A process takes longer to begin than a page to be made.
    jobs = min(jobs or usable_cores(), -(-len(tasks) // _EACH))
    results = run_all(work, tasks, jobs=jobs, ray=ray, retries=retries)
    good = len(tasks) == len(set(tables))
    done = []
    for task, result in zip(tasks, results, strict=True):
        if result.error:
            typer.echo(f"error: {result.error}", err=True)
            good = False
        else:
            done.append((task[0], result.answer))
    if work is _write:
        for _, page in done:
            typer.echo(f"Wrote {page}")
    else:
        good = _patients(done, patient, output) and good
    if not good:
        raise typer.Exit(1)


def _once(tables: Sequence[Path], output: Path | None) -> list[Path]:
    """Return the tables without those whose page another one of them would have."""
    kept: dict[Path, Path] = {}
    for table in dict.fromkeys(tables):
        page = (output or table.parent) / table.stem
        if page in kept:
            typer.echo(
                f"error: {table}: another table of that name has its page there already", err=True
            )
        else:
            kept[page] = table
    return list(kept.values())


def _write(task: tuple[Path, Path | None, Path | None], _: Tell) -> Path:
    """Write the page of one session; returns where."""
    from emotion_perception.sessions.report import write_session_report

    table, output, recording = task
    return write_session_report(table, folder=output, recording=recording)


def _read(task: tuple[Path, str | None], _: Tell) -> Entry:
    """Read one session of a patient."""
    from emotion_perception.sessions.report import read_entry

    return read_entry(*task)


def _patients(
    entries: Sequence[tuple[Path, Entry]], patient: str | None, output: Path | None
) -> bool:
    """Write a page for one patient, or for each that the tables name."""
    from emotion_perception.sessions.report import write_patient_report

    good = True
    groups: dict[str, list[Entry]] = {}
    folders: dict[str, Path] = {}
    for table, entry in entries:
        who = patient if patient is not None else entry.info.participant
        if not who:
            typer.echo(f"error: {table}: participant: expected a pseudonym, got nothing", err=True)
            good = False
            continue
        groups.setdefault(who, []).append(entry)
        folders.setdefault(who, output or table.parent)
    for who, of_patient in groups.items():
        try:
            page = write_patient_report(who, of_patient, folders[who])
        except (ValueError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            good = False
            continue
        typer.echo(f"Wrote {page} ({len(of_patient)} session{'s' if len(of_patient) > 1 else ''})")
    return good
