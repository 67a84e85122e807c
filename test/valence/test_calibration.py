import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emotion_perception.valence.calibration import (
    expected_calibration_error,
    fit_temperature,
    negative_log_likelihood,
    softmax,
)

logits = arrays(np.float32, (5, 3), elements=st.floats(-60, 60, width=32))


@given(logits, st.floats(0.1, 10))
def test_softmax_is_a_distribution_in_the_same_order(values, temperature):
    p = softmax(values, temperature)
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert (p >= 0).all()
    best = values.argmax(axis=1)
    assert (p[np.arange(5), best] >= p.max(axis=1) - 1e-6).all()


def test_softmax_of_nothing():
    assert softmax(np.empty((0, 3), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_fit_finds_the_temperature_that_labels_were_drawn_with(temperature):
    rng = np.random.default_rng(0)
    z = rng.normal(0, 3, (20000, 3)).astype(np.float32)
    p = softmax(z, temperature)
    labels = (rng.random((20000, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    targets = np.eye(3, dtype=np.float32)[labels]
    fitted = fit_temperature(z, targets)
    assert fitted == pytest.approx(temperature, rel=0.05)
    best = negative_log_likelihood(z, targets, fitted)
    assert best <= negative_log_likelihood(z, targets, fitted * 1.05)
    assert best <= negative_log_likelihood(z, targets, fitted / 1.05)


def test_calibration_error_of_known_cases():
    sure = np.tile(np.array([[0.9, 0.05, 0.05]], np.float32), (10, 1))
    labels = np.array([0] * 9 + [1])
    assert expected_calibration_error(sure, labels) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(sure, np.ones(10, np.int64)) == pytest.approx(0.9)
