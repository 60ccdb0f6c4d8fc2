import json

import polars as pl
import pytest

from inception_loop.errors import DataError
from inception_loop.report.data import Measured
from inception_loop.report.summary import CLOSED_LOOP, TRUTH, build_summary

SURFACE = {
    "truth": [
        "oracle_relative_error",
        "ceiling_fraction_median",
        "cnn_minus_linear_complex",
        "cnn_minus_linear_simple",
        "rf_center_error_px_median",
        "mei_cosine_simple_median",
        "mei_share_of_maximum_median",
        "match_accuracy",
    ],
    "closed_loop": [
        "n_units",
        "panel_complex_mei_over_rf_share",
        "own_mei_over_own_rf_share",
        "own_mei_over_best_natural_share",
        "own_image_is_best_share",
        "diagonal_p_value",
    ],
}


def arguments(data):
    return {
        "seconds": 12.5,
        "store": "memory://s",
        "report": "report.html",
        "animal": data.animal,
        "seed": data.seed,
        "versions": data.versions,
        "stages": {"train": {"computed": 4, "cached": 0, "seconds": 9.0}},
        "truth": data.truth,
        "evidence": data.evidence,
    }


def test_it_has_the_keys_that_programs_rely_on(data):
    summary = build_summary(**arguments(data))
    assert list(summary) == [
        "seconds",
        "store",
        "report",
        "animal",
        "seed",
        "versions",
        "stages",
        "truth",
        "closed_loop",
        "notes",
        "answer",
    ]
    for part, keys in SURFACE.items():
        assert set(keys) <= set(summary[part])
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_every_number_is_the_one_given(data):
    summary = build_summary(**arguments(data))
    values = dict(data.evidence.select("key", "value").rows())
    assert summary["closed_loop"]["n_units"] == values["n_units"]
    assert isinstance(summary["closed_loop"]["n_units"], int)
    for key in CLOSED_LOOP[1:]:
        assert summary["closed_loop"][key] == values[key]
    for key, measured in data.truth.items():
        assert summary["truth"][key] == measured.value


def test_what_the_animal_does_not_know_is_null(bare):
    summary = build_summary(**arguments(bare))
    assert set(summary["truth"]) == set(TRUTH)
    assert set(summary["truth"].values()) == {None}
    assert summary["closed_loop"]["n_units"] == 0
    assert summary["closed_loop"]["diagonal_p_value"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"stages": {"paint": {}}}, "paint"),
        ({"evidence": pl.DataFrame({"key": ["n_units"], "value": [1.0]})}, "lacks panel_complex"),
    ],
)
def test_unknown_and_missing_keys_are_refused(data, change, says):
    with pytest.raises(DataError, match=says):
        build_summary(**(arguments(data) | change))


def test_more_numbers_of_the_truth_are_carried_on(data):
    summary = build_summary(**(arguments(data) | {"truth": {"more": Measured(1.5)}}))
    assert summary["truth"]["more"] == 1.5
    assert summary["truth"]["match_accuracy"] is None


def test_bounds_are_kept_or_missed():
    assert TRUTH["match_accuracy"].met(0.95) is True
    assert TRUTH["match_accuracy"].met(0.94) is False
    assert TRUTH["rf_center_error_px_median"].met(1.1) is False
    assert TRUTH["eye_shift_correlation"].met(0.1) is None
    assert TRUTH["cnn_minus_linear_simple"].bound == "≥ −0.05"


def test_comparisons_that_older_evidence_does_not_know_are_null_and_notes_are_handed_on(data):
    older = {"evidence": data.evidence.filter(pl.col("key").is_in(CLOSED_LOOP))}
    summary = build_summary(**(arguments(data) | older), notes=["no match for 1 unit"])
    assert summary["notes"] == ["no match for 1 unit"]
    assert summary["closed_loop"]["own_mei_over_own_gabor_share"] is None
    assert summary["closed_loop"]["own_masked_mei_over_own_masked_natural_share"] is None
