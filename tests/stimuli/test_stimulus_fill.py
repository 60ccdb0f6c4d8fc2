"""Fills from artifacts: of the right kinds, for the right units, by what the manifests say."""

import itertools

import pytest

from inception_loop.errors import ConfigurationError, DataError
from inception_loop.images.mei import MEI
from inception_loop.images.natural.whole import BEST_NATURAL_IMAGE
from inception_loop.images.rf import GRAD_RF
from inception_loop.stimuli.fills import CENTRE, GaborFill, MultiMeiFill, UnmaskedFill
from inception_loop.stimuli.stimulus_fill import (
    STIMULUS_FILL,
    StimulusFillConfig,
    make_stimulus_fill,
    plan_stimulus_fill,
)


def config(fill=None, **rules):
    return StimulusFillConfig(loop_group=3, fill=fill or MultiMeiFill(shifts=CENTRE, **rules))


def test_a_fill_lists_the_images_of_selected_units_and_says_where_they_lie(
    store, make_processed, make_selection
):
    images = [make_processed(MEI, [11, 7]), make_processed(MEI, [30]), make_processed(GRAD_RF, [30, 11, 7])]
    made = make_stimulus_fill(
        store, config(), processed_images=images, corrected_high_unit_selection=make_selection([30, 7, 11])
    ).ref
    table, holders = store.table(made, "stimulus_fill"), store.inputs(made)["processed_image"]
    assert table.select("image_class", "unit_id", "hu_rank").rows() == [
        (name, unit, rank)
        for name in ("multi_cnn_mei", "multi_lin_rf")
        for rank, unit in enumerate([30, 7, 11])
    ]
    for row in table.iter_rows(named=True):
        there = store.table(holders[row["artifact"]], "processed_image").row(row["image_row"], named=True)
        assert all(there[c] == row[c] for c in ("unit_id", "mean", "contrast", "reference_activation"))
    assert table.select("target", "target_mean", "target_contrast", "target_grey").unique().rows() == [
        ("grey", 110.0, 9.0, 110.0)
    ]
    findings = store.manifest(made).findings
    assert (findings["n_units"], findings["n_images"], findings["n_left_out"]) == (3, 6, 0)
    assert findings["images_by_class"] == {"multi_cnn_mei": 3, "multi_lin_rf": 3}


def test_the_order_of_the_artifacts_means_nothing(store, make_processed, make_selection):
    images = [make_processed(MEI, [11]), make_processed(MEI, [7]), make_processed(GRAD_RF, [11, 7])]
    selection = make_selection([7, 11])
    made = {
        make_stimulus_fill(
            store, config(), processed_images=list(mixed), corrected_high_unit_selection=selection
        ).ref
        for mixed in itertools.permutations(images)
    }
    assert len(made) == 1


def test_units_of_the_panel_are_filled_after_the_selected(store, make_processed, make_selection, make_panel):
    images = [make_processed(MEI, [11, 7, 30]), make_processed(GRAD_RF, [11, 7, 30])]
    given = {"processed_images": images, "corrected_high_unit_selection": make_selection([7, 11])}
    made = make_stimulus_fill(store, config(max_rank=1), **given, truth_panel=make_panel([30])).ref
    assert store.table(made, "stimulus_fill").select("unit_id", "hu_rank").rows() == 2 * [(7, 0), (30, None)]
    assert store.manifest(made).findings["n_left_out"] == 2


def test_of_a_selection_of_several_scans_the_units_of_one_are_filled(store, make_processed, make_selection):
    images = [make_processed(MEI, [11]), make_processed(GRAD_RF, [11])]
    selection = make_selection([7, 11], names=["other", "scan"])
    given = {"processed_images": images, "corrected_high_unit_selection": selection}
    made = make_stimulus_fill(store, config().model_copy(update={"name": "scan"}), **given).ref
    assert store.table(made, "stimulus_fill").select("name", "unit_id").unique().rows() == [("scan", 11)]
    with pytest.raises(DataError, match="no such image"):  # all of them: the other scan's are missing
        make_stimulus_fill(store, config(), **given)
    with pytest.raises(DataError, match="units are wanted of third; expected one of other, scan"):
        make_stimulus_fill(store, config().model_copy(update={"name": "third"}), **given)


def test_a_refused_fill_leaves_nothing_and_a_dry_run_says_why(store, make_processed, make_selection):
    images = [make_processed(MEI, [11, 7]), make_processed(GRAD_RF, [11], contrast_miss=0.2)]
    given = {"processed_images": images, "corrected_high_unit_selection": make_selection([7, 11])}
    plan = plan_stimulus_fill(store, config(), **given)
    assert plan.select("state", "reason", "unit_id").rows() == [
        ("added", "", 7), ("added", "", 11), ("refused", "missing", 7), ("refused", "contrast", 11)
    ]  # fmt: skip
    with pytest.raises(DataError, match=r"2 of 4 images refused \(1 no such image, 1 contrast off target\)"):
        make_stimulus_fill(store, config(), **given)
    assert not list(store.backend.walk(STIMULUS_FILL.name))


def test_the_same_artifact_twice_is_two_images_a_unit(store, make_processed, make_selection):
    meis = make_processed(MEI, [11])
    given = {"processed_images": [meis, make_processed(GRAD_RF, [11]), meis]}
    with pytest.raises(DataError, match="2 several such images"):
        make_stimulus_fill(store, config(), **given, corrected_high_unit_selection=make_selection([11]))


@pytest.mark.parametrize(
    "other",
    [{"target": {"type": "grey", "mean": 128.0, "contrast": 9.0}}, {"zoom": 4}, {"zoom_rule": "cubic"}],
)
def test_images_processed_in_two_ways_are_refused(store, make_processed, make_selection, other):
    images = [make_processed(MEI, [11]), make_processed(GRAD_RF, [11], **other)]
    with pytest.raises(DataError, match=r"processed in 2 ways: .* and .*; expected one"):
        make_stimulus_fill(
            store, config(), processed_images=images, corrected_high_unit_selection=make_selection([11])
        )


def test_a_target_that_was_left_open_is_what_the_images_came_to(store, make_processed, make_selection):
    open_target = {"target": {"type": "grey", "mean": None, "contrast": None}}
    images = [
        make_processed(kind, [11, 7], mean_miss=0.1, came_to={"mean": 100.1, "contrast": 9.0}, **open_target)
        for kind in (MEI, GRAD_RF)
    ]
    plan = plan_stimulus_fill(
        store, config(), processed_images=images, corrected_high_unit_selection=make_selection([11, 7])
    )
    assert plan.select("target_mean", "target_contrast").unique().rows() == [(100.1, 9.0)]
    assert plan["reason"].unique().to_list() == ["mean"]


def test_images_of_another_kind_or_of_another_objective_are_refused(store, make_processed, make_selection):
    given = {
        "processed_images": [make_processed(MEI, [11])],
        "corrected_high_unit_selection": make_selection([11]),
    }
    with pytest.raises(
        ConfigurationError, match="exciting images of kind mei; expected exciting ones of kind best_gabor"
    ):
        plan_stimulus_fill(store, config(GaborFill()), **given)
    given["processed_images"] = [make_processed(MEI, [11], objective="inhibiting")]
    with pytest.raises(ConfigurationError, match="inhibiting images of kind mei; expected exciting"):
        plan_stimulus_fill(store, config(), **given)


def test_natural_images_keep_the_photograph_they_come_from(store, make_processed, make_selection):
    images = [make_processed(BEST_NATURAL_IMAGE, [11, 7], source_id=["p", "q"])]
    given = {"processed_images": images, "corrected_high_unit_selection": make_selection([7, 11])}
    made = make_stimulus_fill(store, config(UnmaskedFill()), **given).ref
    assert store.table(made, "stimulus_fill")["source_id"].to_list() == ["q", "p"]


def test_the_grey_of_a_luminance_is_the_level_that_shows_it(
    store, make_processed, make_selection, make_calibration
):
    light = {
        "target": {"type": "luminance", "mean": 10.0, "contrast": 2.0},
        "calibration": make_calibration(2.0),
    }
    images = [make_processed(kind, [11], **light) for kind in (MEI, GRAD_RF)]
    made = make_stimulus_fill(
        store, config(), processed_images=images, corrected_high_unit_selection=make_selection([11])
    ).ref
    row = store.table(made, "stimulus_fill").row(0, named=True)
    # luminance = 25 · (level / 255)²
    assert (row["target"], row["target_mean"], row["target_grey"]) == (
        "luminance",
        10.0,
        round(255 * (10 / 25) ** 0.5),
    )
    another = make_processed(GRAD_RF, [11], **(light | {"calibration": make_calibration(2.2)}))
    with pytest.raises(DataError, match="processed in 2 ways"):
        make_stimulus_fill(
            store,
            config(),
            processed_images=[images[0], another],
            corrected_high_unit_selection=make_selection([11]),
        )


def test_the_same_question_is_answered_once(store, make_processed, make_selection):
    given = {"processed_images": [make_processed(kind, [11]) for kind in (MEI, GRAD_RF)]}
    given["corrected_high_unit_selection"] = make_selection([11])
    assert [make_stimulus_fill(store, config(), **given).cached for _ in range(2)] == [False, True]
