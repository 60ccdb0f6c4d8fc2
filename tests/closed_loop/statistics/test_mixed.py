import warnings

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM

from inception_loop.closed_loop.statistics.mixed import mixed_model
from inception_loop.errors import DataError


def loop(seed, sizes=(10, 30, 25, 60, 15, 40), between=0.3):
    rng = np.random.default_rng(seed)
    animals = np.repeat(np.arange(len(sizes)), sizes)
    values = 0.5 + between * rng.normal(size=len(sizes))[animals] + 0.6 * rng.normal(size=animals.size)
    return values, animals


def test_estimates_are_those_of_statsmodels():
    values, animals = loop(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = MixedLM(values, np.ones((values.size, 1)), groups=animals).fit(method="powell", gtol=1e-10)
    ours = mixed_model(values, animals)
    assert ours.value == pytest.approx(theirs.fe_params[0], abs=2e-4)
    assert ours.error == pytest.approx(theirs.bse_fe[0], rel=5e-3)
    assert ours.between_animals == pytest.approx(theirs.cov_re[0, 0], rel=1e-2)
    assert ours.between_units == pytest.approx(theirs.scale, rel=1e-3)


def test_balanced_animals_give_the_closed_form_of_the_analysis_of_variance():
    values, animals = loop(4, sizes=(20,) * 7)
    table = values.reshape(7, 20)
    units = table.var(axis=1, ddof=1).mean()
    means = table.mean(axis=1)
    found = mixed_model(values, animals)
    assert found.between_units == pytest.approx(units, rel=1e-6)
    assert found.between_animals == pytest.approx(means.var(ddof=1) - units / 20, rel=1e-5)
    theirs = stats.ttest_1samp(means, 0)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-5)
    assert (found.lower, found.upper) == pytest.approx(tuple(theirs.confidence_interval()), rel=1e-5)


def test_animals_that_do_not_differ_end_on_the_boundary_with_the_mean_over_units():
    rng = np.random.default_rng(5)
    table = rng.normal(size=(6, 10))
    table += 0.3 - table.mean(axis=1, keepdims=True)
    found = mixed_model(table.ravel(), np.repeat(np.arange(6), 10))
    assert found.boundary
    assert found.between_animals == 0.0
    assert found.error == pytest.approx(table.std(ddof=1) / 60**0.5)


def test_the_interval_holds_the_truth_in_95_percent_of_loops():
    rng = np.random.default_rng(6)
    hits = []
    for seed in range(200):
        found = mixed_model(*loop(seed, rng.integers(10, 40, 6)))
        hits.append(found.lower <= 0.5 <= found.upper)
    assert stats.binomtest(int(np.sum(hits)), 200, 0.95).pvalue > 1e-4


@pytest.mark.parametrize(
    ("values", "animals", "why"),
    [
        (range(8), [0, 1, 2, 3] * 2, "there are 4 animals; expected at least 5"),
        (range(6), range(6), "each of the 6 animals has one unit"),
        ([1, 1, 2, 2, 3, 3, 4, 4, 5, 5], np.repeat(range(5), 2), "variance between units is zero"),
        ([1, np.nan], [1, 2], "are NaN"),
        ([1, 2, 3], [1, 2], "3 differences but 2 animals"),
    ],
)
def test_what_has_no_mixed_model_is_said(values, animals, why):
    with pytest.raises(DataError, match=why):
        mixed_model(list(values), list(animals))
