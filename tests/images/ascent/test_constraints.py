"""Constraints hold exactly, and applying one twice is applying it once."""

import pytest
import torch

from inception_loop.errors import DataError
from inception_loop.images.ascent.constraints import (
    AtMostContrast,
    Blend,
    EachOfSet,
    FixedContrast,
    FixedContrastInRange,
    GreyRange,
    L2Norm,
    OnlyInside,
    WeightedContrast,
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
def test_a_flat_image_is_refused(constraint):
    flat = torch.cat([IMAGES[:1], torch.full((1, 36, 64), 110.0)])
    with pytest.raises(DataError, match="an image of the batch is flat"):
        constraint(flat)


def test_a_contrast_out_of_reach_is_refused():
    with pytest.raises(DataError, match="too much; lower the target"):
        FixedContrastInRange(110.0, 30.0)(PATCHY)


MASK = torch.rand(5, 36, 64, generator=torch.Generator().manual_seed(4))


def test_only_the_free_pixels_change():
    free, fixed = MASK > 0.5, torch.full((5, 36, 64), 90.0)
    inside, outside = OnlyInside(free, fixed)(IMAGES), OnlyInside(~free, fixed)(IMAGES)
    assert torch.equal(inside[free], IMAGES[free])
    assert (inside[~free] == 90).all()
    assert torch.equal(inside + outside, IMAGES + 90)
    assert torch.equal(OnlyInside(free, fixed)(inside), inside)


def test_mean_and_contrast_hold_where_the_mask_shows_something():
    constraint = WeightedContrast(MASK, 110.0, 6.0)
    found = constraint(IMAGES)
    power = (MASK * (found - 110).square()).sum((1, 2)) / MASK.sum((1, 2))
    assert torch.allclose(power.sqrt(), torch.tensor(6.0), rtol=1e-4)
    assert torch.allclose((MASK * (found - 110)).sum((1, 2)), torch.zeros(5), atol=0.05)
    assert torch.allclose(constraint(found), found, atol=1e-3)
    loud = WeightedContrast(MASK, 110.0, 200.0)(IMAGES)
    assert loud.aminmax() == (0, 255)


def test_a_blend_is_the_image_where_its_mask_is_one():
    other = torch.full((5, 36, 64), 110.0)
    assert torch.allclose(Blend(MASK, other)(IMAGES), MASK * IMAGES + (1 - MASK) * 110, atol=1e-4)
    assert torch.equal(Blend(torch.zeros_like(MASK), other)(IMAGES), other)


@pytest.mark.parametrize(
    "piece",
    [OnlyInside(MASK > 0.5, 50 + MASK), Blend(MASK, 50 + MASK), WeightedContrast(MASK, 110.0, 6.0)],
    ids=lambda p: type(p).__name__,
)
def test_what_belongs_to_an_item_stays_with_it(piece):
    rows = torch.tensor([3, 0])
    assert torch.equal(piece.take(rows)(IMAGES[rows]), piece(IMAGES)[rows])


def test_a_set_is_constrained_image_by_image():
    sets = IMAGES[:4].reshape(2, 2, 36, 64)
    found = EachOfSet(FixedContrast(110.0, 6.0))(sets)
    assert torch.equal(found.flatten(0, 1), FixedContrast(110.0, 6.0)(IMAGES[:4]))
