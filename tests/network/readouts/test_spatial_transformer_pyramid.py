from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.readouts import (
    PyramidReadout,
    SpatialTransformerPyramid2d,
    spatial_transformer_pyramid,
)


def make(generator, *, units=9, channels=4, size=(22, 50), downsample=True, scale_n=3):
    config = SpatialTransformerPyramid2d(scale_n=scale_n, downsample=downsample, init_range=1.0)
    readout = PyramidReadout(config, units, channels, size, generator)
    with torch.no_grad():
        readout.features.copy_(torch.randn(readout.features.shape, generator=generator))
        readout.bias.copy_(torch.randn(units, generator=generator))
    return readout


def published(readout, x, shift):
    """Batch × levels × channels × units, as published, with the corrected border."""
    grid = (readout.position.clamp(-1, 1) + shift[:, None])[:, :, None]
    samples = [
        functional.grid_sample(level, grid, padding_mode="border", align_corners=True)[..., 0]
        for level in readout.pyramid.split(x)
    ]
    return torch.einsum("blcu,ulc->bu", torch.stack(samples, 1), readout.features) + readout.bias


@pytest.fixture
def inputs(generator):
    return torch.randn(6, 4, 22, 50, generator=generator), torch.randn(6, 2, generator=generator) * 0.4


@pytest.mark.parametrize("downsample", [True, False])
@pytest.mark.parametrize("few", [0, 100])
def test_both_ways_of_looking_give_the_published_sum_and_its_gradients(
    generator, inputs, downsample, few, monkeypatch
):
    monkeypatch.setattr(spatial_transformer_pyramid, "FEW_UNITS", few)
    readout = make(generator, downsample=downsample)
    x, shift = (v.requires_grad_() for v in inputs)
    leaves = [x, shift, *readout.parameters()]
    upstream = torch.randn(6, 9, generator=generator)
    expected, got = published(readout, x, shift), readout(x, shift)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
    for a, b in zip(
        torch.autograd.grad(got, leaves, upstream),
        torch.autograd.grad(expected, leaves, upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=5e-5, rtol=1e-3)


@pytest.mark.parametrize("downsample", [True, False])
@pytest.mark.parametrize("units", [[4], [8, 0, 3], [7, 7, 1, 2, 0, 5, 6, 8]])
def test_a_subset_of_units_equals_the_columns_of_all(generator, inputs, downsample, units):
    readout, (x, shift) = make(generator, downsample=downsample), inputs
    index = torch.tensor(units)
    torch.testing.assert_close(readout(x, shift, index), readout(x, shift)[:, index], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("downsample", [True, False])
def test_paired_equals_the_diagonal(generator, inputs, downsample):
    readout, (x, shift) = make(generator, downsample=downsample), inputs
    units = torch.tensor([3, 1, 4, 1, 5, 8])
    expected = readout(x, shift, units).diagonal()
    torch.testing.assert_close(readout(x, shift, units, paired=True), expected, atol=2e-5, rtol=1e-4)


def test_an_answer_does_not_depend_on_who_shares_the_batch(generator, inputs):
    readout, (x, shift) = make(generator), inputs
    units = torch.tensor([3, 1, 4, 1, 5, 8])
    alone = torch.stack([readout(x[i : i + 1], shift[i : i + 1])[0] for i in range(6)])
    torch.testing.assert_close(readout(x, shift), alone, atol=1e-5, rtol=1e-5)
    single = torch.cat([readout(x[i : i + 1], None, units[i : i + 1], paired=True) for i in range(6)])
    torch.testing.assert_close(readout(x, None, units, paired=True), single, atol=1e-6, rtol=1e-6)


def test_chunks_of_images_give_what_all_at_once_gives(generator, inputs, monkeypatch):
    readout, (x, shift) = make(generator), inputs
    whole = readout(x, shift)
    monkeypatch.setattr(spatial_transformer_pyramid, "CACHED_BYTES", 1)
    torch.testing.assert_close(readout(x, shift), whole, atol=1e-6, rtol=1e-6)


def test_the_position_is_clamped_before_it_is_shifted(generator):
    """A unit far beyond the right border, shifted left by a half, looks at a quarter from the right."""
    readout = make(generator, units=1, channels=1, size=(1, 5), scale_n=0)
    with torch.no_grad():
        readout.position.copy_(torch.tensor([[7.0, 0.0]]))
        readout.features.fill_(1)
        readout.bias.zero_()
    ramp = torch.arange(5.0).view(1, 1, 1, 5)
    assert readout(ramp, torch.tensor([[-0.5, 0.0]])).item() == pytest.approx(3.0)


def test_beyond_the_border_the_border_counts(generator):
    readout = make(generator, units=1, channels=1, size=(3, 5), scale_n=0)
    with torch.no_grad():
        readout.position.copy_(torch.tensor([[0.5, 0.0]]))
        readout.features.fill_(1)
        readout.bias.zero_()
    assert readout(torch.full((1, 1, 3, 5), 2.0), torch.tensor([[0.9, -3.0]])).item() == pytest.approx(2.0)


def test_a_shifted_map_and_a_shifted_eye_are_the_same(generator):
    readout = make(generator, units=9, size=(30, 61), downsample=False, scale_n=2)
    with torch.no_grad():
        readout.position.mul_(0.4)
    x = torch.randn(1, 4, 30, 61, generator=generator)
    one_px = torch.tensor([[2 / 60, 0.0]])
    torch.testing.assert_close(readout(x, one_px), readout(x.roll(-1, 3), None), atol=1e-4, rtol=1e-4)


def test_project_brings_positions_back_and_the_regulariser_is_the_mean_weight(generator):
    readout = make(generator)
    with torch.no_grad():
        readout.position.mul_(5)
    readout.project()
    assert readout.position.abs().max() <= 1
    torch.testing.assert_close(readout.regularizer(), readout.features.abs().mean())


def test_it_starts_as_published(generator):
    config = SpatialTransformerPyramid2d()
    readout = PyramidReadout(config, 300, 8, (22, 50), generator)
    assert readout.position.abs().max() <= 0.1
    assert readout.position.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.05)
    assert (readout.features == 1 / 8).all()
    assert readout.features.shape == (300, 6, 8)
    assert (readout.bias == 0).all()


def test_no_units_is_refused(generator):
    with pytest.raises(ConfigurationError, match="0 units; expected at least 1"):
        PyramidReadout(SpatialTransformerPyramid2d(), 0, 8, (22, 50), generator)
