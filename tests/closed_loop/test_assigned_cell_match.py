import numpy as np
import polars as pl
import pytest

from inception_loop.animals.cortex import CortexConfig, later_day, place_cells, stack_table
from inception_loop.closed_loop.assigned_cell_match import assigned_cell_match
from inception_loop.closed_loop.matching import (
    best_proximity_cell_match,
    judged_matches,
    match_accuracy,
    proximity_cell_match,
)
from inception_loop.closed_loop.tuning_similarity import ScanResponses

SHARED = [f"o{i}" for i in range(12)]


@pytest.fixture(scope="module")
def animal_days():
    """Units, stack coordinates and truth of the first and a later day of the simulated animal."""
    cortex = CortexConfig()
    first = place_cells(420, cortex, np.random.default_rng([3, 1]))
    kept, moved = later_day(first, cortex, 3, 1)
    fresh = place_cells(42, cortex, np.random.default_rng([3, 2]), taken=moved)
    cells = [(first, np.arange(420)), (moved.join(fresh), np.concatenate([kept, 1000 + np.arange(42)]))]
    days = []
    for day, (places, cell_id) in enumerate(cells):
        units = np.random.default_rng(day).permutation(len(cell_id)) + 1
        truth = pl.DataFrame({"unit_id": units, "cell_id": cell_id}).sort("unit_id")
        days.append((stack_table(places, units, cortex, 3, day), truth))
    return days


def test_on_the_simulated_animal_present_cells_are_right_and_missing_ones_left_alone(animal_days):
    (source, source_truth), (later, later_truth) = animal_days
    rows = assigned_cell_match(source_truth, source, later_truth, later).table
    published = best_proximity_cell_match(proximity_cell_match(source_truth, source, later_truth, later))
    kept, nearest = (
        match_accuracy(judged_matches(source_truth, matches, source_truth, later_truth))
        for matches in (rows.filter("kept"), published)
    )
    assert kept.accuracy >= 0.98
    assert nearest.accuracy >= 0.98
    assert nearest.n_missing_matched == nearest.n_missing == 42
    assert kept.n_missing_matched <= 3
    assert rows.height == 420
    assert rows.filter(~pl.col("kept"))["reason"].is_in(["unlikely", "no_candidate"]).all()


def test_every_cell_is_given_to_one_source_unit_at_most(animal_days):
    (source, source_truth), (later, later_truth) = animal_days
    rows = assigned_cell_match(source_truth, source, later_truth, later).table
    assert rows["unit_id"].drop_nulls().is_unique().all()
    assert rows["source_unit_id"].to_list() == source_truth["unit_id"].to_list()
    assert (rows["probability"] + rows["missing_probability"]).max() < 1.01


def test_the_numbers_of_units_do_not_matter(animal_days):
    (source, source_truth), (later, later_truth) = animal_days
    again = {u: 5000 - u for u in later_truth["unit_id"]}
    renamed = (frame.with_columns(pl.col("unit_id").replace_strict(again)) for frame in (later, later_truth))
    one = assigned_cell_match(source_truth, source, later_truth, later).table
    later_again, truth_again = renamed
    other = assigned_cell_match(source_truth, source, truth_again, later_again).table
    assert [again.get(unit) for unit in one["unit_id"]] == other["unit_id"].to_list()
    np.testing.assert_allclose(one["probability"], other["probability"], atol=1e-6)


def test_two_source_units_that_claim_one_cell_share_its_probability(make_coordinates):
    source = make_coordinates({1: np.array([0.0, 0, 0]), 2: np.array([3.0, 0, 0]), 3: np.array([90.0, 0, 0])})
    later = make_coordinates({7: np.array([1.2, 0, 0]), 8: np.array([91.0, 0, 0])})
    rows = assigned_cell_match(source, source, later, later).table
    assert rows["unit_id"].to_list() == [7, None, 8]
    assert rows["double_match"].to_list() == [True, False, False]
    assert rows["reason"].to_list() == ["", "no_candidate", ""]
    assert rows["probability"][0] < 0.8 < rows["probability"][2]
    assert 0.05 < 1 - rows["missing_probability"][1] < 0.5


def test_what_is_dropped_stays_in_the_table_with_its_reason(make_coordinates):
    here = {1: np.zeros(3), 2: np.array([3.0, 0, 0]), 4: np.array([300.0, 0, 0])}
    source = pl.concat([make_coordinates(here), make_coordinates({3: np.zeros(3)}, stacks=(2,))])
    later = make_coordinates({7: np.array([1.4, 0, 0])})
    rows = assigned_cell_match(source, source, later, later, least_probability=0.9).table
    assert rows["reason"].to_list() == ["unlikely", "no_candidate", "not_registered", "no_candidate"]
    assert rows["unit_id"].to_list() == [7, None, None, None]
    assert not rows["kept"].any()
    assert rows["total_stacks"].to_list() == [1, 1, 0, 1]


def test_nobody_is_matched_where_nothing_is_near(make_coordinates):
    source = make_coordinates({1: np.zeros(3), 2: np.array([40.0, 0, 0])})
    later = make_coordinates({7: np.array([900.0, 0, 0])})
    rows = assigned_cell_match(source, source, later, later).table
    assert rows["unit_id"].to_list() == [None, None]
    assert rows["missing_probability"].to_list() == [1.0, 1.0]


def test_scans_without_a_common_stack_match_nobody(make_coordinates):
    source, later = make_coordinates({1: np.zeros(3)}), make_coordinates({7: np.zeros(3)}, stacks=(2,))
    rows = assigned_cell_match(source, source, later, later).table
    assert rows.select("unit_id", "reason").rows() == [(None, "not_registered")]


def test_tuning_tells_swapped_neighbours_apart(make_coordinates, make_scan):
    """Pairs of cells 4 µm apart that changed places: only their answers say so."""
    rng = np.random.default_rng(0)
    units = np.arange(100, 140)
    middle = {u: np.array([60.0 * (u // 2 % 5), 60.0 * (u // 10), 0]) for u in units}
    side = {u: np.array([2.0 - 4.0 * (u % 2), 0, 0]) for u in units}
    source = make_coordinates({u: middle[u] + side[u] for u in units}, jitter=1, seed=1)
    later = make_coordinates({u: middle[u] - 0.1 * side[u] for u in units}, jitter=1, seed=2)
    tuning = 3 * rng.normal(size=(12, 40))
    scans = [make_scan(SHARED, n_units=40, repeats=8, seed=seed, tuning=tuning) for seed in (1, 2)]
    # make_scan numbers its columns at random: the tuning follows the column, so name units by column
    columns = scans[0].columns.with_columns(pl.Series("unit_id", units))
    responses = [ScanResponses(scan.responses, columns, scan.excluded) for scan in scans]
    ids = pl.DataFrame({"unit_id": units})
    place = assigned_cell_match(ids, source, ids, later)
    both = assigned_cell_match(
        ids, source, ids, later, source_responses=responses[0], later_responses=responses[1]
    )
    right = [(made.table["unit_id"] == units).sum() for made in (place, both)]
    assert right[0] < 35
    assert right[1] == 40
    assert (place.n_images, both.n_images) == (0, 12)
    assert both.table["correlation"].min() > 0.5
