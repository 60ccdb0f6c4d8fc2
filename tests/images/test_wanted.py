"""Every wanted unit is asked for once, and controls get the statistics of the MEIs."""

import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import Fast, PublishedBlur, PublishedContrast
from inception_loop.images.wanted import statistics_of, wanted_units


def units(name, unit_ids):
    return pl.DataFrame({"name": name, "neuron_id": [u * 10 for u in unit_ids], "unit_id": unit_ids})


@pytest.fixture
def selection():
    ranks = pl.Series([2, None, 0, 1], dtype=pl.Int64)
    one = units("a", [1, 2, 3, 4]).with_columns(hu_rank=ranks)
    return pl.concat([one, units("b", [1]).with_columns(hu_rank=pl.lit(0, pl.Int64))])


@pytest.fixture
def panel():
    return units("a", [9, 2, 3]).with_columns(
        kind=pl.Series(["simple", "complex", "complex"]), panel_rank=pl.Series([0, 1, 0])
    )


def test_selected_units_come_by_rank_then_the_panel_and_nobody_twice(selection, panel):
    wanted = wanted_units(selection, panel)
    assert wanted.select("name", "unit_id").rows() == [
        ("a", 3),
        ("a", 4),
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("a", 9),
    ]
    assert wanted_units(selection).height == 4


def test_nobody_wanted_is_an_error(selection):
    with pytest.raises(DataError, match="no unit is selected"):
        wanted_units(selection.filter(pl.col("hu_rank").is_null()))


def test_controls_get_the_statistics_of_the_meis():
    assert statistics_of(Fast(mean=100.0, contrast=7.0)) == (100.0, 7.0)
    assert statistics_of(PublishedContrast(max_contrast=9.0)) == (None, 9.0)
    assert statistics_of(PublishedBlur()) == (None, 11.0)
