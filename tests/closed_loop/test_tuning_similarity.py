import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.candidate_pairs import candidate_pairs
from inception_loop.closed_loop.oracle_match import cell_match_oracle_correlation
from inception_loop.closed_loop.tuning_similarity import ScanResponses, likeness, tuning_of

SHARED = [f"o{i}" for i in range(9)]


@pytest.fixture
def pairs(make_coordinates):
    """All pairs of nine units that lie in one place."""
    table = make_coordinates({u: np.zeros(3) for u in range(100, 109)})
    ids = np.arange(100, 109)
    return ids, candidate_pairs(ids, table, ids, table)


def of(scan):
    return ScanResponses(scan.responses, scan.columns, scan.excluded)


def test_correlations_are_those_of_the_table_of_tuning_correlations(make_scan, pairs):
    ids, candidates = pairs
    source = make_scan([*SHARED, "t1", "t2"], repeats=9, seed=1)
    later = make_scan([*SHARED, "cnn-1"], repeats=10, seed=2)
    found = likeness(of(source), of(later), ids, ids, candidates)
    matches = pl.DataFrame({"source_unit_id": ids, "unit_id": ids})
    rows = cell_match_oracle_correlation(
        source.responses, source.columns, later.responses, later.columns, matches,
        source_excluded=source.excluded, later_excluded=later.excluded,
    )  # fmt: skip
    expected = {row[:2]: row[2] for row in rows.select("source_unit_id", "unit_id", "correlation").rows()}
    units = zip(ids[candidates.source].tolist(), ids[candidates.later].tolist(), strict=True)
    assert found.n_images == 9
    np.testing.assert_allclose(found.correlation, [expected[pair] for pair in units], atol=1e-6)


def test_a_large_offset_of_the_responses_changes_nothing(make_scan, pairs):
    ids, candidates = pairs
    plain, shifted = (make_scan(SHARED, repeats=9, seed=1, offset=offset) for offset in (0.0, 1e6))
    later = make_scan(SHARED, repeats=9, seed=2)
    one, other = (likeness(of(scan), of(later), ids, ids, candidates) for scan in (plain, shifted))
    np.testing.assert_allclose(one.correlation, other.correlation, atol=1e-6)


def test_too_few_shared_images_say_nothing(make_scan, pairs):
    ids, candidates = pairs
    source, later = make_scan(SHARED, repeats=5, seed=1), make_scan(SHARED[:7], repeats=9, seed=2)
    assert likeness(of(source), of(later), ids, ids, candidates) is None
    assert likeness(of(source), of(source), ids, ids, candidates, more_than_repeats=5) is None


def test_units_without_responses_are_not_known(make_scan, pairs):
    ids, candidates = pairs
    source, later = make_scan(SHARED, seed=1, n_units=8), make_scan(SHARED, seed=2, n_units=9)
    found = likeness(of(source), of(later), ids, ids, candidates)
    np.testing.assert_array_equal(np.isnan(found.correlation), ids[candidates.source] == 108)


def test_reliability_is_the_correlation_with_the_true_tuning():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(3000, 1)) * [0.5, 1.0, 2.0]
    trials = np.repeat(signal, 5, axis=0) + rng.normal(size=(15_000, 3))
    tuning = tuning_of(trials, 5 * np.arange(3000))
    true = [np.corrcoef(tuning.direction[i], signal[:, i])[0, 1] for i in range(3)]
    np.testing.assert_allclose(tuning.reliability, true, atol=0.02)


def test_flat_units_and_responses_that_are_no_numbers_have_no_direction():
    trials = np.random.default_rng(0).normal(size=(20, 4))
    trials[:, 0], trials[3, 1], trials[4, 2] = 1.0, np.nan, np.inf
    tuning = tuning_of(trials, 2 * np.arange(10))
    np.testing.assert_array_equal(np.isnan(tuning.direction).any(axis=1), [True, True, True, False])
