"""Bits per response against their closed form, and the loss against the one that training minimises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import digamma

from inception_loop.training.likelihood import bits_per_response, unit_poisson_loss
from inception_loop.training.objective import poisson_loss


def counts(shape, rate=2.0, trials=1000, units=600, seed=0):
    """Rates that are gamma distributed over images, and Poisson counts of them."""
    rng = np.random.default_rng(seed)
    rates = rng.gamma(shape, rate / shape, (trials, units))
    return rates, rng.poisson(rates).astype(np.float64)


def test_the_loss_is_that_of_training_unit_by_unit():
    rates, y = counts(1.5, trials=50, units=4)
    whole = poisson_loss(torch.from_numpy(rates), torch.from_numpy(y)).item()
    each = unit_poisson_loss(rates, y)
    assert each.mean() == pytest.approx(whole)
    np.testing.assert_allclose(each, [(q - k * np.log(q)).mean() for q, k in zip(rates.T, y.T, strict=True)])


@pytest.mark.parametrize("shape", [0.7, 2.0, 10.0])
def test_true_rates_carry_their_information_about_spikes(shape):
    rates, y = counts(shape)
    found = bits_per_response(rates, y)
    expected = (digamma(shape + 1) - np.log(shape)) / np.log(2)  # E[r log2(r/mean)]/mean of gamma rates
    own_mean = 1 / (
        2 * y.sum(0).mean() * np.log(2)
    )  # what the constant gains by being fitted to these trials
    variance = (y.var(0) / y.mean(0)).mean()
    error = found.std() / np.sqrt(found.size)
    assert found.mean() == pytest.approx(expected, abs=4 * error + 2 * variance * own_mean)


def test_a_constant_carries_none_and_a_worse_guess_less():
    rates, y = counts(2.0, trials=200, units=5)
    flat = np.broadcast_to(y.mean(0), y.shape)
    np.testing.assert_allclose(bits_per_response(flat, y), 0, atol=1e-9)
    assert (bits_per_response(3 * flat, y) < 0).all()
    assert (bits_per_response(rates, y) < bits_per_response(np.maximum(y, 1e-9), y)).all()


def test_the_unit_of_the_responses_does_not_matter():
    rates, y = counts(2.0, trials=200, units=5)
    np.testing.assert_allclose(
        bits_per_response(0.37 * rates, 0.37 * y), bits_per_response(rates, y), atol=1e-6
    )


def test_what_has_no_likelihood_has_no_bits():
    rates, y = counts(2.0, trials=20, units=4)
    y[3, 0], rates[5, 1], y[:, 2] = -0.1, -0.1, 0
    assert np.isnan(bits_per_response(rates, y)).tolist() == [True, True, True, False]
    assert np.isnan(unit_poisson_loss(rates, y)).tolist() == [False, True, False, False]
