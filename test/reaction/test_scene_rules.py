# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

"""The rules of a scene, on faces that need no network: who is who, and whose turn it is."""

import itertools

import numpy as np
import pytest

from emotion_perception.faces.face import Face
from emotion_perception.faces.quality import QualityLimits
from emotion_perception.faces.stillness import StillnessOptions
from emotion_perception.faces.tracking import TrackingOptions
from emotion_perception.reaction import scene as scene_module
from emotion_perception.reaction.partner import PartnerOptions
from emotion_perception.reaction.reaction import Reaction, Reason
from emotion_perception.reaction.scene import Enrolled, Scene, SceneOptions
from emotion_perception.reaction.smoothing import ReactionFilter, SmoothingOptions

SMILE = np.float32([0.05, 0.05, 0.9])
SAD = np.float32([0.9, 0.05, 0.05])
CALM = np.float32([0.05, 0.9, 0.05])
FRAME = np.full((480, 640, 3), 128, np.uint8)
CROP = np.random.default_rng(0).integers(0, 255, (48, 48)).astype(np.uint8)
DARK = np.zeros((48, 48), np.uint8)


def face_at(x, y=100.0, side=50.0):
    points = np.float32([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    box = np.float32([x, y, x + side, y + side])
    return Face(box, 0.99, points * side + box[:2])


def scene_with(**options):
    return Scene(SceneOptions(**{"stillness": None, **options}))


def look(scene, faces, stamp, crops=None, **more):
    return scene.look(FRAME, faces, crops or [CROP] * len(faces), stamp, **more)


def told(scene, faces, stamp, *answers, crops=None, threshold=0.7):
    sight = look(scene, faces, stamp, crops)
    given = np.stack(answers) if answers else np.empty((0, 3), np.float32)
    return scene.tell(sight, given, threshold)


def test_what_a_look_says():
    scene = scene_with()
    faces = [face_at(20), face_at(300, side=80.0), face_at(500)]
    crops = [CROP, CROP.copy(), DARK]
    sight = look(scene, faces, 5.0, crops)
    assert (sight.stamp, sight.told_at) == (5.0, 5.0)
    assert sight.faces == faces
    assert sight.face_ids == ["f1", "f2", "f3"]
    assert sight.problems == ["", "", "dark"]
    assert [quality.size for quality in sight.qualities] == [50.0, 80.0, 50.0]
    assert sight.partner == "f2"
    assert sight.judged == [True, True, False]
    assert [id(crop) for crop in sight.crops] == [id(crops[0]), id(crops[1])]
    assert len({id(one) for one in sight.filters}) == 3
    again = look(scene, faces, 5.1, crops)
    assert again.face_ids == sight.face_ids
    assert again.filters == sight.filters


def test_each_face_is_told_its_own_answer():
    scene = scene_with()
    faces, crops = [face_at(20), face_at(200), face_at(400, side=90)], [CROP, DARK, CROP]
    sight = scene.look(FRAME, faces, crops, 1.0)
    emotions = [({"joy": 1.0}, {"joy": 2.0}), ({"joy": 3.0}, {"joy": 4.0})]
    first, dark, last = scene.tell(
        sight, np.stack([SMILE, SAD]), 0.7, [np.stack([CALM, SMILE])],
        [[one[0] for one in emotions], [one[1] for one in emotions]],
    )  # fmt: skip
    assert [one.face for one in (first, dark, last)] == faces
    assert [one.face_id for one in (first, dark, last)] == ["f1", "f2", "f3"]
    assert [one.reaction for one in (first, dark, last)] == [
        Reaction.POSITIVE, Reaction.UNKNOWN, Reaction.NEGATIVE,
    ]  # fmt: skip
    assert [one.is_partner for one in (first, dark, last)] == [False, False, True]
    assert (dark.reason, dark.problem, first.problem) == (Reason.LOW_QUALITY, "dark", "")
    assert dark.frame_probabilities is None
    np.testing.assert_array_equal(first.frame_probabilities, SMILE)
    np.testing.assert_array_equal(last.frame_probabilities, SAD)
    np.testing.assert_allclose(first.probabilities, SMILE, atol=1e-6)
    np.testing.assert_array_equal(first.also, [CALM])
    np.testing.assert_array_equal(last.also, [SMILE])
    assert (dark.also, dark.emotions, dark.also_emotions) == ((), {}, ())
    assert (first.emotions, first.also_emotions) == ({"joy": 1.0}, ({"joy": 2.0},))
    assert (last.emotions, last.also_emotions) == ({"joy": 3.0}, ({"joy": 4.0},))
    assert (first.stamp, first.quality) == (1.0, sight.qualities[0])


def test_without_emotions_none_are_told():
    (one,) = told(scene_with(), [face_at(20)], 1.0, SMILE)
    assert (one.emotions, one.also_emotions, one.also) == ({}, (), ())


def test_the_threshold_is_that_of_the_model():
    unsure = np.float32([0.2, 0.2, 0.6])
    for threshold, reaction in ((0.5, Reaction.POSITIVE), (0.7, Reaction.UNKNOWN)):
        (one,) = told(scene_with(), [face_at(20)], 1.0, unsure, threshold=threshold)
        assert one.reaction == reaction


# Time


def test_a_late_frame_counts_as_of_now_and_is_told_by_its_own_time():
    scene = scene_with()
    look(scene, [face_at(20)], 10.0)
    for late in (9.9, 9.5):
        sight = look(scene, [face_at(20)], late)
        assert (sight.stamp, sight.told_at, sight.face_ids) == (10.0, late, ["f1"])


def test_a_frame_that_comes_too_late_begins_anew():
    scene = scene_with()
    look(scene, [face_at(20)], 10.0)
    sight = look(scene, [face_at(20)], 9.49)
    assert (sight.stamp, sight.told_at, sight.face_ids) == (9.49, 9.49, ["f2"])


def test_frames_with_one_stamp_are_judged_each_by_itself():
    scene = scene_with()
    for answer in (SMILE, CALM, SAD):
        (one,) = told(scene, [face_at(20)], 3.0, answer)
        np.testing.assert_allclose(one.probabilities, answer, atol=1e-6)
    (one,) = told(scene, [face_at(20)], 3.1, CALM)
    assert one.probabilities[0] > 0.1  # as a film it remembers


def test_reset_forgets_everybody_but_not_the_numbers():
    scene = scene_with(partner=PartnerOptions(strategy="locked", patience=100.0))
    assert look(scene, [face_at(20)], 1.0).partner == "f1"
    scene.reset()
    sight = look(scene, [face_at(20), face_at(300, side=80)], 1.1)
    assert (sight.face_ids, sight.partner) == (["f2", "f3"], "f3")
    scene.reset()
    assert look(scene, [face_at(20)], 0.0).stamp == 0.0


def test_scenes_may_share_the_numbers_of_faces():
    numbers = itertools.count(7)
    scenes = [Scene(numbers=numbers) for _ in range(2)]
    assert [look(one, [face_at(20)], 0.0).face_ids for one in scenes] == [["f7"], ["f8"]]
    assert scenes[0].options == SceneOptions()


def test_who_left_is_forgotten():
    scene = scene_with(tracking=TrackingOptions(max_gap=1.0))
    look(scene, [face_at(20)], 0.0)
    look(scene, [], 5.0)
    assert scene._people == {}  # or a day's visitors fill the memory
    assert look(scene, [face_at(20)], 5.1).face_ids == ["f2"]


# Options


def test_other_options_count_from_the_next_frame():
    scene = scene_with()
    faces = [face_at(20, side=90), face_at(400)]
    look(scene, faces, 0.0)
    options = SceneOptions(
        tracking=TrackingOptions(max_gap=0.6),
        smoothing=SmoothingOptions(dwell=7.0),
        partner=PartnerOptions(strategy="face_id", face_id="f2"),
        quality=QualityLimits(min_size=60.0),
        stillness=StillnessOptions(after=1.0),
    )
    scene.configure(options)
    assert scene.options is options
    sight = look(scene, faces, 0.05)
    assert (sight.face_ids, sight.partner, sight.problems) == (["f1", "f2"], "f2", ["", "small"])
    assert [one.options.dwell for one in sight.filters] == [7.0, 7.0]
    for stamp in (0.5, 1.0):
        assert look(scene, faces[:1], stamp).problems == [""]
    assert look(scene, faces[:1], 1.2).problems == ["picture"]
    scene.configure(SceneOptions(stillness=StillnessOptions(after=1.0)))
    assert look(scene, faces[:1], 1.25).problems == ["picture"]  # it still hangs there
    scene.configure(SceneOptions(stillness=None))
    assert look(scene, faces[:1], 1.3).problems == [""]
    assert look(scene, faces[:1], 9.0).face_ids != ["f1"]


def test_new_people_are_followed_with_the_options():
    scene = scene_with(smoothing=SmoothingOptions(dwell=7.0), stillness=StillnessOptions(after=0.2))
    sight = look(scene, [face_at(20)], 0.0)
    assert sight.filters[0].options.dwell == 7.0
    assert [look(scene, [face_at(20)], stamp).problems for stamp in (0.2, 0.3)] == [
        [""], ["picture"],
    ]  # fmt: skip


# The partner


@pytest.mark.parametrize(
    ("strategy", "faces", "partner"),
    [
        # The largest part inside the frame: of the second most is cut off, at each side.
        ("largest", [face_at(100, side=90), face_at(590, side=150)], "f1"),
        ("largest", [face_at(100, side=90), face_at(-100, side=150)], "f1"),
        ("largest", [face_at(300, side=90), face_at(10, 430, 150)], "f1"),
        ("largest", [face_at(300, 300, side=90), face_at(10, -100, 150)], "f1"),
        ("largest", [face_at(100, side=90), face_at(450, side=120)], "f2"),
        ("largest", [face_at(700, side=90), face_at(450, side=10.5)], "f2"),
        # The middle of the frame is at 320.
        ("centre", [face_at(240), face_at(340)], "f2"),
        ("centre", [face_at(200), face_at(380)], "f2"),
        ("centre", [face_at(260), face_at(340)], "f1"),
        ("centre", [face_at(320 - 25), face_at(0, side=300)], "f1"),
    ],
)
def test_whom_the_robot_deals_with(strategy, faces, partner):
    scene = scene_with(
        partner=PartnerOptions(strategy=strategy), quality=QualityLimits(min_size=1.0)
    )
    assert look(scene, faces, 0.0).partner == partner


def test_a_picture_is_not_the_partner():
    scene = scene_with(stillness=StillnessOptions(after=0.5))
    rng = np.random.default_rng(1)
    partners = []
    for stamp in np.arange(0, 1.2, 0.2):
        alive = rng.integers(0, 255, (48, 48)).astype(np.uint8)
        faces = [face_at(20, side=90), face_at(400)]
        sight = look(scene, faces, float(stamp), [CROP, alive])
        partners.append(sight.partner)
        assert sight.judged == [sight.partner == "f1", True]
    assert partners == ["f1"] * 3 + ["f2"] * 3


def likeness_of(found, stamps, threshold=0.5):
    """Whether the partner is there at each time, and how often it was looked at who it is."""
    scene = scene_with(partner=PartnerOptions(strategy="enrolled"))
    values, asked = iter(found), []

    def recognise(crop):
        asked.append(crop)
        return next(values)

    enrolled = Enrolled(recognise=recognise, threshold=threshold)
    there = [
        look(scene, [face_at(20)], stamp, enrolled=enrolled).partner == "f1" for stamp in stamps
    ]
    assert all(crop is CROP for crop in asked)
    return there, len(asked)


def test_who_it_is_is_looked_at_in_the_first_frames_and_then_once_a_second():
    assert likeness_of([1.0] * 4, [0.0, 0.1, 0.2, 0.3, 0.4, 1.1]) == ([True] * 6, 3)
    assert likeness_of([1.0] * 5, [0.0, 0.1, 0.2, 1.2, 1.3, 2.1, 2.2]) == ([True] * 7, 5)


@pytest.mark.parametrize(
    ("found", "threshold", "there"),
    [
        # The mean of the first looks, ...
        ([0.5], 0.5, [True]),
        ([0.49], 0.5, [False]),
        ([0.9, 0.3], 0.59, [True, True]),
        ([0.9, 0.3], 0.61, [True, False]),
        ([0.9, 0.3, 0.0], 0.39, [True, True, True]),
        ([0.9, 0.3, 0.0], 0.41, [True, True, False]),
        # ... and a new one counts for three tenths: 0.4 + 0.3 * (1 - 0.4) is 0.58.
        ([0.4, 0.4, 0.4, 1.0], 0.57, [False, False, False, True]),
        ([0.4, 0.4, 0.4, 1.0], 0.59, [False, False, False, False]),
    ],
)
def test_likeness_is_gathered(found, threshold, there):
    assert likeness_of(found, [2.0 * n for n in range(len(found))], threshold)[0] == there


def test_who_cannot_be_seen_well_is_not_recognised():
    scene, asked = scene_with(partner=PartnerOptions(strategy="enrolled")), []
    enrolled = Enrolled(recognise=lambda crop: asked.append(crop) or 1.0, threshold=0.5)
    sight = look(scene, [face_at(20)], 0.0, [DARK], enrolled=enrolled)
    assert (sight.partner, asked) == ("", [])
    assert look(scene, [face_at(20)], 0.1, enrolled=enrolled).partner == "f1"
    assert look(scene, [face_at(20)], 0.2).partner == ""  # nobody is enrolled any more


# Turns


def crowd(count=10):
    return [face_at(60 * n, side=52 if n == 4 else 50) for n in range(count)]


@pytest.mark.parametrize(
    ("gap", "judged"),
    [(1 / 30, 4), (0.05, 6), (0.1, 10), (0.5, 10), (0.01, 2)],  # the partner and others at 10 Hz
)
def test_how_many_are_judged_in_a_crowd(gap, judged):
    scene = scene_with()
    look(scene, crowd(), 0.0)
    assert sum(look(scene, crowd(), gap).judged) == judged


@pytest.mark.parametrize(("count", "judged"), [(3, 3), (4, 2), (5, 3)])
def test_a_few_are_no_crowd(count, judged):
    scene = scene_with()
    look(scene, crowd(count), 0.0)
    assert sum(look(scene, crowd(count), 1 / 30).judged) == judged


def test_those_who_have_waited_longest_are_next():
    scene = scene_with()
    sights = [look(scene, crowd(), n / 30) for n in range(7)]
    assert all(sights[0].judged)
    for three in (sights[1:4], sights[4:7]):
        times = np.sum([sight.judged for sight in three], axis=0)
        assert times.tolist() == [1] * 4 + [3] + [1] * 5
    assert all(len(sight.crops) == 4 for sight in sights[1:])


def test_who_is_new_does_not_wait():
    scene = scene_with()
    look(scene, crowd(8), 0.0)
    sight = look(scene, crowd(10), 0.001)
    assert sight.judged == [False] * 4 + [True] + [False] * 3 + [True, True]


def test_who_cannot_be_judged_is_no_crowd():
    scene = scene_with()
    crops = [CROP] * 3 + [DARK] * 7
    look(scene, crowd(), 0.0, crops)
    assert look(scene, crowd(), 0.01, crops).judged == [True] * 3 + [False] * 7


def test_who_waits_is_told_what_is_known():
    scene = scene_with()
    sight = look(scene, crowd(), 0.0)
    scene.tell(sight, np.tile(SMILE, (10, 1)), 0.7)
    sight = look(scene, crowd(), 0.01)
    known = scene.tell(sight, np.tile(SMILE, (sum(sight.judged), 1)), 0.7)
    waiting = [one for one, now in zip(known, sight.judged, strict=True) if not now]
    assert len(waiting) == 8
    alone = ReactionFilter()
    alone.update(SMILE, 0.0, 0.7)
    for one in waiting:
        assert (one.reaction, one.reason) == (Reaction.POSITIVE, Reason.NONE)
        assert one.frame_probabilities is None
        np.testing.assert_allclose(one.probabilities, alone.wait(0.01)[0], atol=1e-6)


# Who looks like whom


@pytest.fixture
def looked(monkeypatch):
    """Count the faces whose looks are taken, which costs time."""
    seen = []

    def look_of(frame, face, crop):
        seen.append(face)
        return known(frame, face, crop)

    known = scene_module.look_of
    monkeypatch.setattr(scene_module, "look_of", look_of)
    return seen


def test_where_places_tell_who_is_who_looks_are_taken_now_and_then(looked):
    scene, faces = scene_with(), [face_at(20), face_at(300)]
    counts = []
    for stamp in (0.0, 0.1, 0.19, 0.2, 0.3, 0.39, 0.41):
        look(scene, faces, stamp)
        counts.append(len(looked))
    assert counts == [2, 2, 2, 4, 4, 4, 6]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([face_at(20), face_at(300)], [face_at(20)]),  # somebody left
        ([face_at(20)], [face_at(20), face_at(300)]),  # or came
        ([face_at(20), face_at(100)], [face_at(20), face_at(100)]),  # close to each other
        ([face_at(20), face_at(300)], [face_at(230), face_at(300)]),  # came close
    ],
)
def test_where_places_do_not_tell_looks_are_taken(looked, before, after):
    scene = scene_with()
    look(scene, before, 0.0)
    look(scene, after, 0.05)
    assert len(looked) == len(before) + len(after)
