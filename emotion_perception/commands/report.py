"""`emotion-perception report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer


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
    if patient is not None or per_patient:
        good = _patients(tables, patient, output)
    else:
        good = _sessions(tables, output, with_images)
    if not good:
        raise typer.Exit(1)


def _sessions(tables: Sequence[Path], output: Path | None, recording: Path | None) -> bool:
    """Write a page for each table; return whether all went well."""
    from emotion_perception.sessions.report import write_session_report

    good, written = True, set()
    for table in dict.fromkeys(tables):
        try:
            path = (output or table.parent) / table.stem
            if path in written:
                raise ValueError(f"{table}: another table of that name has its page there already")
            page = write_session_report(table, folder=output, recording=recording)
        except (ValueError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            good = False
            continue
        written.add(path)
        typer.echo(f"Wrote {page}")
    return good


def _patients(tables: Sequence[Path], patient: str | None, output: Path | None) -> bool:
    """Write a page for one patient, or for each that the tables name."""
    from emotion_perception.sessions.report import read_entry, write_patient_report
    from emotion_perception.sessions.report_trend import Entry

    good = True
    groups: dict[str, list[Entry]] = {}
    folders: dict[str, Path] = {}
    for table in dict.fromkeys(tables):
        try:
            entry = read_entry(table, patient)
            who = patient if patient is not None else entry.info.participant
            if not who:
                raise ValueError(f"{table}: participant: expected a pseudonym, got nothing")
        except (ValueError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            good = False
            continue
        groups.setdefault(who, []).append(entry)
        folders.setdefault(who, output or table.parent)
    for who, entries in groups.items():
        try:
            page = write_patient_report(who, entries, folders[who])
        except (ValueError, OSError) as error:
            typer.echo(f"error: {error}", err=True)
            good = False
            continue
        typer.echo(f"Wrote {page} ({len(entries)} session{'s' if len(entries) > 1 else ''})")
    return good
