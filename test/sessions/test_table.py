# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

from emotion_perception.sessions.table import (
    SessionError,
    SessionInfo,
    Unreadable,
    read_info,
    read_session,
)

PLAN = [(1, "neutral"), (1, "positive"), (1, "nobody"), (1, "dark")]


def test_what_is_written_is_read(make_session):
    path = make_session(
        PLAN, participant="P-1", models=("base", "other"), emotions=("happiness", "anger"),
        unreadable=(Unreadable(start=1.0, end=2.0, frames=3, why="broken"),), notes=("a note",),
    )  # fmt: skip
    session = read_session(path)
    assert session.info.participant == "P-1"
    assert session.info.unreadable[0].why == "broken"
    assert SessionInfo.from_json(session.info.to_json()) == session.info == read_info(path)
    rows = session.rows
    assert len(rows) == 100
    assert (rows.face_id == "").sum() == 25
    assert rows.frame_p_positive.isna().sum() == 50
    assert {"p_positive__other", "reaction__other", "e_anger", "reaction"} <= set(rows)
    assert "landmarks" not in rows
    assert len(read_session(path, landmarks=True).rows.landmarks[0]) == 10
    assert session.model("other").name == "other"
    with pytest.raises(SessionError, match="model: expected one of base, other, got third"):
        session.model("third")


def test_the_same_rows_give_the_same_bytes(make_session):
    first = make_session(PLAN).read_bytes()
    assert make_session(PLAN).read_bytes() == first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; emotion-perception predict makes it"),
        ("folder", "a folder, expected the .parquet file"),
        (b"", "not a readable Parquet file"),
        (b"PAR1 and then nonsense PAR1", "not a readable Parquet file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "x.parquet"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SessionError, match=message) as caught:
        read_session(path)
    assert str(path) in str(caught.value)


def test_tables_of_others_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(SessionError, match="not made by emotion-perception predict"):
        read_session(path)
    pq.write_table(
        pa.table({"a": [1]}).replace_schema_metadata({"emotion_perception": '{"format": 2}'}), path
    )
    with pytest.raises(SessionError, match="expected metadata of format 1"):
        read_session(path)
