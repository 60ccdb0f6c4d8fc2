from __future__ import annotations

import numpy as np
import pytest

from inception_loop.dataset.leakage import lag_correlations, typical


def test_leakage_is_the_correlation_of_direct_successors():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4001, 150))
    leak = np.linspace(0, 1, 150)
    leaking = (noise[1:] + leak * noise[:-1]).astype(np.float32)
    got = lag_correlations(leaking, np.arange(4000))[0]
    np.testing.assert_allclose(got, leak / (1 + leak**2), atol=0.07)
    want = [np.corrcoef(unit[:-1], unit[1:])[0, 1] for unit in leaking.T.astype(float)]
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_a_trial_left_out_breaks_the_pair():
    rng = np.random.default_rng(1)
    responses, rows = rng.normal(size=(60, 3)), np.delete(np.arange(80), np.arange(3, 23))
    pairs = [i for i in range(59) if rows[i + 1] == rows[i] + 1]
    assert len(pairs) == 58
    want = [np.corrcoef(unit[pairs], unit[np.add(pairs, 1)])[0, 1] for unit in responses.T]
    np.testing.assert_allclose(lag_correlations(responses, rows)[0], want, atol=1e-12)


def test_units_that_never_vary_and_scans_without_pairs_have_none():
    responses = np.random.default_rng(2).random((10, 3))
    responses[:, 1] = 4.0
    got = lag_correlations(responses, np.arange(10))[0]
    assert np.isnan(got).tolist() == [False, True, False]
    assert typical(got) == pytest.approx((got[0] + got[2]) / 2)
    assert typical(lag_correlations(responses, 2 * np.arange(10))[0]) is None


def test_trials_that_are_not_so_far_apart_are_not_paired():
    values = np.arange(6, dtype=np.float32)[:, None]
    rows = 2 * np.arange(6)
    assert np.isnan(lag_correlations(values, rows, [1])).all()
    assert lag_correlations(values, rows, [2]) == pytest.approx(1)


@pytest.mark.parametrize("at_once", [1, 64])
def test_every_lag_is_the_correlation_of_its_pairs(at_once, monkeypatch):
    monkeypatch.setattr("inception_loop.dataset.leakage.UNITS_AT_ONCE", at_once)
    rng = np.random.default_rng(3)
    rows = np.sort(rng.choice(300, 200, replace=False))
    values = rng.gamma(0.5, 2, (200, 7)).astype(np.float32)
    got = lag_correlations(values, rows, range(1, 11))
    for lag, found in enumerate(got, 1):
        pairs = [(i, j) for i in range(200) for j in range(i, 200) if rows[j] == rows[i] + lag]
        first, second = np.array(pairs).T
        want = [np.corrcoef(unit[first], unit[second])[0, 1] for unit in values.T.astype(float)]
        np.testing.assert_allclose(found, want, atol=1e-12)
