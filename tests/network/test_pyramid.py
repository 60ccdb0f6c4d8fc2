from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from inception_loop.network.pyramid import Pyramid, axis_terms, gauss5, mixing, terms

SIZES = [(22, 50), (24, 52), (9, 7)]


def test_the_taps_are_the_published_ones():
    kernel = torch.outer(gauss5(), gauss5())
    assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
    assert [kernel[2, 2].item(), kernel[0, 0].item(), kernel[1, 2].item()] == pytest.approx(
        [0.150342, 0.003765, 0.094907], abs=2e-6
    )


@pytest.mark.parametrize("size", SIZES)
def test_levels_without_downsampling_sum_to_the_map(generator, size):
    x = torch.randn(2, 3, *size, generator=generator)
    levels = Pyramid(size, 4, downsample=False).split(x)
    assert len(levels) == 5
    torch.testing.assert_close(torch.stack(levels).sum(0), x, atol=1e-5, rtol=0)


def test_blurring_again_and_again_widens_as_the_root_of_the_level():
    x = torch.zeros(1, 1, 41, 41)
    x[..., 20, 20] = 1
    pyramid = Pyramid((41, 41), 4, downsample=False)
    axis = torch.arange(41.0) - 20
    one = (gauss5() * torch.arange(-2.0, 3.0).square()).sum().item()
    for level in range(1, 5):
        x = pyramid.blur(x)
        assert (x.sum((0, 1, 2)) * axis.square()).sum().item() == pytest.approx(level * one, rel=1e-4)


def test_downsampled_levels_rebuild_the_map_from_the_coarsest(generator):
    x = torch.randn(1, 2, 22, 50, generator=generator)
    pyramid = Pyramid((22, 50), 3, downsample=True)
    *fine, out = pyramid.split(x)
    assert [level.shape[2:] for level in (*fine, out)] == [torch.Size(size) for size in pyramid.sizes]
    kernel = (4 * torch.outer(gauss5(), gauss5())).expand(2, 1, 5, 5)
    for level in reversed(fine):
        extra = [(side + 1) % 2 for side in level.shape[2:]]
        out = level + functional.conv_transpose2d(
            out, kernel, stride=2, padding=2, output_padding=extra, groups=2
        )
    torch.testing.assert_close(out, x, atol=1e-5, rtol=0)


@pytest.mark.parametrize("downsample", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_every_level_is_the_sum_of_its_separable_terms(generator, size, downsample):
    x = torch.randn(2, 3, *size, generator=generator)
    rows, columns = (axis_terms(side, 3, downsample=downsample) for side in size)
    parts = [row @ x @ column.T for row, column in zip(rows, columns, strict=True)]
    matrix = mixing(3, downsample=downsample)
    for level, expected in enumerate(Pyramid(size, 3, downsample=downsample).split(x)):
        got = sum(matrix[level, k] * part for k, part in enumerate(parts) if matrix[level, k] != 0)
        torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)


def test_terms_are_two_a_downsampled_level_and_one_otherwise():
    assert len(terms(5, downsample=True)) == 11
    assert len(terms(5, downsample=False)) == 6


@pytest.mark.parametrize("downsample", [True, False])
def test_weights_of_maps_give_what_weights_of_levels_give(generator, downsample):
    x = torch.randn(2, 3, 9, 7, generator=generator)
    pyramid = Pyramid((9, 7), 3, downsample=downsample)
    features = torch.randn(5, 4, 3, generator=generator)
    for (maps, weights), levels in zip(
        zip(pyramid.maps(x), pyramid.weights(features), strict=True),
        [[level] for level in range(4)] if downsample else [range(4)],
        strict=True,
    ):
        got = sum(torch.einsum("bhwc,uc->buhw", m, w) for m, w in zip(maps, weights, strict=True))
        split = pyramid.split(x)
        expected = sum(torch.einsum("bchw,uc->buhw", split[level], features[:, level]) for level in levels)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_positions_see_unit_mass_inside_a_large_map():
    seen = Pyramid((60, 80), 3, downsample=False).separable(torch.tensor([[0.1, -0.2]]))
    torch.testing.assert_close(seen.rows.sum(-1), torch.ones(1, 4))
    torch.testing.assert_close(seen.columns.sum(-1), torch.ones(1, 4))
    at = (seen.columns[0, 0] * torch.arange(80)).sum().item()
    assert math.isclose(at, (0.1 + 1) / 2 * 79, abs_tol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_levels_not_blown_up_are_sums_of_separable_terms_too(generator, size):
    x = torch.randn(2, 3, *size, generator=generator)
    rows, columns = (axis_terms(side, 3, downsample=True, upsample=False) for side in size)
    parts = [row @ x @ column.T for row, column in zip(rows, columns, strict=True)]
    matrix = mixing(3, downsample=True)
    pyramid = Pyramid(size, 3, downsample=True, upsample=False)
    for level, expected in enumerate(pyramid.split(x)):
        got = sum(matrix[level, k] * part for k, part in enumerate(parts) if matrix[level, k] != 0)
        torch.testing.assert_close(got, expected, atol=2e-6, rtol=0)
