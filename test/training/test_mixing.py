import numpy as np

from emotion_perception.training.mixing import best_mix, cross_fitted


def answers(sure):
    """Logits (N, 3) that are this sure of the right class; negative: of a wrong one."""
    return np.stack([np.array([s, 0, 0], np.float32) for s in sure])


def test_the_likelier_answers_win():
    logits = np.stack([answers([1.0, 1.0]), answers([2.0, 2.0]), answers([3.0, -3.0])])
    assert best_mix(logits, np.zeros(2, np.int64)) == 1


def test_classes_count_alike():
    # Nine images of one class win a nat each, one of another loses three.
    labels = np.array([0] * 9 + [1])
    first = np.zeros((10, 3), np.float32)
    second = np.tile(np.array([4.0, 0, 0], np.float32), (10, 1))
    assert best_mix(np.stack([first, second]), labels[:9]) == 1
    assert best_mix(np.stack([first, second]), labels) == 0


def test_a_fold_does_not_choose_for_itself():
    labels, folds = np.zeros(4, np.int64), np.array([0, 0, 1, 1])
    # The first mix is better on fold 0, the second on fold 1: each gets the other's choice.
    logits = np.stack([answers([3, 3, 0, 0]), answers([0, 0, 2, 2])])
    chosen = cross_fitted(logits, labels, folds)
    np.testing.assert_array_equal(chosen[:2], logits[1][:2])
    np.testing.assert_array_equal(chosen[2:], logits[0][2:])
