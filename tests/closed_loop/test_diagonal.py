import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.store import open_store
from inception_loop.closed_loop.diagonal import (
    DiagonalEntryConfig,
    diagonal_entry,
    make_z_summary_confusion_diagonal_entry,
)
from inception_loop.closed_loop.summary import Z_SUMMARY_CONFUSION, SummaryConfusionConfig


def summary_of(units=(4, 2, 9, 7), models=("cnn", "linear", "natural"), seed=0, sem=True):
    rng = np.random.default_rng(seed)
    rows = [
        (model, image, unit, rng.normal(), rng.uniform(0.1, 1) if sem else None, 20)
        for model in models
        for image in units
        for unit in units
    ]
    names = ["model_type", "image_unit_id", "source_unit_id", "mu_resp", "sem_resp", "n_repeats"]
    schema = dict.fromkeys(names, pl.Int64) | {
        "model_type": pl.String,
        "mu_resp": pl.Float64,
        "sem_resp": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


@pytest.mark.parametrize("control", ["linear", "natural"])
def test_each_entry_compares_the_two_own_images(control):
    summary = summary_of()
    table = diagonal_entry(summary, control)
    assert table["source_unit_id"].to_list() == [2, 4, 7, 9]
    assert table["control"].unique().to_list() == [control]
    own = {(m, u): (r, s) for m, i, u, r, s, _ in summary.rows() if i == u}
    differences, ts = {}, {}
    for row in table.iter_rows(named=True):
        unit = row["source_unit_id"]
        (a, sa), (b, sb) = own["cnn", unit], own[control, unit]
        assert (row["cnn_resp"], row["cnn_sem"], row["rf_resp"], row["rf_sem"]) == (a, sa, b, sb)
        assert row["diff_resp"] == a - b
        assert row["diff_sem"] == pytest.approx(np.hypot(sa, sb), rel=1e-14)
        assert row["t_diff"] == pytest.approx((a - b) / np.hypot(sa, sb), rel=1e-14)
        differences[unit], ts[unit] = row["diff_resp"], row["t_diff"]
    for values, column in ((differences, "diff_rank"), (ts, "t_rank")):
        order = sorted(values, key=values.__getitem__, reverse=True)
        assert dict(table.select("source_unit_id", column).rows()) == {u: order.index(u) for u in order}


def test_equal_differences_are_ranked_by_id():
    summary = summary_of().with_columns(pl.lit(1.0).alias("mu_resp"))
    assert diagonal_entry(summary)["diff_rank"].to_list() == [0, 1, 2, 3]


def test_without_standard_errors_there_is_a_difference_but_no_t():
    table = diagonal_entry(summary_of(sem=False))
    assert table["diff_resp"].null_count() == 0
    assert table["t_diff"].null_count() == table["t_rank"].null_count() == table.height


def test_a_unit_without_the_control_has_no_entry():
    summary = summary_of().filter(~((pl.col("model_type") == "linear") & (pl.col("image_unit_id") == 9)))
    assert diagonal_entry(summary)["source_unit_id"].to_list() == [2, 4, 7]
    assert diagonal_entry(summary, "gabor").height == 0


def test_a_masked_control_is_held_against_the_masked_mei():
    summary = summary_of(models=("cnn", "masked_cnn", "masked_natural", "gabor"))
    own = {(m, u): r for m, i, u, r, *_ in summary.rows() if i == u}
    for control, mei in (("masked_natural", "masked_cnn"), ("gabor", "cnn")):
        table = diagonal_entry(summary, control)
        assert table.select("control", "own").unique().rows() == [(control, mei)]
        expected = [own[mei, unit] - own[control, unit] for unit in (2, 4, 7, 9)]
        assert table["diff_resp"].to_list() == expected


def test_a_control_that_was_not_shown_is_skipped_in_words():
    store = open_store("memory://diagonal-skipped")
    summary = store.make(
        Z_SUMMARY_CONFUSION,
        SummaryConfusionConfig(loop_group=1),
        lambda attempt: attempt.write_table(
            "z_summary_confusion",
            summary_of(models=("cnn", "linear")).with_columns(
                var_resp=pl.lit(1.0), scan_count=pl.lit(1, pl.Int64)
            ),
        ),
    ).ref
    config = DiagonalEntryConfig(loop_group=1, control="masked_natural")
    made = make_z_summary_confusion_diagonal_entry(store, config, z_summary_confusion=summary).ref
    assert store.table(made, made.kind).height == 0
    assert store.manifest(made).findings["skipped"] == (
        "no unit was shown both its own masked MEI and its own best masked natural image: "
        "they are not compared"
    )
