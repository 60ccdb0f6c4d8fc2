import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.candidate_pairs import candidate_pairs


def slow_pairs(source, later, radius):
    """Every pair, stack by stack, in the axes that all stacks share."""
    out = {}
    for s in source.iter_rows(named=True):
        for t in later.iter_rows(named=True):
            if s["stack_idx"] == t["stack_idx"]:
                offset = np.array([t[c] - s[c] for c in ("stack_x", "stack_y", "stack_z")])
                out.setdefault((s["unit_id"], t["unit_id"]), []).append(offset)
    mean = {pair: np.mean(offsets, axis=0) for pair, offsets in out.items()}
    return {pair: offset for pair, offset in mean.items() if np.linalg.norm(offset) <= radius}


def ids(table):
    return table["unit_id"].unique().sort().to_numpy()


def test_pairs_are_those_of_the_slow_search(make_coordinates):
    rng = np.random.default_rng(0)
    source = make_coordinates({u: rng.uniform(0, 70, 3) for u in range(30)}, stacks=(1, 2), jitter=0)
    later = make_coordinates({u: rng.uniform(0, 70, 3) for u in range(50, 85)}, stacks=(2, 3), jitter=0)
    found = candidate_pairs(ids(source), source, ids(later), later, radius_um=20)
    expected = slow_pairs(source, later, 20)
    units = list(zip(ids(source)[found.source].tolist(), ids(later)[found.later].tolist(), strict=True))
    assert units == sorted(expected)
    np.testing.assert_allclose(found.offset_um, [expected[unit] for unit in units], atol=1e-9)
    assert set(found.n_stacks.tolist()) == {1}


def turned(table, angle, shift):
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    places = table.select("stack_x", "stack_y", "stack_z").to_numpy() @ turn.T + shift
    names = ("stack_x", "stack_y", "stack_z")
    columns = [pl.Series(name, column) for name, column in zip(names, places.T, strict=True)]
    return table.with_columns(*columns, stack_idx=pl.lit(9, pl.Int64))


def test_a_turned_second_stack_changes_nothing(make_coordinates):
    rng = np.random.default_rng(1)
    source = make_coordinates({u: rng.uniform(0, 70, 3) for u in range(30)})
    later = make_coordinates({u: rng.uniform(0, 70, 3) for u in range(30)})
    one = candidate_pairs(ids(source), source, ids(later), later)
    both = candidate_pairs(
        ids(source),
        pl.concat([source, turned(source, 1.2, 300.0)]),
        ids(later),
        pl.concat([later, turned(later, 1.2, 300.0)]),
    )
    np.testing.assert_array_equal(one.later, both.later)
    np.testing.assert_allclose(one.offset_um, both.offset_um, atol=1e-9)
    assert set(both.n_stacks.tolist()) == {2}
    assert both.stack_variance_um2 == pytest.approx(0, abs=1e-12)


def test_the_variance_between_stacks_is_that_of_the_registration(make_coordinates):
    rng = np.random.default_rng(2)
    places = {u: rng.uniform(0, 300, 3) for u in range(400)}
    tables = [make_coordinates(places, stacks=(1, 2, 3), jitter=0.5, seed=seed) for seed in (1, 2)]
    found = candidate_pairs(ids(tables[0]), tables[0], ids(tables[1]), tables[1])
    assert found.stack_variance_um2 == pytest.approx(2 * 0.5**2, rel=0.1)


def test_the_density_is_that_of_the_tissue(make_coordinates):
    rng = np.random.default_rng(3)
    places = {u: rng.uniform(0, 1, 3) * [600, 600, 100] for u in range(1080)}  # 30,000 per mm³
    tables = [make_coordinates(places, jitter=3, seed=seed) for seed in (1, 2)]
    found = candidate_pairs(ids(tables[0]), tables[0], ids(tables[1]), tables[1])
    assert np.mean(found.density) == pytest.approx(3e-5, rel=0.2)


def test_units_without_a_common_stack_have_no_candidates(make_coordinates):
    here = make_coordinates({1: np.zeros(3)}, stacks=(1,))
    there = make_coordinates({2: np.zeros(3)}, stacks=(2,))
    found = candidate_pairs(np.array([1]), here, np.array([2]), there)
    assert len(found.source) == 0
    assert found.source_stacks.tolist() == [0]
    assert not found.source_covered.any()


def test_places_that_are_no_numbers_are_no_places(make_coordinates):
    here = make_coordinates({1: np.zeros(3), 2: np.array([0, np.nan, 0]), 3: np.array([np.inf, 0, 0])})
    found = candidate_pairs(np.array([1, 2, 3]), here, np.array([1, 2, 3]), here)
    assert list(zip(found.source.tolist(), found.later.tolist(), strict=True)) == [(0, 0)]
    assert found.source_stacks.tolist() == [1, 0, 0]


def test_what_was_not_imaged_again_is_not_covered(make_coordinates):
    here = make_coordinates({1: np.zeros(3), 2: np.array([500.0, 0, 0])})
    there = make_coordinates({7: np.array([1.0, 0, 0])})
    found = candidate_pairs(np.array([1, 2]), here, np.array([7]), there)
    assert found.source_covered.tolist() == [True, False]
    assert found.later_covered.tolist() == [True]
