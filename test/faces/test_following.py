# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""Finding faces in films, with the real detector on real faces."""

import numpy as np
import pytest

from emotion_perception.faces.following import FaceFollower
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames
from emotion_perception.team import team


class Counted:
    """The real detector; counts how often which of its searches is called."""

    def __init__(self):
        self._real = MtcnnDetector(threads=1)
        self.full, self.near, self.parts = 0, 0, []
        self.refine_many, self.costs = self._real.refine_many, self._real.costs

    def detect(self, frame):
        self.full += 1
        return self._real.detect(frame)

    def search(self, frame, parts, known):
        if len(parts) == len(self.costs(*frame.shape[:2])) and not len(known):
            self.full += 1
        else:
            self.parts.append(list(parts))
        return self._real.search(frame, parts, known)

    def find_near(self, frame, box):
        self.near += 1
        return self._real.find_near(frame, box)


@pytest.fixture
def detector():
    return Counted()


@pytest.fixture(scope="module")
def clip():
    pytest.importorskip("matplotlib")
    return list(demo_frames(30.0))


def overlap(a, b):
    corner, end = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inside = np.clip(end - corner, 0, None).prod()
    return inside / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inside)


def test_a_followed_face_is_where_a_full_search_finds_it(detector, clip):
    follower = FaceFollower()
    for index, frame in enumerate(clip[:90]):
        faces = follower.find(detector, frame, index / 30)
        assert len(faces) == 1
        if index % 15 == 14:
            full = detector._real.detect(frame)
            assert overlap(faces[0].box, full[0].box) > 0.8
            eyes = np.linalg.norm(full[0].landmarks[1] - full[0].landmarks[0])
            apart = np.linalg.norm(faces[0].landmarks - full[0].landmarks, axis=1)
            assert apart.max() < 0.2 * eyes
    assert detector.full == 1
    assert detector.near == 0
    # Every part of the frame is searched more than four times a second, and never all in one frame.
    visits = [part for parts in detector.parts for part in parts]
    for part in range(len(detector.costs(480, 640))):
        assert 12 <= visits.count(part) <= 15
    assert max(len(parts) for parts in detector.parts) < len(detector.costs(480, 640))


def test_the_same_work_at_every_frame_rate(detector, clip):
    follower = FaceFollower()
    for index in range(0, 90, 6):
        follower.find(detector, clip[index], index / 30)
    visits = [part for parts in detector.parts for part in parts]
    assert 11 <= visits.count(0) <= 15


@pytest.mark.parametrize("rate", [15, 30])
def test_somebody_new_is_noticed_within_300_ms(detector, clip, rate):
    alone = clip[30]
    both = alone.copy()
    # The same person once more, smaller, beside the first.
    small = alone[60:330:2, 170:440:2]
    both[300 : 300 + small.shape[0], 10 : 10 + small.shape[1]] = small
    if len(detector._real.detect(both)) != 2:
        pytest.skip("the clip has changed")
    follower = FaceFollower()
    for index in range(20):
        assert len(follower.find(detector, alone, index / rate)) == 1
    first = next(
        index for index in range(20)
        if len(follower.find(detector, both, (20 + index) / rate)) == 2
    )  # fmt: skip
    assert first / rate <= 0.3
    assert detector.full == 1


@pytest.fixture(scope="module")
def empty(clip):
    return clip[int((DEMO_SPANS[1][0] + DEMO_SPANS[1][1]) / 2 * 30)]


def test_who_leaves_is_gone_at_once_and_who_is_back_is_there_within_100_ms(detector, clip, empty):
    follower = FaceFollower()
    assert len(follower.find(detector, clip[30], 0.0)) == 1
    assert follower.find(detector, empty, 0.03) == []
    assert (detector.full, detector.near) == (2, 1)  # around the place, then everywhere
    found = [len(follower.find(detector, clip[30], 0.06 + index * 0.03)) for index in range(4)]
    assert found[-1] == 1
    assert detector.full == 2


def test_where_nobody_is_parts_of_the_frame_are_searched(detector, clip, empty):
    follower = FaceFollower()
    for index in range(30):
        assert follower.find(detector, empty, index / 30) == []
    assert detector.full == 1
    assert detector.near == 0
    assert 8 < len(detector.parts) < 29
    first = next(
        index for index in range(20)
        if len(follower.find(detector, clip[30], (30 + index) / 30)) == 1
    )  # fmt: skip
    assert first / 30 <= 0.3
    assert detector.full == 1


def test_a_face_that_jumps_is_found_around_its_place(detector, clip):
    follower = FaceFollower()
    follower.find(detector, clip[30], 0.0)
    before = follower.find(detector, clip[30], 0.03)[0]
    side = int(before.box[3] - before.box[1])
    moved = np.roll(clip[30], int(0.5 * side), axis=1)
    found = follower.find(detector, moved, 0.06)
    assert len(found) == 1
    assert found[0].box[0] - before.box[0] == pytest.approx(0.5 * side, abs=0.1 * side)
    assert detector.full == 1


@pytest.mark.parametrize("threads", [2, 4])
@pytest.mark.parametrize("rate", [10, 30])
def test_helpers_change_nothing(clip, threads, rate):
    alone, helped = FaceFollower(), FaceFollower(team(threads))
    detectors = [MtcnnDetector(threads=1), MtcnnDetector(threads=threads)]
    shared = np.empty_like(clip[0])
    for index, frame in enumerate(clip[60:240:3]):
        expected = alone.find(detectors[0], frame, index / rate)
        shared[:] = frame  # as a camera does that has one buffer
        found = helped.find(detectors[1], shared, index / rate)
        shared[:] = 255
        assert len(found) == len(expected)
        for face, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(face.box, other.box, atol=0.05)
            np.testing.assert_allclose(face.landmarks, other.landmarks, atol=0.05)


@pytest.mark.parametrize("change", ["gap", "back", "size"])
def test_what_is_no_film_is_searched_as_a_whole(detector, clip, change):
    follower = FaceFollower()
    follower.find(detector, clip[30], 10.0)
    stamp = {"gap": 12.0, "back": 9.0, "size": 10.03}[change]
    frame = clip[30][::2, ::2] if change == "size" else clip[30]
    assert len(follower.find(detector, frame, stamp)) == 1
    assert detector.full == 2


def test_a_detector_that_cannot_follow_is_asked_each_time(clip):
    calls = []

    class Plain:
        def detect(self, frame):
            calls.append(frame.shape)
            return []

    follower = FaceFollower()
    for index in range(3):
        assert follower.find(Plain(), clip[0], index / 30) == []
    assert len(calls) == 3


def test_parts_of_the_search_find_what_the_whole_finds(clip):
    detector = MtcnnDetector(threads=1)
    frame = clip[30]
    costs = detector.costs(*frame.shape[:2])
    assert sum(costs) == pytest.approx(1)
    assert max(costs) < 0.55
    whole = detector.detect(frame)
    nobody = np.empty((0, 4), np.float32)
    every = detector.search(frame, range(len(costs)), nobody)
    # Boxes are those of `detect` but for how the frame is resized.
    assert len(every) == len(whole) == 1
    assert overlap(every[0].box, whole[0].box) > 0.9
    alone = [detector.search(frame, [part], nobody) for part in range(len(costs))]
    assert max(overlap(face.box, whole[0].box) for part in alone for face in part) > 0.85
    known = np.stack([face.box for face in whole])
    assert detector.search(frame, range(len(costs)), known) == []
    assert detector.search(frame, [], known) == []
    assert detector.costs(8, 8) == []


def test_another_detector_searches_the_whole_frame(clip):
    first, second = Counted(), Counted()
    follower = FaceFollower()
    follower.find(first, clip[30], 0.0)
    follower.find(second, clip[30], 0.03)
    assert (first.full, second.full) == (1, 1)


def test_a_search_that_fails_says_so_once(detector, clip):
    follower = FaceFollower()
    failures = []
    search = detector.search

    def fail(frame, parts, known):
        if len(known):
            raise RuntimeError("no")
        return search(frame, parts, known)

    detector.search = fail
    for index in range(12):
        if index == 6:
            detector.search = search
        try:
            assert len(follower.find(detector, clip[30], index / 30)) == 1
        except RuntimeError:
            failures.append(index)
    assert failures
    assert max(failures) <= 6
