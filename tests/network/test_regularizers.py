from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from inception_loop.network.regularizers import (
    gaussian_laplace_weight,
    group_sparsity,
    laplace_penalty,
    xavier_normal,
)


def slow_laplace(weight: np.ndarray, pixel_weight: np.ndarray) -> float:
    total, count = 0.0, 0
    for kernels in weight:
        for kernel in kernels:
            height, width = kernel.shape
            for y in range(height):
                for x in range(width):
                    edge = 4 * kernel[y, x]
                    for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                        if 0 <= y + dy < height and 0 <= x + dx < width:
                            edge -= kernel[y + dy, x + dx]
                    total += edge**2 * pixel_weight[y, x]
                    count += 1
    return total / count / 2


def test_the_laplace_penalty_is_half_the_weighted_mean_square_of_a_slow_loop(generator):
    weight = torch.randn(3, 2, 5, 5, generator=generator)
    pixel = torch.rand(5, 5, generator=generator)
    assert laplace_penalty(weight, pixel).item() == pytest.approx(
        slow_laplace(weight.numpy(), pixel.numpy()), 1e-5
    )


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
