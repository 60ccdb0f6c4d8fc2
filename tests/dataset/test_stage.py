"""The whole stage on small recordings whose values are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import Config
from inception_loop.dataset.config import (
    AreaRules,
    CorrectedAreaLayer,
    DatasetConfig,
    FrameSize,
    MissingData,
    Statistic,
)
from inception_loop.dataset.member import load_member, member_names
from inception_loop.dataset.normalization import normalize
from inception_loop.dataset.responses import respond
from inception_loop.dataset.stage import by_scan, make_dataset
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.recordings.archive import RECORDING, save_recording
from inception_loop.recordings.recording import EyeTrace, ScanKey

CONFIG = DatasetConfig(group_id=3, areas=AreaRules(otherwise="V1"))


def with_gaps(recording):
    """Lose the eye for three seconds."""
    radius = recording.eye.pupil_radius.copy()
    radius[400:460] = np.nan
    eye = recording.eye
    return replace(recording, eye=EyeTrace(eye.time, radius, eye.center_x, eye.center_y))


@pytest.fixture
def dataset(store, save, make_recording):
    def make(config=CONFIG, *recordings):
        refs = [save(r) for r in recordings or (make_recording(),)]
        return make_dataset(store, config, refs)["static_multi_dataset"][0].ref

    return make


def test_a_member_holds_the_used_trials_in_order(store, dataset, make_recording):
    r = make_recording()
    ref = dataset(CONFIG, r)
    member = load_member(store, ref, "group003-17-1-2")
    responses, status, *_ = respond(r, r.excluded_trials, CONFIG.window)
    used = status.filter(status="")
    np.testing.assert_array_equal(member.trial_idx, used["trial_idx"])
    np.testing.assert_array_equal(member.responses, responses)
    np.testing.assert_array_equal(member.condition_hash, used["condition_hash"])
    blocks = r.images.reshape(-1, 36, 2, 64, 2).mean(axis=(2, 4), dtype=np.float64).astype(np.float32)
    rows = r.conditions["condition_hash"].to_list()
    np.testing.assert_array_equal(
        member.frames[member.frame_row], blocks[[rows.index(h) for h in member.condition_hash]]
    )
    at = 1000 + 1.0001 * (used["onset_s"].to_numpy() + 0.3)
    np.testing.assert_allclose(member.pupil_center[:, 1], 0.02 * (at - 1000), rtol=1e-5)
    assert member.behavior.shape == (used.height, 3)
    assert member.units["unit_id"].to_list() == [2, 3, 5, 9, 11]


def test_tiers_of_a_member(store, dataset):
    member = load_member(store, dataset(), "group003-17-1-2")
    repeated = {"c000", "c001"}
    assert {h for h, t in zip(member.condition_hash, member.tier, strict=True) if t == "test"} == repeated
    assert len(member.trials_of("validation")) in (5, 6)  # 6 images, one may be the excluded trial


def test_border_is_measured_inside_the_field(store, dataset):
    units = store.table(dataset(), "units")
    # px_x is 1, 20, 60, 90, 99 of 100 px (200 µm) from the first pixel's centre; px_y is in the middle
    border = dict(zip(units["unit_id"], units["border_um"], strict=True))
    assert border == pytest.approx({11: 3, 3: 41, 5: 79, 2: 19, 9: 1})


def test_a_second_run_computes_nothing_and_the_order_of_scans_does_not_matter(store, save, make_recording):
    one, two = save(make_recording()), save(make_recording(scan=(17, 2, 1)))
    first = make_dataset(store, CONFIG, [one, two])
    again = make_dataset(store, CONFIG, [two, one])
    assert all(outcome.cached for outcomes in again.values() for outcome in outcomes)
    assert first["static_multi_dataset"][0].ref == again["static_multi_dataset"][0].ref
    assert member_names(store, first["static_multi_dataset"][0].ref) == ["group003-17-1-2", "group003-17-2-1"]


def test_a_scan_added_recomputes_no_table_of_the_others(store, save, make_recording):
    one, two = save(make_recording()), save(make_recording(scan=(17, 2, 1)))
    make_dataset(store, CONFIG, [one])
    both = make_dataset(store, CONFIG, [one, two])
    assert [outcomes[0].cached for kind, outcomes in both.items() if len(outcomes) == 2] == [True] * 11


def test_units_are_restricted_to_layer_and_area_and_numbered_anew(store, dataset):
    ref = dataset()
    whole = load_member(store, ref, "group003-17-1-2")
    part = load_member(store, ref, "group003-17-1-2", CorrectedAreaLayer(layer="L4"))
    assert part.units["unit_id"].to_list() == [2, 5, 9]
    assert part.units["neuron_id"].to_list() == [0, 1, 2]
    np.testing.assert_array_equal(part.responses, whole.responses[:, [0, 2, 3]])
    np.testing.assert_array_equal(part.statistics.response_std, whole.statistics.response_std[[0, 2, 3]])
    with pytest.raises(DataError, match="2 in L2/3 of V1, 3 in L4 of V1"):
        load_member(store, ref, "group003-17-1-2", CorrectedAreaLayer(layer="L6"))
    with pytest.raises(DataError, match="AL"):
        load_member(store, ref, "group003-17-1-2", CorrectedAreaLayer(layer="L4", brain_area=("AL", "LM")))


def test_an_unknown_member_is_an_error_that_lists_them(store, dataset):
    with pytest.raises(DataError, match="group003-17-1-2"):
        load_member(store, dataset(), "nobody")


def test_untracked_trials_are_dropped_and_counted(store, dataset, make_recording):
    ref = dataset(CONFIG, with_gaps(make_recording()))
    findings = store.manifest(ref).findings
    members = store.table(ref, "members")
    assert findings["lost"]["eye untracked"] == members["n_untracked"].item() > 2
    assert findings["lost"]["excluded"] == 1
    assert (
        members["n_used"].item()
        == findings["n_used"]
        == findings["n_trials"] - sum(findings["lost"].values())
    )


def test_untracked_trials_can_be_imputed_by_the_mean(store, dataset, make_recording):
    config = CONFIG.model_copy(update={"missing": MissingData(untracked="impute")})
    ref = dataset(config, with_gaps(make_recording()))
    member = load_member(store, ref, "group003-17-1-2")
    trials = store.table(ref, "trials").filter("used")
    imputed = trials["imputed"].to_numpy()
    assert imputed.sum() == store.manifest(ref).findings["n_imputed"] > 2
    np.testing.assert_allclose(member.behavior[imputed, 0], np.float32(member.statistics.behavior_mean[0]))
    train = (member.tier == "train") & ~imputed
    assert member.statistics.behavior_mean[0] == pytest.approx(member.behavior[train, 0].mean(), rel=1e-5)


def test_a_scan_without_eye_goes_on_without_behaviour_by_policy(store, dataset, make_recording):
    bare = replace(make_recording(), eye=None)
    with pytest.raises(DataError, match="no_eye"):
        dataset(CONFIG, bare)
    config = CONFIG.model_copy(update={"missing": MissingData(no_eye="omit")})
    member = load_member(store, dataset(config, bare), "group003-17-1-2")
    assert member.behavior is None
    assert member.pupil_center is None
    assert member.statistics.pupil_mean is None
    assert normalize(member, CorrectedAreaLayer(layer="all")).behavior is None


def test_units_without_a_place_are_refused_or_kept(store, dataset, make_recording):
    r = make_recording()
    lost = replace(r, units=r.units.with_columns(px_x=pl.lit(np.nan)))
    with pytest.raises(DataError, match="no_positions"):
        dataset(CONFIG, lost)
    config = CONFIG.model_copy(update={"missing": MissingData(no_positions="keep")})
    assert store.table(dataset(config, lost), "units")["border_um"].null_count() == 5


def test_a_unit_without_area_is_an_error_and_leaves_nothing(store, save, make_recording):
    ref = save(make_recording())
    with pytest.raises(DataError, match="brain_area"):
        make_dataset(store, DatasetConfig(group_id=3), [ref])


def test_another_aspect_ratio_is_refused_or_cropped(store, dataset, make_recording):
    r = make_recording()
    square = replace(r, images=r.images[:, :, :72])
    with pytest.raises(DataError, match="aspect ratio"):
        dataset(CONFIG, square)
    config = CONFIG.model_copy(update={"frame": FrameSize(aspect="crop")})
    assert load_member(store, dataset(config, square), "group003-17-1-2").frames.shape == (60, 36, 64)


def test_luminance_needs_a_calibration(store, dataset, make_recording):
    r = make_recording()
    config = CONFIG.model_copy(update={"frame": FrameSize(gamma=True)})
    member = load_member(store, dataset(config, r), "group003-17-1-2")
    grey = r.images.reshape(-1, 36, 2, 64, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(member.frames, 1 + grey * 51 / 255, rtol=1e-5)


def test_luminance_without_a_calibration_is_refused(dataset, make_recording):
    config = CONFIG.model_copy(update={"frame": FrameSize(gamma=True)})
    with pytest.raises(DataError, match="calibration"):
        dataset(config, replace(make_recording(), calibration=None))


def test_statistics_follow_their_configuration(store, dataset, make_recording):
    r = make_recording()
    member = load_member(store, dataset(CONFIG, r), "group003-17-1-2")
    rows = member.trials_of("train")
    np.testing.assert_allclose(
        member.statistics.response_std, member.responses[rows].std(0, ddof=1), rtol=1e-5
    )
    assert member.statistics.image_mean == pytest.approx(
        member.frames[member.frame_row[rows]].mean(), rel=1e-5
    )
    each = load_member(
        store,
        dataset(CONFIG.model_copy(update={"statistic": Statistic(stats_per_input=True)}), r),
        "group003-17-1-2",
    )
    assert each.statistics.image_std < member.statistics.image_std


def test_a_closed_loop_scan_is_no_member(dataset, make_recording):
    r = make_recording()
    mei = pl.when(pl.col("image_id") == 5).then(pl.lit("multi_cnn_mei")).otherwise("image_class")
    later = replace(make_recording(scan=(17, 2, 1)), conditions=r.conditions.with_columns(image_class=mei))
    with pytest.raises(DataError, match="closed-loop scan"):
        dataset(CONFIG, r, later)


def test_no_recording_or_one_twice_is_wrong_usage(store, save, make_recording):
    with pytest.raises(ConfigurationError, match="at least one"):
        make_dataset(store, CONFIG, [])
    one, two = save(make_recording()), save(make_recording(), "again")
    with pytest.raises(ConfigurationError, match="each of another scan"):
        make_dataset(store, CONFIG, [one, two])


def test_leaking_traces_are_named_in_the_findings(store, dataset, make_recording):
    r = make_recording()
    values = r.activity.values
    slow = np.cumsum(values - values.mean(1, keepdims=True), axis=1).astype(np.float32)
    ref = dataset(CONFIG, replace(r, activity=replace(r.activity, values=slow)))
    assert store.manifest(ref).findings["leaking_members"] == ["group003-17-1-2"]


def test_tables_of_a_scan_say_what_they_left_out(store, save, make_recording):
    made = make_dataset(store, CONFIG, [save(make_recording())])
    findings = {kind: store.manifest(outcomes[0].ref).findings for kind, outcomes in made.items()}
    assert findings["static_scan"] == {"n_units": 5, "n_masks_left_out": 1, "n_units_without_place": 0}
    assert findings["input_response"]["lost"] == {"excluded": 1}
    assert findings["layer_membership"]["decided_by"] == {"depth": 5}
    assert findings["condition_tier"]["images_per_tier"]["test"] == 2
    assert findings["stack_coordinates"] == {"n_stacks": 0, "n_units_without_stack": 5}


class ImportedConfig(Config):
    """Configuration of a recording that was imported in a test."""

    scan: ScanKey
    sha256: str


def test_the_same_files_under_two_scans_are_refused(store, make_recording):
    refs = []
    for scan in ((17, 1, 2), (17, 1, 3)):
        recording = make_recording(scan=scan)
        config = ImportedConfig(scan=recording.scan, sha256="a" * 64)
        refs.append(
            store.make(RECORDING, config, lambda attempt, r=recording: save_recording(attempt, r)).ref
        )
    with pytest.raises(ConfigurationError, match="17-1-2 and 17-1-3 were imported from the same files"):
        by_scan(store, refs)
