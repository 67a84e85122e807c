# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np

from emotion_perception.training.mixing import best_mix, cross_fitted


def answers(sure):
    """Logits (N, 3) that are this sure of the right class; negative: of a wrong one."""
    return np.stack([np.array([s, 0, 0], np.float32) for s in sure])


def test_the_likelier_answers_win():
    logits = np.stack([answers([1.0, 1.0]), answers([2.0, 2.0]), answers([3.0, -3.0])])
    assert best_mix(logits, np.zeros(2, np.int64)) == 1


def test_classes_count_alike():
    # The second is surer of nine images of one class and wrong of the one of another.
    labels = np.array([0] * 9 + [1])
    first = np.eye(3, dtype=np.float32)[labels]
    second = np.tile(np.array([4.0, 0, 0], np.float32), (10, 1))
    assert best_mix(np.stack([first, second]), labels[:9]) == 1
    assert best_mix(np.stack([first, second]), labels) == 0


def test_how_sure_it_is_does_not_matter():
    right, wrong = np.array([2.0, 0, 0], np.float32), np.array([0, 2.0, 0], np.float32)
    careful = np.stack([right, right, right, wrong])
    better = 30 * np.stack([right, right, right, right + 0.9 * wrong])
    assert best_mix(np.stack([careful, better]), np.zeros(4, np.int64)) == 1


def test_a_fold_does_not_choose_for_itself():
    labels, folds = np.zeros(4, np.int64), np.array([0, 0, 1, 1])
    # The first mix is better on fold 0, the second on fold 1: each gets the other's choice.
    logits = np.stack([answers([3, 3, 0, 0]), answers([0, 0, 2, 2])])
    chosen = cross_fitted(logits, labels, folds)
    np.testing.assert_array_equal(chosen[:2], logits[1][:2])
    np.testing.assert_array_equal(chosen[2:], logits[0][2:])
