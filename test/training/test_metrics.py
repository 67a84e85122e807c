# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from emotion_perception.training.faces import DataError
from emotion_perception.training.metrics import (
    accuracy_at_coverage,
    auc,
    baseline,
    brier_score,
    class_figures,
    confusion_matrix,
    confusion_rates,
    coverage_curve,
    cross_entropy,
    ece_by_chance,
    learning_curves,
    reliability,
)

P = np.array(
    [[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.1, 0.6, 0.3], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]],
    np.float32,
)
LABELS = np.array([0, 0, 1, 1, 2])  # the second is wrong


def test_confusion_of_a_small_case():
    matrix = confusion_matrix(LABELS, P.argmax(axis=1))
    assert matrix.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 1]]
    rates = confusion_rates(np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]]))
    assert rates[0].tolist() == [0.5, 0.5, 0]
    assert np.isnan(rates[2]).all()


def test_class_figures_of_a_small_case():
    negative, neutral, positive = class_figures(P, LABELS)
    assert (negative.images, negative.precision, negative.recall) == (2, 1.0, 0.5)
    assert negative.f1 == pytest.approx(2 / 3)
    assert (neutral.precision, neutral.recall) == (pytest.approx(2 / 3), 1.0)
    assert neutral.f1 == pytest.approx(0.8)
    assert positive.f1 == 1
    # 0.6 and 0.5 against 0.1, 0.5 and 0.2: of six pairs five and a tie
    assert neutral.auc == pytest.approx(5.5 / 6)


def test_class_without_images_has_no_figures_and_one_never_answered_no_precision():
    p = np.array([[0.9, 0.1, 0], [0.6, 0.4, 0]], np.float32)
    negative, neutral, positive = class_figures(p, np.array([0, 1]))
    assert np.isnan(positive.recall)
    assert np.isnan(positive.f1)
    assert np.isnan(positive.auc)
    assert np.isnan(neutral.precision)
    assert neutral.f1 == 0
    assert negative.precision == 0.5


def test_auc_and_f1_agree_with_torchmetrics():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    p = rng.dirichlet([1, 1, 1], 300).astype(np.float32).round(2)  # with ties
    figures = class_figures(p, labels)
    tp, tl = torch.from_numpy(p), torch.from_numpy(labels)
    f1 = metrics.multiclass_f1_score(tp, tl, 3, average=None)
    np.testing.assert_allclose([figure.f1 for figure in figures], f1, atol=1e-6)
    for index, figure in enumerate(figures):
        area = metrics.binary_auroc(tp[:, index], (tl == index).long())
        assert figure.auc == pytest.approx(float(area), abs=1e-5)


def test_auc_of_one_sided_and_constant_scores():
    assert np.isnan(auc(np.array([0.1, 0.2], np.float32), np.array([True, True])))
    assert auc(np.zeros(4, np.float32), np.array([True, False, True, False])) == 0.5


def test_brier_and_cross_entropy_of_a_small_case():
    p = np.array([[0.5, 0.3, 0.2], [0, 0, 1]], np.float32)
    labels = np.array([0, 2])
    assert brier_score(p, labels) == pytest.approx((0.25 + 0.09 + 0.04) / 2)
    assert brier_score(np.array([[1, 0, 0]], np.float32), np.array([2])) == 2
    votes = np.array([[0.5, 0.5, 0], [0, 0, 1]], np.float32)
    expected = -(0.5 * np.log(0.5) + 0.5 * np.log(0.3)) / 2
    assert cross_entropy(p, votes) == pytest.approx(expected, abs=1e-6)


def test_reliability_adds_up_to_the_calibration_error():
    from emotion_perception.valence.calibration import expected_calibration_error

    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1, 1], 500).astype(np.float32)
    labels = rng.integers(0, 3, 500)
    bins = reliability(p, labels)
    assert sum(b.images for b in bins) == 500
    error = sum(b.images / 500 * abs(b.accuracy - b.confidence) for b in bins if b.images)
    assert error == pytest.approx(expected_calibration_error(p, labels), abs=1e-6)
    assert all(b.low <= b.confidence <= b.high for b in bins if b.images)


def test_coverage_curve_of_a_small_case():
    confidence = np.array([0.6, 0.9, 0.6, 0.8], np.float32)
    right = np.array([True, True, False, False])
    thresholds, coverage, accuracy = coverage_curve(confidence, right)
    np.testing.assert_allclose(thresholds, [0.9, 0.8, 0.6], atol=1e-6)
    assert coverage.tolist() == [0.25, 0.5, 1.0]  # equal confidences come and go together
    assert accuracy.tolist() == [1.0, 0.5, 0.5]
    for threshold, share, value in zip(thresholds, coverage, accuracy, strict=True):
        answered = confidence >= threshold - 1e-6
        assert answered.mean() == share
        assert right[answered].mean() == value


def test_accuracy_at_coverage_takes_the_most_certain():
    confidence = np.linspace(0.4, 0.9, 20).astype(np.float32)
    right = np.arange(20) >= 3  # the three least certain are wrong; 17 of 20 are 85 %
    assert accuracy_at_coverage(confidence, right) == 1
    assert accuracy_at_coverage(confidence, right, 1.0) == 0.85


def test_baseline_of_known_frequencies():
    found = baseline(np.array([0, 1, 1, 2]))
    assert found.answer == "neutral"
    assert found.accuracy == 0.5
    assert found.macro_recall == pytest.approx(1 / 3)
    assert found.nll == pytest.approx(1.5 * np.log(2), abs=1e-6)  # the entropy
    assert found.brier == pytest.approx(1 - (0.25**2 + 0.5**2 + 0.25**2))
    assert baseline(np.array([1, 2])).macro_recall == 0.5


LOG = """epoch,loss,step,val_accuracy
0,,9,0.5
0,1.2,9,
1,,19,0.7
1,0.9,19,
2,nan,29,
2,0.
"""


def test_learning_curves_of_a_lightning_log(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(LOG)
    curves = learning_curves(path)
    assert set(curves) == {"loss", "val_accuracy"}
    assert [values.tolist() for values in curves["val_accuracy"]] == [[0, 1], [0.5, 0.7]]
    assert curves["loss"][1].tolist() == [1.2, 0.9, 0.0]


def test_no_training_log(tmp_path):
    with pytest.raises(DataError, match=r"metrics\.csv: cannot read"):
        learning_curves(tmp_path / "metrics.csv")
    for text in ("", "a,b\n1,2\n"):
        (tmp_path / "x.csv").write_text(text)
        with pytest.raises(DataError, match="'epoch'"):
            learning_curves(tmp_path / "x.csv")


def test_a_training_log_with_an_endless_field(tmp_path):
    (tmp_path / "x.csv").write_text('epoch,loss\n1,"' + "x" * 140_000)
    with pytest.raises(DataError, match="cannot read the training log: field larger"):
        learning_curves(tmp_path / "x.csv")


def test_calibration_error_by_chance_is_what_exact_models_show():
    from emotion_perception.valence.calibration import expected_calibration_error

    rng = np.random.default_rng(3)
    p = rng.dirichlet([2, 1, 1], 300).astype(np.float32)
    limit = ece_by_chance(p.max(axis=1))
    below = 0
    for _ in range(200):
        labels = (rng.random((300, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
        below += expected_calibration_error(p, labels) <= limit
    assert below / 200 == pytest.approx(0.95, abs=0.05)
    assert ece_by_chance(np.tile(p.max(axis=1), 16)) == pytest.approx(limit / 4, rel=0.2)
