# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emotion_perception.image.preprocess import FacePreprocessing
from emotion_perception.training.faces import DataError, from_labels
from emotion_perception.training.splits import (
    blocks,
    check_fold,
    k_fold,
    leave_one_out,
    load_fold_folders,
)


def faces(labels, recordings=None, persons=None, files=None):
    rng = np.random.default_rng(len(labels))
    n = len(labels)
    return from_labels(
        rng.integers(0, 256, (n, 16, 16), np.uint8), labels,
        files=files or [f"frame{i}.jpg" for i in range(n)], persons=persons, recordings=recordings,
    )  # fmt: skip


def recorded(units=6, each=9, person="p"):
    labels = [i % 3 for _ in range(units) for i in range(each)]
    names = [f"r{unit}" for unit in range(units) for _ in range(each)]
    return faces(labels, names, [person] * len(labels))


def test_every_recording_is_tested_once_and_never_learned_from_then():
    data = recorded()
    folds = k_fold(data, 3)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(len(data)))
    for fold in folds:
        assert not set(data.recordings[fold.train]) & set(data.recordings[fold.test])
        assert len(fold.train) + len(fold.test) == len(data)
        assert len(set(data.recordings[fold.test])) == 2  # six in three


def test_by_person_keeps_persons_whole():
    data = faces([0, 1, 2] * 8, ["a", "b"] * 12, [p for p in "wxyz" for _ in range(6)])
    for fold in k_fold(data, 2, by="person"):
        assert not set(data.persons[fold.train]) & set(data.persons[fold.test])


def test_same_name_of_two_peoples_recordings_is_two_recordings():
    data = faces([0, 1, 2] * 4, ["day1"] * 12, list("aaabbbcccddd"))
    assert len(leave_one_out(data)) == 4


def test_classes_are_spread():
    # Three recordings full of positives, three without: every fold needs one of each kind.
    labels, names = [], []
    for unit in range(6):
        labels += [0] * 5 + [1] * 5 + ([2] * 10 if unit < 3 else [])
        names += [f"r{unit}"] * (20 if unit < 3 else 10)
    data = faces(labels, names)
    for fold in k_fold(data, 3):
        assert data.subset(fold.test).counts() == {"negative": 10, "neutral": 10, "positive": 10}


def test_images_without_valence_are_in_no_fold():
    data = faces([0, 1, 2, -1] * 3, [r for r in "abc" for _ in range(4)])
    for fold in k_fold(data, 3):
        assert (data.labels[np.concatenate([fold.train, fold.test])] >= 0).all()


def test_too_few_recordings():
    with pytest.raises(DataError, match=r"recordings as folds \(5\), got 3 .*blocks"):
        k_fold(recorded(units=3), 5)
    with pytest.raises(DataError, match="at least 2 recordings, got 1 \\(p/r0\\)"):
        leave_one_out(recorded(units=1))
    with pytest.raises(DataError, match="at least 2, got 1"):
        k_fold(recorded(), 1)
    with pytest.raises(DataError, match="recording or person, got 'frame'"):
        k_fold(recorded(), 2, by="frame")


def test_person_of_unknown_recordings_stays_whole():
    data = faces([0, 1, 2] * 4, persons=["a"] * 6 + ["b"] * 6)
    for fold in k_fold(data, 2):
        assert len(set(data.persons[fold.test])) == 1
    with pytest.raises(DataError, match="got 1"):
        k_fold(data.subset(range(6)), 2)


def test_images_that_nobody_is_known_in_stand_alone_with_a_warning(caplog):
    folds = k_fold(faces([0, 1, 2] * 4), 2)
    assert [len(fold.test) for fold in folds] == [6, 6]
    assert "stand alone" in caplog.text


def test_empty_class_is_an_error_unless_tests_may_be_partial():
    data = faces([0, 1, 2, 0, 1, 2, 0, 1], list("aaabbbcc"))
    with pytest.raises(DataError, match="c: no image of the class positive in test"):
        leave_one_out(data)
    assert [fold.name for fold in leave_one_out(data, partial=True)] == ["a", "b", "c"]
    alone = faces([0, 1, 2, 0, 1], list("aaabb"))
    with pytest.raises(DataError, match="a: no image of the class positive in train"):
        leave_one_out(alone, partial=True)


def test_copies_of_test_pictures_are_not_learned_from(caplog):
    data = recorded(units=3)
    data.images[10] = data.images[0]  # of another recording
    folds = {fold.name: fold for fold in leave_one_out(data)}
    assert 10 not in folds["p/r0"].train
    assert 0 not in folds["p/r1"].train
    assert {0, 10} <= set(folds["p/r2"].train)
    assert "p/r0: 1 training images are copies" in caplog.text


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 7)), min_size=4, max_size=60),
    st.integers(2, 4),
    st.integers(0, 3),
)
def test_no_recording_is_ever_on_both_sides(pairs, count, seed):
    data = faces([label for label, _ in pairs], [f"r{unit}" for _, unit in pairs])
    try:
        folds = k_fold(data, count, seed=seed, partial=True)
    except DataError:
        return
    assert len(folds) == count
    for fold in folds:
        assert len(fold.test)
        assert not set(data.recordings[fold.train]) & set(data.recordings[fold.test])


def test_blocks_are_neighbours_with_a_gap():
    # One recording in three spans of 40 frames, a span a class; the names are not in order.
    order = np.random.default_rng(0).permutation(120)
    data = faces([int(i) // 40 for i in order], ["r"] * 120, files=[f"f{i}.jpg" for i in order])
    folds = blocks(data, 4, gap=3)
    tested = np.concatenate([fold.test for fold in folds])
    assert sorted(tested.tolist()) == list(range(120))
    for fold in folds:
        assert "same recordings" in fold.name
        assert data.subset(fold.test).counts() == {"negative": 10, "neutral": 10, "positive": 10}
        test, train = order[fold.test], order[fold.train]
        assert min(abs(a - b) for a in test for b in train) == 4
        runs = np.split(np.sort(test), np.flatnonzero(np.diff(np.sort(test)) > 1) + 1)
        assert len(runs) <= 3
    # Blocks 1 and 4 of a class touch those of its neighbours: six runs of 3 frames at the most.
    assert all(len(fold.train) >= 120 - 30 - 18 for fold in folds)


def test_blocks_that_cannot_be():
    with pytest.raises(DataError, match="no image of the class positive in train"):
        blocks(faces([0, 0, 0, 1, 1, 1, 2], ["r"] * 7), 2, gap=0)
    with pytest.raises(DataError, match="in train"):
        blocks(faces([0, 1, 2] * 4, ["r"] * 12), 2, gap=50)


def folder(root, split, names):
    for label in ("negative", "neutral", "positive"):
        (root / split / label).mkdir(parents=True)
        for name in names:
            seed = zlib.crc32(f"{root}{split}{label}{name}".encode())
            image = np.random.default_rng(seed).integers(0, 256, (60, 60), np.uint8)
            cv2.imwrite(str(root / split / label / name), image)


def test_fold_folders_are_taken_as_they_are(tmp_path):
    for fold in ("fold_1", "fold_2"):
        folder(tmp_path / fold, "train", ["anna_idx1.png", "bert_idx1.png"])
        folder(tmp_path / fold, "test", ["cleo_idx1.png"])
    found = load_fold_folders(tmp_path, FacePreprocessing())
    assert [(name, len(train), len(test)) for name, train, test in found] == [
        ("fold_1", 6, 3), ("fold_2", 6, 3),
    ]  # fmt: skip
    one = load_fold_folders(tmp_path / "fold_1", FacePreprocessing())
    assert one[0][1].counts() == {"negative": 2, "neutral": 2, "positive": 2}


def test_person_in_both_folders_is_refused(tmp_path):
    folder(tmp_path, "train", ["anna_idx1.png", "bert_idx1.png"])
    folder(tmp_path, "test", ["anna_idx2.png"])
    with pytest.raises(DataError, match="the same person in train and test: anna"):
        load_fold_folders(tmp_path, FacePreprocessing())


def test_folders_of_something_else_are_refused(tmp_path):
    with pytest.raises(DataError, match="expected train/ and test/"):
        load_fold_folders(tmp_path, FacePreprocessing())


def test_check_names_the_recording():
    train = faces([0, 1, 2], ["a", "b", "c"])
    test = faces([0, 1, 2], ["c", "d", "e"])
    with pytest.raises(DataError, match="fold x: the same recording in train and test: c"):
        check_fold(train, test, "fold x")
