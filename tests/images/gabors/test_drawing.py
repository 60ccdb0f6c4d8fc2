"""Gabors on the device are the Gabors of the room `pictures`, at exact statistics, with true gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from inception_loop.images.contrast import match_contrast
from inception_loop.images.gabors.drawing import at_contrast, gabors
from inception_loop.images.gabors.grid import PARAMETERS, GaborGrid
from inception_loop.pictures.gabor import gabor

SIZE = (36, 64)


def drawn(n, seed=0):
    rows = np.random.default_rng(seed).integers(0, GaborGrid().size, n)
    return GaborGrid().parameters(torch.from_numpy(rows), SIZE)


def test_the_published_grid_has_72800_gabors_within_30_percent_of_the_middle():
    grid = GaborGrid()
    assert grid.shape == (4, 5, 8, 5, 7, 13)
    assert grid.size == 72_800
    ends = grid.parameters(torch.tensor([0, grid.size - 1]), SIZE)
    assert ends[0].tolist() == pytest.approx([0, 4, 0, 2, 31.5 - 19.2, 17.5 - 10.8])
    assert ends[1].tolist() == pytest.approx(
        [1.5 * math.pi, 20, math.pi * 7 / 8, 9, 31.5 + 19.2, 17.5 + 10.8]
    )
    low, high = grid.bounds(SIZE)
    assert low[[1, 3, 4, 5]].tolist() == pytest.approx([4, 2, 31.5 - 19.2, 17.5 - 10.8])
    assert high[[1, 3, 4, 5]].tolist() == pytest.approx([20, 9, 31.5 + 19.2, 17.5 + 10.8])
    assert torch.isinf(low[[0, 2]]).all()


def test_every_row_of_a_grid_is_another_gabor():
    grid = GaborGrid(
        phases=(0, 1), wavelengths=(4, 5), orientations=(0,), sigmas=(2, 3), dy=(0, 0.1), dx=(0,)
    )
    rows = grid.parameters(torch.arange(grid.size), SIZE)
    assert len({tuple(row) for row in rows.tolist()}) == grid.size == 16


@pytest.mark.parametrize("field", ["phases", "wavelengths", "orientations", "sigmas", "dy", "dx"])
def test_an_empty_list_is_refused(field):
    with pytest.raises(ValidationError, match=f"{field}\n.*at least 1 item"):
        GaborGrid(**{field: ()})


def test_a_wavelength_of_nothing_is_refused():
    with pytest.raises(ValidationError, match="greater than 0"):
        GaborGrid(wavelengths=(4, 0))


def test_they_are_the_gabors_of_pictures():
    parameters = drawn(20)
    for row, patch in zip(parameters.tolist(), gabors(parameters, SIZE), strict=True):
        slow = gabor(*SIZE, **dict(zip(PARAMETERS, row, strict=True)))
        assert np.allclose(patch.numpy(), slow, atol=1e-13)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), contrast=st.sampled_from([2.0, 8.0, 20.0]))
def test_mean_and_contrast_are_exact_whether_or_not_pixels_clip(seed, contrast):
    patches = gabors(drawn(8, seed), SIZE)
    images, shows = at_contrast(patches, 110.0, contrast)
    assert shows.all()
    assert images.mean((1, 2)).numpy() == pytest.approx(110 * np.ones(8), abs=1e-9)
    assert images.std((1, 2), correction=0).numpy() == pytest.approx(contrast * np.ones(8), rel=1e-9)
    assert 0 <= images.min() <= images.max() <= 255
    assert torch.allclose(images, match_contrast(patches, 110.0, contrast), atol=1e-9)


def test_what_cannot_be_shown_is_marked():
    narrow = torch.tensor([[0, 4, 0, 0.3, 31.5, 17.5], [0, 4, 0, 3, 31.5, 17.5]], dtype=torch.float64)
    spot = gabors(narrow, SIZE)
    spot[0] = torch.where(spot[0] == spot[0].amax(), 1.0, 0.0)  # its pixels without ties
    flat = torch.full((1, *SIZE), 0.25, dtype=torch.float64)
    images, shows = at_contrast(torch.cat((spot, flat)), 110.0, 30.0)
    assert shows.tolist() == [False, True, False]
    assert images[1].std(correction=0).item() == pytest.approx(30.0)


@pytest.mark.parametrize("sigma", [5.0, 2.0])  # 2: hundreds of pixels clip
def test_the_gradient_is_that_of_small_changes(sigma):
    weights = torch.randn(SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    at = torch.tensor([[0.4, 7.3, 0.7, sigma, 30.2, 18.1]], dtype=torch.float64, requires_grad=True)

    def score(parameters):
        images, _ = at_contrast(gabors(parameters, SIZE), 110.0, 12.0)
        return (images * weights).sum()

    (gradient,) = torch.autograd.grad(score(at), at)
    with torch.no_grad():
        step = 1e-5 * torch.eye(6, dtype=torch.float64)
        slow = [(score(at + s) - score(at - s)).item() / 2e-5 for s in step]
    assert gradient[0].numpy() == pytest.approx(slow, rel=1e-4, abs=1e-3)
