from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.training.config import TrainConfig
from inception_loop.training.recovery import receptive_field_centers
from inception_loop.training.starting_positions import estimate_positions
from inception_loop.training.trainer import build_network


@pytest.fixture(scope="module")
def images():
    noise = torch.randn(1500, 1, 30, 44, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.avg_pool2d(noise, 3, 1, 1)


def pair(cx, cy):
    y, x = torch.meshgrid(torch.arange(30.0), torch.arange(44.0), indexing="ij")
    envelope = torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)
    return envelope * torch.cos(0.7 * (x - cx)), envelope * torch.sin(0.7 * (x - cx))


@pytest.mark.parametrize("kind", ["simple", "complex"])
def test_simple_and_complex_cells_are_found_where_they_look(images, kind):
    places = [(12, 9), (31, 20), (22, 15)]
    responses = []
    for cx, cy in places:
        even, odd = ((images[:, 0] * f).sum((1, 2)) for f in pair(cx, cy))
        responses.append(torch.relu(even) if kind == "simple" else torch.hypot(even, odd))
    found = estimate_positions(images, torch.stack(responses, 1)).numpy()
    assert np.linalg.norm(found - np.array(places), axis=1).max() < 3


def test_a_silent_unit_has_a_position_too(images):
    found = estimate_positions(images, torch.zeros(1500, 2))
    assert torch.isfinite(found.float()).all()


def test_a_network_that_starts_at_the_responses_looks_there(toy, make_network_config, centers):
    network = build_network(make_network_config(), [toy], TrainConfig(start_positions="responses"), 1)
    start = receptive_field_centers(network, "a", None)
    assert np.linalg.norm(start - np.array(centers(3)), axis=1).max() < 3
    assert network.readout("a").position.abs().max() <= 1
