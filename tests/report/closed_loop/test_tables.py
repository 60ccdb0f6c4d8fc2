import numpy as np
import polars as pl
import pytest

from inception_loop.report.closed_loop.kinds import TABLES
from inception_loop.report.closed_loop.tables import loop_tables, tuning_histogram


@pytest.fixture(scope="module")
def tables(data):
    return loop_tables(data)


def test_every_table_has_the_columns_that_its_payload_declares(tables):
    for name, frame in tables.frames().items():
        assert frame.columns == list(TABLES[name].columns), name
        for column, declared in TABLES[name].columns.items():
            assert declared.nullable or frame[column].null_count() == 0, (name, column)


def test_ranks_are_those_of_the_selection(tables, data):
    assert tables.selected == data.selected
    for name in ("confusion", "diagonal", "matches", "own_responses", "shown", "unit_tests"):
        ranks = getattr(tables, name).select("source_unit_id", "rank").unique()
        found = dict(ranks.drop_nulls().iter_rows())
        assert found == {unit: rank for rank, unit in enumerate(data.selected)}, name


def test_the_confusion_holds_both_scales_of_every_pair(tables, data):
    assert tables.confusion.height == data.z_summary.height
    both = tables.confusion.select((pl.col("mean") - pl.col("z_mean")).alias("offset"))
    np.testing.assert_allclose(both["offset"].to_numpy(), 0.9)


def test_the_means_of_the_trials_are_the_means_of_the_diagonal(tables):
    means = tables.own_responses.group_by("model_type", "source_unit_id").agg(pl.col("z_response").mean())
    own = tables.diagonal.join(means.filter(model_type="cnn"), on="source_unit_id")
    np.testing.assert_allclose(own["z_response"], own["own_mean"], atol=1e-12)


def test_pairs_are_counted_each_once(data):
    histogram = tuning_histogram(data.tuning_match)
    counts = dict(histogram.group_by("matched").agg(pl.col("n").sum()).iter_rows())
    assert counts == {True: 41, False: 1640}
    ends = pl.DataFrame({"matched": True, "correlation": [-1.0, 1.0]})
    assert tuning_histogram(ends)["n"].sum() == 2


def test_no_pairs_have_no_histogram():
    assert tuning_histogram(pl.DataFrame({"matched": [True], "correlation": [None]})).height == 0
