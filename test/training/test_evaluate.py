import numpy as np
import pytest

from emotion_perception.training.evaluate import evaluate_probabilities


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
    import json

    p, labels = figures()
    result = evaluate_probabilities(
        p, labels, np.eye(3, dtype=np.float32)[labels], model_id="m", threshold=0.99999
    )
    assert json.loads(json.dumps(result.to_json()))["model_id"] == "m"
