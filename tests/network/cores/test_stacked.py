from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.network.cores import (
    GaussianLaplace,
    Linear,
    LinearGaussianLaplace,
    LinearSigmoidLaplace,
    ModLinear,
    ModStacked2d,
    SigmoidLaplace,
    Stacked2d,
    StackedLinearGaussianLaplace,
)
from inception_loop.network.regularizers import (
    gaussian_laplace_weight,
    group_sparsity,
    laplace_penalty,
    sigmoid_laplace_weight,
)

STACKED = (Stacked2d, ModStacked2d, SigmoidLaplace, GaussianLaplace, StackedLinearGaussianLaplace)
SINGLE = (Linear, ModLinear, LinearSigmoidLaplace, LinearGaussianLaplace)


@pytest.mark.parametrize("family", STACKED)
def test_the_published_cores_have_the_published_size(family, generator):
    core = family().build(generator).eval()
    with torch.no_grad():
        assert core(torch.zeros(2, 1, 36, 64)).shape == (2, 96, 22, 50)
    assert sum(p.numel() for p in core.parameters()) == 157_920


@pytest.mark.parametrize("family", SINGLE)
def test_one_layer_is_its_kernels_and_batch_norm(family, generator):
    core = family().build(generator).eval()
    assert core.channels == 32
    assert sum(p.numel() for p in core.parameters()) == 32 * 15 * 15 + 2 * 32


@pytest.mark.parametrize(
    ("skip", "inputs"),
    [(0, [1, 3, 3, 3]), (1, [1, 3, 3, 3]), (2, [1, 3, 6, 6]), (3, [1, 3, 6, 9]), (9, [1, 3, 6, 9])],
)
def test_a_layer_sees_the_outputs_of_as_many_layers_as_skip_says(generator, skip, inputs):
    core = GaussianLaplace(hidden_channels=3, input_kern=5, hidden_kern=3, layers=4, skip=skip).build(
        generator
    )
    assert [layer.weight.shape[1] for layer in core.layers] == inputs
    assert core(torch.randn(2, 1, 12, 14, generator=generator)).shape == (2, 12, 8, 10)


def test_forward_is_the_written_out_recursion(generator):
    core = GaussianLaplace(hidden_channels=2, input_kern=5, hidden_kern=3).build(generator).eval()
    for layer in core.layers:
        layer.norm.running_mean.copy_(torch.randn(2, generator=generator))
        layer.norm.running_var.copy_(torch.rand(2, generator=generator) + 0.5)
    x = torch.randn(2, 1, 12, 14, generator=generator)
    outputs = []
    with torch.no_grad():
        for index, layer in enumerate(core.layers):
            y = functional.conv2d(
                x if index == 0 else torch.cat(outputs, 1), layer.weight, padding=0 if index == 0 else 1
            )
            mean, var = (v[:, None, None] for v in (layer.norm.running_mean, layer.norm.running_var))
            outputs.append(functional.elu((y - mean) / torch.sqrt(var + layer.norm.eps)))
        torch.testing.assert_close(core(x), torch.cat(outputs, 1))


@pytest.mark.parametrize(
    ("config", "pixels", "padding"),
    [
        (Stacked2d, torch.ones(5, 5), 0),
        (ModStacked2d, torch.ones(5, 5), 1),
        (Linear, torch.ones(5, 5), 0),
        (ModLinear, torch.ones(5, 5), 1),
        (SigmoidLaplace, sigmoid_laplace_weight(5, 1, 0.5), 1),
        (LinearSigmoidLaplace, sigmoid_laplace_weight(5, 1, 0.5), 1),
        (GaussianLaplace, gaussian_laplace_weight(5, 0.5, 0), 1),
        (LinearGaussianLaplace, gaussian_laplace_weight(5, 0.5, 0), 1),
        (StackedLinearGaussianLaplace, gaussian_laplace_weight(5, 0.5, 0), 1),
    ],
)
def test_the_regulariser_is_the_sum_of_its_parts(config, pixels, padding, shrink, generator):
    core = shrink(config, gamma_input=50, gamma_hidden=0.1).build(generator)
    first, *hidden = (layer.weight for layer in core.layers)
    assert len(hidden) == (2 if config in STACKED else 0)
    expected = 50 * laplace_penalty(first, pixels, padding) + 0.1 * group_sparsity(hidden)
    torch.testing.assert_close(core.regularizer(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("config", [ModStacked2d, ModLinear, SigmoidLaplace, GaussianLaplace])
def test_without_padding_the_border_of_the_first_kernels_costs_only_through_its_neighbours(
    config, shrink, generator
):
    core = shrink(config, laplace_padding=0, gamma_hidden=0).build(generator)
    with torch.no_grad():
        core.layers[0].weight.zero_()
        core.layers[0].weight[..., [0, 0, -1, -1], [0, -1, 0, -1]] = 7  # corners: in no inner Laplacian
    assert core.regularizer() == 0


def test_batch_norm_takes_a_tenth_of_each_batch(generator):
    core = GaussianLaplace(hidden_channels=2, input_kern=5, layers=1).build(generator)
    x = torch.randn(4, 1, 12, 14, generator=generator)
    y = functional.conv2d(x, core.layers[0].weight)
    core(x)
    torch.testing.assert_close(core.layers[0].norm.running_mean, 0.1 * y.mean((0, 2, 3)).detach())
