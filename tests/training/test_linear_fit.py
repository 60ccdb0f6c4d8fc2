"""The penalty is each unit's best on the validation trials, however many units are solved at a time."""

from __future__ import annotations

import tracemalloc
from itertools import product

import numpy as np
import pytest

from inception_loop.training import linear_fit as module
from inception_loop.training.linear_fit import Tier, averages, fit_linear
from inception_loop.training.scores import pearson
from inception_loop.training.smooth_ridge import SmoothRidge, spike_triggered_average

SMOOTHNESS, STRENGTH = (0.0, 3.0), (0.01, 0.3, 10.0)


def simulated(units, trials=(300, 80, 60), size=(8, 10), seed=0):
    """Linear-nonlinear cells: filters (N, H, W) and the tiers; unit 0 is silent, 1 ignores the image."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    places = rng.uniform(2, [size[1] - 3, size[0] - 3], (units, 2))
    filters = np.stack(
        [
            np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 3) * np.cos(rng.uniform(0, 1.5) * (x - cx))
            for cx, cy in places
        ]
    )
    filters /= np.linalg.norm(filters, axis=(1, 2), keepdims=True)
    tiers = []
    for count in trials:
        images = rng.normal(size=(count, *size)).astype(np.float32)
        drive = np.einsum("thw,uhw->tu", images, filters)
        responses = rng.poisson(np.logaddexp(0, 2 * drive)).astype(np.float32)
        responses[:, 0], responses[:, 1] = 0, rng.poisson(1, count)
        tiers.append(Tier(images, responses))
    return filters, tiers


@pytest.mark.parametrize("at_once", [1, 3, 512])
def test_each_unit_has_the_penalty_that_predicts_its_validation_trials_best(at_once, monkeypatch):
    monkeypatch.setattr(module, "UNITS_AT_ONCE", at_once)
    _, (train, validation, test) = simulated(8)
    fit = fit_linear(train, validation, test.images, SMOOTHNESS, STRENGTH)
    scores, filters, predicted = {}, {}, {}
    for smoothness, strength in product(SMOOTHNESS, STRENGTH):
        ridge = SmoothRidge(train.images, smoothness)
        solved = ridge.solve(ridge.moments(train.responses), strength)
        scores[smoothness, strength] = pearson(
            ridge.project(validation.images) @ solved, validation.responses
        )
        filters[smoothness, strength] = ridge.filters(solved)
        predicted[smoothness, strength] = ridge.project(test.images) @ solved + train.responses.mean(0)
    for unit in range(1, 8):
        best = max(scores, key=lambda one: scores[one][unit])
        assert (fit.smoothness[unit], fit.strength[unit]) == best
        assert fit.val_corr[unit] == pytest.approx(scores[best][unit])
        np.testing.assert_allclose(fit.filters[unit], filters[best][unit], atol=1e-6)
        np.testing.assert_allclose(fit.predicted[:, unit], predicted[best][:, unit], atol=1e-6)


def test_a_silent_unit_has_no_penalty_no_filter_and_its_mean_as_prediction():
    _, (train, validation, test) = simulated(3)
    fit = fit_linear(train, validation, test.images, SMOOTHNESS, STRENGTH)
    assert np.isnan([fit.smoothness[0], fit.strength[0], fit.val_corr[0]]).all()
    assert not fit.filters[0].any()
    assert not fit.predicted[:, 0].any()


def test_filters_of_linear_nonlinear_cells_are_found_and_better_than_by_any_single_penalty():
    filters, (train, validation, test) = simulated(60, trials=(1500, 400, 400))
    fit = fit_linear(train, validation, test.images, SMOOTHNESS, STRENGTH)
    cosines = (fit.filters[2:] * filters[2:]).sum((1, 2)) / np.linalg.norm(fit.filters[2:], axis=(1, 2))
    assert np.median(cosines) > 0.95
    found = pearson(fit.predicted, test.responses)
    assert np.nanmedian(found[2:]) > 0.6
    assert abs(found[1]) < 4 / np.sqrt(400)


def test_an_energy_cell_has_no_linear_receptive_field():
    filters, tiers = simulated(40, trials=(1500, 400, 400), seed=4)
    rng = np.random.default_rng(5)

    def energy(tier):
        drive = np.einsum("thw,uhw->tu", tier.images, filters)
        return Tier(tier.images, rng.poisson(2 * drive**2).astype(np.float32))

    train, validation, test = map(energy, tiers)
    fit = fit_linear(train, validation, test.images, SMOOTHNESS, STRENGTH)
    found = pearson(fit.predicted, test.responses)
    assert abs(found.mean()) < 4 * found.std() / np.sqrt(40)
    assert np.abs(found).max() < 5 / np.sqrt(400)


@pytest.mark.parametrize("at_once", [2, 512])
def test_averages_are_the_same_in_blocks(at_once, monkeypatch):
    monkeypatch.setattr(module, "UNITS_AT_ONCE", at_once)
    _, (train, _, _) = simulated(7)
    want = spike_triggered_average(train.images, train.responses)
    np.testing.assert_allclose(averages(train), want, atol=1e-6)


def test_more_units_take_no_more_memory_than_their_filters_and_predictions(monkeypatch):
    monkeypatch.setattr(module, "UNITS_AT_ONCE", 100)
    _, (train, validation, test) = simulated(2000)

    def peak(units):
        few = [Tier(tier.images, tier.responses[:, :units].copy()) for tier in (train, validation)]
        tracemalloc.start()
        fit = fit_linear(*few, test.images, SMOOTHNESS, STRENGTH)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most, sum(part.nbytes for part in fit)

    (small, small_out), (large, large_out) = peak(500), peak(2000)
    assert large - small < 1.1 * (large_out - small_out)
