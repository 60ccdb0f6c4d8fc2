from __future__ import annotations

import numpy as np
import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.modulators import NoModulator
from inception_loop.network.network import Network
from inception_loop.network.shifters import NoShifter
from inception_loop.training.recovery import (
    ceiling_fraction,
    center_error,
    learnt_log_gain,
    learnt_shift,
    log_gain_correlation,
    receptive_field_centers,
)


@pytest.fixture
def network():
    config = CorePlusReadout(core=GaussianLaplace(hidden_channels=2, input_kern=7, hidden_kern=3))
    return Network(config, {"a": 3}, (20, 31), torch.Generator().manual_seed(1))


def test_the_ceiling_is_reached_by_the_expectation_and_by_nothing_else():
    rng = np.random.default_rng(1)
    expected = rng.normal(size=(500, 4))
    observed = expected + rng.normal(size=(500, 4))
    np.testing.assert_allclose(ceiling_fraction(3 * expected + 1, observed, expected), 1)
    half = expected + rng.normal(size=(500, 4))
    assert (ceiling_fraction(half, observed, expected) < 0.85).all()
    assert np.isnan(ceiling_fraction(half, observed, np.zeros((500, 4)))).all()


def test_map_corners_lie_half_a_kernel_inside_the_image(network):
    with torch.no_grad():
        network.readout("a").position.copy_(torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]]))
    centers = receptive_field_centers(network, "a", None)
    np.testing.assert_allclose(centers, [[3, 3], [31 - 4, 20 - 4], [15, 9.5]])


def test_a_unit_looks_where_its_position_says(network):
    """The gradient of a linear readout of one level is centred on the reported pixel."""
    readout = network.readout("a")
    with torch.no_grad():
        readout.position.copy_(torch.tensor([[-0.5, 0.25], [0.2, -0.6], [0.0, 0.0]]))
        for layer in network.core.layers:
            layer.weight.fill_(1)
    network.eval()
    images = torch.zeros(1, 1, 20, 31, requires_grad=True)
    for unit, (x, y) in enumerate(receptive_field_centers(network, "a", None)):
        (gradient,) = torch.autograd.grad(readout(network.core(images))[0, unit], images)
        fine = gradient[0, 0].abs()
        rows, columns = torch.meshgrid(torch.arange(20.0), torch.arange(31.0), indexing="ij")
        center = [(fine * axis).sum().item() / fine.sum().item() for axis in (columns, rows)]
        assert center == pytest.approx([x, y], abs=1.5)


def test_the_eye_moves_every_center_by_the_learnt_shift(network):
    with torch.no_grad():
        for parameter in network.shifters.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)) * 0.3)
    eye = np.array([[0.7, -1.2]], np.float32)
    moved = receptive_field_centers(network, "a", (0.7, -1.2)) - receptive_field_centers(network, "a", None)
    np.testing.assert_allclose(moved, np.repeat(learnt_shift(network, "a", eye), 3, 0), atol=1e-6)


def test_a_common_offset_is_given_apart_from_the_scatter():
    true = np.random.default_rng(1).uniform(0, 30, (50, 2))
    error = center_error(true + np.array([3.0, 4.0]), true)
    np.testing.assert_allclose(error.distance, 5)
    np.testing.assert_allclose(error.offset, [3, 4])
    np.testing.assert_allclose(error.centred, 0, atol=1e-9)
    with pytest.raises(DataError, match="expected the same"):
        center_error(true, true[:3])


def test_gains_are_compared_as_logarithms(network):
    with torch.no_grad():
        for parameter in network.modulators.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(2)))
    behavior = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    learnt = learnt_log_gain(network, "a", behavior)
    assert learnt.shape == (40, 3)
    np.testing.assert_allclose(log_gain_correlation(learnt, 5 * np.exp(2 * learnt)), 1)
    np.testing.assert_allclose(log_gain_correlation(learnt, np.exp(-learnt)), -1)


def test_a_network_without_the_part_has_nothing_to_compare():
    config = CorePlusReadout(core=GaussianLaplace(input_kern=7), shifter=NoShifter(), modulator=NoModulator())
    bare = Network(config, {"a": 3}, (20, 31), torch.Generator().manual_seed(1))
    with pytest.raises(DataError, match="no shifter"):
        learnt_shift(bare, "a", np.zeros((1, 2), np.float32))
    with pytest.raises(DataError, match="no modulator"):
        learnt_log_gain(bare, "a", np.zeros((1, 3), np.float32))
