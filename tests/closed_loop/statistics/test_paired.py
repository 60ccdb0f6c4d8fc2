import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from inception_loop.closed_loop.statistics import paired
from inception_loop.closed_loop.statistics.paired import sign_flip_test, wilcoxon_test
from inception_loop.errors import DataError

ALTERNATIVES = ("two-sided", "greater", "less")


def slow_sign_flip(values, alternative):
    """Every sign flip, one by one."""
    size = {"two-sided": abs, "greater": float, "less": lambda v: -v}[alternative]
    flips = [np.dot(signs, values) for signs in itertools.product((-1, 1), repeat=len(values))]
    return np.mean([size(flip) >= size(np.sum(values)) - 1e-9 for flip in flips])


def slow_rank_sum(values, alternative):
    nonzero = np.array([v for v in values if v != 0])
    return slow_sign_flip(np.sign(nonzero) * stats.rankdata(abs(nonzero)), alternative)


@pytest.mark.parametrize("alternative", ALTERNATIVES)
@given(values=st.lists(st.integers(-4, 4).map(lambda v: v / 4), min_size=2, max_size=8).filter(any))
@settings(max_examples=25, deadline=None)
def test_both_tests_count_every_sign_flip_ties_and_zeros_included(alternative, values):
    assert sign_flip_test(values, alternative=alternative).p_value == pytest.approx(
        slow_sign_flip(values, alternative)
    )
    assert wilcoxon_test(values, alternative=alternative).p_value == pytest.approx(
        slow_rank_sum(values, alternative)
    )


@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_drawn_sign_flips_approach_the_enumerated_ones(alternative):
    values = np.random.default_rng(0).normal(0.2, 1, 13)
    exact = sign_flip_test(values, alternative=alternative)
    drawn = sign_flip_test(values, n_permutations=8_000, alternative=alternative)
    assert exact.exact
    assert not drawn.exact
    assert drawn.p_value == pytest.approx(exact.p_value, abs=4 * (0.25 / 8_000) ** 0.5)


@pytest.mark.parametrize("n", [6, 20, 49])
@pytest.mark.parametrize("alternative", ALTERNATIVES)
def test_without_ties_the_rank_sum_is_scipys_exact_one(n, alternative):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    theirs = stats.wilcoxon(values, alternative=alternative, method="exact").pvalue
    assert wilcoxon_test(values, alternative=alternative).p_value == pytest.approx(theirs, rel=1e-9)


def test_many_units_go_over_to_the_normal_approximation_without_a_jump(monkeypatch):
    values = np.random.default_rng(3).normal(0.1, 1, 300)
    exact = wilcoxon_test(values)
    monkeypatch.setattr(paired, "EXACT_RANKS", 100)
    near = wilcoxon_test(values)
    assert exact.exact
    assert not near.exact
    assert near.p_value == pytest.approx(exact.p_value, rel=0.02)


def test_the_sign_flips_do_not_depend_on_the_size_of_the_blocks(monkeypatch):
    values = np.random.default_rng(4).normal(0.2, 1, 40)
    whole = sign_flip_test(values, n_permutations=3_000, seed=5)
    monkeypatch.setattr(paired, "BLOCK", 40 * 7)
    assert sign_flip_test(values, n_permutations=3_000, seed=5) == whole


def test_p_is_never_zero_and_never_below_what_is_possible():
    test = sign_flip_test(np.arange(1.0, 31), n_permutations=999)
    assert test.p_value == test.p_smallest == 1e-3
    few = sign_flip_test([1.0, 2.0, 3.0, 4.0, 0.0])
    assert (few.p_value, few.p_smallest, few.n, few.n_zero) == (0.125, 0.125, 5, 1)
    assert wilcoxon_test([1.0, 2.0, 3.0]).p_smallest == 0.25


def test_a_scale_changes_no_p_value_and_a_sign_swaps_the_sides():
    values = np.random.default_rng(6).normal(0.2, 1, 25)
    for test in (sign_flip_test, wilcoxon_test):
        p_value = test(values, alternative="greater").p_value
        assert test(values * 1e6, alternative="greater").p_value == p_value
        assert test(-values, alternative="less").p_value == pytest.approx(p_value)


def test_p_values_of_both_tests_are_uniform_under_the_null():
    # p ≤ k/32 has probability k/32 at every possible value: 600 loops, bound far out in the binomial
    rng = np.random.default_rng(7)
    loops = rng.exponential(1, (600, 6)) - rng.exponential(1, (600, 6))
    for test in (sign_flip_test, wilcoxon_test):
        found = np.array([test(loop).p_value for loop in loops])
        for possible in (0.03125, 0.25, 0.5):
            count = int((found <= possible + 1e-12).sum())
            assert stats.binomtest(count, 600, possible).pvalue > 1e-4


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ([0.5], "there are 1 differences; expected at least 2"),
        ([0.0, 0.0, 0.0], "all 3 differences are 0"),
        ([0.1, np.nan, 0.2], "1 of 3 differences are NaN or infinite, first at place 1"),
        (pl.Series([0.1, None, 0.2]), "1 of 3 differences are NaN"),
        ([[0.1, 0.2]], r"have shape \(1, 2\)"),
    ],
)
@pytest.mark.parametrize("test", [sign_flip_test, wilcoxon_test])
def test_what_cannot_be_tested_is_said(test, values, why):
    with pytest.raises(DataError, match=why):
        test(values)


def test_no_permutations_are_refused():
    with pytest.raises(DataError, match="0 permutations"):
        sign_flip_test([1.0, 2.0], n_permutations=0)
