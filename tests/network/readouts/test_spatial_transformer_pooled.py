from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.readouts import SpatialTransformerPooled2d


def published(readout, x, shift):
    """Batch × levels × channels × units, as published, with the corrected border."""
    grid = (readout.position.clamp(-1, 1) + shift[:, None])[:, :, None]
    samples = []
    for _ in range(readout.features.shape[1]):
        samples.append(functional.grid_sample(x, grid, padding_mode="border", align_corners=True)[..., 0])
        x = functional.avg_pool2d(x, 2) if min(x.shape[2:]) > 1 else x
    return torch.einsum("blcu,ulc->bu", torch.stack(samples, 1), readout.features) + readout.bias


@pytest.mark.parametrize("units", [3, 40])
def test_it_is_the_published_sum(generator, units):
    readout = SpatialTransformerPooled2d(init_range=1.0).build(units, 4, (22, 50), generator)
    with torch.no_grad():
        readout.features.copy_(torch.randn(readout.features.shape, generator=generator))
    x = torch.randn(6, 4, 22, 50, generator=generator)
    shift = torch.randn(6, 2, generator=generator) * 0.4
    torch.testing.assert_close(readout(x, shift), published(readout, x, shift), atol=2e-5, rtol=1e-4)


def test_it_has_the_published_steps_and_strength():
    config = SpatialTransformerPooled2d()
    assert (config.pool_steps, config.gamma_features) == (4, 20)


def test_the_mean_of_the_map_is_read_from_its_coarsest_level(generator):
    readout = SpatialTransformerPooled2d(pool_steps=3).build(1, 1, (8, 8), generator)
    with torch.no_grad():
        readout.features.zero_()[:, 3] = 1
    x = torch.randn(5, 1, 8, 8, generator=generator)
    torch.testing.assert_close(readout(x)[:, 0], x.mean((1, 2, 3)))


def test_a_map_that_is_too_small_is_refused(generator):
    with pytest.raises(ConfigurationError, match=r"9x15 px cannot be halved 4 times.*at most 3"):
        SpatialTransformerPooled2d().build(1, 1, (9, 15), generator)
