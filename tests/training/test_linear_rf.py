"""The artifact of linear receptive fields: same scores as of networks, filters that give them."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from inception_loop.dataset.member import load_member, member_names
from inception_loop.dataset.normalization import normalize
from inception_loop.errors import DataError
from inception_loop.training.linear_rf import LinearRfConfig, make_linear_rf, score_linear
from inception_loop.training.scores import pearson
from inception_loop.training.unit_test_scores import UnitTestScoresConfig, make_unit_test_scores


@pytest.fixture(scope="module")
def made(day_store):
    store, dataset, _ = day_store
    config = LinearRfConfig(group_id=1, smoothness=(0.0, 3.0), strength=(0.1, 1.0, 10.0))
    return store, dataset, config, make_linear_rf(store, config, dataset=dataset).ref


def test_its_scores_are_those_of_networks_on_the_same_trials(made, trained):
    store, dataset, _, ref = made
    network = make_unit_test_scores(
        store, UnitTestScoresConfig(group_id=1), model=trained[0], dataset=dataset
    ).ref
    for table in ("test_scores", "unit_test_scores"):
        linear, other = store.table(ref, table), store.table(network, table)
        assert linear.schema == other.schema
        same = ["name", "n_trials"] if table == "test_scores" else ["name", "unit_id", "neuron_id", "fev"]
        assert linear.select(same).equals(other.select(same))
    findings, units = store.manifest(ref).findings, store.table(ref, "unit_test_scores")
    assert findings["test_corr"] == pytest.approx(units["test_corr"].mean())


def test_filters_predict_what_was_scored(made):
    store, dataset, config, ref = made
    member = load_member(store, dataset, member_names(store, dataset)[0], config.data)
    values = normalize(member, config.data)
    train, test = (member.trials_of(tier) for tier in ("train", "test"))
    images = values.images[member.frame_row]
    filters, scores = store.arrays(ref, "filters"), store.table(ref, "unit_test_scores")
    fields = store.table(ref, "linear_rf")
    drive = np.einsum("thw,uhw->tu", images[test] - images[train].mean(0), filters["rf"])
    np.testing.assert_allclose(scores["test_corr"], pearson(drive, values.responses[test]), atol=1e-4)
    average = np.einsum("thw,uhw->tu", images[test], filters["sta"])
    np.testing.assert_allclose(fields["sta_test_corr"], pearson(average, values.responses[test]), atol=1e-4)
    assert set(fields["smoothness"]) <= set(config.smoothness)
    findings = store.manifest(ref).findings
    assert findings["n_units_at_weakest"] == (fields["strength"] == 0.1).sum()
    assert findings["n_units_at_strongest"] == (fields["strength"] == 10).sum()
    assert findings["n_units_without_fit"] == 0


def test_a_silent_unit_is_null_and_counted(made):
    store, dataset, config, _ = made
    member = load_member(store, dataset, member_names(store, dataset)[0], config.data)
    member.responses[:, 2] = 0
    scored = score_linear(member, config)
    assert scored.fields["strength"].null_count() == scored.fields["sta_test_corr"].null_count() == 1
    assert scored.scores["test_corr"].null_count() == 1
    assert not scored.rf[2].any()
    assert not scored.sta[2].any()


def test_it_is_made_once(made):
    store, dataset, config, ref = made
    assert make_linear_rf(store, config, dataset=dataset) == (ref, True)


def test_penalties_that_are_none_and_tiers_without_trials_are_refused(made):
    with pytest.raises(ValidationError, match="strength is"):
        LinearRfConfig(group_id=1, strength=(0.0, 1.0))
    with pytest.raises(ValidationError, match="smoothness is"):
        LinearRfConfig(group_id=1, smoothness=(-1.0,))
    store, dataset, config, _ = made
    member = load_member(store, dataset, member_names(store, dataset)[0], config.data)
    member.tier[member.tier == "validation"] = "train"
    with pytest.raises(DataError, match="has 0 validation trials"):
        score_linear(member, config)
