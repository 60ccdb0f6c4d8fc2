from __future__ import annotations

import polars as pl
import pytest

from inception_loop.dataset.config import MissingData
from inception_loop.dataset.trials import join_trials
from inception_loop.errors import DataError

STATUS = pl.DataFrame(
    {
        "trial_idx": [10, 11, 12, 13, 14],
        "condition_hash": ["b", "a", "a", "x", "b"],
        "status": ["", "", "excluded: slept", "", ""],
    }
)
CONDITIONS = pl.DataFrame(
    {"condition_hash": ["a", "b", "x"], "image_class": ["imagenet", "imagenet", "blank"]}
)
TIERS = pl.DataFrame({"condition_hash": ["a", "b"], "tier": ["train", "test"]})


def tracked(*valid):
    return pl.DataFrame({"trial_idx": [10, 11, 12, 13, 14], "valid": list(valid)})


ALL = tracked(True, True, True, True, True)
NONE = tracked(False, False, False, False, False)


def join(eye=ALL, treadmill=ALL, missing=None, closed_loop=False):
    return join_trials("m", STATUS, CONDITIONS, TIERS, eye, treadmill, missing or MissingData(), closed_loop)


def test_every_trial_is_used_or_says_why_not():
    table = join(eye=tracked(True, True, True, True, False))
    assert table["used"].to_list() == [True, True, False, False, False]
    assert table["reason"].to_list() == ["", "", "excluded: slept", "image without a tier", "eye untracked"]
    assert table["tier"].to_list() == ["test", "train", "train", "none", "test"]


def test_rows_point_at_frames_and_responses():
    table = join()
    assert table["frame_row"].to_list() == [1, 0, 0, 2, 1]
    assert table["response_row"].to_list() == [0, 1, None, 2, 3]


def test_untracked_trials_are_imputed_by_policy():
    table = join(treadmill=tracked(True, False, True, True, True), missing=MissingData(untracked="impute"))
    assert table["used"].to_list() == [True, True, False, False, True]
    assert table["imputed"].to_list() == [False, True, False, False, False]


@pytest.mark.parametrize(("part", "policy"), [("eye", "no_eye"), ("treadmill", "no_treadmill")])
def test_a_part_without_any_value_is_refused_or_left_out(part, policy):
    with pytest.raises(DataError, match=f"missing.{policy}"):
        join(**{part: NONE})
    article = "an eye" if part == "eye" else "a treadmill"
    with pytest.raises(DataError, match=f"expected {article} trace"):
        join(**{part: NONE})
    assert join(**{part: NONE}, missing=MissingData(**{policy: "omit"}))["used"].sum() == 3


def test_nothing_of_a_closed_loop_scan_is_used():
    with pytest.raises(DataError, match="closed-loop scan 4"):
        join(closed_loop=True)
