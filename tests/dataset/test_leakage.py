from __future__ import annotations

import numpy as np
import pytest

from inception_loop.dataset.leakage import lag1_correlations, typical


def test_leakage_is_the_correlation_of_direct_successors():
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4001, 150))
    leak = np.linspace(0, 1, 150)
    leaking = (noise[1:] + leak * noise[:-1]).astype(np.float32)
    got = lag1_correlations(leaking, np.arange(4000))
    np.testing.assert_allclose(got, leak / (1 + leak**2), atol=0.07)
    want = [np.corrcoef(unit[:-1], unit[1:])[0, 1] for unit in leaking.T.astype(float)]
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_a_trial_left_out_breaks_the_pair():
    rng = np.random.default_rng(1)
    responses, rows = rng.normal(size=(60, 3)), np.delete(np.arange(80), np.arange(3, 23))
    pairs = [i for i in range(59) if rows[i + 1] == rows[i] + 1]
    assert len(pairs) == 58
    want = [np.corrcoef(unit[pairs], unit[np.add(pairs, 1)])[0, 1] for unit in responses.T]
    np.testing.assert_allclose(lag1_correlations(responses, rows), want, atol=1e-12)


def test_units_that_never_vary_and_scans_without_pairs_have_none():
    responses = np.random.default_rng(2).random((10, 3))
    responses[:, 1] = 4.0
    got = lag1_correlations(responses, np.arange(10))
    assert np.isnan(got).tolist() == [False, True, False]
    assert typical(got) == pytest.approx((got[0] + got[2]) / 2)
    assert typical(lag1_correlations(responses, 2 * np.arange(10))) is None
