import polars as pl
import pytest

from inception_loop.closed_loop.images import check_shown, shown_images
from inception_loop.errors import DataError

SET = pl.DataFrame(
    {
        "condition_hash": ["n", "m7", "m7s", "o", "b", "n"],
        "model_type": ["natural", "cnn", "cnn", "oracle", "blank", "natural"],
        "source_unit_id": [7, 7, 7, None, -1, 8],
        "shift_x": [0, 0, 1, None, None, 0],
        "shift_y": [0, 0, 0, None, None, 0],
    }
)


def test_only_unshifted_images_made_for_a_unit_count():
    assert shown_images(SET).rows() == [("m7", "cnn", 7), ("n", "natural", 7), ("n", "natural", 8)]


def test_a_set_without_shifts_is_unshifted():
    assert shown_images(SET.drop("shift_x", "shift_y")).height == 4


def test_a_set_without_images_of_units_is_refused():
    with pytest.raises(DataError, match="no unshifted image"):
        shown_images(SET.filter(pl.col("model_type") == "oracle"))
    with pytest.raises(DataError, match="lacks the columns"):
        shown_images(SET.drop("model_type"))


def test_of_a_set_for_units_of_several_scans_the_source_must_be_named():
    several = SET.with_columns(source_name=pl.Series(["g-1-1-1"] * 3 + [None, None, "g-2-1-1"]))
    with pytest.raises(DataError, match=r"units of 2 scans \(g-1-1-1, g-2-1-1\); .*say with source_name"):
        shown_images(several)
    assert shown_images(several, "g-1-1-1").rows() == [("m7", "cnn", 7), ("n", "natural", 7)]
    assert shown_images(several[:5]).rows() == [("m7", "cnn", 7), ("n", "natural", 7)]


def test_a_condition_that_the_set_does_not_list_is_refused_with_its_trial():
    trials = pl.DataFrame({"trial_idx": [5, 3, 1], "condition_hash": ["x", "y", "o"]})
    with pytest.raises(DataError, match=r"2 trials show conditions.*first trial 3 with 'y'"):
        check_shown(trials, SET, "scan 1-2-3")
    check_shown(trials[2:], SET, "scan 1-2-3")


def test_what_a_trial_without_a_response_showed_does_not_matter():
    trials = pl.DataFrame(
        {"trial_idx": [5, 1], "condition_hash": ["x", "o"], "status": ["excluded: of the rig's own", ""]}
    )
    check_shown(trials, SET, "scan 1-2-3")
    with pytest.raises(DataError, match="1 trials show conditions"):
        check_shown(trials.with_columns(status=pl.lit("")), SET, "scan 1-2-3")
