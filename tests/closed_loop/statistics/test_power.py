import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from inception_loop.artifacts.kind import upgraded
from inception_loop.closed_loop.loop_tests import POWER, POWER_SCHEMA, next_experiment
from inception_loop.closed_loop.statistics.of_loop import loop_variances
from inception_loop.closed_loop.statistics.paired import sign_flip_test
from inception_loop.closed_loop.statistics.power import (
    Variances,
    fewest_units,
    mean_power,
    power,
    power_table,
    repeats_needed,
    units_needed,
    variances,
)
from inception_loop.errors import DataError


def test_the_power_is_that_of_statsmodels_and_alpha_without_an_effect():
    for effect, n in ((0.5, 20), (0.2, 100), (1.0, 5)):
        assert mean_power(effect, 1.0, n=n) == pytest.approx(TTestPower().power(effect, n, 0.05), abs=1e-6)
    assert mean_power(0.0, 2.0, n=12) == pytest.approx(0.05)
    assert mean_power(-0.5, 1.0, n=20) == mean_power(0.5, 1.0, n=20)


@pytest.mark.parametrize("n", [2, 15, 150, 100_000])
def test_the_power_is_a_number_that_grows_up_to_1_however_large_the_effect(n):
    found = [mean_power(effect, 1.0, n=n) for effect in (0, 0.01, 0.1, 1, 10, 1e3, 1e6)]
    assert np.all(np.diff(found) >= -1e-9)
    assert found[0] == pytest.approx(0.05)
    assert found[-1] == pytest.approx(1.0)


def test_the_formula_is_the_share_of_simulated_loops_that_the_sign_flip_test_finds():
    rng = np.random.default_rng(0)
    found = []
    for seed in range(300):
        noise = rng.gamma(10, 0.1, 25) - rng.gamma(10, 0.1, 25)
        values = 0.35 + rng.normal(0, 0.5, 25) + noise
        found.append(sign_flip_test(values, n_permutations=499, seed=seed).p_value <= 0.05)
    formula = power(0.35, 0.25, 2.0, n_units=25, n_repeats=10)
    assert stats.binomtest(int(np.sum(found)), 300, formula).pvalue > 1e-4


def test_the_variances_are_found_again():
    rng = np.random.default_rng(1)
    n, repeats = 4_000, 8
    own = rng.normal(0.5, 0.5, n)[:, None] + rng.exponential(1, (n, repeats))
    control = rng.exponential(2, (n, repeats))
    sems = [trials.std(axis=1, ddof=1) / repeats**0.5 for trials in (own, control)]
    found = variances(own.mean(1) - control.mean(1), *sems, [repeats] * n, [repeats] * n)
    assert found.within_repeats == pytest.approx(5.0, rel=0.05)
    assert found.between_units == pytest.approx(0.25, rel=0.2)


def test_differences_that_trials_explain_have_no_variance_between_units():
    assert variances([0.1, 0.2], [1.0, 1], [1.0, 1], [4, 4], [4, 4]).between_units == 0.0


def test_the_fewest_units_and_repeats_are_just_enough():
    n = units_needed(0.4, 0.3, 2.0, n_repeats=5)
    assert power(0.4, 0.3, 2.0, n_units=n, n_repeats=5) >= 0.8
    assert power(0.4, 0.3, 2.0, n_units=n - 1, n_repeats=5) < 0.8
    repeats = repeats_needed(0.4, 0.3, 2.0, n_units=40)
    assert power(0.4, 0.3, 2.0, n_units=40, n_repeats=repeats) >= 0.8
    assert power(0.4, 0.3, 2.0, n_units=40, n_repeats=repeats - 1) < 0.8
    assert units_needed(0.0, 0.3, 2.0, n_repeats=5) is None
    assert repeats_needed(0.1, 1.0, 2.0, n_units=20) is None


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.0625, 0.01, 0.001])
def test_no_number_of_units_is_promised_whose_sign_flips_cannot_give_that_p(alpha):
    least = fewest_units(alpha)
    smallest = {n: sign_flip_test(np.arange(1.0, n + 1)).p_smallest for n in (least - 1, least) if n > 1}
    assert [p <= alpha for p in smallest.values()] == [False, True][-len(smallest) :]
    assert units_needed(50.0, 0.3, 2.0, n_repeats=40, alpha=alpha) == least
    assert power(50.0, 0.3, 2.0, n_units=least - 1, n_repeats=40, alpha=alpha) == 0.0
    assert repeats_needed(50.0, 0.3, 2.0, n_units=least - 1, alpha=alpha) is None
    assert repeats_needed(50.0, 0.3, 2.0, n_units=least, alpha=alpha) == 1


def test_few_units_have_the_power_that_their_coarse_p_values_leave_them():
    rng = np.random.default_rng(2)
    drawn = 1.2 + rng.normal(0, 0.7, (600, 6))
    found = np.mean([sign_flip_test(values).p_value <= 0.05 for values in drawn])
    promised = power(1.2, 0.49 - 0.2, 2.0, n_units=6, n_repeats=10)
    assert found - 0.05 < promised < found + 0.13 < mean_power(1.2, 0.49, n=6) + 0.13


def test_the_end_of_the_interval_nearer_0_needs_more_and_0_cannot_be_shown():
    entry = pl.DataFrame(
        {"diff_resp": np.linspace(0.2, 1.0, 12), "cnn_sem": 0.3, "rf_sem": 0.3, "cnn_repeats": 10,
         "rf_repeats": 10}
    )  # fmt: skip
    ends = {"key": ["cnn_linear_interval", "cnn_natural_interval"], "lower": [0.3, -0.1], "upper": [0.9, 0.5]}
    found = next_experiment(dict.fromkeys(("linear", "natural", "gabor"), entry), pl.DataFrame(ends))
    of = {control: found.filter(control=control) for control in ("linear", "natural", "gabor")}
    assert of["linear"]["effect_nearer_0"].unique().to_list() == [0.3]
    assert (of["linear"]["units_nearer_0"] > of["linear"]["units_for_80"]).all()
    expected = power_table(loop_variances(entry), effect=0.3)
    assert of["linear"]["units_nearer_0"].to_list() == expected["units_for_80"].to_list()
    assert of["linear"]["repeats_nearer_0"].to_list() == expected["repeats_for_80"].to_list()
    assert of["natural"]["effect_nearer_0"].unique().to_list() == [0.0]
    assert of["natural"]["units_nearer_0"].null_count() == of["natural"].height
    assert of["gabor"]["effect_nearer_0"].null_count() == of["gabor"].height


def test_power_of_an_older_loop_is_read_with_nulls():
    old = {"control": ["linear"], "effect": [0.5], "n_units": [10], "n_repeats": [5], "power": [0.3]}
    table = pl.DataFrame(old | {"units_for_80": [40]}).to_arrow()
    read = pl.DataFrame(upgraded(table, POWER, 1, "power"))
    assert read.columns == list(POWER.columns) == list(POWER_SCHEMA)
    assert read.schema == POWER_SCHEMA
    assert read.row(0)[6:] == (None,) * 4


def test_the_table_holds_every_pair_and_grows_both_ways():
    table = power_table(Variances(0.3, 0.25, 2.0, 20))
    assert table.height == 45
    assert table.sort("n_repeats", "n_units")["power"].to_list()[:9] == sorted(
        table.filter(pl.col("n_repeats") == 2)["power"]
    )
    assert table.filter(pl.col("n_units") == 40).sort("n_repeats")["power"].is_sorted()
    assert power_table(Variances(0.3, 0.25, 2.0, 20), [10], [5], effect=0.0)["units_for_80"].to_list() == [
        None
    ]


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: variances([0.1], [1], [1], [4], [4]), "there are 1 differences"),
        (
            lambda: variances([0.1, 0.2], [1, None], [1, 1], [4, 1], [4, 4]),
            "1 images of 2 units were shown once",
        ),
        (lambda: variances([0.1, 0.2], [1, np.nan], [1, 1], [4, 4], [4, 4]), "standard errors are NaN"),
        (lambda: variances([0.1, 0.2], [1, 1, 1], [1, 1], [4, 4], [4, 4]), "expected one each a unit"),
        (lambda: mean_power(0.5, 0.0, n=5), "the variance is 0"),
        (lambda: mean_power(0.5, 1.0, n=1), "n is 1"),
        (lambda: power(0.5, 1.0, 1.0, n_units=5, n_repeats=0), "0 repeats"),
        (lambda: power(0.5, -1.0, 1.0, n_units=5, n_repeats=1), "no negative variance"),
    ],
)
def test_what_has_no_power_is_said(call, why):
    with pytest.raises(DataError, match=why):
        call()
