# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""One recording of many: what a process does to it, and what the summary says of it."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from emotion_perception.image.source import SourceError
from emotion_perception.pipeline import ReactionPipeline
from emotion_perception.sessions.batch import Result, Tell
from emotion_perception.sessions.predict import PredictOptions, make_pipeline, predict
from emotion_perception.sessions.sheet import Entry
from emotion_perception.sessions.table import REACTIONS, SessionError, read_info
from emotion_perception.valence.checkpoint import write_atomically

_TELL_EVERY_S: Final = 0.25
_CSV_HEAD: Final = b'"frame","time","face_id","is_partner",'
_POINTS: Final = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")

_pipelines: dict[PredictOptions, ReactionPipeline] = {}  # of this process; loading one takes time


@dataclass(frozen=True)
class Task:
    """One recording to judge.

    Attributes:
        entry: which.
        options: how.
        replace: write over a table that was made otherwise.
        csv: write the rows as CSV too.
        mcap: write what was seen as MCAP too.
    """

    entry: Entry
    options: PredictOptions
    replace: bool = False
    csv: bool = False
    mcap: bool = False


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A line of the table at the end.

    Attributes:
        session: what it is called.
        participant: pseudonym.
        recording: file.
        frames: judged.
        seconds: of the recording.
        faces: different ids.
        nobody: share of the frames without a face.
        negative: share of the frames in which that was the partner's reaction.
        neutral: the same.
        positive: the same.
        unknown: the same, of those with a face.
        unreadable: parts that could not be read.
        error: why it failed; empty if it did not.
    """

    session: str
    participant: str
    recording: str
    frames: int = 0
    seconds: float = 0.0
    faces: int = 0
    nobody: float = 0.0
    negative: float = 0.0
    neutral: float = 0.0
    positive: float = 0.0
    unknown: float = 0.0
    unreadable: int = 0
    error: str = ""


def judge_one(task: Task, tell: Tell) -> Summary:
    """Judge one recording and say in a line what came of it."""
    entry, options = task.entry, task.options
    _check_beside(task)
    pipeline = _pipelines.get(options)
    if pipeline is None:
        pipeline = _pipelines[options] = make_pipeline(options)
        pipeline.warm_up()
    told_at = 0.0

    def progress(frames: int, expected: int | None, seconds: float) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _TELL_EVERY_S:
            told_at = time.monotonic()
            tell(0, frames, expected)

    predict(
        entry.recording, entry.table, options, entry.about, replace=task.replace,
        progress=progress, pipeline=pipeline,
    )  # fmt: skip
    if task.csv:
        write_csv(entry.table, _beside(entry, ".csv"))
    if task.mcap:
        from emotion_perception.sessions.mcap import write_mcap

        write_mcap(entry.recording, entry.table, _beside(entry, ".mcap"), options)
    return summarise(entry.table)


def _beside(entry: Entry, suffix: str) -> Path:
    return entry.table.with_suffix(suffix)


def _check_beside(task: Task) -> None:
    """Refuse to write over a CSV or an MCAP that somebody else made, before the long work."""
    for wanted, suffix in ((task.csv, ".csv"), (task.mcap, ".mcap")):
        path = _beside(task.entry, suffix)
        if wanted and path.exists() and not made_by_predict(path):
            raise SessionError(
                f"{path}: exists and was not made by predict --{suffix[1:]};"
                " rename it, or name another --output"
            )


def made_by_predict(path: Path) -> bool:
    """Whether a file beside a table is one of ours, and not somebody's own."""
    if path.suffix == ".csv":
        with path.open("rb") as stream:
            return stream.read(len(_CSV_HEAD)) == _CSV_HEAD
    from emotion_perception.sessions.mcap import is_ours

    return is_ours(path)


def summarise(table: Path) -> Summary:
    """Return the line of a table."""
    import pyarrow.parquet as pq

    info = read_info(table)
    rows = pq.read_table(table, columns=["frame", "face_id", "is_partner", "reaction"])
    rows = rows.to_pandas()
    told = rows[rows.is_partner].reaction.value_counts()
    count = max(info.frames, 1)
    shares = {name: float(told.get(name, 0)) / count for name in REACTIONS}
    return Summary(
        session=info.session, participant=info.participant, recording=info.recording,
        frames=info.frames, seconds=info.seconds,
        faces=int(rows.face_id[rows.face_id != ""].nunique()),
        nobody=float((rows.face_id == "").sum()) / count,
        negative=shares["negative"], neutral=shares["neutral"], positive=shares["positive"],
        unknown=shares["unknown"], unreadable=len(info.unreadable),
    )  # fmt: skip


def failed(entry: Entry, result: Result) -> Summary:
    """Return the line of a recording that failed."""
    return Summary(
        session=entry.about.session or entry.table.stem, participant=entry.about.participant,
        recording=entry.recording.name, error=result.error,
    )  # fmt: skip


def write_summary(path: Path, lines: Sequence[Summary]) -> None:
    """Write the lines as CSV; the file appears whole or not at all."""
    text = io.StringIO()
    names = [item.name for item in fields(Summary)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for line in lines:
        values = [getattr(line, name) for name in names]
        writer.writerow([f"{v:.4f}" if isinstance(v, float) else v for v in values])
    write_atomically(path, text.getvalue())


def write_csv(table: Path, path: Path) -> None:
    """Write the rows of a table as CSV, a piece at a time; it appears whole or not at all."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv
    import pyarrow.parquet as pq

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetFile(table) as file:
            writer = None
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group).replace_schema_metadata(None)
                points = rows.column("landmarks")
                at = rows.column_names.index("landmarks")
                rows = rows.remove_column(at)
                for index, name in enumerate(_POINTS):
                    for axis, letter in enumerate("xy"):
                        column = pc.list_element(points, 2 * index + axis)
                        rows = rows.add_column(at, pa.field(f"{name}_{letter}", pa.float32()),
                                               column)  # fmt: skip
                        at += 1
                writer = writer or pa.csv.CSVWriter(beside, rows.schema)
                writer.write_table(rows)
            if writer is None:
                raise SourceError(f"{table}: a table without rows")
            writer.close()
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
