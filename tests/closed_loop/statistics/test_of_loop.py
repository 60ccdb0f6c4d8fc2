import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.matrix import ConfusionMatrix
from inception_loop.closed_loop.statistics.of_loop import (
    loop_tests,
    loop_unit_tests,
    loop_variances,
    not_independent,
    own_and_control_trials,
)
from inception_loop.closed_loop.statistics.per_unit import trial_table, unit_tests
from inception_loop.errors import DataError

UNITS = 12
NAMES = [
    "animal_id",
    "session",
    "scan_idx",
    "model_type",
    "source_unit_id",
    "unit_id",
    "condition_hash",
    "z_response",
]


def own_responses(seed=0, scans=(1, 2, 3), repeats=4, effect=1.5):
    rng = np.random.default_rng(seed)
    rows = [
        (
            9,
            1,
            scan,
            model,
            unit,
            100 + unit,
            f"{model}-{unit}",
            rng.exponential(1) + effect * (model == "cnn"),
        )
        for scan in scans
        for model in ("cnn", "linear", "natural")
        for unit in range(UNITS)
        for _ in range(repeats)
    ]
    return pl.DataFrame(rows, schema=NAMES, orient="row")


def diagonal(own, control):
    """Rows of `diagonal_entry`, worked out from the trials."""
    out = []
    for (unit,), part in own.group_by("source_unit_id", maintain_order=True):
        mei, other = (part.filter(pl.col("model_type") == m)["z_response"] for m in ("cnn", control))
        sems = [values.std() / len(values) ** 0.5 for values in (mei, other)]
        means = (mei.mean(), other.mean())
        out.append((unit, *means, means[0] - means[1], *sems, len(mei), len(other)))
    names = [
        "source_unit_id",
        "cnn_resp",
        "rf_resp",
        "diff_resp",
        "cnn_sem",
        "rf_sem",
        "cnn_repeats",
        "rf_repeats",
    ]
    return pl.DataFrame(out, schema=names, orient="row")


def all_tests(own, controls=("linear", "natural")):
    tests = loop_unit_tests(own, controls, n_permutations=999)
    matrix = ConfusionMatrix(
        np.arange(UNITS), np.random.default_rng(1).normal(size=(UNITS, UNITS)) + np.eye(UNITS)
    )
    diagonals = {control: diagonal(own, control) for control in controls}
    return loop_tests(diagonals, own, tests, {"cnn": matrix}, n_permutations=999), tests


def test_a_loop_gives_its_rows_with_the_numbers_of_its_trials():
    own = own_responses()
    table, tests = all_tests(own)
    assert table["key"].to_list() == [
        *(f"cnn_linear_{test}" for test in ("interval", "sign_flip", "wilcoxon", "share", "per_unit")),
        *(f"cnn_natural_{test}" for test in ("interval", "sign_flip", "wilcoxon", "share", "per_unit")),
        "cnn_diagonal",
        "cnn_own_over_others",
    ]
    linear = tests.filter(pl.col("control") == "linear")
    assert table["value"][0] == pytest.approx(linear["difference"].mean())
    assert table["value"][4] == linear.filter((pl.col("q_value") <= 0.05) & (pl.col("difference") > 0)).height
    assert set(table["n"]) == {UNITS}
    assert not any("s.d." in words for words in table["words"]), "z-scores"
    assert " z (95 %" in table["words"][-1]


def test_the_trials_of_all_scans_are_tested_within_scans_unit_by_unit():
    own = own_responses()
    tests = loop_unit_tests(own, ["linear"], n_permutations=999)
    assert tests["n_own"].to_list() == [12] * UNITS
    one = own.filter(pl.col("scan_idx") == 2)
    mei, rf = (
        [
            one.filter((pl.col("model_type") == m) & (pl.col("source_unit_id") == u))["z_response"]
            for u in range(UNITS)
        ]
        for m in ("cnn", "linear")
    )
    theirs = unit_tests(trial_table(mei, rf), n_permutations=999)
    np.testing.assert_allclose(
        loop_unit_tests(one, ["linear"], n_permutations=999)["p_value"], theirs["p_value"]
    )


def test_units_shown_one_of_the_images_only_are_not_in_the_comparison():
    own = own_responses().filter((pl.col("source_unit_id") != 3) | (pl.col("model_type") != "linear"))
    assert own_and_control_trials(own, "linear")["unit_id"].n_unique() == UNITS - 1
    assert own_and_control_trials(own, "gabor").height == 0
    assert loop_unit_tests(own, ["gabor"]).height == 0
    with pytest.raises(DataError, match="no comparison was asked"):
        loop_unit_tests(own, [])


def test_shared_images_and_shared_cells_are_said_in_the_words_of_their_comparison():
    own = own_responses().with_columns(
        pl.when((pl.col("model_type") == "natural") & (pl.col("source_unit_id") < 4))
        .then(pl.lit("the zebra"))
        .otherwise(pl.col("condition_hash"))
        .alias("condition_hash"),
        unit_id=pl.when(pl.col("source_unit_id") < 2).then(100).otherwise(pl.col("unit_id")),
    )
    assert not_independent(own, "linear") == "2 of 12 units share a cell with another and its noise"
    table, _ = all_tests(own)
    words = dict(table.select("key", "words").rows())
    assert "4 of 12 units share an image" in words["cnn_natural_interval"]
    assert "share an image" not in words["cnn_linear_interval"]
    for key in ("cnn_diagonal", "cnn_own_over_others"):
        assert words[key].endswith("; 2 of 12 units share a cell with another and its noise")
    assert not_independent(own_responses(), "natural") == ""


def test_the_variances_leave_out_units_shown_an_image_once():
    entry = diagonal(own_responses(), "linear")
    once = entry.with_columns(
        rf_repeats=pl.when(pl.col("source_unit_id") == 0).then(1).otherwise(pl.col("rf_repeats")),
        rf_sem=pl.when(pl.col("source_unit_id") == 0).then(None).otherwise(pl.col("rf_sem")),
    )
    assert loop_variances(entry).n_units == UNITS
    assert loop_variances(once) == loop_variances(entry.filter(pl.col("source_unit_id") != 0))
    with pytest.raises(DataError, match="there are 0 differences"):
        loop_variances(entry.with_columns(rf_repeats=1))


def test_a_loop_of_one_repeat_and_one_unit_has_its_rows_all_the_same():
    own = own_responses(scans=(1,), repeats=1).filter(pl.col("source_unit_id") == 0)
    tests = loop_unit_tests(own, ["linear"])
    entry = own.filter(pl.col("model_type") == "cnn").select(
        "source_unit_id", cnn_resp="z_response", rf_resp=pl.lit(0.0)
    )
    table = loop_tests({"linear": entry}, own, tests, {"cnn": ConfusionMatrix(np.arange(1), np.eye(1))})
    assert table["p_value"].null_count() == table.height
    for key in ("interval", "sign_flip", "wilcoxon", "per_unit"):
        assert "not done" in table.filter(pl.col("key") == f"cnn_linear_{key}")["words"][0]


def test_units_outside_of_the_matrix_do_not_count_and_the_panel_has_rows_of_its_own():
    own = own_responses()
    matrix = ConfusionMatrix(np.arange(8), np.eye(8))
    tests = loop_unit_tests(own, ["linear"], n_permutations=99)
    entries = {"linear": diagonal(own, "linear")}
    table = loop_tests(entries, own, tests, {"cnn": matrix}, [8, 9, 10, 11], n_permutations=99)
    rows = {row["key"]: row for row in table.iter_rows(named=True)}
    assert rows["cnn_linear_sign_flip"]["n"] == rows["cnn_linear_per_unit"]["n"] == 8
    panel = rows["panel_complex_cnn_linear_share"]
    assert panel["n"] == 4
    assert panel["value"] == (entries["linear"]["diff_resp"][8:] > 0).mean()
    assert "panel_complex_cnn_linear_per_unit" not in rows


def test_the_panel_and_masked_images_do_not_change_the_q_of_the_claim():
    own = own_responses(effect=0.3)
    alone, tests = all_tests(own)
    rng = np.random.default_rng(1)
    matrix = ConfusionMatrix(np.arange(UNITS), rng.normal(size=(UNITS, UNITS)) + np.eye(UNITS))
    masked = ConfusionMatrix(np.arange(UNITS), rng.normal(size=(UNITS, UNITS)))
    entries = {control: diagonal(own, control) for control in ("linear", "natural")}
    more = loop_tests(
        entries | {"masked_natural": entries["natural"]},
        own,
        tests,
        {"cnn": matrix, "masked_cnn": masked},
        range(4),
        n_permutations=999,
    )
    assert more.filter(pl.col("key").str.starts_with("cnn_")).equals(alone)
    panel = more.filter(key="panel_complex_cnn_linear_sign_flip").row(0, named=True)
    assert panel["q_value"] == panel["p_value"]
