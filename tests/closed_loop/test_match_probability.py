from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy.optimize import linear_sum_assignment

from inception_loop.closed_loop.candidate_pairs import candidate_pairs
from inception_loop.closed_loop.match_probability import Likeness, TuningLaw, match_probability, one_to_one


def table(xyz, ids):
    places = pl.DataFrame(xyz, schema=["stack_x", "stack_y", "stack_z"])
    return places.with_columns(pl.Series("unit_id", ids), stack_session=1, stack_idx=1)


def later_day(
    seed, *, n=900, density=3e-5, sd=(3.0, 3.0, 3.0), presence=0.9, new=0.1, offset=(0, 0, 0), imaged=1.0
):
    """Cells anywhere in a cube, moved, lost and found as the model has it; which candidates are right.

    Of the cube the later scan sees only a part, ``imaged``.
    """
    rng = np.random.default_rng(seed)
    side = (n / density) ** (1 / 3)
    places = rng.uniform(0, side, (n, 3))
    kept = np.flatnonzero(rng.random(n) < presence)
    n_new = round(n * presence * new / (1 - new))
    moved = places[kept] + rng.normal(0, sd, (len(kept), 3)) + offset
    there = np.concatenate([moved, rng.uniform(0, side, (n_new, 3)) + offset])
    cell = np.concatenate([kept, n + np.arange(n_new)])
    seen = there[:, 0] <= imaged * side + 30
    there, cell = there[seen], cell[seen]
    order = rng.permutation(len(cell))
    ids = np.arange(len(cell))
    pairs = candidate_pairs(np.arange(n), table(places, np.arange(n)), ids, table(there[order], ids))
    return pairs, pairs.source == cell[order][pairs.later]


def reliability(p, right, edges):
    """Mean probability and share right between edges."""
    bins = [(p >= low) & (p < high) for low, high in pairwise(edges)]
    return [(p[one].mean(), right[one].mean(), one.sum()) for one in bins if one.sum() > 20]


@pytest.mark.parametrize(("density", "sd"), [(3e-5, 3.0), (1e-4, 3.0), (3e-5, 6.0)])
def test_probabilities_are_calibrated_on_days_drawn_from_the_model(density, sd):
    days = [later_day(seed, density=density, sd=(sd,) * 3) for seed in range(3)]
    p = np.concatenate([match_probability(pairs).probability for pairs, _ in days])
    right = np.concatenate([right for _, right in days])
    for said, was, n in reliability(p, right, [0, 0.05, 0.3, 0.7, 0.95, 0.99, 1.01]):
        assert was == pytest.approx(said, abs=0.01 + 3 * np.sqrt(max(said * (1 - said), 1e-4) / n))


def test_what_the_days_were_made_with_is_estimated():
    pairs, _ = later_day(1, n=2500, sd=(2.0, 2.0, 5.0), presence=0.8, new=0.2, offset=(4.0, -3.0, 2.0))
    model = match_probability(pairs).model
    np.testing.assert_allclose(model.offset_um, [4, -3, 2], atol=0.4)
    assert model.lateral_sd_um == pytest.approx(2.0, rel=0.06)
    assert model.axial_sd_um == pytest.approx(5.0, rel=0.06)
    assert model.presence == pytest.approx(0.8, abs=0.04)
    assert model.new == pytest.approx(0.2, abs=0.05)
    assert model.converged


def test_tissue_far_from_what_was_imaged_again_does_not_count_as_missing():
    pairs, _ = later_day(3, n=2500, imaged=0.4)
    found_again = 0.9 * 0.4
    assert 2 * found_again < match_probability(pairs).model.presence < 0.9  # the rim counts as missing


def likeness_of(right, seed):
    """Answers of reliable and of unreliable units."""
    rng = np.random.default_rng(seed)
    x = rng.choice([0.0, 1.2], len(right))
    z = np.where(right, x, 0.0) + rng.normal(0, np.where(right, 0.2, np.hypot(0.2, 0.3 * x)))
    return Likeness(np.tanh(z), np.tanh(x), 40)


def test_tuning_settles_what_places_leave_open():
    pairs, right = later_day(2, n=1200, sd=(7.0,) * 3)
    alike = likeness_of(right, 3)
    without, with_tuning = match_probability(pairs), match_probability(pairs, alike)
    accuracy = [right[one_to_one(found.log_odds, pairs)].mean() for found in (without, with_tuning)]
    assert accuracy[1] > accuracy[0] + 0.05
    same, other = with_tuning.model.same, with_tuning.model.other
    assert same.slope == pytest.approx(1.0, abs=0.05)
    assert other.slope == pytest.approx(0.0, abs=0.05)
    assert other.spread == pytest.approx(0.09, abs=0.02)
    for said, was, n in reliability(with_tuning.probability, right, [0, 0.05, 0.3, 0.7, 0.95, 0.99, 1.01]):
        assert was == pytest.approx(said, abs=0.015 + 3 * np.sqrt(max(said * (1 - said), 1e-4) / n))


def test_correlations_that_are_not_known_say_nothing():
    pairs, right = later_day(4, n=300)
    unknown = Likeness(np.full(len(right), np.nan), np.ones(len(right)), 40)
    found, without = match_probability(pairs, unknown), match_probability(pairs)
    assert found.model.same is None
    np.testing.assert_array_equal(found.probability, without.probability)


def test_the_assignment_equals_the_dense_one():
    pairs, _ = later_day(5, n=70, density=2e-4, sd=(6.0,) * 3)
    log_odds = match_probability(pairs).log_odds
    n, m = pairs.source.max() + 1, pairs.later.max() + 1
    dense = np.zeros((n, m))
    dense[pairs.source, pairs.later] = np.maximum(log_odds, 0)
    rows, columns = linear_sum_assignment(dense, maximize=True)
    chosen = one_to_one(log_odds, pairs)
    assert log_odds[chosen].sum() == pytest.approx(dense[rows, columns].sum(), rel=1e-12)
    assert len(set(pairs.source[chosen])) == len(set(pairs.later[chosen])) == chosen.sum()


def test_a_law_is_fitted_by_its_weighted_pairs():
    rng = np.random.default_rng(6)
    x = rng.uniform(0, 1.5, 4000)
    z = 0.8 * x + rng.normal(0, np.sqrt(0.04 + 0.1 * x**2))
    law = prior = TuningLaw(1.0, 1 / 37, 0.05)
    for _ in range(10):
        law = law.fitted(z, x, np.ones(len(x)), prior)
    assert (law.slope, law.variance, law.spread) == pytest.approx((0.8, 0.04, 0.1), abs=0.02)
