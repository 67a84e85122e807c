# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""What is reviewed, and in which order."""

import math

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

from emotion_perception.sessions.events import find_events, write_events
from emotion_perception.sessions.review_items import (
    ROUNDS,
    Item,
    Said,
    event_items,
    frame_items,
    in_rounds,
    least_sure_first,
)
from emotion_perception.sessions.table import SessionError, read_session

PLAN = [(3, "neutral"), (3, "positive"), (2, "nobody"), (3, "negative"), (1, "dark")]


def item(time, margin=0.5, face_id="f1", others=(), answer="positive"):
    high = (1 + 2 * margin) / 3
    low = (1 - high) / 2
    said = [Said(model="a", model_id="a-1", answer=answer, probabilities=(low, low, high),
                 sure=True)]  # fmt: skip
    said += [
        Said(model="b", model_id="b-1", answer=other, probabilities=(0.3, 0.3, 0.4), sure=False)
        for other in others
    ]
    return Item(kind="frame", face_id=face_id, frame=round(25 * time), time=time, onset=time,
                offset=time, said=tuple(said))  # fmt: skip


def test_events_come_from_the_file_beside_the_table_or_are_found(make_session):
    session = read_session(make_session(PLAN))
    found = event_items(session)
    assert [one.said[0].answer for one in found] == ["positive", "negative"]
    assert [round(one.onset) for one in found] == [3, 8]
    for one in found:
        assert one.onset <= one.time <= one.offset
        assert one.frame == round(25 * one.time)
        assert one.said[0].margin > 0.3
    path = session.path.with_name("session-1.events.csv")
    write_events(path, [find_events(session)[1]])
    assert [one.said[0].answer for one in event_items(session)] == ["negative"]
    path.write_text("something,else\n1,2\n")
    with pytest.raises(SessionError, match=r"session-1\.events\.csv"):
        event_items(session)


def test_whose_items(make_session):
    session = read_session(make_session(PLAN, face_id="f3"))
    for get in (event_items, frame_items):
        everybody = get(session, "all")
        assert everybody
        assert get(session, "partner") == get(session, "f3") == everybody
        with pytest.raises(SessionError, match=r"all or a face_id \(f3\), got f4"):
            get(session, "f4")
    session.rows["is_partner"] = False
    assert event_items(session, "partner") == frame_items(session, "partner") == []
    assert len(event_items(session, "f3")) == 2


def test_a_session_with_nobody_and_one_of_a_single_frame(make_session):
    nobody = read_session(make_session([(1, "nobody")]))
    assert event_items(nobody, "all") == frame_items(nobody, "all") == []
    with pytest.raises(SessionError, match=r"\(nobody\), got f1"):
        frame_items(nobody, "f1")
    single = read_session(make_session([(0.04, "positive")]))
    assert [one.said[0].answer for one in frame_items(single)] == ["positive"]


def test_frames_that_were_not_judged_are_no_items(make_session):
    session = read_session(make_session([(2, "dark"), (2, "neutral")]))
    assert min(one.time for one in frame_items(session)) >= 2


def test_rounds_keep_frames_apart(make_session):
    session = read_session(make_session([(20, "neutral"), (20, "positive")], noise=0.3))
    items = frame_items(session)
    assert items == frame_items(session)
    times = [one.time for one in items]
    for gap in ROUNDS:
        # As long as a frame is so far from all before it, no nearer one is taken.
        count = next((n for n, time in enumerate(times) if _nearest(times[:n], time) < gap), None)
        apart = times[:count]
        assert all(_nearest(apart, t / 25) < gap for t in range(1000))
        assert len(apart) >= 40 / (2 * gap)
    assert min(_nearest(times[:n], time) for n, time in enumerate(times)) >= ROUNDS[-1]
    margins = [one.said[0].margin for one in items]
    first = margins[: next(n for n, t in enumerate(times) if _nearest(times[:n], t) < ROUNDS[0])]
    assert first == sorted(first)
    assert first[0] == min(margins)


def _nearest(times, time):
    return min((abs(time - other) for other in times), default=math.inf)


def test_disputed_and_unsure_frames_come_first():
    items = [
        item(0, 0.1), item(20, 0.9, others=["neutral"]), item(40, 0.05), item(60, 0.9),
        item(80, 0.2, others=["positive"]),
    ]  # fmt: skip
    ordered = in_rounds(items)
    assert [one.time for one in ordered] == [20, 40, 0, 80, 60]
    assert least_sure_first(items) == ordered
    assert in_rounds(items[::-1]) == ordered


def test_persons_take_turns():
    items = [item(t, 0.1, "f1") for t in range(0, 50, 10)] + [item(3, 0.9, "f2")]
    ordered = in_rounds(items)
    assert {one.face_id for one in ordered[:2]} == {"f1", "f2"}


def test_models_that_disagree(make_session):
    path = make_session([(10, "neutral"), (10, "positive")], models=("base", "other"), noise=0.4)
    items = frame_items(read_session(path))
    disputed = [one.disputed for one in items]
    assert all(len(one.said) == 2 for one in items)
    assert items[0].disputed
    assert not all(disputed)
