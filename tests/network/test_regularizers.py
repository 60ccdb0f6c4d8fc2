from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from inception_loop.network.regularizers import (
    gaussian_laplace_weight,
    group_sparsity,
    laplace_penalty,
    relative_laplace_penalty,
    sigmoid_laplace_weight,
    xavier_normal,
)


def slow_edges(kernel: np.ndarray) -> np.ndarray:
    """Laplacian of a kernel that is zero beyond its border."""
    height, width = kernel.shape
    edges = 4.0 * kernel
    for y in range(height):
        for x in range(width):
            for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                if 0 <= y + dy < height and 0 <= x + dx < width:
                    edges[y, x] -= kernel[y + dy, x + dx]
    return edges


def slow_laplace(weight: np.ndarray, pixel_weight: np.ndarray, padding: int) -> float:
    terms = []
    for kernels in weight:
        for kernel in kernels:
            edges = slow_edges(kernel)
            inner = range(1 - padding, len(kernel) - 1 + padding)
            terms += [edges[y, x] ** 2 * pixel_weight[y, x] for y in inner for x in inner]
    return float(np.mean(terms)) / 2


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("side", [3, 4, 5])
def test_the_laplace_penalty_is_half_the_weighted_mean_square_of_a_slow_loop(generator, side, padding):
    weight = torch.randn(3, 2, side, side, generator=generator)
    pixel = torch.rand(side, side, generator=generator)
    assert laplace_penalty(weight, pixel, padding).item() == pytest.approx(
        slow_laplace(weight.numpy(), pixel.numpy(), padding), 1e-5
    )


def test_a_plane_costs_nothing_inside_and_a_paraboloid_its_curvature_everywhere():
    axis = torch.arange(5.0)
    plane, bowl = 2 * axis[:, None] - axis + 3, axis[:, None].square() + 2 * axis.square()
    assert laplace_penalty(plane[None, None], torch.ones(5, 5), padding=0) == 0
    assert laplace_penalty(bowl[None, None], torch.ones(5, 5), padding=0) == (2 * 1 + 2 * 2) ** 2 / 2
    assert laplace_penalty(plane[None, None], torch.ones(5, 5)) > 0


def test_the_relative_laplace_penalty_is_the_ratio_of_a_slow_loop_and_blind_to_size(generator):
    weight, pixel = torch.randn(3, 2, 5, 5, generator=generator), torch.rand(5, 5, generator=generator)
    edges = sum(
        (slow_edges(kernel.numpy()) ** 2 * pixel.numpy()).sum() for kernels in weight for kernel in kernels
    )
    expected = edges / (weight.numpy() ** 2).sum()
    assert relative_laplace_penalty(weight, pixel).item() == pytest.approx(expected, 1e-5)
    assert relative_laplace_penalty(70 * weight, pixel).item() == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize("padding", [0, 1])
def test_gradients_of_the_laplace_penalties_are_right(generator, padding):
    weight = torch.randn(2, 1, 4, 4, generator=generator).double().requires_grad_()
    pixel = torch.rand(4, 4, generator=generator).double()
    torch.autograd.gradcheck(lambda w: laplace_penalty(w, pixel, padding), weight)
    torch.autograd.gradcheck(lambda w: relative_laplace_penalty(w, pixel), weight)


def test_the_laplace_penalty_of_a_larger_bank_of_equal_kernels_is_the_same(generator):
    kernel, pixel = torch.randn(1, 1, 5, 5, generator=generator), torch.ones(5, 5)
    many = kernel.expand(6, 4, 5, 5)
    torch.testing.assert_close(laplace_penalty(many, pixel), laplace_penalty(kernel, pixel))


@pytest.mark.parametrize(("side", "sigma", "bias"), [(15, 0.5, 0.0), (7, 1.0, 0.5), (1, 0.5, 0.0)])
def test_the_smoothness_weight_follows_its_formula_pixel_by_pixel(side, sigma, bias):
    weight = gaussian_laplace_weight(side, sigma, bias)
    for a in range(side):
        for b in range(side):
            u, v = ((2 * i / (side - 1) - 1) if side > 1 else 0.0 for i in (a, b))
            expected = 1 - math.exp(-(u * u + v * v) / (2 * sigma**2)) + bias
            assert weight[a, b].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("side", "scale", "center"), [(15, 1.0, 0.5), (7, 2.0, 0.5), (1, 1.0, 0.5)])
def test_the_sigmoid_weight_follows_its_formula_pixel_by_pixel(side, scale, center):
    weight = sigmoid_laplace_weight(side, scale, center)
    for a in range(side):
        for b in range(side):
            u, v = ((2 * i / (side - 1) - 1) if side > 1 else 0.0 for i in (a, b))
            expected = 1 / (1 + math.exp(-scale * (math.hypot(u, v) - center)))
            assert weight[a, b].item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("side", [7, 15])
def test_smoothness_weights_at_centre_edge_and_corner_are_their_closed_forms(side):
    middle = side // 2
    gaussian, sigmoid = gaussian_laplace_weight(side, 0.5, 0.25), sigmoid_laplace_weight(side, 2, 0.5)
    for (y, x), distance in {
        (middle, middle): 0.0,
        (0, middle): 1.0,
        (middle, -1): 1.0,
        (0, 0): math.sqrt(2),
    }.items():
        assert gaussian[y, x].item() == pytest.approx(1.25 - math.exp(-2 * distance**2), abs=1e-6)
        assert sigmoid[y, x].item() == pytest.approx(1 / (1 + math.exp(1 - 2 * distance)), abs=1e-6)


def test_group_sparsity_is_the_mean_kernel_norm_of_a_slow_loop(generator):
    layers = [torch.randn(3, 2, 3, 3, generator=generator), torch.randn(3, 5, 3, 3, generator=generator)]
    per_layer = [
        np.mean([np.sqrt((k.numpy() ** 2).sum()) for kernels in layer for k in kernels]) for layer in layers
    ]
    assert group_sparsity(layers).item() == pytest.approx(np.mean(per_layer), 1e-5)
    assert group_sparsity([]).item() == 0


def test_group_sparsity_of_a_kernel_that_is_gone_has_a_finite_gradient():
    weight = torch.zeros(1, 2, 3, 3)
    weight[0, 1] = 1
    weight.requires_grad_()
    group_sparsity([weight]).backward()
    assert torch.isfinite(weight.grad).all()
    assert (weight.grad[0, 0] == 0).all()


def test_initial_kernels_have_the_xavier_variance_and_come_from_their_generator_alone():
    draw = xavier_normal((40, 30, 5, 5), torch.Generator().manual_seed(3))
    assert draw.std().item() == pytest.approx(math.sqrt(2 / (70 * 25)), rel=0.01)
    torch.manual_seed(99)
    assert torch.equal(draw, xavier_normal((40, 30, 5, 5), torch.Generator().manual_seed(3)))
