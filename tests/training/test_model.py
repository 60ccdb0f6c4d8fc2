from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from inception_loop.dataset.member import load_member
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.readouts import FullGaussian2d, GridPredictor
from inception_loop.training.model import MODEL, load_model, load_weights, make_model, weights_of
from inception_loop.training.scan_data import predict, scan_data
from inception_loop.training.trainer import build_network, train_network, validation_correlation


def scan_of(store, dataset, model):
    (name,) = model.inputs
    return scan_data(load_member(store, dataset, name, model.config.data), model.config.data)


def test_a_model_loads_as_it_was_trained(day_store, trained):
    store, dataset, _ = day_store
    model = load_model(store, trained[0])
    scan = scan_of(store, dataset, model)
    fresh = train_network(model.config.network, [scan], model.config.train, seed=model.config.seed)
    for name, value in weights_of(fresh.network).items():
        np.testing.assert_array_equal(value, weights_of(model.network)[name], err_msg=name)
    manifest = store.manifest(trained[0])
    assert manifest.findings["val_corr"] == fresh.val_corr == validation_correlation(model.network, [scan])
    assert manifest.findings["epochs"] == 2
    assert not model.network.training
    assert not any(p.requires_grad for p in model.network.parameters())


def test_the_same_question_is_not_trained_again_and_another_seed_is(day_store, trained, model_config):
    store, dataset, _ = day_store
    assert make_model(store, model_config, dataset=dataset) == (trained[0], True)
    assert trained[0].digest != trained[1].digest


def test_the_history_tells_every_epoch_and_no_times(day_store, trained):
    store, _, _ = day_store
    history = store.table(trained[0], "history")
    assert history["epoch"].to_list() == [0, 1, 2]
    assert history["train_loss"].null_count() == 1
    assert not [name for name in history.columns if "time" in name or "second" in name]
    assert history["val_corr"].max() == store.manifest(trained[0]).findings["val_corr"]


def test_the_inputs_are_the_normalisation_and_training_means(day_store, trained):
    store, dataset, _ = day_store
    model = load_model(store, trained[0])
    scan = scan_of(store, dataset, model)
    (inputs,) = model.inputs.values()
    member = load_member(store, dataset, inputs.name, model.config.data)
    assert (inputs.image_mean, inputs.image_std) == (
        member.statistics.image_mean,
        member.statistics.image_std,
    )
    assert inputs.image_size == (36, 64)
    assert inputs.n_units == member.units.height
    rows = scan.rows("train")
    np.testing.assert_allclose(inputs.eye_mean, scan.eye[rows].mean(0), atol=1e-6)
    np.testing.assert_allclose(inputs.behavior_mean, scan.behavior[rows].mean(0), rtol=1e-5)


def test_predictions_do_not_depend_on_how_many_are_made_at_once(day_store, trained, monkeypatch):
    store, dataset, _ = day_store
    model = load_model(store, trained[0])
    scan = scan_of(store, dataset, model)
    rows = scan.rows("test")
    whole = predict(model.network, scan, rows)
    monkeypatch.setattr("inception_loop.training.scan_data.PREDICTED_AT_ONCE", 7)
    np.testing.assert_allclose(predict(model.network, scan, rows), whole, atol=1e-5)


def test_progress_goes_from_the_first_epoch_to_the_last(day_store, model_config):
    store, dataset, _ = day_store
    told = []
    config = model_config.model_copy(update={"seed": 77})
    make_model(store, config, dataset=dataset, on_progress=lambda *step: told.append(step))
    assert [(done, total) for done, total, _ in told] == [(0, 2), (1, 2), (2, 2)]
    assert "val corr" in told[-1][2]


def test_weights_of_another_configuration_are_refused(day_store, trained, model_config):
    store, _, _ = day_store
    model = load_model(store, trained[0])
    weights = weights_of(model.network)
    del weights["core.layers.1.weight"]
    with pytest.raises(
        ConfigurationError, match=r"has core\.layers\.1\.weight of shape None; expected \(4, 4, 3, 3\)"
    ):
        load_weights(model.network, weights, "a file")


def test_an_unknown_readout_key_and_an_empty_layer_are_refused(day_store, trained, model_config):
    store, dataset, _ = day_store
    with pytest.raises(ConfigurationError, match="no readout key 'x'"):
        load_model(store, trained[0]).input_of("x")
    nowhere = model_config.model_copy(update={"data": model_config.data.model_copy(update={"layer": "L6"})})
    with pytest.raises(DataError, match="no unit in layer 'L6'"):
        make_model(store, nowhere, dataset=dataset)
    assert not store.exists(store.ref(MODEL, nowhere, {"dataset": dataset}))


def test_the_linear_family_trains_too(day_store, model_config):
    store, dataset, _ = day_store
    core = StackedLinearGaussianLaplace(hidden_channels=4, input_kern=9, hidden_kern=3, layers=2)
    network = model_config.network.model_copy(update={"core": core})
    made = make_model(store, model_config.model_copy(update={"network": network}), dataset=dataset)
    model = load_model(store, made.ref)
    assert model.config.network.core.type == "StackedLinearGaussianLaplace"
    x, y = torch.randn(2, 3, 1, 36, 64, generator=torch.Generator().manual_seed(1))
    features = model.network.features
    zero = features(torch.zeros(1, 1, 36, 64))
    torch.testing.assert_close(features(x + y) + zero, features(x) + features(y), atol=1e-4, rtol=1e-4)


def test_a_readout_predicted_from_the_cortex_learns_with_noise_and_loads_as_it_was(day_store, model_config):
    store, dataset, _ = day_store
    readout = FullGaussian2d(grid_predictor=GridPredictor(hidden_features=7))
    network = model_config.network.model_copy(update={"readout": readout})
    ref = make_model(store, model_config.model_copy(update={"network": network}), dataset=dataset).ref
    model = load_model(store, ref)
    scan = scan_of(store, dataset, model)
    kept, learnt = model.network.readout(scan.name), store.arrays(ref, "weights")
    torch.testing.assert_close(kept.predictor.cortex, scan.cortex)
    for name, value in weights_of(model.network).items():
        np.testing.assert_array_equal(value, learnt[name], err_msg=name)
    fresh = build_network(network, [scan], model_config.train, model_config.seed)
    start = dict(fresh.named_parameters())[f"readouts.{scan.name}.sigma"]
    assert not torch.equal(kept.sigma, start)  # only a drawn place has a gradient of Σ
    assert validation_correlation(model.network, [scan]) == store.manifest(ref).findings["val_corr"]


def test_a_scan_whose_units_have_no_place_is_refused_by_name_before_anything_is_built(toy, brief):
    config = network_of_places()
    with pytest.raises(ConfigurationError, match=r"^a has no places.*grid_predictor null"):
        build_network(config, [toy], brief, 1)
    places = torch.zeros(toy.n_units, 2)
    places[1] = torch.nan
    with pytest.raises(ConfigurationError, match=r"^a has no place in the cortex of 1 of 3 units.*neuron 1"):
        build_network(config, [replace(toy, cortex=places)], brief, 1)
    build_network(config, [replace(toy, cortex=torch.rand(toy.n_units, 2))], brief, 1)


def network_of_places():
    core = GaussianLaplace(hidden_channels=2, input_kern=5, hidden_kern=3, layers=2)
    return CorePlusReadout(core=core, readout=FullGaussian2d(grid_predictor=GridPredictor()))
