from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.identity import canonical_json
from inception_loop.artifacts.kind import upgraded
from inception_loop.artifacts.tables import conform
from inception_loop.dataset.member import load_member
from inception_loop.selection.oracle import OracleConfig, make_oracle
from inception_loop.training.model import load_model
from inception_loop.training.scan_data import predict, scan_data
from inception_loop.training.scores import pearson
from inception_loop.training.unit_test_scores import (
    SINCE_2,
    UNIT_TEST_SCORES,
    UnitTestScoresConfig,
    make_unit_test_scores,
    score_scans,
)


@pytest.fixture(scope="module")
def scored(day_store, trained):
    store, dataset, _ = day_store
    made = make_unit_test_scores(store, UnitTestScoresConfig(group_id=1), model=trained[0], dataset=dataset)
    return store, dataset, trained[0], made.ref


def test_scores_are_the_exact_pearson_of_single_test_trials_with_recorded_eye_and_behaviour(scored):
    store, dataset, model_ref, ref = scored
    model = load_model(store, model_ref)
    (name,) = model.inputs
    member = load_member(store, dataset, name, model.config.data)
    scan = scan_data(member, model.config.data)
    rows = scan.rows("test")
    predicted, observed = predict(model.network, scan, rows), scan.responses.numpy()[rows]
    table = store.table(ref, "unit_test_scores")
    assert table["unit_id"].to_list() == member.units["unit_id"].to_list()
    for unit, value in zip(table["neuron_id"], table["test_corr"], strict=True):
        assert value == pytest.approx(np.corrcoef(predicted[:, unit], observed[:, unit])[0, 1], abs=1e-9)


def test_the_mean_over_units_is_the_score_of_the_scan(scored):
    store, _, _, ref = scored
    units, scans = store.table(ref, "unit_test_scores"), store.table(ref, "test_scores")
    assert scans.height == 1
    assert scans["test_corr"][0] == pytest.approx(units["test_corr"].mean())
    assert 20 <= scans["n_trials"][0] <= 30
    findings = store.manifest(ref).findings
    assert findings["test_corr"] == pytest.approx(units["test_corr"].mean())
    assert findings["n_units_without_test_corr"] == 0


def test_scores_over_repeats_are_there_because_test_images_are_repeated(scored):
    store, _, _, ref = scored
    units = store.table(ref, "unit_test_scores")
    assert units["corr_to_mean"].null_count() == 0
    assert (units["fev"] <= 1).all()
    explainable = units["fev"] >= 0.15
    assert (units["feve"].is_not_null() == explainable).all()
    assert units["feve_clipped"].min() >= 0
    assert store.manifest(ref).findings["n_units_without_feve"] == (~explainable).sum() > 0


def test_several_models_are_scored_by_the_mean_of_their_predictions(scored, trained):
    store, dataset, _, alone = scored
    config = UnitTestScoresConfig(group_id=1)
    both = make_unit_test_scores(store, config, model=trained, dataset=dataset).ref
    models = [load_model(store, ref) for ref in trained]
    (name,) = models[0].inputs
    scan = scan_data(load_member(store, dataset, name, models[0].config.data), models[0].config.data)
    rows = scan.rows("test")
    mean = np.mean([predict(model.network, scan, rows) for model in models], axis=0)
    expected = pearson(mean, scan.responses.numpy()[rows])
    np.testing.assert_allclose(store.table(both, "unit_test_scores")["test_corr"], expected, atol=1e-6)
    assert make_unit_test_scores(store, config, model=trained[:1], dataset=dataset) == (alone, True)


def test_the_oracle_is_that_of_the_selection_where_all_test_images_are_repeated_enough(scored, model_config):
    store, dataset, _, ref = scored
    config = OracleConfig(group_id=1, data=model_config.data, min_repeats=2)
    selected = store.table(make_oracle(store, config, dataset=dataset).ref, "oracle")
    units = store.table(ref, "unit_test_scores")
    assert units["unit_id"].to_list() == selected["unit_id"].to_list()
    np.testing.assert_allclose(units["oracle"], selected["oracle_pearson"], atol=1e-6)


def test_units_without_a_ceiling_are_counted_and_the_scan_has_both_fractions_of_its_oracle(scored):
    store, _, _, ref = scored
    units, scan = store.table(ref, "unit_test_scores"), store.table(ref, "test_scores").row(0, named=True)
    findings = store.manifest(ref).findings
    for name in ("ceiling", "fraction_oracle", "bits_per_response"):
        assert findings[f"n_units_without_{name}"] == units[name].null_count()
    assert units["ceiling"].null_count() == (units["signal_power"] <= 0).sum()
    single, oracle = units["test_corr"].to_numpy(), units["oracle"].to_numpy()
    assert scan["fraction_oracle_slope"] == pytest.approx((single * oracle).sum() / (oracle**2).sum())
    assert scan["fraction_oracle_ratio"] == pytest.approx(single.mean() / oracle.mean())
    for name in ("corr_to_mean", "oracle", "ceiling"):
        assert scan[name] == pytest.approx(units[name].mean())


def test_frozen_scores_are_those_of_predictions_at_the_training_means(scored):
    store, dataset, model_ref, recorded = scored
    config = UnitTestScoresConfig(group_id=1, eye="training_mean", behavior="training_mean")
    frozen = make_unit_test_scores(store, config, model=model_ref, dataset=dataset).ref
    assert frozen != recorded
    model = load_model(store, model_ref)
    (name,) = model.inputs
    scan = scan_data(load_member(store, dataset, name, model.config.data), model.config.data)
    rows = scan.rows("test")
    predicted = predict(model.network, scan, rows, eye="training_mean", behavior="training_mean")
    table, before = store.table(frozen, "unit_test_scores"), store.table(recorded, "unit_test_scores")
    np.testing.assert_allclose(
        table["test_corr"], pearson(predicted, scan.responses.numpy()[rows]), atol=1e-6
    )
    np.testing.assert_allclose(table["oracle"], before["oracle"])
    assert np.abs(table["test_corr"] - before["test_corr"]).max() > 1e-3


def test_modes_that_were_always_so_leave_the_configuration_as_it_was():
    recorded = UnitTestScoresConfig(group_id=1, eye="recorded", behavior="recorded")
    assert canonical_json(recorded) == '{"group_id":1}'


@pytest.mark.parametrize("payload", ["test_scores", "unit_test_scores"])
def test_scores_of_older_artifacts_are_read_with_nulls_for_what_they_lack(scored, payload):
    store, _, _, ref = scored
    declared = UNIT_TEST_SCORES.payloads[payload]
    old = store.table(ref, payload).drop(SINCE_2[payload]).to_arrow()
    new = conform(declared, upgraded(old, declared, 1, payload), payload)
    assert new.column_names == list(declared.columns)
    assert all(new[name].null_count == len(new) for name in SINCE_2[payload])
    assert new["test_corr"].to_pylist() == old["test_corr"].to_pylist()


def test_scans_without_repeats_have_no_fraction(scored):
    store, _, _, ref = scored
    units = store.table(ref, "unit_test_scores").with_columns(
        n_trials=pl.lit(7), oracle=pl.lit(None, pl.Float64)
    )
    two = pl.concat([units, units.with_columns(name=pl.lit("other"))])
    scans = score_scans(two)
    assert scans["name"].to_list() == [units["name"][0], "other"]
    for name in ("oracle", "fraction_oracle_slope", "fraction_oracle_ratio"):
        assert scans[name].null_count() == 2
    assert scans["n_trials"].to_list() == [7, 7]
