# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The table of a recording: one row for each face of each frame, in a Parquet file.

A frame in which nobody is there has one row without a face. The file's metadata say what was
recorded, with what it was judged and what could not be read. Nothing in it depends on when or where
it was written, so that the same recording always gives the same bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from emotion_perception.image.source import TIMES_JUMP, Unreadable
from emotion_perception.limited_files import BriefError, parse_json
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.valence.labels import CLASSES

if TYPE_CHECKING:
    import pandas
    import pyarrow

SUFFIX: Final = ".parquet"
MOST_ROWS: Final = 20_000_000
"""A row of zeros takes no room in a file, but in memory; an hour of one face has 108,000."""

FORMAT: Final = 1
KEY: Final = b"emotion_perception"
"""Of the metadata, which are JSON."""

REACTIONS: Final = tuple(reaction.name.lower() for reaction in Reaction)
"""What the columns ``reaction`` hold: unknown, negative, neutral, positive."""

REASONS: Final = tuple(reason.name.lower() for reason in Reason)
"""What the columns ``reason`` hold: none, no_face, low_confidence, low_quality, not_looked."""

PROBABILITIES: Final = tuple(f"p_{name}" for name in CLASSES)
FRAME_PROBABILITIES: Final = tuple(f"frame_p_{name}" for name in CLASSES)

_FACE: Final = (
    ("frame", "int64"), ("time", "float64"), ("face_id", "string"), ("is_partner", "bool"),
    ("x1", "float32"), ("y1", "float32"), ("x2", "float32"), ("y2", "float32"),
    ("score", "float32"), ("landmarks", "landmarks"), ("size", "float32"),
    ("sharpness", "float32"), ("light", "float32"), ("turn", "float32"), ("problem", "string"),
)  # fmt: skip
_JUDGED: Final = (
    *((name, "float32") for name in (*PROBABILITIES, *FRAME_PROBABILITIES)),
    ("confidence", "float32"), ("valence", "float32"), ("reaction", "string"),
    ("reason", "string"), ("model_id", "string"),
)  # fmt: skip


__all__ = [
    "FORMAT", "FRAME_PROBABILITIES", "PROBABILITIES", "REACTIONS", "REASONS", "SUFFIX", "JudgedBy",
    "Session", "SessionError", "SessionInfo", "Unreadable", "column", "read_info", "read_session",
    "schema", "write_table",
]  # fmt: skip


class SessionError(BriefError):
    """A session file that is missing, damaged or of another kind; one line that names it."""


@dataclass(frozen=True, kw_only=True)
class JudgedBy:
    """One model that judged a recording.

    Attributes:
        name: for its columns: those of the first have plain names, those of others end in
            ``__NAME``.
        model_id: name, version and the start of the weights' hash.
        threshold: least probability that counted as an answer.
        emotions: discrete emotions it tells, each a column ``e_EMOTION``; empty for valence only.
    """

    name: str
    model_id: str
    threshold: float
    emotions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SessionInfo:
    """What a table is about.

    Attributes:
        recording: name of the file or folder, without the path to it.
        session: what the session is called.
        participant: a pseudonym, or empty.
        started: when it was recorded, ISO 8601, or empty.
        origin: ROS time of the first frame in seconds, or None where it has none.
        width: of the first frame, pixels.
        height: of the first frame, pixels.
        rate: frames a second of the recording, on average.
        frames: judged.
        seconds: from the first to the last frame.
        every: of so many frames one was judged.
        detector: what found the faces.
        models: what judged them, the first decided.
        unreadable: parts that could not be read.
        notes: anything else worth knowing, such as "interlaced".
        version: of this package.
        job: the same for two tables exactly if the same recording was judged in the same way.
    """

    recording: str
    session: str
    participant: str = ""
    started: str = ""
    origin: float | None = None
    width: int = 0
    height: int = 0
    rate: float = 0.0
    frames: int = 0
    seconds: float = 0.0
    every: int = 1
    detector: str = ""
    models: tuple[JudgedBy, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    notes: tuple[str, ...] = ()
    version: str = ""
    job: str = ""

    @property
    def exact(self) -> bool:
        """Whether a frame of the recording can surely be found again by its time."""
        return not self.unreadable and TIMES_JUMP not in self.notes

    def to_json(self) -> str:
        """Return it as the metadata of a table."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes) -> SessionInfo:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if it is something else.
        """
        told = parse_json(text)
        if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
            raise ValueError(f"expected metadata of format {FORMAT}")
        known = {item.name for item in fields(cls)}
        if not set(told) <= known:
            raise ValueError(f"unknown metadata {sorted(set(told) - known)}")
        try:
            models = tuple(
                JudgedBy(**{**model, "emotions": tuple(model["emotions"])})
                for model in told.pop("models")
            )
            unreadable = tuple(Unreadable(**part) for part in told.pop("unreadable"))
            return cls(
                **{**told, "notes": tuple(told["notes"])}, models=models, unreadable=unreadable
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"metadata of another kind ({error})") from None


@dataclass(frozen=True, eq=False)
class Session:
    """A table that was read.

    Attributes:
        path: of its file.
        info: what it is about.
        rows: a pandas data frame, one row for each face of each frame, in order of time; columns
            as `schema` has them, ``landmarks`` only if asked for.
    """

    path: Path
    info: SessionInfo
    rows: pandas.DataFrame = field(repr=False)

    def model(self, name: str | None = None) -> JudgedBy:
        """Return a model by its name, or the first.

        Raises:
            SessionError: there is none of this name.
        """
        for model in self.info.models:
            if name in (None, model.name):
                return model
        names = ", ".join(model.name for model in self.info.models)
        raise SessionError(f"{self.path}: model: expected one of {names}, got {name}")


def column(name: str, model: JudgedBy, models: Sequence[JudgedBy]) -> str:
    """Return what a column such as ``p_positive`` is called for one of the models."""
    return name if model.name == models[0].name else f"{name}__{model.name}"


def schema(models: Sequence[JudgedBy]) -> pyarrow.Schema:
    """Return the columns of a table judged by these models.

    ``p_*`` are smoothed over time, ``frame_p_*`` are of the frame alone (null where it was not
    judged); lengths are in pixels, ``time`` is in seconds since the first frame, ``landmarks`` are
    ten numbers: x and y of left eye, right eye, nose and the corners of the mouth.
    """
    import pyarrow as pa

    kinds = {
        "int64": pa.int64(), "float64": pa.float64(), "float32": pa.float32(),
        "string": pa.string(), "bool": pa.bool_(), "landmarks": pa.list_(pa.float32(), 10),
    }  # fmt: skip
    columns = [pa.field(name, kinds[kind]) for name, kind in _FACE]
    for model in models:
        columns += [pa.field(column(name, model, models), kinds[kind]) for name, kind in _JUDGED]
        columns += [
            pa.field(column(f"e_{emotion}", model, models), pa.float32())
            for emotion in model.emotions
        ]
    return pa.schema(columns)


def write_table(path: Path, info: SessionInfo, batches: Sequence[Any] | Any) -> None:
    """Write the table of a recording; it appears whole or not at all.

    Args:
        path: of the Parquet file.
        info: goes into its metadata.
        batches: pyarrow tables of `schema`, one after another; each becomes a row group.
    """
    import pyarrow.parquet as pq

    told = schema(info.models).with_metadata({KEY: info.to_json().encode()})
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(beside, told, compression="zstd") as writer:
            for batch in batches:
                writer.write_table(batch.cast(told))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def read_info(path: Path) -> SessionInfo:
    """Read what a table is about.

    Raises:
        SessionError: it is missing, damaged or no table of a session.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        raise SessionError(f"{path}: no such file; emotion-perception predict makes it")
    if path.is_dir():
        raise SessionError(f"{path}: a folder, expected the {SUFFIX} file of a session")
    try:
        metadata: Mapping[bytes, bytes] = pq.read_schema(path).metadata or {}
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())[:120]
        raise SessionError(f"{path}: not a readable Parquet file ({why})") from None
    if KEY not in metadata:
        raise SessionError(f"{path}: not made by emotion-perception predict")
    try:
        return SessionInfo.from_json(metadata[KEY])
    except ValueError as error:
        raise SessionError(f"{path}: {error}") from None


def read_session(path: Path, *, landmarks: bool = False) -> Session:
    """Read the table of a recording.

    Args:
        path: of the Parquet file.
        landmarks: read those too.

    Raises:
        SessionError: it is missing, damaged or no table of a session.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    info = read_info(path)
    expected = [item.name for item in schema(info.models)]
    names = [name for name in expected if landmarks or name != "landmarks"]
    try:
        rows = pq.read_metadata(path).num_rows
        if rows > MOST_ROWS:
            raise SessionError(f"{path}: {rows:,} rows, expected at most {MOST_ROWS:,}")
        table = pq.read_table(path, columns=names)
    except (pa.ArrowException, OSError) as error:
        why = " ".join(str(error).split())[:120]
        raise SessionError(f"{path}: not a readable Parquet file ({why})") from None
    missing = sorted(set(names) - set(table.column_names))
    if missing:
        raise SessionError(f"{path}: columns missing: {', '.join(missing)}")
    return Session(path, info, table.to_pandas())
