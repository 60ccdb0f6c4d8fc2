"""A fill takes all that it wants or nothing, and says of every image why."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.stimuli.fill_plan import (
    ADDED,
    CANDIDATE,
    LEFT_OUT,
    REFUSED,
    filled_units,
    plan_fill,
    refuse,
)
from inception_loop.stimuli.fills import CENTRE, GaborFill, MultiMeiFill

NAME = "group000-1-1-1"
UNITS = (11, 7, 30)
CLASSES = (("multi_cnn_mei", "cnn"), ("multi_lin_rf", "linear"))


def candidate(image_class, model_type, unit, shift=(0, 0), **changes):
    row = {
        "image_class": image_class, "model_type": model_type, "name": NAME, "neuron_id": unit % 5,
        "unit_id": unit, "shift_x": shift[0], "shift_y": shift[1], "source_id": None, "target": "grey",
        "target_mean": 110.0, "target_contrast": 8.0, "target_grey": 110.0, "mean": 110.0, "contrast": 8.0,
        "luminance_mean": None, "luminance_contrast": None, "mean_miss": 0.0, "contrast_miss": 0.0,
        "activation": 1.0, "reference_activation": 1.0, "validator_activation": None, "artifact": 0,
        "image_row": unit, "processing": "grey 110 8",
    }  # fmt: skip
    return row | changes


def frame(rows):
    return pl.DataFrame(rows, schema=CANDIDATE)


def candidates(units=UNITS, shifts=CENTRE):
    return [candidate(*one, unit, shift) for one in CLASSES for unit in units for shift in shifts]


def wanted(units=UNITS, ranks=None):
    ranks = range(len(units)) if ranks is None else ranks
    return pl.DataFrame(
        {
            "name": [NAME] * len(units),
            "neuron_id": [u % 5 for u in units],
            "unit_id": list(units),
            "hu_rank": list(ranks),
        },
        schema_overrides={"name": pl.String, "neuron_id": pl.Int64, "unit_id": pl.Int64, "hu_rank": pl.Int64},
    )


@pytest.fixture
def fill():
    return MultiMeiFill(shifts=CENTRE)


def test_all_images_of_all_units_are_added_in_the_order_of_classes_ranks_and_displacements():
    shifts = ((1, 0), (0, 0), (0, -1))
    plan = plan_fill(MultiMeiFill(shifts=shifts), wanted(), frame(candidates(shifts=shifts)))
    assert plan["state"].unique().to_list() == [ADDED]
    assert plan.select("image_class", "unit_id", "shift_x", "shift_y").rows() == [
        (name, unit, *shift) for name, _ in CLASSES for unit in UNITS for shift in ((0, -1), (0, 0), (1, 0))
    ]
    assert plan["hu_rank"].to_list() == 2 * [0, 0, 0, 1, 1, 1, 2, 2, 2]
    refuse(plan, MultiMeiFill(shifts=shifts))


@settings(max_examples=25)
@given(st.randoms(use_true_random=False))
def test_the_order_in_which_images_come_changes_nothing(random):
    rows = [*candidates(), candidate(*CLASSES[0], 99), candidate(*CLASSES[1], 7)]
    mixed = rows.copy()
    random.shuffle(mixed)
    one, other = (plan_fill(MultiMeiFill(shifts=CENTRE), wanted(), frame(some)) for some in (rows, mixed))
    assert one.equals(other)


@settings(max_examples=40)
@given(
    st.sets(st.integers(0, 20)),
    st.sets(st.integers(0, 20), min_size=1),
    st.lists(st.floats(-0.2, 0.2), min_size=21, max_size=21),
)
def test_every_image_is_judged_and_a_fill_stands_only_if_every_wanted_one_is_added(have, want, miss):
    fill = GaborFill()
    rows = [candidate("gabor", "gabor", unit, contrast_miss=miss[unit]) for unit in sorted(have)]
    plan = plan_fill(fill, wanted(sorted(want)), frame(rows))
    states = dict(plan["state"].value_counts().rows())
    good = {unit for unit in have & want if abs(miss[unit]) <= 0.05}
    assert states.get(ADDED, 0) == len(good)
    assert states.get(REFUSED, 0) == len(want - good)
    assert states.get(LEFT_OUT, 0) == len(have - want)
    if good == want:
        refuse(plan, fill)
    else:
        with pytest.raises(DataError, match="fill_gabor_stimulus adds nothing"):
            refuse(plan, fill)


def test_images_off_target_are_listed_with_what_they_miss(fill):
    rows = candidates()
    rows[1] |= {"mean": 104.0, "mean_miss": -0.055}
    rows[3] |= {"contrast": 8.4, "contrast_miss": 0.05}
    rows[5] |= {"contrast": 8.8, "contrast_miss": 0.1}
    plan = plan_fill(fill, wanted(), frame(rows))
    refused = plan.filter(state=REFUSED)
    assert refused.select("image_class", "unit_id", "reason").rows() == [
        ("multi_cnn_mei", 7, "mean"),
        ("multi_lin_rf", 30, "contrast"),
    ]
    assert refused["words"][0].startswith("mean 104.0 instead of 110.0, -5.5 % off")
    with pytest.raises(
        DataError,
        match=r"fill_multimei_stimulus adds nothing: 2 of 6 images refused \(1 mean off target, 1 contrast "
        r"off target\), first multi_cnn_mei of unit 7 of group000-1-1-1 at \(0, 0\): mean 104\.0 instead of",
    ):
        refuse(plan, fill)


def test_a_miss_in_luminance_is_told_in_luminance(fill):
    rows = candidates()
    rows[0] |= {"luminance_mean": 11.0, "target_mean": 10.0, "mean_miss": 0.1, "target": "luminance"}
    plan = plan_fill(fill, wanted(), frame(rows))
    assert plan.filter(state=REFUSED)["words"][0].startswith("mean 11.0 instead of 10.0, 10.0 % off")


def test_a_statistic_that_nobody_measured_is_off_target(fill):
    rows = candidates()
    rows[0]["mean_miss"] = None
    rows[1]["contrast_miss"] = float("nan")
    assert plan_fill(fill, wanted(), frame(rows)).filter(state=REFUSED)["reason"].to_list() == [
        "mean",
        "contrast",
    ]


def test_units_that_lack_an_image_of_one_class_are_named(fill):
    plan = plan_fill(fill, wanted(), frame(candidates()[:-1]))
    assert plan.filter(state=REFUSED).select("image_class", "unit_id", "reason").rows() == [
        ("multi_lin_rf", 30, "missing")
    ]
    with pytest.raises(
        DataError, match=r"1 no such image\), first multi_lin_rf of unit 30 .* the unit has none"
    ):
        refuse(plan, fill)


def test_one_displacement_that_is_missing_refuses_the_fill():
    shifts = ((0, 0), (1, 0))
    plan = plan_fill(MultiMeiFill(shifts=shifts), wanted(), frame(candidates(shifts=shifts)[:-1]))
    with pytest.raises(DataError, match=r"1 of 12 images .* unit 30 of group000-1-1-1 at \(1, 0\)"):
        refuse(plan, MultiMeiFill(shifts=shifts))


def test_two_images_of_one_class_for_a_unit_are_refused(fill):
    again = candidate(*CLASSES[0], 7, artifact=1)
    plan = plan_fill(fill, wanted(), frame([*candidates(), again]))
    assert plan.filter(reason="twice").select("unit_id", "artifact").rows() == [(7, 0), (7, 1)]
    with pytest.raises(
        DataError, match=r"2 several such images\), first multi_cnn_mei of unit 7 .* has 2; expected one"
    ):
        refuse(plan, fill)


def test_fewer_selected_units_than_asked_are_refused_and_a_panel_does_not_count():
    fill = MultiMeiFill(shifts=CENTRE, min_units=3)
    plan = plan_fill(fill, wanted(ranks=[0, 1, None]), frame(candidates()))
    assert plan.filter(state=REFUSED)["reason"].to_list() == ["few_units"]
    with pytest.raises(DataError, match="2 selected units have hu_rank < 150; expected at least 3"):
        refuse(plan, fill)
    refuse(plan_fill(fill, wanted(), frame(candidates())), fill)


def test_a_fill_for_nobody_is_refused(fill):
    with pytest.raises(DataError, match="0 selected units"):
        refuse(plan_fill(fill, wanted(()), frame(candidates())), fill)


def test_images_processed_in_two_ways_are_refused(fill):
    rows = candidates()
    rows[2]["processing"] = "grey 128 8"
    plan = plan_fill(fill, wanted(), frame(rows))
    assert plan.filter(state=REFUSED)["reason"].to_list() == ["mixed_targets"]
    with pytest.raises(DataError, match="processed in 2 ways: grey 110 8 and grey 128 8; expected one"):
        refuse(plan, fill)


def test_images_without_a_target_are_refused_as_a_whole(fill):
    aimless = {"target": "as_made", "processing": "as_made"} | dict.fromkeys(
        ["target_mean", "target_contrast", "target_grey", "mean_miss", "contrast_miss"]
    )
    plan = plan_fill(fill, wanted(), frame([row | aimless for row in candidates()]))
    assert plan.filter(state=REFUSED)["reason"].to_list() == ["no_target"]
    with pytest.raises(DataError, match="left as they were made; expected one mean and contrast"):
        refuse(plan, fill)


def test_a_dry_run_lists_every_fault_at_once(fill):
    rows = [*candidates()[:-1], candidate(*CLASSES[0], 11, artifact=1), candidate(*CLASSES[0], 99)]
    rows[4] |= {"contrast_miss": 0.3, "processing": "another"}
    plan = plan_fill(fill.model_copy(update={"min_units": 9}), wanted(), frame(rows))
    assert plan.select("state", "reason").rows() == [
        (REFUSED, "few_units"), (REFUSED, "mixed_targets"),
        (REFUSED, "twice"), (REFUSED, "twice"), (ADDED, ""), (ADDED, ""),
        (ADDED, ""), (REFUSED, "contrast"), (REFUSED, "missing"),
        (LEFT_OUT, "not_wanted"),
    ]  # fmt: skip


def test_images_of_other_units_and_displacements_are_left_out_and_say_why(fill):
    rows = [*candidates(), candidate(*CLASSES[0], 99), candidate(*CLASSES[0], 7, (1, 0))]
    left = plan_fill(fill, wanted(), frame(rows)).filter(state=LEFT_OUT)
    assert left.select("unit_id", "words").rows() == [
        (7, "displacement not taken"),
        (99, "unit neither selected with hu_rank < 150 nor in the panel"),
    ]


def test_units_below_the_rank_are_filled_and_those_of_the_panel():
    selection = pl.DataFrame(
        {"name": "a", "neuron_id": range(5), "unit_id": range(10, 15), "hu_rank": [2, None, 0, 1, 3]}
    )
    panel = pl.DataFrame(
        {"name": "a", "neuron_id": [1, 2], "unit_id": [11, 12], "kind": "simple", "panel_rank": [0, 1]}
    )
    assert filled_units(selection, None, 3).select("unit_id", "hu_rank").rows() == [(12, 0), (13, 1), (10, 2)]
    assert filled_units(selection, panel, 2).select("unit_id", "hu_rank").rows() == [
        (12, 0),
        (13, 1),
        (11, None),
    ]
    nobody = selection.with_columns(hu_rank=pl.lit(None, pl.Int64))
    assert filled_units(nobody, None, 3).height == 0
