# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest

from emotion_perception.training.evaluate import (
    Judged,
    compare,
    evaluate_judged,
    evaluate_probabilities,
)
from emotion_perception.training.faces import DataError, from_labels


def figures(seed=0, n=400):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[labels]
    p = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
    return p, labels


def test_figures_agree_with_torchmetrics():
    torch = pytest.importorskip("torch")
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    p, labels = figures()
    result = evaluate_probabilities(
        p, labels, np.eye(3, dtype=np.float32)[labels], model_id="m", threshold=0.5
    )
    tp, tl = torch.from_numpy(p), torch.from_numpy(labels)
    accuracy = metrics.multiclass_accuracy(tp, tl, 3, average="micro")
    recall = metrics.multiclass_recall(tp, tl, 3, average="macro")
    precision = metrics.multiclass_precision(tp, tl, 3, average=None)
    ece = metrics.multiclass_calibration_error(tp, tl, 3, n_bins=15)
    confusion = metrics.multiclass_confusion_matrix(tp, tl, 3)
    assert result.accuracy == pytest.approx(float(accuracy), abs=1e-6)
    assert result.macro_recall == pytest.approx(float(recall), abs=1e-6)
    np.testing.assert_allclose(list(result.precision.values()), precision, atol=1e-6)
    assert result.ece == pytest.approx(float(ece), abs=1e-4)
    assert result.confusion == confusion.tolist()


def test_interval_holds_the_figure_and_abstention_helps():
    p, labels = figures()
    result = evaluate_probabilities(
        p, labels, np.eye(3, dtype=np.float32)[labels], model_id="m", threshold=0.6
    )
    low, high = result.accuracy_interval
    assert low < result.accuracy < high
    assert 0.02 < high - low < 0.15
    assert 0 < result.coverage < 1
    assert result.accuracy_covered > result.accuracy
    assert result.accuracy_at_85 >= result.accuracy


def test_json_is_plain():
    p, labels = figures()
    result = evaluate_probabilities(
        p, labels, np.eye(3, dtype=np.float32)[labels], model_id="m", threshold=0.99999
    )
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert values["model_id"] == "m"
    assert values["accuracy_covered"] is None  # nothing is answered


def faces(labels, **names):
    images = np.zeros((len(labels), 8, 8), np.uint8)
    return from_labels(images, labels, files=["x"] * len(labels), **names)


def test_frames_of_a_person_are_not_taken_for_independent():
    p, labels = figures()
    copies = np.repeat(np.arange(400), 9)
    people = [f"p{i}" for i in copies]
    once = evaluate_judged(Judged("m", "m", 0.5, p), faces(labels))
    alone = evaluate_judged(Judged("m", "m", 0.5, p[copies]), faces(labels[copies]))
    whole = evaluate_judged(Judged("m", "m", 0.5, p[copies]), faces(labels[copies], persons=people))
    assert (once.over, alone.over, whole.over) == ("images", "images", "persons")
    assert once.accuracy == pytest.approx(whole.accuracy)

    def width(result):
        return np.ptp(result.accuracy_interval)

    # Nine copies of each image add nothing, whatever their number says.
    assert width(alone) == pytest.approx(width(once) / 3, rel=0.15)
    assert width(whole) == pytest.approx(width(once), rel=0.1)
    assert np.ptp(whole.accuracy_at_85_interval) > 2 * np.ptp(alone.accuracy_at_85_interval)


def test_class_without_images_does_not_count():
    labels = np.array([1, 1, 2, 2])
    p = np.eye(3, dtype=np.float32)[[1, 1, 2, 0]]
    result = evaluate_judged(Judged("m", "m", 0.5, p), faces(labels))
    assert result.macro_recall == pytest.approx(0.75)
    assert result.baseline_accuracy == 0.5
    assert result.to_json()["recall"]["negative"] is None
    assert np.isfinite(result.macro_recall_interval).all()


def test_comparison_draws_the_same_images():
    p, labels = figures()
    q = p.copy()
    q[:40] = np.eye(3, dtype=np.float32)[labels[:40]]
    found = compare(p, q, faces(labels))
    assert found.lost == 0
    assert found.accuracy == pytest.approx(found.won / 400)
    assert found.accuracy_interval[0] > 0
    assert found.better == 1


def test_nothing_to_score_is_an_error():
    with pytest.raises(DataError, match="no face"):
        evaluate_judged(Judged("m", "m", 0.5, np.empty((0, 3), np.float32)), faces([]))
    p, _ = figures(n=2)
    with pytest.raises(DataError, match="labelled"):
        evaluate_judged(Judged("m", "m", 0.5, p), faces([0, -1]))
