# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest
from drawn import drawn_faces

from emotion_perception.training.faces import DataError, concatenate
from emotion_perception.training.rounds import Round, checked_rounds, make_rounds, union


def test_recordings_are_never_parted():
    rounds = make_rounds(drawn_faces(60, recordings=5), 3)
    assert len(rounds) == 3
    for part in rounds:
        assert set(part.train.recordings).isdisjoint(part.test.recordings)
    assert sum(len(part.test) for part in rounds) == 60


def test_as_many_rounds_as_recordings_at_most():
    assert len(make_rounds(drawn_faces(60, recordings=2), 10)) == 2


def test_several_people_are_parted_by_person():
    faces = concatenate([drawn_faces(12, person=f"P-{n}", seed=n, recordings=2) for n in range(4)])
    for part in make_rounds(faces, 2):
        assert set(part.train.persons).isdisjoint(part.test.persons)


def test_one_recording_is_parted_into_blocks():
    rounds = make_rounds(drawn_faces(180, recordings=1), 3)
    assert len(rounds) == 3
    numbers = [
        np.array([int(name.split("idx")[1][:-4]) for name in faces.files])
        for faces in (rounds[1].train, rounds[1].test)
    ]
    # Frames close to a held-out one are not learned from.
    assert np.abs(numbers[0][:, None] - numbers[1][None]).min() > 2


@pytest.mark.parametrize("count", [0, 3, 15])
def test_too_few_images_of_a_class(count):
    with pytest.raises(DataError, match=r"too few images of the class negative.* at least 6"):
        make_rounds(drawn_faces(count), 2)


def test_an_empty_class_is_named():
    faces = drawn_faces(60)
    with pytest.raises(DataError, match=r"class neutral: at least 6 .* neutral 0"):
        make_rounds(faces.subset(faces.labels != 1), 2)


def test_a_recording_on_both_sides_is_refused():
    faces = drawn_faces(60, recordings=3)
    with pytest.raises(DataError, match=r"fold1: the same recording in train and test: .*day 0"):
        checked_rounds([Round("fold1", faces, faces.subset(faces.recordings == "day 0"))])


def test_union_has_each_image_once():
    faces = drawn_faces(60, recordings=3)
    assert len(union(make_rounds(faces, 3))) == 60
