# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json
import math
import sys

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")
pytest.importorskip("rich")

from emotion_perception.cli import main
from emotion_perception.faces.face import Face
from emotion_perception.reaction.observation import (
    HISTORY_S,
    MomentRing,
    Outcome,
    describe,
    length_problem,
    observe,
)
from emotion_perception.reaction.reaction import FaceReaction, Reaction, Reason
from emotion_perception.sessions.actions import (
    Action,
    actions_path,
    moments_of,
    observe_actions,
    read_actions_bag,
    read_actions_csv,
    read_observed,
    write_observed,
)
from emotion_perception.sessions.table import SessionError, SessionInfo, read_session

PLAN = [(6, "neutral"), (3, "positive"), (4, "neutral"), (3, "negative"), (1, "dark"),
        (4, "nobody"), (2, "neutral")]  # fmt: skip
INFO = SessionInfo(
    recording="x.mp4", session="day 1", origin=1000.5, started="2026-03-01T14:05:00+01:00"
)


@pytest.fixture
def recording(make_session):
    return read_session(make_session(PLAN))


def live(recording, model=""):
    """Return what the node would have kept of a recording, made by its own code."""
    ring = MomentRing(1000.0)
    box = Face(np.array([0, 0, 9, 9], np.float32), 0.9, np.zeros((5, 2), np.float32))
    names = [f"frame_p_{name}{model}" for name in ("negative", "neutral", "positive")]
    for time, rows in recording.rows.groupby("time"):
        reactions = []
        for _, row in rows[rows.face_id != ""].iterrows():
            own = row[names].to_numpy(np.float32)
            reactions.append(
                FaceReaction(
                    face=box, probabilities=np.zeros(3, np.float32), reaction=Reaction.UNKNOWN,
                    reason=Reason.LOW_QUALITY, stamp=time, face_id=row.face_id,
                    is_partner=bool(row.is_partner), problem=row.problem,
                    frame_probabilities=None if np.isnan(own).any() else own,
                )
            )  # fmt: skip
        ring.add_frame(time, reactions)
    return ring


def same(found, expected):
    assert (found.outcome, found.face_id, found.reaction, found.reason) == (
        expected.outcome, expected.face_id, expected.reaction, expected.reason,
    )  # fmt: skip
    for name in ("baseline", "response", "verdict", "change", "interval", "onset"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)
    for name in ("baseline_frames", "response_frames", "missed_frames"):
        assert getattr(found, name) == getattr(expected, name)


def test_what_the_robot_would_have_been_told(make_session):
    recording = read_session(make_session(PLAN, models=("base", "other"), noise=0.2))
    # In a crowd some frames are not judged although they could be.
    recording.rows.loc[50:300:3, [name for name in recording.rows if "frame_p_" in name]] = np.nan
    assert any(moment.waited for moment in moments_of(recording))
    actions = [
        Action(action_id="joke", time=start, baseline=baseline, watch=watch)
        for start in (0.0, 1.0, 5.5, 9.5, 12.5, 15.5, 17.2, 20.0, 22.0)
        for baseline, watch in ((2.0, 4.0), (0.5, 1.5), (30.0, 10.0))
    ]
    for model, end in (("base", ""), ("other", "__other")):
        ring = live(recording, end)
        for told in observe_actions(recording, actions, model=model):
            start, stop = told.time, told.time + told.watch
            moments = ring.between(start - max(HISTORY_S, told.baseline), stop)
            expected = observe(moments, "", start, told.baseline, stop, 0.6)
            same(told.observation, expected)
            assert told.text.startswith(describe(expected))
            assert (told.model, told.session) == (model, "session-1")


def test_verdicts(recording):
    actions = [
        Action(action_id="joke", time=5.5),
        Action(action_id="scolding", time=12.5, watch=3.0),
        Action(action_id="alone", time=18.8, watch=2.0),
        Action(action_id="early", time=0.0, baseline=1.0, watch=2.0),
        Action(action_id="late", time=22.0),
    ]
    joke, scolding, alone, early, late = observe_actions(recording, actions)
    assert joke.observation.reaction is Reaction.POSITIVE
    assert joke.observation.onset == pytest.approx(0.5, abs=0.15)
    assert joke.text.startswith("received positively; the face turned brighter after 0.5 s")
    assert scolding.observation.reaction is Reaction.NEGATIVE
    assert (scolding.watch, scolding.baseline) == (3.0, 2.0)
    assert alone.observation.outcome is Outcome.NO_FACE
    assert math.isnan(early.observation.change)
    assert "how the person was before is not known" in early.text
    assert late.text.endswith("the recording ends 3.0 s before the time to watch")
    assert "recording ends" not in joke.text


def test_whom_and_how_sure(recording):
    action = [Action(action_id="joke", time=5.5)]
    (nobody,) = observe_actions(recording, action, face_id="f9")
    assert nobody.observation.outcome is Outcome.NO_FACE
    (unsure,) = observe_actions(recording, action, threshold=1.0)
    assert unsure.observation.reason is Reason.LOW_CONFIDENCE


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (Action(action_id="a", time=99.0), "not within the recording (0 to 23.0 s)"),
        (Action(action_id="a", time=-9.0), "not within the recording (0 to 23.0 s)"),
        (Action(action_id="a", time=5.0, watch=500.0), "window: expected 0.5 to 120 s"),
        (Action(action_id="a", time=5.0, baseline=-1.0), "baseline: expected 0.5 to 30 s"),
    ],
)
def test_what_the_robot_would_refuse(recording, action, text):
    (told,) = observe_actions(recording, [action])
    assert told.observation.outcome is Outcome.REFUSED
    assert told.observation.reaction is Reaction.UNKNOWN
    assert text in told.text


def test_zero_is_the_default(recording):
    zero = Action(action_id="a", time=5.5, baseline=0.0, watch=0.0)
    (told,) = observe_actions(recording, [zero], baseline=1.0, watch=1.0)
    assert (told.baseline, told.watch) == (2.0, 4.0)
    assert not length_problem(0, 0)


def test_what_is_written_is_read(recording, tmp_path):
    actions = [Action(action_id=name, time=time) for name, time in
               (('a "joke", a good one', 5.5), ("x", 17.2), ("y", 99.0), ("z", 0.0))]  # fmt: skip
    observed = observe_actions(recording, actions)
    path = actions_path(tmp_path / "Tag 1.parquet")
    assert path.name == "Tag 1.actions.csv"
    write_observed(path, observed)
    again = read_observed(path)
    for before, after in zip(observed, again, strict=True):
        assert (before.session, before.model, before.action_id, before.text, before.time) == (
            after.session, after.model, after.action_id, after.text, after.time,
        )  # fmt: skip
        assert (before.baseline, before.watch) == (after.baseline, after.watch)
        for name in ("baseline", "response", "verdict", "change", "interval", "onset"):
            first, second = (getattr(each.observation, name) for each in (before, after))
            np.testing.assert_allclose(first, second, atol=1e-4)
        for name in ("outcome", "face_id", "reaction", "reason", "missed_frames"):
            assert getattr(before.observation, name) == getattr(after.observation, name)
    first = path.read_bytes()
    write_observed(path, again)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("action_id", "action", "missing: action_id"),
        ("observed", "seen", "line 2: outcome: expected one of observed, no_face"),
        ("5.500000", "soon", "line 2: time_s: expected a number, got soon"),
        (",positive,", ",happy,", "line 2: reaction: expected one of unknown"),
    ],
)
def test_other_files_are_refused(recording, tmp_path, old, new, message):
    path = tmp_path / "x.actions.csv"
    write_observed(path, observe_actions(recording, [Action(action_id="joke", time=5.5)]))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SessionError, match=message):
        read_observed(path)


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("action_id,time_s\njoke,3\nsong,1.5\n", [1.5, 3.0]),
        ("time_s,action_id\n-1,joke\n\n", [-1.0]),
        ("action_id,stamp_s\njoke,1003.75\n", [3.25]),
        ("action_id,time\njoke,2026-03-01T14:05:02.5+01:00\n", [2.5]),
        ("action_id,time\njoke,2026-03-01T13:05:02Z\n", [2.0]),
        ("action_id;time_s;note\njoke;3;louder\n", [3.0]),
        ("\ufeffaction_id\ttime_s\r\nthe joke\t3\r\n", [3.0]),
        ("session,action_id,time_s\nday 1,joke,3\nday 2,joke,4\n", [3.0]),
        ("session,action_id,time_s\nday 2,joke,4\n", []),
    ],
)
def test_times_of_actions(tmp_path, text, times):
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    assert [action.time for action in read_actions_csv(path, INFO)] == pytest.approx(times)


def test_lengths_of_actions(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("action_id,time_s,baseline_s,watch_s\njoke,1,,6\nsong,2,1.5,\n")
    assert read_actions_csv(path, INFO) == [
        Action(action_id="joke", time=1.0, watch=6.0),
        Action(action_id="song", time=2.0, baseline=1.5),
    ]


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("", {}, "expected a header with action_id"),
        ("action_id,time_s\n", {}, "no action in it"),
        ("action_id\njoke\n", {}, "expected one column of time_s, stamp_s, time, got none"),
        ("action_id,time_s,time\nj,1,2\n", {}, "expected one column of .* got time_s, time"),
        ("action_id,time_s\njoke,1\nsong,soon\n", {}, "line 3: time_s: expected seconds, got soon"),
        ("action_id,time_s\njoke,inf\n", {}, "line 2: time_s: expected seconds, got inf"),
        ("action_id,time_s\njoke,\n", {}, "line 2: time_s: expected seconds, got nothing"),
        ("action_id,time_s\n,1\n", {}, "line 2: action_id: expected a name"),
        ("action_id,time_s,watch_s\nj,1,long\n", {}, "watch_s: expected seconds or nothing"),
        ("action_id,stamp_s\njoke,1\n", {"origin": None}, "stamp_s: the ROS time of x.mp4 is not"),
        ("action_id,time\njoke,2026-03-01T14:05:02+01:00\n", {"started": ""},
         "time: when x.mp4 was recorded is not known"),
        ("action_id,time\njoke,2026-03-01T14:05:02\n", {}, "expected it with a time zone"),
        ("action_id,time\njoke,2026-03-01T14:05:02Z\n", {"started": "2026-03-01T14:05:00"},
         "expected it without a time zone"),
        ("action_id,time\njoke,noon\n", {}, "line 2: time: expected a date and time as"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_read(tmp_path, text, changes, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    info = SessionInfo(**{**vars(INFO), **changes})
    with pytest.raises(SessionError, match=message) as caught:
        read_actions_csv(path, info)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


BEGIN = 1_800_000_000


@pytest.fixture(params=["MCAP", "SQLITE3"])
def bag(request, tmp_path):
    """A bag with texts, stamped messages, others without either, and a type that is the robot's."""
    rosbag2 = pytest.importorskip("rosbags.rosbag2", reason="pip install '.[capture]'")
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    store.register(get_types_from_msg(
        "std_msgs/Header header\nstring action_id\nfloat32 power", "robot_msgs/msg/Action"
    ))  # fmt: skip
    types = store.types
    stamp = types["builtin_interfaces/msg/Time"]
    header = types["std_msgs/msg/Header"]
    messages = {
        "/said": ("std_msgs/msg/String", [types["std_msgs/msg/String"](t) for t in ("joke", "")]),
        "/pressed": ("std_msgs/msg/Bool", [types["std_msgs/msg/Bool"](True)]),
        "/stamped": ("std_msgs/msg/Header", []),
        "/point": ("geometry_msgs/msg/PointStamped", [
            types["geometry_msgs/msg/PointStamped"](
                header(stamp(BEGIN + 7, 500_000_000), "map"),
                types["geometry_msgs/msg/Point"](0, 0, 0),
            )
        ]),
        "/own": ("robot_msgs/msg/Action", [
            types["robot_msgs/msg/Action"](header(stamp(BEGIN + 9, 0), ""), "dance", 1.0),
            types["robot_msgs/msg/Action"](header(stamp(0, 0), ""), "sing", 1.0),
        ]),
    }  # fmt: skip
    path = tmp_path / "bag"
    with rosbag2.Writer(
        path, version=9, storage_plugin=rosbag2.StoragePlugin[request.param]
    ) as writer:
        for topic, (kind, items) in messages.items():
            connection = writer.add_connection(topic, kind, typestore=store)
            for index, item in enumerate(items):
                data = store.serialize_cdr(item, kind)
                writer.write(connection, (BEGIN + 2 + 2 * index) * 10**9, data)
    return path


def test_actions_of_a_bag(bag):
    info = SessionInfo(recording="bag", session="bag", origin=BEGIN + 1.0)

    def read(topic):
        return [(a.action_id, pytest.approx(a.time)) for a in read_actions_bag(bag, topic, info)]

    assert read("/said") == [("joke", 1.0), ("/said", 3.0)]
    assert read("/pressed") == [("/pressed", 1.0)]
    assert read("/point") == [("/point", 6.5)]
    assert read("/own") == [("sing", 3.0), ("dance", 8.0)]
    for topic, message in (
        ("/none", r"topic: expected one of /own, .*/stamped, got /none"),
        ("/stamped", "/stamped holds no message"),
    ):
        with pytest.raises(SessionError, match=message):
            read_actions_bag(bag, topic, info)
    with pytest.raises(SessionError, match="the ROS time of x is not known"):
        read_actions_bag(bag, "/said", SessionInfo(recording="x", session="x"))


def test_a_damaged_bag(tmp_path):
    pytest.importorskip("rosbags", reason="pip install '.[capture]'")
    path = tmp_path / "x.mcap"
    path.write_bytes(b"\x89MCAP0\r\n" + b"nonsense" * 20)
    with pytest.raises(SessionError, match="not a readable bag") as caught:
        read_actions_bag(path, "/said", INFO)
    assert "\n" not in str(caught.value)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["emotion-perception", "events", *map(str, arguments)])
    try:
        return main()
    except SystemExit as ended:
        return ended.code or 0


def test_command(make_session, monkeypatch, capsys, tmp_path):
    table = make_session(PLAN)
    actions = tmp_path / "robot did.csv"
    actions.write_text("action_id,time_s,watch_s\njoke,5.5,\nscolding,12.5,3\n")
    assert run(monkeypatch, table, "--actions", actions, "--before", 1, "--after", 3.4) == 0
    out = capsys.readouterr().out
    assert "5.50 s  joke: received positively" in out
    joke, scolding = read_observed(tmp_path / "session-1.actions.csv")
    assert (joke.baseline, joke.watch, scolding.watch) == (1.0, 3.4, 3.0)
    assert run(monkeypatch, table, "--actions", actions, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["sessions"]
    assert [each["reaction"] for each in told["actions"]] == ["positive", "negative"]


def test_command_with_a_bag(make_session, monkeypatch, capsys, bag, tmp_path):
    table = make_session(PLAN, origin=BEGIN - 3.5)
    assert run(monkeypatch, table, "--actions", bag) == 1
    assert "is a bag; name the topic by --actions-topic" in capsys.readouterr().err
    assert run(monkeypatch, table, "--actions", bag, "--actions-topic", "/said") == 0
    joke, _ = read_observed(tmp_path / "session-1.actions.csv")
    assert joke.action_id == "joke"
    assert joke.time == pytest.approx(5.5)
    assert joke.observation.reaction is Reaction.POSITIVE


def test_command_on_several_tables(make_session, monkeypatch, capsys, tmp_path):
    tables = [make_session(PLAN, name) for name in ("day-1", "day-2")]
    actions = tmp_path / "a.csv"
    actions.write_text("action_id,time_s\njoke,5.5\n")
    assert run(monkeypatch, *tables, "--actions", actions) == 1
    assert "does not say which of 2 recordings it is about" in capsys.readouterr().err
    actions.write_text("session,action_id,time_s\nday-1,joke,5.5\n")
    assert run(monkeypatch, *tables, "--actions", actions) == 0
    assert len(read_observed(tmp_path / "day-1.actions.csv")) == 1
    assert read_observed(tmp_path / "day-2.actions.csv") == []
    assert "warning" not in capsys.readouterr().err
    actions.write_text("session,action_id,time_s\nDay-1,joke,5.5\n")
    assert run(monkeypatch, tables[0], "--actions", actions) == 0
    assert "warning: " in (told := capsys.readouterr().err)
    assert "no table of Day-1; those actions were left out" in told
