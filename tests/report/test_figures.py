import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.matrix import confusion_matrix
from inception_loop.report.closed_loop.tables import loop_tables
from inception_loop.report.figures.evidence import confusion_figure, diagonal_figure, preference_figure
from inception_loop.report.figures.matching import (
    distance_figure,
    map_figure,
    probability_figure,
    tuning_figure,
)
from inception_loop.report.figures.models import (
    families_figure,
    funnel_figure,
    oracle_figure,
    training_figure,
)
from inception_loop.report.figures.recording import traces_figure, trials_figure
from inception_loop.report.page import figures


@pytest.fixture(scope="module")
def tables(data):
    return loop_tables(data)


@pytest.fixture(scope="module")
def drawn(data):
    return figures(data)


def test_everything_known_is_drawn(drawn):
    models = {"training-val-corr", "training-train-loss", "oracle", "families", "funnel"}
    matching = {"match-map", "match-distance", "match-tuning"}
    evidence = {"confusion-z", "confusion-plain", "confusion-controls", "preference"}
    evidence |= {"diagonal-linear", "diagonal-natural"}
    assert set(drawn) == {"trials", "traces"} | models | matching | evidence


def test_each_is_svg_that_loads_nothing(drawn):
    for figure in drawn.values():
        root = ET.fromstring(figure.svg)
        assert root.tag.endswith("svg")
        for element in root.iter():
            for name, value in element.attrib.items():
                if name.endswith("href"):
                    assert value.startswith(("#", "data:image/png"))
        assert b"<dc:date>" not in figure.svg


def test_each_has_an_alt_text_with_numbers_and_a_caption(drawn):
    for figure in drawn.values():
        assert any(character.isdigit() for character in figure.alt), figure.name
        assert "nan" not in figure.alt
        assert figure.caption.endswith(".")


def test_the_confusion_says_what_lies_on_and_off_the_diagonal(data):
    matrix = confusion_matrix(data.z_summary, data.selected)
    own = np.diag(matrix.responses).mean()
    off = matrix.responses[~np.eye(21, dtype=bool)].mean()
    alt = confusion_figure(matrix, z_scored=True).alt
    assert f"{own:.2f} on average, off it {off:.2f}" in alt


def test_the_scatter_counts_the_selected_cells_above_the_line(data, tables):
    rows = data.z_diagonals["linear"]
    above = rows.filter(pl.col("source_unit_id").is_in(data.selected), pl.col("diff_resp") > 0).height
    alt = diagonal_figure(tables.diagonal.filter(control="linear")).alt
    assert f"{above} of 21 selected cells" in alt
    sure = data.unit_tests.filter(pl.col("q_value") <= 0.05, control="linear")
    more = sure.filter(pl.col("difference") > 0).height
    assert f"by its own trials {more} answer more to the own MEI, {sure.height - more} less" in alt


def test_the_strip_chart_counts_the_rows_won_by_the_own_mei(data, tables):
    best = dict(data.evidence.select("key", "count").rows())["own_image_is_best_share"]
    assert f"In {best} rows the own MEI" in preference_figure(tables.confusion).alt


def test_a_long_strip_chart_is_cut_and_says_so(tables):
    assert "The first 8 of 21 cells" in preference_figure(tables.confusion, limit=8).caption


def test_ten_thousand_matches_stay_small(tables):
    n = 10_000
    rng = np.random.default_rng(1)
    one = tables.matches[:1].drop("x", "y", "later_x", "later_y", "mean_distance", "probability")
    rows = pl.concat([one] * n).with_columns(
        pl.Series(name, rng.uniform(0, 600, n)) for name in ("x", "y", "later_x", "later_y", "mean_distance")
    )
    rows = rows.with_columns(pl.Series("probability", rng.uniform(0, 1, n)))
    assert len(map_figure(rows).svg) < 1e6
    assert len(probability_figure(rows).svg) < 5e5


def test_a_match_is_as_sure_as_the_assignment_says_and_not_at_all_where_it_disagrees(tables):
    agrees = pl.Series([True, True, False, True])
    units = tables.matches[:4]["unit_id"]
    rows = tables.matches[:4].with_columns(
        assigned_unit_id=pl.select(pl.when(agrees).then(units)).to_series(),
        probability=pl.Series([1.0, 0.9, 0.8, 0.96]),
    )
    alt = probability_figure(rows).alt
    assert "2 have a probability of at least 0.95; 2.9 of all" in alt


def test_without_truth_kinds_and_matches_are_drawn_plainly(data):
    units = data.units.with_columns(
        pl.lit(None, pl.String).alias("kind"),
        pl.lit(None, pl.Float64).alias("cnn_ceiling_fraction"),
        pl.lit(None, pl.Float64).alias("lin_ceiling_fraction"),
    )
    assert "all cells cnn" in families_figure(units).alt
    assert "Test correlation" in families_figure(units).alt
    matches = data.matches.with_columns(pl.lit(None, pl.Boolean).alias("right"))
    assert "41 matched" in map_figure(matches).alt


def test_a_network_that_plays_the_animal_is_one_kind(data):
    units = data.units.with_columns(pl.lit("network").alias("kind"))
    assert "all cells cnn" in families_figure(units).alt


def test_tables_of_one_row_can_be_drawn(data, tables):
    assert diagonal_figure(tables.diagonal[:1]).svg
    assert distance_figure(data.matches[:1]).svg
    assert map_figure(data.matches[:1]).svg
    assert tuning_figure(tables.tuning_match[:1]).svg
    assert funnel_figure(data.funnel[:1]).svg
    assert trials_figure(data.trials[:1]).svg
    assert traces_figure(data.traces[:1]).svg
    assert oracle_figure(data.units[:1]).svg
    assert training_figure(data.history.filter(epoch=0)).svg
