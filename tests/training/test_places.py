"""Where a unit looks is a number, or its training ends: no place beyond the map is ever looked up."""

from __future__ import annotations

import math

import pytest
import torch

from inception_loop.errors import TrainingError
from inception_loop.training.building import build_network
from inception_loop.training.config import TrainConfig
from inception_loop.training.places import Places
from inception_loop.training.scan_data import predict
from inception_loop.training.trainer import Job, train_network, train_networks


def shifter(network):
    return network.shifters["a"].layers[0].weight


def position(network):
    return network.readout("a").position


@pytest.fixture
def spoilt(monkeypatch):
    """Let the step of seed 2 end with weights that are no numbers."""

    def spoil(part):
        draw = torch.optim.Adam.step

        def step(self, *arguments, **options):
            out = draw(self, *arguments, **options)
            with torch.no_grad():
                part(networks[0]).fill_(math.nan)
            return out

        monkeypatch.setattr(torch.optim.Adam, "step", step)

    networks = []
    module = "inception_loop.training.trainer.build_network"

    def built(config, scans, train, seed, core):
        network = build_network(config, scans, train, seed, core)
        if seed == 2:
            networks[:] = [network]
        return network

    monkeypatch.setattr(module, built)
    return spoil


def test_a_sound_network_says_nothing_and_one_that_is_not_says_so(toy, make_network_config):
    network = build_network(make_network_config(), [toy], TrainConfig(), 1)
    places = Places(network, "a")
    assert places(toy.eye) == places(None) == 0
    with torch.no_grad():
        shifter(network)[0, 0] = math.nan
    assert places(toy.eye).isnan()
    assert places(None) == 0
    with pytest.raises(TrainingError, match=r"^where the units of a look is not finite$"):
        predict(network, toy, toy.rows("test"))
    with torch.no_grad():
        position(network)[1, 0] = math.nan
    assert places(None).isnan()


@pytest.mark.parametrize("part", [shifter, position])
@pytest.mark.parametrize("size", [24, 500])  # found in the next step, and in the evaluation
def test_a_place_that_is_no_number_ends_a_training(toy, make_network_config, spoilt, part, size):
    spoilt(part)
    train = TrainConfig(batch_size=size, learning_rates=(0.01,), max_epoch=2)
    with pytest.raises(TrainingError, match=r"where the units of a look is not finite in epoch 1 \(seed 2, "):
        train_network(make_network_config(), [toy], train, seed=2)


@pytest.mark.parametrize("part", [shifter, position])
@pytest.mark.parametrize("size", [24, 500])
def test_in_a_stack_it_ends_that_member_alone(toy, make_network_config, spoilt, part, size):
    train = TrainConfig(batch_size=size, learning_rates=(0.01,), max_epoch=2)
    alone = train_network(make_network_config(), [toy], train, seed=1)
    spoilt(part)
    one, error = train_networks([Job(make_network_config(), train, seed) for seed in (1, 2)], [toy])
    assert isinstance(error, TrainingError)
    assert "where the units of a look is not finite in epoch 1 (seed 2, " in str(error)
    for name, value in alone.network.state_dict().items():
        torch.testing.assert_close(one.network.state_dict()[name], value, atol=1e-4, rtol=1e-3)
