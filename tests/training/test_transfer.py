from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.errors import ConfigurationError
from inception_loop.training.config import TrainConfig
from inception_loop.training.fitting import CORE
from inception_loop.training.model import MODEL, load_model, make_model
from inception_loop.training.trainer import Job, train_network, train_networks

COURSE = TrainConfig(batch_size=24, learning_rates=(0.02, 0.005), patience=6, max_epoch=30, position_rate=3.0)


@pytest.fixture
def core(toy, make_network_config):
    """The core of a network that was trained on another scan."""
    trained = train_network(make_network_config(), [toy], COURSE, seed=1)
    return {name: value.numpy().copy() for name, value in trained.network.core.state_dict().items()}


def assert_core(network, core):
    for name, value in network.core.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), core[name], err_msg=name)


def test_with_a_trained_core_a_scan_is_learnt_as_well_and_the_core_stays(core, make_toy, make_network_config):
    scan = make_toy("new", units=4, seed=9)
    fitted = train_network(make_network_config(), [scan], COURSE, seed=3, core=core)
    assert_core(fitted.network, core)
    whole = train_network(make_network_config(), [scan], COURSE, seed=3)
    assert fitted.val_corr > whole.val_corr - 0.03
    assert fitted.val_corr > 0.9
    assert fitted.history["val_corr"][0] < 0.5  # it had all of its own to learn


def test_in_a_stack_the_core_stays_too(core, make_toy, make_network_config):
    scan = make_toy("new", units=2, seed=9)
    course = COURSE.model_copy(update={"max_epoch": 2})
    jobs = [Job(make_network_config(), course, seed, core) for seed in (1, 2)]
    for job, one in zip(jobs, train_networks(jobs, [scan]), strict=True):
        assert_core(one.network, core)
        alone = train_network(job.network, [scan], course, seed=job.seed, core=core)
        for name, value in alone.network.state_dict().items():
            torch.testing.assert_close(one.network.state_dict()[name], value, atol=1e-4, rtol=1e-3)


def test_in_the_store_it_is_a_model_of_its_own_with_the_cores_bytes(day_store, trained, model_config):
    store, dataset, _ = day_store
    config = model_config.model_copy(update={"seed": 5})
    made = make_model(store, config, dataset=dataset, core=trained[0])
    assert made.ref != store.ref(MODEL, config, {"dataset": dataset})
    assert store.inputs(made.ref)["core"] == [trained[0]]
    mine, source = store.arrays(made.ref, "weights"), store.arrays(trained[0], "weights")
    for name, value in source.items():
        if name.startswith(CORE):
            np.testing.assert_array_equal(mine[name], value, err_msg=name)
    assert any((mine[name] != value).any() for name, value in source.items() if name.startswith("readouts."))
    assert load_model(store, made.ref).config == config
    assert make_model(store, config, dataset=dataset, core=trained[0]).cached


def test_a_core_of_another_configuration_is_refused_in_one_line(day_store, trained, model_config):
    store, dataset, _ = day_store
    wider = model_config.network.core.model_copy(update={"hidden_channels": 5})
    config = model_config.model_copy(
        update={"network": model_config.network.model_copy(update={"core": wider})}
    )
    with pytest.raises(
        ConfigurationError, match=r"the core of model/\w+ is .*hidden_channels=4.*; expected .*=5"
    ):
        make_model(store, config, dataset=dataset, core=trained[0])
    assert not store.exists(store.ref(MODEL, config, {"dataset": dataset, "core": trained[0]}))


def test_weights_of_another_core_are_refused_in_one_line(core, make_toy, make_network_config):
    core["layers.0.weight"] = core["layers.0.weight"][:, :, 1:]
    with pytest.raises(ConfigurationError, match=r"the trained core has layers\.0\.weight of shape"):
        train_network(make_network_config(), [make_toy()], COURSE, seed=1, core=core)
