import io
import struct
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from inception_loop.report.closed_loop.export import export_figures
from inception_loop.report.closed_loop.lines import report_lines
from inception_loop.report.closed_loop.tables import loop_tables

ONE = ["cnn", "linear"]


@pytest.fixture(scope="module")
def tables(data):
    """Few figures, so that it is quick: one control, no matching, the trials of three units."""
    full = loop_tables(data)
    units = full.selected[:3]
    mine = pl.col("source_unit_id").is_in(units)
    return replace(
        full,
        confusion=full.confusion.filter(mine, pl.col("image_unit_id").is_in(units), model_type="cnn"),
        diagonal=full.diagonal.filter(mine, control="linear"),
        own_responses=full.own_responses.filter(mine, pl.col("model_type").is_in(ONE)),
        matches=full.matches[:0],
        tuning_match=full.tuning_match[:0],
    )


@pytest.fixture(scope="module")
def files(tables):
    found = {}
    n = export_figures(tables, lambda path, content: found.update({str(path): content}), dpi=60)
    return n, found


def test_every_figure_comes_in_both_formats_with_the_same_rows_in_both(files):
    n, found = files
    figures = {path[len("figures/") : -len(".svg")] for path in found if path.endswith(".svg")}
    assert figures == {"confusion-z", "confusion-plain", "preference", "diagonal-linear", "units-01"}
    assert n == len(figures)
    for name in figures:
        width, height = struct.unpack(">II", found[f"figures/{name}.png"][16:24])
        assert min(width, height) > 60
        rows = pl.read_parquet(io.BytesIO(found[f"data/{name}.parquet"]))
        again = pl.read_csv(io.BytesIO(found[f"data/{name}.csv"]), schema=rows.schema)
        assert rows.height
        assert_frame_equal(rows, again)


def test_every_column_has_a_meaning_and_every_figure_its_words_and_artifacts(files):
    _, found = files
    columns = pl.read_csv(io.BytesIO(found["data/columns.csv"]))
    for path, content in found.items():
        name = path.removeprefix("data/").removesuffix(".parquet")
        if path.endswith(".parquet"):
            rows = pl.read_parquet(io.BytesIO(content))
            assert columns.filter(data=name)["column"].to_list() == rows.columns
    assert columns["meaning"].str.len_chars().min() > 8
    said = pl.read_csv(io.BytesIO(found["data/figures.csv"]))
    linear = said.filter(figure="diagonal-linear")
    assert "of 3 selected cells" in linear["shows"].item()
    assert linear["comes_from"].item() == f"recording/{0:064x}"


def test_a_scatter_can_be_redrawn_from_its_csv(files, tables):
    rows = pl.read_csv(io.BytesIO(files[1]["data/diagonal-linear.csv"]))
    difference = rows["own_mean"].to_numpy() - rows["control_mean"].to_numpy()
    np.testing.assert_allclose(difference, tables.diagonal["difference"].to_numpy())


def test_tests_and_numbers_stand_beside_the_figures(files, tables):
    for name in ("numbers", "tests", "unit_tests", "power", "own_responses", "origins"):
        rows = pl.read_parquet(io.BytesIO(files[1][f"data/{name}.parquet"]))
        assert_frame_equal(rows, getattr(tables, name))


def test_the_terminal_gets_a_line_for_every_comparison_with_its_test(data):
    lines = report_lines(data.evidence, data.tests)
    counts = dict(data.evidence.select("key", "count").rows())
    assert "? Yes against the MEIs of other cells" in lines[0]
    assert f"{counts['own_image_is_best_share']} of 21 answer to their own MEI more than" in lines[1]
    assert all(" p = " in line and ", q = " in line for line in lines[1:])
    assert len(lines) == 5


def test_the_trials_of_the_truth_panel_are_in_the_data_though_no_sheet_shows_them(data):
    full = loop_tables(data)
    panel = full.own_responses.filter(pl.col("rank").is_null())
    selected = full.own_responses.filter(pl.col("rank") == 0)
    nothing = {"confusion": full.confusion[:0], "diagonal": full.diagonal[:0], "matches": full.matches[:0]}
    few = replace(
        full, **nothing, tuning_match=full.tuning_match[:0], own_responses=pl.concat([selected, panel])
    )
    found = {}
    export_figures(few, lambda path, content: found.update({str(path): content}), dpi=30)
    rows = pl.read_parquet(io.BytesIO(found["data/own_responses.parquet"]))
    assert panel.height > 0
    assert_frame_equal(rows, few.own_responses)
    means = rows.group_by("source_unit_id", "model_type").agg(pl.col("z_response").mean())
    wide = means.pivot(on="model_type", index="source_unit_id", values="z_response")
    complex_ = [unit for unit in data.images if unit.kind == "complex"]
    prefer = wide.filter(
        pl.col("source_unit_id").is_in([unit.unit_id for unit in complex_]), pl.col("cnn") > pl.col("linear")
    )
    said = data.evidence.row(by_predicate=pl.col("key") == "panel_complex_mei_over_rf_share", named=True)
    assert (prefer.height, len(complex_)) == (said["count"], said["n"])
