from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.closed_loop import matching
from inception_loop.closed_loop.matching import (
    best_proximity_cell_match,
    judged_matches,
    match_accuracy,
    proximity_cell_match,
)


def slow_proximity(units, source, somata, later):
    rows = []
    for s in source.iter_rows(named=True):
        if s["unit_id"] not in units["unit_id"]:
            continue
        near = []
        for t in later.iter_rows(named=True):
            same = (s["stack_session"], s["stack_idx"]) == (t["stack_session"], t["stack_idx"])
            if same and t["unit_id"] in somata["unit_id"]:
                distance = sum((s[c] - t[c]) ** 2 for c in ("stack_x", "stack_y", "stack_z")) ** 0.5
                near.append((distance, t["unit_id"]))
        if near:
            rows.append((s["stack_session"], s["stack_idx"], s["unit_id"], min(near)[1], min(near)[0]))
    return sorted(rows)


def slow_best(rows):
    by_unit = defaultdict(list)
    for *_, source, unit, distance in rows:
        by_unit[source].append((unit, distance))
    best = {}
    for source, votes in by_unit.items():
        count = Counter(unit for unit, _ in votes)
        mean = {unit: np.mean([d for u, d in votes if u == unit]) for unit in count}
        unit = min(count, key=lambda u: (-count[u], mean[u], u))
        best[source] = (unit, count[unit], len(votes), mean[unit])
    taken = Counter(unit for unit, *_ in best.values())
    return [(source, *row, taken[row[0]] > 1) for source, row in sorted(best.items())]


def test_nearest_soma_per_stack_equals_the_slow_search(make_coordinates):
    rng = np.random.default_rng(3)
    source = make_coordinates({u: rng.uniform(0, 60, 3) for u in range(20)}, stacks=(1, 2, 4))
    later = make_coordinates({u: rng.uniform(0, 60, 3) for u in range(50, 85)}, stacks=(2, 3, 4), jitter=2)
    units = pl.DataFrame({"unit_id": [3, 1, 4, 15, 9, 2, 6]})
    somata = pl.DataFrame({"unit_id": list(range(50, 80))})
    found = proximity_cell_match(units, source, somata, later)
    expected = slow_proximity(units, source, somata, later)
    assert [row[:4] for row in found.rows()] == [row[:4] for row in expected]
    np.testing.assert_allclose(found["match_distance"], [row[4] for row in expected], rtol=1e-14)


@pytest.mark.parametrize("cube", [1.0, 7.0, 40.0, 1e6])
@pytest.mark.parametrize("spread", [20, 300])
def test_the_cubes_in_which_somata_are_looked_for_change_nothing(make_coordinates, monkeypatch, cube, spread):
    monkeypatch.setattr(matching, "CUBE_UM", cube)
    rng = np.random.default_rng(int(spread))
    # whole numbers: on the borders of cubes, many as near as others; some below zero
    places = [rng.integers(-spread, spread, (40, 3)).astype(float) for _ in range(2)]
    source = make_coordinates(dict(enumerate(places[0])), stacks=(1, 2))
    later = make_coordinates({100 + unit: place for unit, place in enumerate(places[1])}, stacks=(2, 3))
    found = proximity_cell_match(source, source, later, later)
    assert found.rows() == slow_proximity(source, source, later, later)


def test_of_equally_near_somata_the_smaller_id_is_taken(make_coordinates):
    source = make_coordinates({1: np.zeros(3)})
    later = make_coordinates({9: np.array([2.0, 0, 0]), 8: np.array([0, -2.0, 0]), 7: np.array([3.0, 0, 0])})
    assert proximity_cell_match(source, source, later, later)["unit_id"].to_list() == [8]


def test_scans_without_a_common_stack_match_nothing(make_coordinates):
    one, other = (
        make_coordinates({1: np.zeros(3)}, stacks=(1,)),
        make_coordinates({2: np.zeros(3)}, stacks=(2,)),
    )
    assert proximity_cell_match(one, one, other, other).height == 0


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_vote_equals_the_slow_count(data):
    pairs = st.tuples(st.integers(1, 5), st.integers(1, 6))
    distance = st.sampled_from([0.5, 1.0, 1.5, 2.0])
    picked = data.draw(st.dictionaries(pairs, st.tuples(st.integers(7, 10), distance), min_size=1))
    rows = [(1, stack, source, unit, d) for (stack, source), (unit, d) in sorted(picked.items())]
    names = ["stack_session", "stack_idx", "source_unit_id", "unit_id", "match_distance"]
    found = best_proximity_cell_match(pl.DataFrame(rows, schema=names, orient="row"))
    assert found.rows() == slow_best(rows)


def test_ties_go_to_the_smaller_distance_then_the_smaller_id_and_doubles_are_flagged():
    rows = [
        (1, 1, 1, 20, 3.0), (1, 2, 1, 21, 2.0),  # one vote each: nearer
        (1, 1, 2, 31, 2.0), (1, 2, 2, 30, 2.0),  # as near: smaller id
        (1, 1, 3, 40, 9.0), (1, 2, 3, 40, 9.0), (1, 3, 3, 41, 0.1),  # more votes beat distance
        (1, 1, 4, 40, 0.5),
    ]  # fmt: skip
    names = ["stack_session", "stack_idx", "source_unit_id", "unit_id", "match_distance"]
    best = best_proximity_cell_match(pl.DataFrame(rows, schema=names, orient="row"))
    assert best.rows() == [
        (1, 21, 1, 2, 2.0, False),
        (2, 30, 1, 2, 2.0, False),
        (3, 40, 2, 3, 9.0, True),
        (4, 40, 1, 1, 0.5, True),
    ]


def test_accuracy_counts_right_matches_over_units_present_on_the_later_day():
    source = pl.DataFrame({"unit_id": [1, 2, 3, 4, 5], "cell_id": [10, 11, 12, 13, -1]})
    later = pl.DataFrame({"unit_id": [7, 8, 9, 6], "cell_id": [10, 11, 12, -1]})
    matches = pl.DataFrame({"source_unit_id": [1, 2, 4, 5], "unit_id": [7, 9, 8, 6]})
    judged = judged_matches(source.select("unit_id"), matches, source, later)
    assert judged["right"].to_list() == [True, False, False, False, False]
    accuracy = match_accuracy(judged)
    assert (accuracy.n_present, accuracy.n_right, accuracy.accuracy) == (3, 1, 1 / 3)
    assert (accuracy.n_missing, accuracy.n_missing_matched) == (2, 2)
    assert match_accuracy(judged[:0]).accuracy is None


def test_with_little_jitter_every_present_cell_finds_itself(make_coordinates):
    rng = np.random.default_rng(0)
    places = {u: np.array([20.0 * (u % 10), 20.0 * (u // 10), 0]) for u in range(60)}
    source = make_coordinates(places, stacks=(1, 2, 3), jitter=0.5, seed=1)
    name = dict(zip(range(60), rng.permutation(60) + 200, strict=True))
    later = make_coordinates(
        {name[u]: p for u, p in places.items() if u >= 6}, stacks=(1, 2, 3), jitter=2, seed=2
    )
    best = best_proximity_cell_match(proximity_cell_match(source, source, later, later))
    truth = pl.DataFrame({"unit_id": list(range(60)), "cell_id": list(range(60))})
    truth_later = pl.DataFrame({"unit_id": [name[u] for u in range(6, 60)], "cell_id": list(range(6, 60))})
    accuracy = match_accuracy(judged_matches(truth.select("unit_id"), best, truth, truth_later))
    assert accuracy.accuracy == 1.0
    assert accuracy.n_missing_matched == accuracy.n_missing == 6
    assert best.filter("double_match").height >= 6
