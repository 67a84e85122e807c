# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Files of recorded sessions: tables, actions, events, ratings, the state of a stopped run."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

from emotion_perception.image.source import SourceError
from emotion_perception.pipeline import ReactionPipeline, Shot
from emotion_perception.sessions.action_times import read_actions_csv, sessions_named
from emotion_perception.sessions.actions import CSV_FIELDS as OBSERVED_FIELDS
from emotion_perception.sessions.actions import moments_of, observe_actions, read_observed
from emotion_perception.sessions.event_file import CSV_FIELDS as EVENT_FIELDS
from emotion_perception.sessions.event_file import read_events
from emotion_perception.sessions.predict import About
from emotion_perception.sessions.ratings import COLUMNS, RatingFile, read_ratings
from emotion_perception.sessions.sheet import collect
from emotion_perception.sessions.state import StateError, freeze, thaw, unpack
from emotion_perception.sessions.table import (
    KEY,
    JudgedBy,
    SessionError,
    SessionInfo,
    read_info,
    read_session,
    schema,
    write_table,
)
from fuzz.hostile import csv_bombs, json_bombs
from fuzz.images import small_picture
from fuzz.reader import Reader
from fuzz.target import Target

_MODEL = JudgedBy(name="base", model_id="base-1+0", threshold=0.6, emotions=("anger",))
_INFO = SessionInfo(
    recording="monday.mp4", session="monday", models=(_MODEL,), origin=1.8e9, width=640, height=480,
    started="2026-03-01T14:05:09+01:00", rate=25.0, frames=3, seconds=0.1,
)  # fmt: skip


def _actions(data: bytes, scratch: Path) -> None:
    """When the robot acted; how it was received; and the sheet of a batch's recordings."""
    reader = Reader(data)
    kind = reader.byte() % 3
    path = scratch / "table.csv"
    path.write_bytes(reader.rest())
    if kind == 0:
        sessions_named(path)
        read_actions_csv(path, _INFO)
    elif kind == 1:
        read_observed(path, "job")
    else:
        collect([], path, scratch, About())


def _actions_seeds() -> Iterator[bytes]:
    for header, row in (
        (b"action_id,time_s,baseline_s,watch_s", b"joke,3.5,2,5"),
        (b"session,action_id,stamp_s", b"monday,joke,1800000003.5"),
        (b"action_id,time", b"joke,2026-03-01T14:05:09.5+01:00"),
    ):
        yield from (b"\0" + text for text in csv_bombs(header, row))
    for odd in ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-W01-1",
                "2026-03-01T24:00:00Z", "2026-03-01T14:05:09.5", "20260301"):  # fmt: skip
        yield b"\0action_id,time\njoke," + odd.encode()
    observed = (
        b"monday,base,joke,3.5,2,5,observed,f1,positive,none,.1,.2,.7,.1,.2,.7,.1,.2,.7,0.5,0.1,"
        b"0.9,0.6,10,20,0,well,job"
    )
    yield from (b"\1" + t for t in csv_bombs(",".join(OBSERVED_FIELDS).encode(), observed))
    sheet = b"recording,session,participant,started"
    yield from (b"\2" + t for t in csv_bombs(sheet, b"a.mp4,s,P1,2026-03-01T14:05:09"))


def _events(data: bytes, scratch: Path) -> None:
    """The reactions of a recording as intervals."""
    path = scratch / "monday.events.csv"
    path.write_bytes(data)
    read_events(path)


def _events_seeds() -> Iterator[bytes]:
    row = b"monday,base,f1,0.9,positive,1.0,1.5,2.0,1.0,0.8,0.7,0.9,25,1.0,false,true,job"
    yield from csv_bombs(",".join(EVENT_FIELDS).encode(), row)


def _ratings(data: bytes, scratch: Path) -> None:
    """What a rater answered, read, and opened to add to it."""
    path = scratch / "monday.review.R1.csv"
    path.write_bytes(data)
    found = read_ratings(path)
    with RatingFile(path) as file:
        for rating in list(found.values())[:2]:
            file.add(rating)
    assert set(found) <= set(read_ratings(path))


def _ratings_seeds() -> Iterator[bytes]:
    row = (
        b"event,f1,30,1.0,2.0,1.5,positive,base-1+0,right,positive,1,0,2.5,"
        b"2026-03-01T14:05:09+00:00"
    )
    yield from csv_bombs(",".join(COLUMNS).encode(), row)
    yield from csv_bombs(",".join(COLUMNS).encode(), row.replace(b"event", b"frame"))


def _table(data: bytes, scratch: Path) -> None:
    """The table of a recording: the whole file, or what it says of itself."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    reader = Reader(data)
    kind, content = reader.byte() % 2, reader.rest()
    path = scratch / "monday.parquet"
    if kind == 0:
        path.write_bytes(content)
    else:
        empty = schema((_MODEL,)).with_metadata({KEY: content}).empty_table()
        pq.write_table(pa.Table.from_batches(empty.to_batches(), empty.schema), path)
    info = read_info(path)
    info.to_json()
    session = read_session(path, landmarks=True)
    moments_of(session)
    observe_actions(session, [])


def _table_seeds() -> Iterator[bytes]:
    import pyarrow as pa

    names = schema((_MODEL,)).names
    rows = [dict.fromkeys(names) | {"frame": i, "time": i / 25, "face_id": "", "is_partner": False}
            for i in range(3)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        write_table(path, _INFO, [pa.Table.from_pylist(rows, schema=schema((_MODEL,)))])
        yield b"\0" + path.read_bytes()
    good = _INFO.to_json()
    yield b"\1" + good.encode()
    yield from (b"\1" + bomb for bomb in json_bombs())
    told = json.loads(good)
    for name in told:
        for odd in (7, None, [], {}, "x", [7], [{}], [[]], 1e999, -1, 10**400, True):
            yield b"\1" + json.dumps({**told, name: odd}).encode()
    for name in told["models"][0]:
        for odd in (7, None, [], {}, "x", [7], [[]], "", ["anger", "anger"]):
            model = {**told["models"][0], name: odd}
            yield b"\1" + json.dumps({**told, "models": [model]}).encode()
            yield b"\1" + json.dumps({**told, "models": [told["models"][0], model]}).encode()


@functools.cache
def _pipeline() -> ReactionPipeline:
    return ReactionPipeline(threads=1)


def _state(data: bytes, _: Path) -> None:
    """What a pipeline knew of a film when it was stopped."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return  # the reader of parts looks after that
    unpack(told)
    thaw(_pipeline(), told)


def _state_seeds() -> Iterator[bytes]:
    yield b'{"in": "list", "items": [1, {"array": "AAAAAA==", "dtype": "<f4", "shape": [1]}]}'
    for text in ('{"is": "Face", "has": {}}', '{"reaction": 9}', '{"count": "x"}', '{"count": []}',
                 '{"array": "AA", "dtype": [], "shape": 1}', '{"keys": [[]], "items": [1]}',
                 '{"array": "", "dtype": "(9,)f4", "shape": [-1]}', '{"pending": {"x": 1}}',
                 '{"array": "AAAA", "dtype": "{\\"a\\"", "shape": [1]}', '{"is": [], "has": 1}',
                 '{"array": "AAAA", "dtype": "V0", "shape": [0]}', '{"is": "Scene", "has": {}}',
                 '{"array": "AAAA", "dtype": "i,,,", "shape": [0]}', '{"in": "deque", "items": 7}',
                 '{"is": "Scene", "has": {"\\u0000": 1}}', '{"array": "", "dtype": "f4",'
                 f'"shape": [{10**30}]}}', '{"keys": [{"keys": [], "items": []}], "items": [1]}',
                 '{"array": "", "dtype": "S0", "shape": [0]}', '{"reaction": 1e999}'):  # fmt: skip
        yield text.encode()
    for depth in (100, 300, 500, 900):
        yield b'{"in":"list","items":[' * depth + b"]}" * depth
        yield b'{"pending":' * depth + b"1" + b"}" * depth
    pipeline = _pipeline()
    picture = small_picture(96, 72)
    pipeline.run_many([Shot(picture, 0.0), Shot(picture, 0.1)])
    yield json.dumps(freeze(pipeline)).encode()
    pipeline.reset()


TARGETS = (
    Target(
        name="actions", read=_actions, allowed=(SessionError, SourceError), seeds=_actions_seeds
    ),
    Target(name="events", read=_events, allowed=(SessionError,), seeds=_events_seeds),
    Target(name="ratings", read=_ratings, allowed=(SessionError,), seeds=_ratings_seeds),
    Target(
        name="table", read=_table, allowed=(SessionError,), seeds=_table_seeds, largest=32768,
        memory_mb=2048,
    ),
    Target(
        name="state", read=_state, allowed=(StateError,), seeds=_state_seeds, largest=32768,
    ),
)  # fmt: skip
