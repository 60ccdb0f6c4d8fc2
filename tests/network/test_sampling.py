from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from inception_loop.network import sampling
from inception_loop.network.sampling import find_taps, gathered_products, sampled_dot, sparse_products


@pytest.fixture(autouse=True, params=["sparse", "gathered"], scope="module")
def way(request):
    """Every law, of what a CPU does and of what a GPU does."""
    with pytest.MonkeyPatch.context() as patch:
        chosen = {"sparse": sparse_products, "gathered": gathered_products}[request.param]
        patch.setattr(sampling, "products", chosen)
        yield request.param


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


PLACES = {
    "on the border": ([0.0, 5.0], [0.0, 3.0]),
    "beyond it": ([-0.7, -3.0, 5.2, 9.0], [-0.1, 3.4]),
    "close to it": ([1e-6, 1e-3, 4.999, 4.999999], [1e-6, 2.99999]),
    "on a pixel": ([1.0, 4.0], [1.0, 2.0]),
    "between pixels": ([0.25, 2.5, 4.75], [0.5, 2.25]),
}


def border_problem(where):
    """One unit at each of the places in both axes; the same for two images."""
    columns, rows = PLACES[where]
    places = torch.cartesian_prod(torch.tensor(columns), torch.tensor(rows))
    maps, weights, _, _ = problem(2, len(places), 4, 6, 3, 2, 1, torch.float32)
    x, y = places.T[:, None].expand(2, 2, len(places)).contiguous()
    return maps, weights, x, y


def written_out(maps, weights, x, y):
    """Values and slopes in x and y, from the definition, one sample after the other."""
    out, to_x, to_y = (torch.zeros(x.shape, dtype=torch.float64) for _ in range(3))
    for image in range(x.shape[0]):
        for unit in range(x.shape[1]):
            at = float(x[image, unit]), float(y[image, unit])
            inside = [0 <= v <= last for v, last in zip(at, (5, 3), strict=True)]
            column, row = (min(max(v, 0), last) for v, last in zip(at, (5, 3), strict=True))
            left, top = min(int(column), 4), min(int(row), 2)
            right, down = column - left, row - top
            seen = sum(m[image].double() @ w[unit].double() for m, w in zip(maps, weights, strict=True))
            p00, p01 = seen[top, left], seen[top, left + 1]
            p10, p11 = seen[top + 1, left], seen[top + 1, left + 1]
            above, below = p00 + right * (p01 - p00), p10 + right * (p11 - p10)
            out[image, unit] = above + down * (below - above)
            to_x[image, unit] = inside[0] * ((p01 - p00) * (1 - down) + (p11 - p10) * down)
            to_y[image, unit] = inside[1] * (below - above)
    return out, to_x, to_y


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("where", PLACES)
def test_values_and_slopes_are_those_of_the_definition_at_the_border_and_everywhere(where, stacked):
    maps, weights, x, y = border_problem(where)
    leaves = [v.requires_grad_() for v in (x, y)]
    if stacked:
        stack = [torch.stack((v, v)) for v in (x, y, weights, *maps)]
        got = torch.func.vmap(call)(*stack).mean(0)
    else:
        got = sampled_dot(maps, weights, x, y)
    slopes = torch.autograd.grad(got.sum(), leaves)
    with torch.no_grad():
        expected = written_out(maps, weights, x, y)
    for mine, right in zip((got, *slopes), expected, strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-5, atol=1e-5)


def test_a_place_on_the_border_can_leave_it():
    ramp = torch.arange(6.0).expand(1, 4, 6)[..., None]
    for border, away in ((0.0, 1.0), (5.0, 1.0)):
        x = torch.tensor([[border]], requires_grad=True)
        sampled_dot([ramp], torch.ones(1, 1, 1), x, torch.zeros(1, 1)).sum().backward()
        assert x.grad.item() == away


def test_what_a_gpu_does_holds_no_samples_for_the_way_back():
    """Of 7 levels nothing is kept but the maps and four products an image and unit."""
    maps, weights, x, y = problem(4, 50, 4, 5, 8, 7, 1)
    leaves = [v.requires_grad_() for v in (*maps, weights, x, y)]
    given, made = {v.data_ptr() for v in leaves}, []

    def packed(value):
        if value.data_ptr() not in given:
            made.append(value.numel())
        return value

    with torch.autograd.graph.saved_tensors_hooks(packed, lambda value: value):
        out = sampled_dot(maps, weights, x, y)
    out.sum().backward()
    assert max(made) == 4 * 50 * 4


def test_both_ways_give_the_same_products():
    generator = torch.Generator().manual_seed(1)
    table, weights = (torch.randn(n, 5, generator=generator) for n in (40, 7))
    index = torch.randint(40, (7, 12), generator=generator).sort(-1).values.view(7, 3, 4)
    torch.testing.assert_close(
        gathered_products(table, weights, index), sparse_products(table, weights, index)
    )
