from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from inception_loop.network.sampling import find_taps, plainly_sampled, sampled_dot


def slow(maps, weights, x, y):
    """Materialises every sample: batch × units × features."""
    height, width = maps[0].shape[1:3]
    grid = torch.stack((2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1), -1)[:, :, None]
    out = 0
    for table, weight in zip(maps, weights, strict=True):
        sample = functional.grid_sample(
            table.permute(0, 3, 1, 2), grid, mode="bilinear", padding_mode="border", align_corners=True
        )
        out = out + torch.einsum("bcu,uc->bu", sample[..., 0], weight)
    return out


def problem(images, units, height, width, features, count, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, generator=generator, dtype=dtype)

    maps = [draw(images, height, width, features) for _ in range(count)]
    x = torch.rand(images, units, generator=generator, dtype=dtype) * (width + 1) - 1
    y = torch.rand(images, units, generator=generator, dtype=dtype) * (height + 1) - 1
    return maps, draw(count, units, features), x, y


sizes = st.integers(1, 5)


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, sizes, sizes, sizes, st.integers(1, 3), st.integers(0, 9))
def test_it_is_grid_sample_weighed_and_summed(images, units, height, width, features, count, seed):
    maps, weights, x, y = problem(images, units, height, width, features, count, seed)
    expected = slow(maps, weights, x, y)
    torch.testing.assert_close(sampled_dot(maps, weights, x, y), expected)


@pytest.mark.parametrize("count", [1, 2])
def test_its_gradients_pass_gradcheck(count):
    maps, weights, x, y = problem(2, 5, 4, 3, 3, count, 1)
    inside = [v.clamp(0.05, 1.95).requires_grad_() for v in (x, y)]  # away from the kinks at whole pixels
    for v in inside:
        with torch.no_grad():
            v[(v - v.round()).abs() < 0.02] += 0.05
    leaves = [m.requires_grad_() for m in maps]
    assert torch.autograd.gradcheck(
        lambda w, a, b, *m: sampled_dot(m, w, a, b), (weights.requires_grad_(), *inside, *leaves)
    )


def test_gradients_agree_with_those_of_the_materialised_samples():
    maps, weights, x, y = problem(3, 40, 6, 8, 5, 2, 2, torch.float32)
    leaves = [v.requires_grad_() for v in (*maps, weights, x, y)]
    upstream = torch.randn(3, 40, generator=torch.Generator().manual_seed(4))
    ours = torch.autograd.grad(sampled_dot(maps, weights, x, y), leaves, upstream)
    theirs = torch.autograd.grad(slow(maps, weights, x, y), leaves, upstream)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-4)


def test_gradients_that_nobody_wants_are_not_made():
    maps, weights, x, y = problem(2, 3, 4, 4, 2, 1, 3)
    maps[0].requires_grad_()
    sampled_dot(maps, weights, x, y).sum().backward()
    assert maps[0].grad is not None
    assert weights.grad is None


def test_the_four_shares_sum_to_one_and_stay_on_the_map():
    x = torch.tensor([[0.0, 3.0, 1.25]])
    y = torch.tensor([[0.0, 2.0, 0.5]])
    taps = find_taps(x, y, 3, 4)
    torch.testing.assert_close(taps.share.sum(-1), torch.ones(3, 1))
    assert taps.rows.min() >= 0
    assert taps.rows.max() < 12


def stacked_problem(networks):
    problems = [problem(3, 6, 4, 5, 3, 2, seed, torch.float64) for seed in range(networks)]
    maps = [torch.stack(parts) for parts in zip(*(p[0] for p in problems), strict=True)]
    return maps, *(torch.stack([p[i] for p in problems]) for i in (1, 2, 3))


def call(x, y, weights, *maps):
    return sampled_dot(maps, weights, x, y)


def one_by_one(x, y, weights, *maps):
    return torch.stack([call(*part) for part in zip(x, y, weights, *maps, strict=True)])


def test_a_stack_of_networks_gives_what_each_gives_alone_forward_and_backward():
    maps, weights, x, y = stacked_problem(3)
    leaves = [v.requires_grad_() for v in (x, y, weights, *maps)]
    upstream = torch.randn(3, 3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    got, expected = torch.func.vmap(call)(*leaves), one_by_one(*leaves)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got, leaves, upstream), torch.autograd.grad(expected, leaves, upstream)
    )


@pytest.mark.parametrize("wanted", [(0, 1), (2,), (3, 4), (0, 1, 2, 3, 4)])
def test_gradients_within_a_stack_are_those_of_each_network(wanted):
    maps, weights, x, y = stacked_problem(3)
    loss = torch.func.grad(lambda *v: call(*v).square().sum(), argnums=wanted)
    got = torch.func.vmap(loss)(x, y, weights, *maps)
    leaves = [v.requires_grad_() for v in (x, y, weights, *maps)]
    expected = torch.autograd.grad(one_by_one(*leaves).square().sum(), [leaves[i] for i in wanted])
    torch.testing.assert_close(got, expected)


def test_networks_that_share_their_maps_make_no_copy_of_them():
    maps, weights, x, y = stacked_problem(3)
    shared = [m[0].requires_grad_() for m in maps]
    got = torch.func.vmap(call, in_dims=(0, 0, 0, None, None))(x, y, weights, *shared)
    expected = torch.stack([call(*part, *shared) for part in zip(x, y, weights, strict=True)])
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(
        torch.autograd.grad(got.square().sum(), shared), torch.autograd.grad(expected.square().sum(), shared)
    )


def test_stacks_of_stacks_are_stacks():
    maps, weights, x, y = stacked_problem(4)
    nested = [v.unflatten(0, (2, 2)) for v in (x, y, weights, *maps)]
    got = torch.func.vmap(torch.func.vmap(call))(*nested).flatten(0, 1)
    torch.testing.assert_close(got, one_by_one(x, y, weights, *maps))


def test_the_path_of_a_gpu_gives_the_same_forward_and_backward():
    maps, weights, x, y = problem(2, 5, 4, 6, 3, 2, 1)
    x, y = x.clamp(0.1, 4.9), y.clamp(0.1, 2.9)  # within the map: beyond it the caller has clamped
    leaves = [v.requires_grad_() for v in (*maps, weights, x, y)]
    results = []
    for sampled in (sampled_dot, plainly_sampled):
        out = sampled(maps, weights, x, y)
        results.append((out, *torch.autograd.grad(out.square().sum(), leaves)))
    for ours, plain in zip(*results, strict=True):
        torch.testing.assert_close(ours, plain)
