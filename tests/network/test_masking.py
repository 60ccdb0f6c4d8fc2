from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.network import masking
from inception_loop.network.masking import masked_dot, moved


@pytest.mark.parametrize("size", [(7, 9), (1, 5), (2, 1)])
def test_a_moved_map_is_sampled_bilinearly_with_its_border_beyond(generator, size):
    x = torch.randn(5, 3, *size, generator=generator, requires_grad=True)
    shift = (torch.randn(5, 2, generator=generator) * 0.6).requires_grad_()
    rows, columns = (torch.linspace(-1, 1, side) if side > 1 else torch.zeros(1) for side in size)
    at = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1) + shift[:, None, None]
    expected = functional.grid_sample(x, at, padding_mode="border", align_corners=True)
    torch.testing.assert_close(moved(x, shift), expected, atol=1e-5, rtol=1e-5)
    upstream = torch.randn(expected.shape, generator=generator)
    for a, b in zip(
        torch.autograd.grad(moved(x, shift), [x, shift], upstream),
        torch.autograd.grad(expected, [x, shift], upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def draw(generator, networks=()):
    shapes = ((5, 3, 4, 6), (7, 4, 6), (7, 3))
    return [
        torch.randn(*networks, *shape, generator=generator, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]


@pytest.mark.parametrize("cached", [1, 16 << 20])
def test_it_is_the_sum_over_pixels_and_features_and_passes_gradcheck(generator, cached, monkeypatch):
    monkeypatch.setattr(masking, "CACHED_BYTES", cached)
    values = draw(generator)
    torch.testing.assert_close(masked_dot(*values), torch.einsum("bchw,uhw,uc->bu", *values))
    assert torch.autograd.gradcheck(masked_dot, values)


def test_stacks_of_stacks_are_stacks(generator):
    values = draw(generator, (2, 3))
    got = torch.func.vmap(torch.func.vmap(masked_dot))(*values)
    expected = torch.einsum("ijbchw,ijuhw,ijuc->ijbu", *values)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got.sin().sum(), values), torch.autograd.grad(expected.sin().sum(), values)
    )


def test_networks_may_share_what_they_see(generator):
    x, masks, features = draw(generator, (3,))
    got = torch.func.vmap(masked_dot, in_dims=(None, 0, 0))(x[0], masks, features)
    torch.testing.assert_close(got, torch.einsum("bchw,juhw,juc->jbu", x[0], masks, features))
