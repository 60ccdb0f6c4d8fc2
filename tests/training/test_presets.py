from __future__ import annotations

import dataclasses

import torch

from inception_loop.training.presets import DEMO_TRAIN, demo_networks
from inception_loop.training.trainer import train_network


def test_the_control_differs_from_its_network_in_the_nonlinearity_alone():
    network, control = (config.model_dump() for config in demo_networks())
    assert network["core"].pop("type") != control["core"].pop("type")
    assert network == control


def test_the_demo_networks_train_on_frames_of_the_usual_size(toy):
    images = torch.nn.functional.interpolate(toy.images, size=(36, 64))
    scan = dataclasses.replace(toy, images=images)
    brief = DEMO_TRAIN.model_copy(update={"stage_epochs": (1, 1, 1), "max_epoch": 1})
    for config in demo_networks():
        assert train_network(config, [scan], brief, seed=1).val_corr > 0.2
