"""Finding faces in films, with the real detector on real faces."""

import numpy as np
import pytest

from emotion_perception.faces.following import FaceFollower
from emotion_perception.faces.mtcnn import MtcnnDetector
from emotion_perception.image.demo_clip import DEMO_SPANS, demo_frames


class Counted:
    """The real detector; counts how often which of its searches is called."""

    def __init__(self):
        self._real = MtcnnDetector(threads=1)
        self.full, self.parts = 0, []
        self.refine, self.costs = self._real.refine, self._real.costs

    def detect(self, frame):
        self.full += 1
        return self._real.detect(frame)

    def search(self, frame, parts, known):
        self.parts.append(list(parts))
        return self._real.search(frame, parts, known)


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
    # Every part of the frame is searched four times a second, and never two in one frame.
    visits = [part for parts in detector.parts for part in parts]
    for part in range(len(detector.costs(480, 640))):
        assert 10 <= visits.count(part) <= 14
    assert len(visits) == len(detector.parts) < 30


def test_the_same_work_at_every_frame_rate(detector, clip):
    follower = FaceFollower()
    for index in range(0, 90, 6):
        follower.find(detector, clip[index], index / 30)
    visits = [part for parts in detector.parts for part in parts]
    assert 9 <= visits.count(0) <= 13


def test_somebody_new_is_noticed_within_300_ms(detector, clip):
    alone = clip[30]
    both = alone.copy()
    # The same person once more, smaller, beside the first.
    small = alone[60:330:2, 170:440:2]
    both[300 : 300 + small.shape[0], 10 : 10 + small.shape[1]] = small
    if len(detector._real.detect(both)) != 2:
        pytest.skip("the clip has changed")
    follower = FaceFollower()
    for index in range(20):
        assert len(follower.find(detector, alone, index / 30)) == 1
    first = next(
        index for index in range(20)
        if len(follower.find(detector, both, (20 + index) / 30)) == 2
    )  # fmt: skip
    assert first / 30 <= 0.3
    assert detector.full == 1


def test_who_leaves_is_gone_at_once_and_who_comes_is_there_at_once(detector, clip):
    empty = clip[int((DEMO_SPANS[1][0] + DEMO_SPANS[1][1]) / 2 * 30)]
    follower = FaceFollower()
    assert len(follower.find(detector, clip[30], 0.0)) == 1
    assert follower.find(detector, empty, 0.03) == []
    assert len(follower.find(detector, clip[30], 0.06)) == 1
    assert detector.full == 3


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
    whole = detector.detect(frame)
    every = detector.search(frame, range(len(costs)), np.empty((0, 4), np.float32))
    np.testing.assert_array_equal([f.box for f in every], [f.box for f in whole])
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
