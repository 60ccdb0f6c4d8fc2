"""Silence, sparseness, leakage and drift against closed forms and other implementations."""

import numpy as np
import pytest

from inception_loop.dataset import unit_columns as module
from inception_loop.dataset.leakage import lag_correlations
from inception_loop.quality.responses import (
    LAGS,
    leakage,
    population_response,
    thirds_change,
    unit_statistics,
)


@pytest.fixture(params=[1, 10**9], ids=["unit by unit", "all at once"])
def blocks(request, monkeypatch):
    """However many units are worked on at a time."""
    monkeypatch.setattr(module, "BLOCK_BYTES", request.param)


def noise(seed=0, shape=(200, 7)):
    return np.random.default_rng(seed).gamma(0.5, 2, shape).astype(np.float32)


@pytest.mark.usefixtures("blocks")
def test_units_are_described_as_numpy_would() -> None:
    values = noise()
    values[:, 2] = 3
    values[:150, 4] = 0
    found = unit_statistics(values)
    wide = values.astype(np.float64)
    np.testing.assert_allclose(found["mean"], wide.mean(0))
    np.testing.assert_allclose(found["std"][[0, 1, 3]], wide.std(0, ddof=1)[[0, 1, 3]])
    np.testing.assert_allclose(found["size"], np.abs(wide).mean(0))
    assert found["std"][2] == 0
    assert found["silent"].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert found["zero_share"][4] == 0.75


def test_sparseness_runs_from_all_trials_alike_to_one_trial_only() -> None:
    one = np.zeros((100, 3), np.float32)
    one[:, 0] = 5
    one[3, 1] = 5
    one[:50, 2] = 2  # half of the trials: mean² / mean of squares is 1/2
    found = unit_statistics(one)["sparseness"]
    np.testing.assert_allclose(found, [0, 1, 0.5 / 0.99])


def test_a_unit_that_never_answers_has_no_sparseness() -> None:
    assert np.isnan(unit_statistics(np.zeros((5, 1), np.float32))["sparseness"]).all()


def test_leakage_of_a_smeared_trial_is_known_and_drift_is_none() -> None:
    rng = np.random.default_rng(2)
    fresh = rng.normal(size=(20_001, 4))
    smeared = (fresh[1:] + 0.5 * fresh[:-1]).astype(np.float32)  # a/(1+a²) at lag 1, nothing beyond
    drifting = (fresh[1:] + np.linspace(-2, 2, 20_000)[:, None]).astype(np.float32)
    rows = np.arange(20_000)
    np.testing.assert_allclose(leakage(lag_correlations(smeared, rows, LAGS)), 0.4, atol=0.03)
    raw = lag_correlations(drifting, rows, LAGS)
    np.testing.assert_allclose(raw[0], (16 / 12) / (1 + 16 / 12), atol=0.02)
    np.testing.assert_allclose(leakage(raw), 0, atol=0.02)
    assert len(raw) == len(LAGS)


@pytest.mark.usefixtures("blocks")
def test_the_population_is_usually_at_one_and_silent_or_loud_units_do_not_matter() -> None:
    values = noise()
    found = unit_statistics(values)
    level = population_response(values, found["std"], found["size"])
    assert level.mean() == pytest.approx(1)
    other = np.concatenate([values * 1000, np.full((200, 3), 7, np.float32)], axis=1)
    again = unit_statistics(other)
    np.testing.assert_allclose(population_response(other, again["std"], again["size"]), level, rtol=1e-5)


def test_of_silent_units_alone_no_level_is_known() -> None:
    values = np.ones((4, 2), np.float32)
    found = unit_statistics(values)
    assert np.isnan(population_response(values, found["std"], found["size"])).all()


def test_thirds_of_a_ramp_differ_by_two_thirds_of_its_height() -> None:
    assert thirds_change(np.linspace(0, 1, 3000)) == pytest.approx(2 / 3, abs=1e-3)
    assert thirds_change(np.array([2.0])) == 0
