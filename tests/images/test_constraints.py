"""Constraints hold exactly, and applying one twice is applying it once."""

import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.constraints import (
    AtMostContrast,
    FixedContrast,
    FixedContrastInRange,
    GreyRange,
    L2Norm,
)

IMAGES = 120 + 40 * torch.randn(5, 36, 64, generator=torch.Generator().manual_seed(3))
PATCHY = 110 + 2000 * torch.nn.functional.one_hot(torch.arange(5), 2304).reshape(5, 36, 64).float()
EVERY = [
    GreyRange(),
    L2Norm(300.0, about=110.0),
    FixedContrast(110.0, 6.0),
    FixedContrastInRange(110.0, 40.0),
]


@pytest.mark.parametrize("constraint", EVERY, ids=lambda c: type(c).__name__)
def test_projecting_twice_is_projecting_once(constraint):
    once = constraint(IMAGES)
    assert torch.allclose(constraint(once), once, atol=1e-3)


def test_the_range_holds_exactly():
    assert GreyRange(10, 200)(IMAGES).aminmax() == (10, 200)


def test_the_norm_holds_about_its_grey_level():
    found = L2Norm(300.0, about=110.0)(IMAGES)
    assert torch.allclose((found - 110).square().sum((1, 2)).sqrt(), torch.tensor(300.0), rtol=1e-5)


def test_mean_and_contrast_hold_and_are_a_norm_about_the_mean():
    found = FixedContrast(110.0, 6.0)(IMAGES).double()
    assert torch.allclose(found.mean((1, 2)), torch.tensor(110.0, dtype=torch.float64), atol=1e-4)
    assert torch.allclose(
        found.flatten(1).std(1, correction=0), torch.tensor(6.0, dtype=torch.float64), rtol=1e-5
    )
    assert torch.allclose((found - 110).square().sum((1, 2)).sqrt(), torch.tensor(288.0, dtype=torch.float64))


@pytest.mark.parametrize("images", [IMAGES, IMAGES + 5 * torch.eye(36, 64) * 100])
def test_range_mean_and_contrast_hold_at_once_exactly(images):
    for contrast in (6.0, 40.0, 90.0):
        found = FixedContrastInRange(110.0, contrast)(images).double()
        assert found.min() >= 0
        assert found.max() <= 255
        assert torch.allclose(found.mean((1, 2)), torch.tensor(110.0, dtype=torch.float64), atol=1e-4)
        spread = found.flatten(1).std(1, correction=0)
        assert torch.allclose(spread, torch.tensor(contrast, dtype=torch.float64), rtol=1e-5)


def test_images_that_do_not_clip_pass_through_the_range_unchanged():
    assert torch.equal(FixedContrastInRange(110.0, 6.0)(IMAGES), FixedContrast(110.0, 6.0)(IMAGES))


def test_a_lower_contrast_stays_and_a_higher_one_is_scaled_down():
    limit = AtMostContrast(11.0, about=110.0)
    low = 110 + (IMAGES - 110) * 0.1
    assert torch.equal(limit(low), low)
    assert torch.allclose(limit(IMAGES).flatten(1).std(1, correction=0), torch.tensor(11.0), rtol=1e-5)


@pytest.mark.parametrize("constraint", EVERY[1:], ids=lambda c: type(c).__name__)
def test_a_flat_image_is_refused_by_name(constraint):
    flat = torch.cat([IMAGES[:1], torch.full((1, 36, 64), 110.0)])
    with pytest.raises(DataError, match="image 1 of the batch is flat"):
        constraint(flat)


def test_a_contrast_out_of_reach_is_refused():
    with pytest.raises(DataError, match="too much; lower the target"):
        FixedContrastInRange(110.0, 30.0)(PATCHY)
