import numpy as np
import pytest
from scipy import stats

from inception_loop.closed_loop.statistics import bootstrap
from inception_loop.closed_loop.statistics.bootstrap import interval
from inception_loop.errors import DataError


def within_binomial(hits, share):
    """Not even 1 in 10,000 such counts would be so far from the share."""
    return stats.binomtest(int(np.sum(hits)), len(hits), share).pvalue > 1e-4


def test_the_interval_of_one_animal_holds_the_truth_in_95_percent_of_loops():
    rng = np.random.default_rng(0)
    hits = []
    for seed in range(300):
        n, repeats = int(rng.integers(15, 60)), int(rng.integers(5, 41))
        noise = rng.gamma(repeats, 1 / repeats, n) - rng.gamma(repeats, 1 / repeats, n)
        found = interval(rng.exponential(0.5, n) + noise, n_resamples=399, seed=seed)
        hits.append(found.lower <= 0.5 <= found.upper)
    assert within_binomial(hits, 0.945)


def test_the_interval_over_animals_holds_the_truth_and_the_one_over_their_units_would_not():
    rng = np.random.default_rng(1)
    hits, pooled = [], []
    for seed in range(200):
        animals = np.repeat(np.arange(8), rng.integers(15, 60, 8))
        values = 0.5 + 0.3 * rng.normal(size=8)[animals] + rng.normal(0, 0.6, animals.size)
        found = interval(values, animals, over="animals", n_resamples=399, seed=seed)
        hits.append(found.lower <= 0.5 <= found.upper)
        found = interval(values, n_resamples=399, seed=seed)
        pooled.append(found.lower <= 0.5 <= found.upper)
    assert within_binomial(hits, 0.95)
    assert np.mean(pooled) < 0.7


def test_with_many_normal_units_it_is_students_interval():
    values = np.random.default_rng(2).normal(1, 2, 400)
    found = interval(values)
    theirs = stats.t.interval(0.95, 399, values.mean(), values.std(ddof=1) / 20)
    assert (found.lower, found.upper) == pytest.approx(theirs, abs=0.02)
    assert found.value == pytest.approx(values.mean())


def test_shift_scale_and_order_of_the_units_shift_scale_and_keep_the_interval():
    values = np.random.default_rng(3).exponential(1, 30)
    one = interval(values, seed=4)
    other = interval(5 - 2 * values, seed=4)
    assert (other.lower, other.upper) == pytest.approx((5 - 2 * one.upper, 5 - 2 * one.lower))
    turned = interval(values[::-1], seed=5)
    assert (turned.lower, turned.upper) == pytest.approx((one.lower, one.upper), abs=0.05)


def test_a_higher_level_is_wider_and_seed_and_blocks_are_kept(monkeypatch):
    values = np.random.default_rng(6).normal(size=20)
    found = interval(values, seed=1, n_resamples=500)
    assert interval(values, level=0.99).upper > interval(values, level=0.9).upper
    monkeypatch.setattr(bootstrap, "BLOCK", 100)
    assert interval(values, seed=1, n_resamples=500) == found


def test_an_interval_says_what_it_is_about():
    values = np.random.default_rng(7).normal(size=60)
    assert "says nothing of other animals" in interval(values).about
    over = interval(values, np.repeat(np.arange(6), 10), over="animals")
    assert "animals like these" in over.about
    assert (over.n, over.over) == (6, "animals")
    assert over.value == pytest.approx(values.mean())


def test_each_animal_weighs_the_same():
    animals = ["a"] * 100 + ["b", "c", "d", "e"]
    assert interval([1.0] * 100 + [0, 0.1, 0.2, 0.3], animals, over="animals").value == pytest.approx(0.32)


@pytest.mark.parametrize(
    ("values", "more", "why"),
    [
        ([0.5], {}, "there are 1 units; expected at least 5"),
        ([0.5] * 8, {}, "all 8 differences are 0.5: their variance is zero"),
        ([0.0] * 8, {}, "variance is zero"),
        ([0.1, 0.2, np.nan, 0.3, 0.5], {}, "1 of 5 differences are NaN"),
        ([1.0, 2, 3, 4, 5, 6], {"animals": [1, 1, 1, 2, 2, 2]}, "the units are of 2 animals"),
        (
            range(8),
            {"animals": [1, 2, 3, 4] * 2, "over": "animals"},
            "there are 4 animals; expected at least 5",
        ),
        (range(8), {"over": "animals"}, "no animals were named"),
        (range(8), {"animals": [1, 2], "over": "animals"}, "8 differences but 2 animals"),
        ([1.0] * 6, {"animals": range(6), "over": "animals"}, "all 6 means of the animals are 1"),
        (range(5), {"level": 0.999}, "needs more than 5 units"),
        (range(5), {"level": 1.0}, "level of the interval is 1.0"),
        (range(5), {"n_resamples": 30}, "or 30 resamples"),
        (range(5), {"n_resamples": 0}, "0 resamples"),
    ],
)
def test_what_has_no_interval_is_said(values, more, why):
    with pytest.raises(DataError, match=why):
        interval(list(values), **more)
