from itertools import permutations

import numpy as np
import pytest

from inception_loop.closed_loop import pairing_marginals
from inception_loop.closed_loop.pairing_marginals import marginals, propagated


def slow_marginals(log_odds):
    """Sum over all pairings, nobody for some units included."""
    n, m = log_odds.shape
    weights, total, out = np.exp(log_odds), 0.0, np.zeros((n, m))
    seen = set()
    for places in permutations(range(m + n), n):
        pairing = tuple(j if j < m else -1 for j in places)
        if pairing in seen:
            continue
        seen.add(pairing)
        value = np.prod([weights[i, j] for i, j in enumerate(pairing) if j >= 0])
        total += value
        for i, j in enumerate(pairing):
            if j >= 0:
                out[i, j] += value
    return out / total


def random_pairs(rng, n, m, density=1.0):
    log_odds = rng.uniform(-2, 8, (n, m))
    present = rng.random((n, m)) < density
    rows, columns = np.nonzero(present)
    return np.where(present, log_odds, -np.inf), log_odds[present], rows, columns


@pytest.mark.parametrize("seed", range(12))
def test_marginals_equal_the_sum_over_all_pairings(seed):
    rng = np.random.default_rng(seed)
    full, log_odds, rows, columns = random_pairs(rng, 3, 4, density=0.8)
    found = marginals(log_odds, rows, columns)
    np.testing.assert_allclose(found, slow_marginals(full)[rows, columns], atol=5e-3)


def test_swapped_neighbours_are_not_settled_by_a_hair():
    rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    log_odds = 12 + np.log([2.0, 1, 1, 2])
    np.testing.assert_allclose(marginals(log_odds, rows, columns), [0.8, 0.2, 0.2, 0.8], atol=1e-4)
    too_sure, _ = propagated(log_odds, rows, columns)
    assert too_sure[0] > 0.99


def test_without_cycles_propagation_is_exact():
    rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    full = np.full((2, 3), -np.inf)
    full[rows, columns] = log_odds = np.array([1.0, 2.0, 3.0, 0.5])
    found, _ = propagated(log_odds, rows, columns)
    np.testing.assert_allclose(found, slow_marginals(full)[rows, columns], atol=1e-6)


def test_each_unit_is_matched_at_most_once_in_sum():
    rng = np.random.default_rng(5)
    _, log_odds, rows, columns = random_pairs(rng, 40, 44, density=0.08)
    found = marginals(log_odds, rows, columns)
    assert np.bincount(rows, found).max() < 1.01
    assert np.bincount(columns, found).max() < 1.01


def test_where_a_component_is_too_wide_the_strongest_rivals_are_enough(monkeypatch):
    rng = np.random.default_rng(1)
    _, log_odds, rows, columns = random_pairs(rng, 14, 15, density=0.25)
    exact = marginals(log_odds, rows, columns)
    monkeypatch.setattr(pairing_marginals, "MOST_STATES", 16)
    near = marginals(log_odds, rows, columns)
    only_propagated, _ = propagated(log_odds, rows, columns)
    assert np.abs(near - exact).mean() < 0.5 * np.abs(only_propagated - exact).mean()


def test_the_order_of_the_units_does_not_matter():
    rng = np.random.default_rng(7)
    _, log_odds, rows, columns = random_pairs(rng, 9, 9, density=0.4)
    turn, turn_back = rng.permutation(9), rng.permutation(9)
    again = marginals(log_odds, turn[rows], turn_back[columns])
    np.testing.assert_allclose(again, marginals(log_odds, rows, columns), atol=1e-9)


def test_no_pairs_have_no_marginals():
    none = np.zeros(0, dtype=np.int64)
    assert marginals(np.zeros(0), none, none).shape == (0,)
