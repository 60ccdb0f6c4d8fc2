"""Gains and bounds of masked pictures are those of the slow way."""

import numpy as np
import pytest
import torch

from inception_loop.images.natural.searched import in_memory
from inception_loop.images.natural.through_masks import masked_gains, most_contrast, through


def disc(column):
    """A soft disc halfway down the screen."""
    y, x = torch.meshgrid(torch.arange(36.0), torch.arange(64.0), indexing="ij")
    return (7.5 - torch.hypot(y - 18, x - column)).clamp(0, 1)


def test_the_gain_is_that_of_the_slow_way(noise):
    frames, masks = noise(3).numpy(), torch.stack([disc(10), disc(50)])
    dim = np.concatenate([frames, np.full((1, 36, 64), 77.7, np.float32)])
    gains = masked_gains(in_memory(dim), masks, 8.0)
    shown = through(torch.tensor(dim[:3]), masks[1].expand(3, -1, -1)) * gains[1, :3, None, None]
    assert shown.std((1, 2), correction=0) == pytest.approx(8 * torch.ones(3), rel=1e-9)
    assert torch.isnan(gains[:, 3]).all()


def test_no_mask_shows_more_contrast_than_the_bound():
    small = torch.zeros(3, 36, 64)
    small[0, 18, 30], small[1, 17:19, 30:33], small[2] = 1, 1, disc(30)
    bound = most_contrast(small, 110.0)
    rng = np.random.default_rng(0)
    for mask, limit in zip(small, bound, strict=True):
        inside = torch.tensor(rng.choice([0.0, 255.0], (20, 36, 64)))
        image = torch.where(mask > 0, inside, torch.nan)
        rest = (110.0 * 36 * 64 - image.nansum((1, 2))) / (mask == 0).sum()
        image = torch.where(mask > 0, image, rest[:, None, None])
        assert image.mean((1, 2)) == pytest.approx(110 * torch.ones(20))
        assert image.std((1, 2), correction=0).max() <= limit + 1e-9
    assert bound[0] == pytest.approx(145 * np.sqrt(1 / 2304 * (1 + 1 / 2303)))
