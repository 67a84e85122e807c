# Copyright 2026 the emotion_perception maintainers
# SPDX-License-Identifier: Apache-2.0

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from emotion_perception.valence.calibration import (
    calibrate,
    choose_threshold,
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


def test_prior_keeps_a_few_perfect_answers_from_certainty():
    z = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]] * 4
    targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert fit_temperature(z, targets) < 0.15  # every answer would be certain
    assert 0.6 < fit_temperature(z, targets, prior=0.8) < 0.8


def test_prior_yields_to_many_images():
    z, labels = drawn(20000, 2.0)
    targets = np.eye(3, dtype=np.float32)[labels]
    assert fit_temperature(z, targets, prior=0.5) == pytest.approx(2.0, rel=0.05)


def drawn(count, temperature, seed=0):
    """Logits, and labels drawn from their softmax at a temperature."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 6, (count, 3)).astype(np.float32)
    labels = (rng.random((count, 1)) > softmax(z, temperature).cumsum(axis=1)).sum(axis=1)
    return z, labels.clip(0, 2)


# Confidences 0.9, 0.8, 0.7, 0.6, 0.5; accuracies of the first k: 1, 1, 2/3, 3/4, 3/5.
CONFIDENCE = np.array([0.6, 0.9, 0.5, 0.7, 0.8], np.float32)
RIGHT = np.array([True, True, False, False, True])


@pytest.mark.parametrize(
    ("target", "floor", "threshold", "reached"),
    [
        (0.99, 0.2, 0.8, True),
        (0.75, 0.2, 0.6, True),  # the smallest, though 0.8 would do and 0.7 does not
        (0.6, 0.2, 0.5, True),  # everything is answered
        (0.99, 0.6, 0.7, False),  # three of five must be answered, and one of these is wrong
        (0.75, 0.8, 0.6, True),
    ],
)
def test_threshold_of_a_small_case(target, floor, threshold, reached):
    found, ok = choose_threshold(CONFIDENCE, RIGHT, target, floor)
    assert found == pytest.approx(threshold, abs=2e-6)
    assert ok == reached
    answered = np.float32(found) <= CONFIDENCE
    assert answered.sum() == (np.float32(threshold) <= CONFIDENCE).sum()


def test_threshold_does_not_part_equal_confidences():
    confidence = np.array([0.9, 0.7, 0.7, 0.7], np.float32)
    right = np.array([True, True, False, False])
    # 2 of 2 would be right, but the second of three equals can't be answered alone.
    assert choose_threshold(confidence, right, 0.9, 0.25)[0] == pytest.approx(0.9, abs=2e-6)


def test_threshold_of_certainty_can_be_stored():
    found, ok = choose_threshold(np.ones(3, np.float32), np.ones(3, bool))
    assert found < 1
    assert ok


def test_calibration_holds_on_new_images():
    z, labels = drawn(6000, 2.0)
    found = calibrate(z, labels, target_accuracy=0.9)
    assert found.temperature == pytest.approx(2.0, rel=0.06)
    assert found.reached
    new, new_labels = drawn(20000, 2.0, seed=1)
    p = softmax(new, found.temperature)
    answered = p.max(axis=1) >= found.threshold
    right = p.argmax(axis=1) == new_labels
    assert right[answered].mean() == pytest.approx(0.9, abs=0.015)
    # What it says of images it was not fitted to is what happens on others.
    assert found.accuracy_answered == pytest.approx(right[answered].mean(), abs=0.02)
    assert found.coverage == pytest.approx(answered.mean(), abs=0.03)
    assert found.ece < 0.02 < found.ece_before
    assert expected_calibration_error(p, new_labels) < 0.02


def test_clusters_stay_whole_when_cross_fitting():
    # Frames of one recording are copies: parted, they would vouch for each other.
    rng = np.random.default_rng(0)
    truth = np.arange(8) % 3
    z = 2 * np.eye(3)[truth] + rng.normal(0, 2, (8, 3))
    z, labels = np.repeat(z, 50, axis=0).astype(np.float32), np.repeat(truth, 50)
    recordings = np.repeat(np.arange(8), 50)
    parted = calibrate(z, labels)
    whole = calibrate(z, labels, clusters=recordings)
    assert whole.temperature == parted.temperature
    assert whole.nll > parted.nll


def test_one_image_or_one_recording_gives_no_cross_fitted_figures():
    one = calibrate(np.array([[2.0, 0, 0]], np.float32), np.array([0]), prior_temperature=1.0)
    assert np.isnan(one.ece)
    assert 0 < one.threshold < 1
    z, labels = drawn(20, 1.0)
    same = calibrate(z, labels, clusters=np.zeros(20, int))
    assert np.isnan(same.coverage)
    card = same.to_card()
    assert card["calibration"]["coverage"] is None
    assert json.loads(json.dumps(card))["temperature"] == pytest.approx(same.temperature, abs=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels", "options", "words"),
    [
        (np.zeros((0, 3)), [], {}, "at least one image"),
        (np.zeros((2, 3)), [0], {}, "N labels"),
        (np.full((2, 3), np.nan), [0, 1], {}, "NaN"),
        (np.zeros((2, 3)), [0, 3], {}, "labels 0 to 2"),
        (np.zeros((2, 3)), [0, -1], {}, "labels 0 to 2"),
        (np.zeros((2, 3)), [0, 1], {"target_accuracy": 94}, "target_accuracy"),
        (np.zeros((2, 3)), [0, 1], {"coverage_floor": 0}, "coverage_floor"),
    ],
)
def test_unusable_input_is_named(logits, labels, options, words):
    with pytest.raises(ValueError, match=words):
        calibrate(logits, np.array(labels), **options)
