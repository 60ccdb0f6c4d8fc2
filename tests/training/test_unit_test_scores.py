from __future__ import annotations

import numpy as np
import pytest

from inception_loop.dataset.member import load_member
from inception_loop.training.model import load_model
from inception_loop.training.scan_data import predict, scan_data
from inception_loop.training.scores import pearson
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


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
