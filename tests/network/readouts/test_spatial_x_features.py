from __future__ import annotations

import pytest
import torch

from inception_loop.network.readouts import SpatialXFeatures


@pytest.fixture
def readout(generator):
    made = SpatialXFeatures().build(6, 3, (7, 9), generator)
    with torch.no_grad():
        for p in (made.features, made.bias, made.mask):
            p.copy_(torch.randn(p.shape, generator=generator))
    return made


def test_it_is_mask_times_features(readout, generator):
    """The mask without its negative part, of L2 norm 1, as a slow sum over everything."""
    x = torch.randn(4, 3, 7, 9, generator=generator)
    mask = readout.mask.clamp(min=0)
    mask = mask / mask.square().sum((1, 2)).sqrt()[:, None, None]
    torch.testing.assert_close(mask.square().sum((1, 2)), torch.ones(6))
    expected = torch.einsum("bchw,nhw,nc->bn", x, mask, readout.features) + readout.bias
    torch.testing.assert_close(readout(x), expected, atol=2e-5, rtol=1e-5)


def test_a_mask_of_one_pixel_reads_that_pixel(readout, generator):
    x = torch.randn(4, 3, 7, 9, generator=generator)
    with torch.no_grad():
        readout.mask.zero_()[:, 2, 5] = torch.rand(6, generator=generator) + 0.1
    expected = x[:, :, 2, 5] @ readout.features.T + readout.bias
    torch.testing.assert_close(readout(x), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        readout.centers(), torch.tensor([[2 * 5 / 8 - 1, 2 * 2 / 6 - 1]]).expand(6, 2), atol=1e-5, rtol=0
    )


def test_a_shifted_eye_is_a_moved_mask(readout, generator):
    x = torch.randn(4, 3, 7, 9, generator=generator)
    with torch.no_grad():
        readout.mask[:, :, 7:] = 0  # so that no mask leaves the map
    shifted = readout(x, torch.tensor([[2 * 2 / 8, 0.0]]).expand(4, 2))
    with torch.no_grad():
        readout.mask.copy_(readout.mask.roll(2, 2))
    torch.testing.assert_close(shifted, readout(x), atol=2e-5, rtol=1e-5)


def test_masks_start_as_gaussians_of_the_given_width(generator):
    readout = SpatialXFeatures(init_sigma=1.5).build(1, 3, (41, 61), generator)
    readout.start_at(torch.tensor([[0.1, -0.2]]))
    weight = readout.mask[0] / readout.mask[0].sum()
    row, column = torch.arange(41.0), torch.arange(61.0)
    for along, pixel, center in ((weight.sum(1), row, 16.0), (weight.sum(0), column, 33.0)):
        torch.testing.assert_close((along * pixel).sum().item(), center, atol=1e-3, rtol=0)
        spread = (along * (pixel - center).square()).sum().sqrt().item()
        torch.testing.assert_close(spread, 1.5, atol=1e-3, rtol=0)


def test_a_mask_that_has_died_can_come_back(readout, generator):
    with torch.no_grad():
        readout.mask.zero_()
    x = torch.randn(4, 3, 7, 9, generator=generator)
    readout(x).sum().backward()
    assert readout.mask.grad.isfinite().all()
    assert (readout.mask.grad != 0).any()


def test_projection_takes_out_what_is_negative_and_changes_no_answer(readout, generator):
    x = torch.randn(4, 3, 7, 9, generator=generator)
    before = readout(x)
    readout.project()
    assert readout.mask.min() == 0
    torch.testing.assert_close(readout(x), before)


def test_the_penalty_is_the_mean_absolute_weight_of_the_product(readout):
    mask = readout.mask.clamp(min=0)
    mask = mask / mask.square().sum((1, 2)).sqrt()[:, None, None]
    weight = mask[:, None] * readout.features[..., None, None]
    torch.testing.assert_close(readout.regularizer(), weight.abs().mean())
