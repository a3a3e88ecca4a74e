"""Calibration against hand-worked examples."""

import numpy as np
import pytest

from tests.helpers.messages import refused
from trainer.evaluation import calibration


def test_bins_of_a_reliability_diagram_by_hand():
    # Right, wrong, right, wrong. The third of five bins, (0.4, 0.6], holds two of them.
    confidence = np.array([0.9, 0.75, 0.55, 0.55])
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1))
    bins = calibration.reliability_bins(logits, np.array([0, 1, 0, 1]), num_bins=5)
    np.testing.assert_array_equal(bins.count, [0, 0, 2, 1, 1])
    np.testing.assert_allclose(bins.accuracy, [np.nan, np.nan, 0.5, 0, 1])
    np.testing.assert_allclose(bins.confidence, [np.nan, np.nan, 0.55, 0.75, 0.9])
    # (2 * |0.5 - 0.55| + |0 - 0.75| + |1 - 0.9|) / 4
    assert bins.ece == pytest.approx(0.2375)


def test_a_bin_holds_its_upper_edge():
    logits = np.zeros((1, 2))  # a confidence of exactly 1/2
    bins = calibration.reliability_bins(logits, np.array([0]), num_bins=2)
    np.testing.assert_array_equal(bins.count, [1, 0])


def test_certain_and_right_is_perfectly_calibrated():
    bins = calibration.reliability_bins(np.array([[1e4, 0.0]]), np.array([0]))
    assert bins.ece == 0
    assert bins.count[-1] == 1


def test_reliability_of_nothing_is_refused():
    with refused(ValueError, "one example"):
        calibration.reliability_bins(np.zeros((0, 3)), np.zeros(0, dtype=int))


def test_temperature_divides_the_logits():
    logits = np.log([0.9, 0.1])
    probs = calibration.softmax(logits, temperature=2)
    np.testing.assert_allclose(probs, [0.75, 0.25])  # odds of sqrt(9)


def test_wilson_interval_of_a_textbook_case():
    low, high = calibration.wilson_interval(np.array([8, 0]), np.array([10, 10]))
    np.testing.assert_allclose(low, [0.490, 0.0], atol=5e-4)
    np.testing.assert_allclose(high, [0.943, 0.278], atol=5e-4)
