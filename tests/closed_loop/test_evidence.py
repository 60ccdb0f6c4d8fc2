import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from inception_loop.closed_loop.diagonal import diagonal_entry
from inception_loop.closed_loop.evidence import (
    DEFINITIONS,
    Share,
    evidence_rows,
    expected_match_rows,
    loop_evidence,
    match_rows,
    prefers_own_mei,
    unit_rows,
)
from inception_loop.closed_loop.matrix import confusion_matrix
from inception_loop.closed_loop.statistics.of_loop import loop_tests
from inception_loop.closed_loop.statistics.per_unit import SCHEMA


def summary_of(matrices, units):
    rows = [
        (model, i, u, float(values[a, b]), 0.1, 20)
        for model, values in matrices.items()
        for a, i in enumerate(units)
        for b, u in enumerate(units)
    ]
    names = ["model_type", "image_unit_id", "source_unit_id", "mu_resp", "sem_resp", "n_repeats"]
    return pl.DataFrame(rows, schema=names, orient="row")


UNITS = [30, 10, 20, 40, 50]
CNN = np.array([[3.0, 0, 0, 0, 4], [0, 3, 0, 0, 0], [0, 0, 3, 0, 0], [0, 0, 0, 3, 0], [0, 0, 0, 0, 3]])
SUMMARY = summary_of(
    {"cnn": CNN, "linear": np.diag([1, 4, 1, 1, 1.0]), "natural": np.diag([4, 4, 1, 1, 1.0])}, UNITS
)
DIAGONALS = {control: diagonal_entry(SUMMARY, control) for control in ("linear", "natural")}


@pytest.mark.parametrize(("count", "n"), [(0, 5), (5, 5), (7, 10), (149, 150)])
def test_the_interval_is_wilsons(count, n):
    interval = binomtest(count, n).proportion_ci(method="wilson")
    share = Share(count, n)
    assert (share.lower, share.upper) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_every_share_counts_what_its_definition_says():
    evidence = loop_evidence(SUMMARY, DIAGONALS, [10, 20, 30, 50], [40, 10], n_permutations=999)
    assert (evidence.n_selected, evidence.n_units) == (4, 4)
    assert evidence.own_over_control["linear"] == Share(3, 4)
    assert evidence.own_over_control["natural"] == Share(2, 4)
    # unit 50 answers more to the MEI of unit 30
    assert evidence.own_image_is_best == Share(3, 4)
    assert evidence.panel_complex_mei_over_rf == Share(1, 2)
    assert evidence.diagonal is not None
    assert evidence.diagonal.statistic == pytest.approx(3.0)


def test_a_selected_unit_that_was_not_matched_is_left_out_of_every_share():
    evidence = loop_evidence(SUMMARY, DIAGONALS, [10, 20, 99], n_permutations=99)
    assert (evidence.n_selected, evidence.n_units, evidence.own_over_control["linear"].n) == (3, 2, 2)


def test_masked_images_are_counted_over_the_units_that_they_are_tested_over():
    masked = summary_of({"masked_cnn": CNN, "masked_natural": np.diag([1, 4, 1, 1, 1.0])}, UNITS)
    hole = (pl.col("model_type") == "masked_cnn") & (pl.col("image_unit_id") == 40)
    summary = pl.concat([SUMMARY, masked.filter(~(hole & (pl.col("source_unit_id") == 20)))])
    entries = {"masked_natural": diagonal_entry(summary, "masked_natural")}
    share = loop_evidence(summary, entries, UNITS, n_permutations=99).own_over_control["masked_natural"]
    matrices = {own: confusion_matrix(summary, UNITS, own) for own in ("cnn", "masked_cnn")}
    trials = pl.DataFrame(
        schema=dict.fromkeys(("animal_id", "session", "scan_idx", "source_unit_id", "unit_id"), pl.Int64)
        | {"model_type": pl.String, "condition_hash": pl.String}
    )
    tests = loop_tests(entries, trials, pl.DataFrame(schema=SCHEMA | {"control": pl.String}), matrices)
    (tested,) = tests.filter(key="masked_cnn_masked_natural_share").iter_rows(named=True)
    assert (share.count, share.n, share.value) == (3, 4, tested["value"])
    assert tested["n"] == share.n


def test_without_units_nothing_is_claimed():
    evidence = loop_evidence(SUMMARY, {}, [])
    rows = evidence_rows(evidence)
    assert evidence.diagonal is None
    assert rows.filter(pl.col("key") != "n_units")["value"].null_count() == rows.height - 1


def test_one_unit_alone_is_the_best_of_nothing():
    evidence = loop_evidence(SUMMARY, DIAGONALS, [30], n_permutations=99)
    assert evidence.n_units == 1
    assert evidence.own_image_is_best.value is None
    assert evidence.diagonal is None


def test_a_tie_is_no_preference():
    table = pl.DataFrame({"source_unit_id": [1, 2], "diff_resp": [0.0, 1.0]})
    assert prefers_own_mei(table, [1, 2, 3]) == Share(1, 2)


def test_every_row_has_its_definition_and_its_n():
    evidence = loop_evidence(SUMMARY, DIAGONALS, UNITS, [10], n_permutations=99)
    judged = pl.DataFrame(
        {
            "source_unit_id": [5, 6],
            "unit_id": [1, None],
            "present": [True, False],
            "right": [True, False],
        }
    )
    rules = [match_rows(judged, rule) for rule in ("", "proximity_", "assigned_")]
    rows = pl.concat([evidence_rows(evidence), *rules, expected_match_rows(pl.Series([0.9, 0.7]))])
    assert set(rows["key"]) == set(DEFINITIONS)
    values = dict(rows.select("key", "value").rows())
    assert values["n_units"] == 5
    assert values["own_mei_over_own_rf_share"] == 0.8
    assert values["match_accuracy"] == 1.0
    assert values["missing_matched_share"] == 0.0
    assert values["assigned_expected_right_share"] == pytest.approx(0.8)


def test_matches_of_one_cell_on_two_days_are_not_two_cells_and_have_no_interval():
    day = {"unit_id": [1, 2, 3], "present": [True, True, False], "right": [True, False, False]}
    judged = pl.DataFrame({"source_unit_id": [5, 6, 7], **day})
    one, two = (
        {row["key"]: row for row in match_rows(rows).iter_rows(named=True)}
        for rows in (judged, pl.concat([judged] * 2))
    )
    for key, n in (("match_accuracy", 2), ("missing_matched_share", 1)):
        assert (one[key]["n"], two[key]["n"]) == (n, 2 * n)
        assert one[key]["value"] == two[key]["value"]
        assert one[key]["lower"] < one[key]["upper"]
        assert (two[key]["lower"], two[key]["upper"]) == (None, None)
    assert "no interval" in two["match_accuracy"]["definition"]


def test_unit_rows_add_up_to_the_shares():
    selected = pl.DataFrame({"unit_id": [10, 20, 30, 50], "hu_rank": [3, 0, 1, 2]})
    panel = pl.DataFrame({"unit_id": [40, 10], "kind": ["complex", "simple"]})
    rows = unit_rows(SUMMARY, DIAGONALS, selected, panel)
    assert rows["source_unit_id"].to_list() == [10, 20, 30, 40, 50]
    counted = rows.filter("in_matrix")
    assert counted.height == 4
    assert counted["own_image_is_best"].sum() == 3
    assert counted["mei_over_rf"].sum() == 3
    assert counted["mei_over_natural"].sum() == 2
    assert rows.filter(source_unit_id=40).row(0, named=True)["panel_kind"] == "complex"
    assert rows.filter(source_unit_id=40)["own_image_is_best"].to_list() == [None]
