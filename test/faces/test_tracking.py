# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.faces.face import Face
from emotion_perception.faces.tracking import FaceTracker, apart, assign, look_of


def face(x, y=240.0, side=100.0):
    box = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2], np.float32)
    return Face(box, 0.99, np.zeros((5, 2), np.float32))


def ids(tracks):
    return [track.face_id for track in tracks]


def test_ids_start_with_a_letter_and_are_never_used_again():
    tracker = FaceTracker()
    assert ids(tracker.update([face(100), face(400)], 0.0)) == ["f1", "f2"]
    assert ids(tracker.update([face(402), face(103)], 0.1)) == ["f2", "f1"]
    tracker.reset()
    assert ids(tracker.update([face(100)], 0.2)) == ["f3"]


@pytest.mark.parametrize("rate", [5, 15, 60])
def test_two_people_who_cross_keep_their_ids(rate):
    tracker = FaceTracker()
    seen = {"a": set(), "b": set()}
    for step in range(3 * rate):
        way = step / (3 * rate)
        a, b = 100 + 440 * way, 540 - 440 * way
        # The one behind is hidden while they overlap.
        faces = {"a": face(a, 240), "b": face(b, 250)}
        if abs(a - b) < 60:
            del faces["b"]
        for name, track in zip(faces, tracker.update([*faces.values()], step / rate), strict=True):
            seen[name].add(track.face_id)
    assert len(seen["a"]) == len(seen["b"]) == 1
    assert seen["a"] != seen["b"]


@pytest.mark.parametrize(("gap", "same"), [(0.3, True), (1.0, True), (2.5, True), (3.5, False)])
def test_a_face_that_is_gone_for_a_while(gap, same):
    tracker = FaceTracker()
    for step in range(20):
        first = tracker.update([face(200)], step / 10)[0].face_id
    tracker.update([], 2.0)
    assert (tracker.update([face(215)], 1.9 + gap)[0].face_id == first) is same


def test_who_jumps_across_the_room_is_somebody_else():
    tracker = FaceTracker()
    tracker.update([face(100)], 0.0)
    assert ids(tracker.update([face(500)], 0.1)) == ["f2"]


def test_looks_decide_where_places_do_not():
    a, b = np.eye(2, dtype=np.float32)
    tracker = FaceTracker()
    tracker.update([face(200), face(230)], 0.0, [a, b])
    # After a second out of sight they are back in each other's place.
    tracker.update([], 0.5)
    assert ids(tracker.update([face(202), face(228)], 1.0, [b, a])) == ["f2", "f1"]


def test_time_that_starts_over_ends_all_tracks():
    tracker = FaceTracker()
    tracker.update([face(100)], 10.0)
    assert ids(tracker.update([face(100)], 2.0)) == ["f2"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 640), st.floats(0, 480), st.floats(1, 300)), max_size=7),
        max_size=8,
    )
)
def test_each_face_of_a_frame_has_an_id_of_its_own(frames):
    tracker = FaceTracker()
    for step, boxes in enumerate(frames):
        tracks = tracker.update([face(*box) for box in boxes], step / 10)
        assert len({track.face_id for track in tracks}) == len(boxes)


def test_assignment_pairs_as_many_as_may_be():
    # Row 0 would like column 0 best, but then row 1 would be left alone.
    cost = np.array([[1.0, 2.0], [1.5, math.inf]])
    assert sorted(assign(cost, 10.0)) == [(0, 1), (1, 0)]
    assert assign(np.array([[11.0]]), 10.0) == []
    assert assign(np.zeros((0, 3)), 10.0) == []


def test_looks_of_one_person_are_alike_and_light_does_not_matter():
    rng = np.random.default_rng(0)
    frame, other = (rng.integers(0, 200, (60, 80, 3)).astype(np.uint8) for _ in range(2))
    where = face(40, 30, 30)
    crop, strange = frame[10:58, 10:58, 0], other[10:58, 10:58, 0]
    look = look_of(frame, where, crop)
    brighter = look_of(frame + 40, where, crop + 40)
    assert np.linalg.norm(look) == pytest.approx(1, abs=1e-5)
    assert look @ brighter > 0.99
    assert look @ look_of(other, where, strange) < 0.7
    # Mostly outside the frame, but never an error.
    assert look_of(frame, face(-14, 30, 30), crop).shape == look.shape
    assert np.isfinite(look_of(np.zeros_like(frame), where, np.zeros_like(crop))).all()


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([], True),
        ([(100, 100)], True),
        ([(100, 100), (301, 100)], True),
        ([(100, 100), (299, 100)], False),
        ([(100, 100), (100, 350)], True),  # above each other
        ([(100, 100), (500, 100), (560, 100)], False),
    ],
)
def test_who_is_far_from_everybody(places, expected):
    assert apart([face(x, y) for x, y in places], 2.0) == expected
