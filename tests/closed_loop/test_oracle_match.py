import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.oracle_match import cell_match_oracle_correlation

SHARED = ["o1", "o2", "o3", "o4", "o5", "o6"]
MATCHES = pl.DataFrame({"source_unit_id": [101, 102, 103], "unit_id": [104, 100, 102]})


def slow(source, later, names):
    def tuning(scan, unit):
        y = scan.values[:, scan.unit_ids.tolist().index(unit)]
        z = (y - y[scan.kept].mean()) / y[scan.kept].std(ddof=1)
        return [z[scan.kept & (scan.shown == name)].mean() for name in names]

    return {
        (s, t): np.corrcoef(tuning(source, s), tuning(later, t))[0, 1]
        for s in MATCHES["source_unit_id"]
        for t in MATCHES["unit_id"]
    }


def test_the_query_equals_the_slow_version(make_scan):
    source = make_scan([*SHARED, "t1", "t2"], repeats=9, seed=1)
    later = make_scan([*SHARED, "cnn-1"], repeats=10, seed=2)
    found = cell_match_oracle_correlation(
        source.responses,
        source.columns,
        later.responses,
        later.columns,
        MATCHES,
        source_excluded=source.excluded,
        later_excluded=later.excluded,
    )
    expected = slow(source, later, SHARED)
    assert found.height == 9
    assert found["n_images"].unique().to_list() == [6]
    for row in found.iter_rows(named=True):
        assert row["correlation"] == pytest.approx(expected[row["source_unit_id"], row["unit_id"]], abs=1e-12)
    matched = set(found.filter("matched").select("source_unit_id", "unit_id").rows())
    assert matched == set(MATCHES.rows())


def test_images_need_more_than_four_repeats_on_both_days(make_scan):
    source, later = make_scan(SHARED, repeats=5, seed=3), make_scan(SHARED, repeats=6, seed=4)
    arguments = (source.responses, source.columns, later.responses, later.columns, MATCHES)
    assert cell_match_oracle_correlation(*arguments)["n_images"].unique().to_list() == [6]
    assert cell_match_oracle_correlation(*arguments, more_than_repeats=5).height == 0
    fewer = cell_match_oracle_correlation(*arguments, source_excluded=source.excluded)
    lost = len(set(source.shown[~source.kept]))
    assert fewer["n_images"].unique().to_list() == [6 - lost]


def test_the_same_cell_correlates_with_itself(make_scan):
    tuning = 5 * np.random.default_rng(0).normal(size=(6, 9))
    source, later = (make_scan(SHARED, repeats=40, seed=5, tuning=tuning) for _ in range(2))
    matches = pl.DataFrame({"source_unit_id": source.unit_ids, "unit_id": later.unit_ids})
    found = cell_match_oracle_correlation(
        source.responses, source.columns, later.responses, later.columns, matches
    )
    assert found.filter("matched")["correlation"].min() == pytest.approx(1)
    assert found.filter(~pl.col("matched"))["correlation"].max() < 0.999
