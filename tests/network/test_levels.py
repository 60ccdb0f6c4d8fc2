from __future__ import annotations

import pytest
import torch
from torch.func import grad, vmap
from torch.nn import functional

from inception_loop.network.levels import features_last, to_channels_last
from inception_loop.network.pooling import Pooled
from inception_loop.network.pyramid import Pyramid

SIZE = (17, 20)
LEVELS = [
    Pyramid(SIZE, 3, downsample=True),
    Pyramid(SIZE, 3, downsample=True, upsample=False),
    Pyramid(SIZE, 3, downsample=False),
    Pooled(SIZE, 4),
]


@pytest.mark.parametrize("levels", LEVELS)
def test_what_places_see_of_the_map_is_a_sample_of_each_level(generator, levels):
    x = torch.randn(2, 3, *SIZE, generator=generator)
    at = torch.rand(2, 7, 2, generator=generator) * 2.4 - 1.2
    seen = levels.separable(at)
    terms = torch.einsum("buki,bcij,bukj->bukc", seen.rows, x, seen.columns)
    samples = [
        functional.grid_sample(level, at[:, :, None], padding_mode="border", align_corners=True)[..., 0]
        for level in levels.split(x)
    ]
    expected = torch.stack(samples, 1)
    torch.testing.assert_close(
        torch.einsum("lk,bukc->blcu", levels.mixing, terms), expected, atol=2e-5, rtol=1e-4
    )
    weights = torch.randn(2, 7, levels.levels, 3, generator=generator)
    torch.testing.assert_close(
        (terms * levels.separable_weights(weights)).sum((2, 3)),
        torch.einsum("blcu,bulc->bu", expected, weights),
        atol=1e-4,
        rtol=1e-4,
    )


@pytest.mark.parametrize("levels", LEVELS)
def test_at_the_last_pixel_the_gradient_is_that_of_the_last_two(levels):
    """Not of what fills up the shorter matrices behind it."""
    at = torch.ones(1, 2, requires_grad=True)
    (to_place,) = torch.autograd.grad(levels.separable(at).rows[0].sum(), at)
    inside = torch.full((1, 2), 1 - 1e-3, requires_grad=True)
    (expected,) = torch.autograd.grad(levels.separable(inside).rows[0].sum(), inside)
    torch.testing.assert_close(to_place, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_channels_come_last_in_memory_and_gradients_go_back_as_the_map_came(generator, layout):
    x = torch.randn(2, 3, 4, 5, generator=generator).contiguous(memory_format=layout).requires_grad_()
    last = to_channels_last(x)
    assert torch.equal(last, x)
    assert features_last(last).is_contiguous()
    (to_x,) = torch.autograd.grad(last.sin().sum(), x)
    assert to_x.is_contiguous(memory_format=layout)
    torch.testing.assert_close(to_x, x.cos())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dim", [0, 1])
def test_so_do_those_of_a_stack_of_networks(generator, layout, dim):
    maps = [torch.randn(2, 3, 4, 5, generator=generator).contiguous(memory_format=layout) for _ in range(3)]
    x = torch.stack(maps, dim)
    got = vmap(to_channels_last, in_dims=dim)(x)
    assert torch.equal(got, torch.stack(maps))
    to_x = vmap(grad(lambda x: to_channels_last(x).sin().sum()), in_dims=dim)(x)
    torch.testing.assert_close(to_x, torch.stack(maps).cos())
