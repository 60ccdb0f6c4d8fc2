"""Recordings that somebody has already binned, and those that lack parts, through the whole stage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.dataset.behavior import eye_samples, treadmill_samples
from inception_loop.dataset.config import (
    AreaRules,
    DatasetConfig,
    LayerRules,
    LostData,
    MissingData,
    ResponseWindow,
    Tiers,
)
from inception_loop.dataset.leakage import lag_correlations, typical
from inception_loop.dataset.member import load_member
from inception_loop.dataset.responses import respond
from inception_loop.dataset.stage import make_dataset
from inception_loop.dataset.trial_status import LOST
from inception_loop.errors import DataError, RecordingError
from inception_loop.recordings.recording import TrialEye, TrialResponses, TrialTreadmill

NONE = pl.DataFrame(schema={"trial_idx": pl.Int64, "reason": pl.String})
PLACES = ("px_x", "px_y", "um_x", "um_y", "um_z")
SIZES = ("px_height", "px_width", "um_height", "um_width", "x", "y", "z")
NAME = "group003-17-1-2"
BARE = DatasetConfig(
    group_id=3,
    areas=AreaRules(otherwise="unknown"),
    layers=LayerRules(otherwise="unset"),
    missing=MissingData(no_eye="omit", no_treadmill="omit", no_positions="keep"),
)


@pytest.fixture
def binned(make_recording):
    """Values that say where they come from: 100 · trial + mask; nothing is known of flips."""
    r = make_recording()
    trials, masks = r.trials.height, r.units.height
    unknown = {name: pl.lit(np.nan) for name in ("clear_flip", "onset_flip", "offset_flip")}
    at = np.arange(trials, dtype=np.float64)
    return replace(
        r,
        activity=TrialResponses((100 * at[:, None] + np.arange(masks)).astype(np.float32)),
        trials=r.trials.with_columns(**unknown),
        eye=TrialEye(20 + at, at / 10, 3 + at, 4 - at),
        treadmill=TrialTreadmill(at / 2),
    )


@pytest.fixture
def bare(binned):
    """Nothing but images and responses, every image shown once: like a public benchmark file."""
    once = binned.trials["condition_hash"].is_first_distinct().to_numpy()
    return replace(
        binned,
        activity=TrialResponses(binned.activity.values[once]),
        trials=binned.trials.filter(pl.Series(once)),
        units=binned.units.with_columns(mask_type=pl.lit("soma"), **dict.fromkeys(PLACES, pl.lit(np.nan))),
        fields=binned.fields.with_columns(**dict.fromkeys(SIZES, pl.lit(np.nan))),
        eye=None,
        treadmill=None,
        excluded_trials=NONE,
    )


def findings_of(store, made, kind="static_multi_dataset"):
    return store.manifest(made[kind][0].ref).findings


def test_responses_are_taken_as_they_are_in_the_order_of_the_unit_ids(binned):
    values, status, filled, *_ = respond(binned, NONE, ResponseWindow())
    assert filled == 0
    assert (status["status"] == "").all()
    ids = binned.units.filter(mask_type="soma").sort("unit_id")["unit_id"].to_list()
    masks = [binned.units["unit_id"].to_list().index(unit) for unit in ids]
    np.testing.assert_array_equal(values, 100 * np.arange(len(values))[:, None] + np.array(masks))


def test_a_trial_with_a_lost_response_is_left_out_and_counted(binned, store, save):
    values = binned.activity.values.copy()
    values[7, 0] = values[9, :] = np.nan
    values[11, 2] = np.nan  # an axon: nobody reads it
    lossy = replace(binned, activity=TrialResponses(values))
    got = respond(lossy, lossy.excluded_trials, ResponseWindow())
    lost = np.flatnonzero((got.status["status"] == LOST).to_numpy())
    assert lost.tolist() == [7, 9]
    assert len(got.values) == lossy.trials.height - 3  # one is excluded by hand
    assert not np.isnan(got.values).any()
    np.testing.assert_array_equal(got.values[:, 0] // 100, np.delete(np.arange(len(values)), [4, 7, 9]))
    made = make_dataset(store, BARE, [save(lossy)])
    assert findings_of(store, made, "input_response")["lost"] == {LOST: 2, "excluded": 1}
    policies = findings_of(store, made)["policies"]
    assert policies["lost_responses"] == {"policy": "drop_trial", "n_trials": 2, "members": [NAME]}


def test_the_unit_that_costs_most_trials_is_named_or_refused(binned, store, save):
    values = binned.activity.values.copy()
    values[[7, 9, 20], 0] = np.nan  # unit 11
    values[[9, 30], 3] = np.nan  # unit 5
    values[4, 3] = values[5:8, 2] = np.nan  # an excluded trial, an axon
    lossy = replace(binned, activity=TrialResponses(values))
    made = make_dataset(store, BARE, [save(lossy)])
    gaps = findings_of(store, made, "input_response")["gaps"]
    assert gaps == {"worst_unit": 11, "worst_unit_share": 0.75}
    config = BARE.model_copy(update={"lost": LostData(lost_responses="refuse")})
    with pytest.raises(RecordingError, match="4 trials have a NaN response, 75% of them in unit 11"):
        make_dataset(store, config, [save(lossy)])
    make_dataset(store, config, [save(binned, variant="whole")])


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_the_size_of_the_blocks_changes_nothing(binned, monkeypatch, at_once):
    values = np.random.default_rng(0).random(binned.activity.values.shape, dtype=np.float32)
    values[5, 3] = np.nan
    lossy = replace(binned, activity=TrialResponses(values))
    whole = respond(lossy, lossy.excluded_trials, ResponseWindow())
    monkeypatch.setattr("inception_loop.dataset.responses.TRIALS_AT_ONCE", at_once)
    cut = respond(lossy, lossy.excluded_trials, ResponseWindow())
    assert cut.values.tobytes() == whole.values.tobytes()
    assert cut.status.equals(whole.status)


def test_eye_and_running_are_taken_as_they_are_and_nan_is_missing(binned):
    gone = binned.eye.pupil_derivative.copy()
    gone[6] = np.nan
    speed = -binned.treadmill.speed
    speed[8] = np.nan
    r = replace(binned, eye=replace(binned.eye, pupil_derivative=gone), treadmill=TrialTreadmill(speed))
    at = np.arange(r.trials.height)
    eye, filled = eye_samples(r, ResponseWindow())
    assert filled == 0
    assert np.flatnonzero(~eye["valid"].to_numpy()).tolist() == [6]
    assert eye["dpupil"].to_list() == [None if i == 6 else i / 10 for i in at]
    np.testing.assert_array_equal(eye["pupil"], 20 + at)
    np.testing.assert_array_equal(eye.select("center_x", "center_y"), np.stack([3 + at, 4 - at], 1))
    running, _ = treadmill_samples(r, ResponseWindow())
    assert np.flatnonzero(~running["valid"].to_numpy()).tolist() == [8]
    assert running["treadmill"].to_list() == [None if i == 8 else i / 2 for i in at]


def test_a_binned_recording_becomes_a_member_with_its_numbers(binned, store, save):
    config = BARE.model_copy(update={"missing": MissingData()})
    made = make_dataset(store, config, [save(binned)])
    member = load_member(store, made["static_multi_dataset"][0].ref, NAME)
    at = member.trial_idx - 100
    np.testing.assert_array_equal(member.responses[:, 0] // 100, at)
    np.testing.assert_array_equal(member.behavior, np.stack([20 + at, at / 10, at / 2], 1).astype(np.float32))
    np.testing.assert_array_equal(member.pupil_center, np.stack([3 + at, 4 - at], 1).astype(np.float32))
    order = findings_of(store, made, "input_response")["lag1_leakage"]
    valid = np.delete(np.arange(binned.trials.height), 4)
    assert order == typical(lag_correlations(member.responses, valid)[0]) == pytest.approx(1.0)


def test_images_and_responses_alone_go_through_by_named_policies(bare, store, save):
    made = make_dataset(store, BARE, [save(bare)])
    ref = made["static_multi_dataset"][0].ref
    member = load_member(store, ref, NAME)
    assert member.behavior is None
    assert member.pupil_center is None
    assert member.units.select("um_x", "um_y", "um_z", "border_um").null_count().row(0) == (6, 6, 6, 6)
    assert set(member.units["brain_area"]) == {"unknown"}
    assert set(member.units["layer"]) == {"unset"}
    policies = store.manifest(ref).findings["policies"]
    n_test = len(np.unique(member.condition_hash[member.tier == "test"]))
    assert n_test == 6  # ⌈10 %⌉ of the 54 images shown
    assert policies == {
        "no_eye": {"policy": "omit", "members": [NAME]},
        "no_treadmill": {"policy": "omit", "members": [NAME]},
        "no_positions": {"policy": "keep", "n_units": 6, "members": [NAME]},
        "no_repeats": {"policy": "test_fraction", "n_images": n_test},
        "no_area": {"policy": "otherwise", "n_units": 6, "members": [NAME]},
        "no_layer": {"policy": "otherwise", "n_units": 6, "members": [NAME]},
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"missing": MissingData(no_treadmill="omit", no_positions="keep")}, "no_eye"),
        ({"missing": MissingData(no_eye="omit", no_positions="keep")}, "no_treadmill"),
        ({"missing": MissingData(no_eye="omit", no_treadmill="omit")}, "no_positions"),
        ({"tiers": Tiers(no_repeats="refuse")}, "no_repeats"),
        ({"areas": AreaRules()}, "brain_area"),
        ({"layers": LayerRules()}, "layer"),
    ],
)
def test_each_lack_is_refused_where_no_policy_stands_for_it(bare, store, save, change, message):
    with pytest.raises(DataError, match=message):
        make_dataset(store, BARE.model_copy(update=change), [save(bare)])


def test_untracked_trials_are_a_policy_with_counts(binned, store, save):
    gone = binned.eye.center_x.copy()
    gone[20:23] = np.nan
    ref = save(replace(binned, eye=replace(binned.eye, center_x=gone)))
    for policy in ("drop", "impute"):
        config = BARE.model_copy(update={"missing": MissingData(untracked=policy)})
        policies = findings_of(store, make_dataset(store, config, [ref]))["policies"]
        assert policies["untracked"] == {"policy": policy, "n_trials": 3, "members": [NAME]}


def test_a_recording_that_lacks_nothing_needs_no_policy(store, save, make_recording):
    config = DatasetConfig(group_id=3, areas=AreaRules(otherwise="V1"))
    units = make_recording().units.with_columns(brain_area=pl.lit("V1"))
    made = make_dataset(store, config, [save(replace(make_recording(), units=units))])
    assert findings_of(store, made)["policies"] == {}


def test_fields_of_unknown_size_leave_no_border(store, save, make_recording):
    r = make_recording()
    r = replace(r, fields=r.fields.with_columns(px_width=pl.lit(np.nan)))
    ref = make_dataset(store, BARE, [save(r)])["static_multi_dataset"][0].ref
    units = store.table(ref, "units")
    assert units["border_um"].null_count() == units.height
    assert units["um_x"].null_count() == 0


def test_binned_fluorescence_cannot_be_deconvolved(binned):
    with pytest.raises(RecordingError, match="what is binned cannot be deconvolved"):
        respond(replace(binned, trace_kind="dff"), NONE, ResponseWindow())
