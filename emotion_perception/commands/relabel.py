# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""`emotion-perception relabel`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from emotion_perception.training.relabel import Relabelled


def relabel(
    data: Annotated[
        str,
        typer.Option(
            help="Set labelled by emotion, PATH or KIND:PATH; KIND is affectnet, raf-db, fer-plus "
            "or emotions (one folder an emotion)."
        ),
    ],
    output: Annotated[Path, typer.Option(help="Folder to write; must not exist.")],
    mode: Annotated[
        str, typer.Option(help="link (symbolic links to the originals) or copy.")
    ] = "link",
) -> None:
    """Turn a set of emotions into the folders negative, neutral and positive."""
    from rich.console import Console

    from emotion_perception.training.relabel import relabel as run
    from emotion_perception.training.sources import parse_source

    result = run(parse_source(data), output, mode)
    console = Console()
    console.print(_table(result))
    if result.missing:
        console.print(f"{result.missing} images were missing or empty")
    console.print(f"written to {output}", soft_wrap=True, highlight=False, markup=False)


def _table(result: Relabelled) -> Table:
    """Return the counts: a row an emotion and what became of it, a column a split."""
    from rich.table import Table

    splits = list(dict.fromkeys(split for split, _, _ in result.counts))
    kinds = sorted({(valence or "left out", emotion) for _, emotion, valence in result.counts})
    table = Table("emotion", "valence")
    for split in splits:
        table.add_column(split or "images", justify="right")
    for valence, emotion in kinds:
        stored = "" if valence == "left out" else valence
        counts = [result.counts.get((split, emotion, stored), 0) for split in splits]
        table.add_row(emotion, valence, *map(str, counts))
    return table
