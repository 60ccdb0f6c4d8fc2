import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from inception_loop.closed_loop.statistics import labels
from inception_loop.closed_loop.statistics.labels import permutation_p
from inception_loop.closed_loop.statistics.per_unit import benjamini_hochberg, trial_table, unit_tests
from inception_loop.errors import DataError


def slow_p(own, control):
    """All splits one by one, Welch's t by scipy."""
    pooled, found = np.concatenate([own, control]), []
    for chosen in itertools.combinations(range(len(pooled)), len(own)):
        taken = np.isin(np.arange(len(pooled)), chosen)
        found.append(abs(stats.ttest_ind(pooled[taken], pooled[~taken], equal_var=False).statistic))
    observed = abs(stats.ttest_ind(own, control, equal_var=False).statistic)
    return np.mean(np.array(found) >= observed - 1e-9)


def noise(seed, units=30, repeats=10):
    rng = np.random.default_rng(seed)
    return rng.exponential(1, (units, repeats)), rng.exponential(1, (units, repeats))


@given(st.integers(2, 4), st.integers(2, 4), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_p_value_counts_every_split_of_the_labels(n_own, n_control, seed):
    rng = np.random.default_rng(seed)
    own, control = rng.normal(0.5, 1, n_own), rng.normal(0, 1, n_control)
    row = unit_tests(trial_table([own], [control])).row(0, named=True)
    assert row["p_value"] == pytest.approx(slow_p(own, control))
    assert row["p_value"] >= row["p_smallest"] - 1e-12


def test_drawn_labels_approach_the_enumerated_ones():
    own, control = noise(0, 4, 6)
    every = unit_tests(trial_table(list(own), list(control)))
    drawn = unit_tests(trial_table(list(own), list(control)), n_permutations=900)
    assert every["method"][0] == "all 924 splits of labels"
    assert drawn["method"][0] == "900 permutations of labels"
    np.testing.assert_allclose(drawn["p_value"], every["p_value"], atol=4 * (0.25 / 900) ** 0.5)


def test_means_errors_and_t_are_welchs():
    rng = np.random.default_rng(1)
    own, control = rng.normal(1, 1, 12), rng.normal(0, 2, 7)
    row = unit_tests(trial_table([own], [control], [44]), method="welch").row(0, named=True)
    theirs = stats.ttest_ind(own, control, equal_var=False)
    assert row["t"] == pytest.approx(theirs.statistic)
    assert row["p_value"] == pytest.approx(theirs.pvalue)
    assert row["difference"] == pytest.approx(own.mean() - control.mean())
    assert (row["unit_id"], row["n_own"], row["n_control"]) == (44, 12, 7)


def test_a_units_p_value_does_not_depend_on_the_others_the_blocks_or_the_order_of_the_rows(monkeypatch):
    own, control = noise(2, 6, 9)
    table = trial_table(list(own), list(control))
    together = unit_tests(table, n_permutations=500)
    alone = unit_tests(table.filter(pl.col("unit_id") == 3), n_permutations=500)
    assert alone["p_value"][0] == together["p_value"][3]
    monkeypatch.setattr(labels, "VALUES", 5_000)
    monkeypatch.setattr(labels, "UNITS", 2)
    shuffled = table.sort("image", "unit_id", maintain_order=True)
    np.testing.assert_array_equal(unit_tests(shuffled, n_permutations=500)["p_value"], together["p_value"])


def test_labels_are_exchanged_within_a_scan_only():
    rng = np.random.default_rng(3)
    # the second scan answers 10 higher and was shown more of the own image: no effect within scans
    first, second = rng.normal(0, 1, 12), rng.normal(10, 1, 12)
    rows = [("own", 1, v) for v in first[:3]] + [("control", 1, v) for v in first[3:]]
    rows += [("own", 2, v) for v in second[:9]] + [("control", 2, v) for v in second[9:]]
    table = pl.DataFrame(rows, schema=["image", "scan", "response"], orient="row").with_columns(unit_id=7)
    assert unit_tests(table)["p_value"][0] < 0.05
    assert unit_tests(table, within=["scan"])["p_value"][0] > 0.1
    small = table.group_by("scan", "image", maintain_order=True).head(2)
    assert unit_tests(small, within=["scan"])["method"][0] == "all 36 splits of labels"


def test_splits_without_variance_are_beyond_any_other():
    # silent but for the own image: two of the 20 splits are as far apart as the one shown
    responses = np.array([[2.0, 2.0, 2.5, 0, 0, 0]])
    assert permutation_p(responses, ((3, 3),), 999, 0).p_values == [0.1]
    half = np.array([[1.0, 1.0, 1.0, 0, 0, 0.5]])
    assert permutation_p(half, ((3, 3),), 999, 0).p_values == [0.1]


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(4)
    own, control = noise(5, 500, 6)
    tests = unit_tests(trial_table(list(own), list(control)))
    # the statistic takes 462 sizes: made continuous between the steps
    smooth = tests["p_value"].to_numpy() - tests["p_smallest"].to_numpy() * rng.uniform(size=500)
    assert stats.kstest(smooth, "uniform").pvalue > 1e-3


def test_false_discoveries_stay_at_5_percent_and_real_units_are_found():
    false, found = [], []
    for seed in range(30):
        own, control = noise(100 + seed, 40, 15)
        own[:20] += 1.5
        said = (
            unit_tests(trial_table(list(own), list(control)), n_permutations=1_999)["q_value"] <= 0.05
        ).to_numpy()
        false.append(said[20:].sum() / max(1, said.sum()))
        found.append(said[:20].mean())
    # expected: 0.05 × half the units; four standard errors allowed
    assert np.mean(false) < 0.025 + 4 * np.std(false) / 30**0.5
    assert np.mean(found) > 0.8


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_q_values_are_those_of_the_step_up_rule(p_values):
    order, n = np.argsort(p_values), len(p_values)
    q_values, least = np.empty(n), 1.0
    for rank in range(n, 0, -1):
        least = min(least, p_values[order[rank - 1]] * n / rank)
        q_values[order[rank - 1]] = least
    np.testing.assert_allclose(benjamini_hochberg(pl.Series(p_values)), q_values)


def test_no_p_value_at_all_gives_no_q_value():
    assert benjamini_hochberg(pl.Series("p", [None, None], dtype=pl.Float64)).to_list() == [None, None]


@pytest.mark.parametrize(
    ("own", "control", "why"),
    [
        ([1.0], [1.0, 2.0], "1 trial of the own image: the variance is undefined"),
        ([1.0, 2.0], [], "0 trial of the control image"),
        ([2.0, 2.0, 2.0], [2.0, 2.0], "all 5 responses are 2: zero variance"),
        ([3.0, 3.0], [2.0, 2.0], "zero variance within images"),
    ],
)
@pytest.mark.parametrize("method", ["permutation", "welch"])
def test_a_unit_that_cannot_be_tested_says_why_and_leaves_the_others_alone(own, control, why, method):
    good, bad = [1.0, 2.0, 3.5], [0.0, 0.5, 0.25]
    rows = unit_tests(trial_table([own, good], [control, bad]), method=method)
    assert why in rows["reason"][0]
    assert rows["p_value"].is_null().to_list() == [True, False]
    assert rows["q_value"][1] == rows["p_value"][1]
    assert not any(rows[name].is_nan().any() for name in rows.columns if rows[name].dtype == pl.Float64)


def test_a_block_with_one_image_only_exchanges_nothing():
    rows = [("own", 1, 1.0), ("own", 1, 2.0), ("control", 2, 1.0), ("control", 2, 3.0)]
    table = pl.DataFrame(rows, schema=["image", "scan", "response"], orient="row").with_columns(unit_id=1)
    assert "nothing can be exchanged" in unit_tests(table, within=["scan"])["reason"][0]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.drop("image"), "lacks image"),
        (
            lambda t: t.with_columns(response=pl.lit(float("nan"))),
            "4 of 4 responses are missing, NaN or infinite",
        ),
        (lambda t: t.with_columns(response=pl.lit(None)), "first of unit 0"),
        (lambda t: t.with_columns(image=pl.lit("mei")), r"called \['mei'\]; expected own or control"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(change, why):
    with pytest.raises(DataError, match=why):
        unit_tests(change(trial_table([[1.0, 2.0]], [[3.0, 4.0]])))


def test_an_empty_table_gives_no_rows_and_unequal_lists_are_refused():
    assert unit_tests(trial_table([], [])).height == 0
    with pytest.raises(DataError, match="expected one each a unit"):
        trial_table([[1.0]], [])
    with pytest.raises(DataError, match="0 permutations"):
        unit_tests(trial_table([], []), n_permutations=0)
