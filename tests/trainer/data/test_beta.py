"""Quantiles of the symmetric Beta distribution against closed forms and a series."""

import math

import numpy as np
import pytest

from trainer.data.beta import LEVELS, quantiles

MIDDLES = (np.arange(LEVELS) + 0.5) / LEVELS


def test_the_uniform_distribution_has_each_step_once():
    np.testing.assert_array_equal(quantiles(1.0), np.arange(LEVELS))


def test_quantiles_are_those_of_the_arcsine_distribution():
    expected = np.floor(LEVELS * np.sin(np.pi * MIDDLES / 2) ** 2)
    np.testing.assert_array_equal(quantiles(0.5), expected)


def test_quantiles_are_those_of_a_cubic_in_whole_numbers():
    """3 x^2 - 2 x^3, some of whose quantiles are steps themselves."""
    steps = np.arange(LEVELS, dtype=np.int64)
    below = 2 * (3 * steps**2 * LEVELS - 2 * steps**3)
    last = np.searchsorted(below, (2 * steps + 1) * LEVELS**2, side="right") - 1
    np.testing.assert_array_equal(quantiles(2.0), last)
    assert np.isin(below, (2 * steps + 1) * LEVELS**2).any()


def below(x: np.ndarray, beta: float) -> np.ndarray:
    """The share of Beta(beta, beta) below x, by the power series of its density."""
    half = np.minimum(x, 1 - x)
    terms, factor = np.zeros_like(x), 1.0
    for n in range(200):  # each is at most about half of the last
        terms += factor * half**n / (beta + n)
        factor *= (n + 1 - beta) / (n + 1)
    whole = math.exp(2 * math.lgamma(beta) - math.lgamma(2 * beta))
    tail = half**beta * terms / whole
    return np.where(x < 0.5, tail, 1 - tail)


@pytest.mark.parametrize("beta", [0.001, 0.2, 0.4, 1.0, 3.5, 8.0])
def test_as_much_lies_below_a_quantile_as_it_says(beta):
    found = quantiles(beta)
    assert found.min() >= 0
    assert found.max() < LEVELS
    assert (below(found / LEVELS, beta) <= MIDDLES + 1e-9).all()
    assert (below((found + 1) / LEVELS, beta) >= MIDDLES - 1e-9).all()


@pytest.mark.parametrize(("beta", "share"), [(0.001, 0.99), (1000.0, 0.0)])
def test_the_narrowest_and_the_widest_are_ends_and_a_middle(beta, share):
    found = quantiles(beta) / LEVELS
    assert np.mean((found < 0.01) | (found > 0.99)) >= share
    # The standard deviation of a Beta distribution.
    expected = 0.5 / math.sqrt(2 * beta + 1)
    assert found.std() == pytest.approx(expected, rel=1e-3)
