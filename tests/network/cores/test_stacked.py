from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.cores import GaussianLaplace, StackedLinearGaussianLaplace
from inception_loop.network.regularizers import gaussian_laplace_weight, group_sparsity, laplace_penalty


def test_the_published_core_has_the_published_size(generator):
    core = GaussianLaplace().build(generator).eval()
    with torch.no_grad():
        assert core(torch.zeros(2, 1, 36, 64)).shape == (2, 96, 22, 50)
    kernels = sum(layer.weight.numel() for layer in core.layers)
    assert kernels + sum(p.numel() for layer in core.layers for p in layer.norm.parameters()) == 157_920


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


def test_the_linear_core_superposes_up_to_its_offset_and_the_nonlinear_one_does_not(generator):
    a, b = torch.randn(2, 3, 1, 12, 14, generator=generator)
    deviation = {}
    for config in (StackedLinearGaussianLaplace, GaussianLaplace):
        core = config(hidden_channels=2, input_kern=5, hidden_kern=3).build(generator)
        core(torch.randn(8, 1, 12, 14, generator=generator))  # running statistics other than 0 and 1
        core.eval()
        with torch.no_grad():
            offset = core(torch.zeros(1, 1, 12, 14))
            deviation[config] = (
                (core(2 * a - b) - offset - 2 * (core(a) - offset) + (core(b) - offset)).abs().max()
            )
    assert deviation[StackedLinearGaussianLaplace] < 1e-5
    assert deviation[GaussianLaplace] > 0.1


def test_a_shifted_image_shifts_the_map(generator):
    core = GaussianLaplace(hidden_channels=2, input_kern=5, hidden_kern=3).build(generator).eval()
    image = torch.randn(1, 1, 24, 30, generator=generator)
    with torch.no_grad():
        there, here = core(image.roll((2, 3), (2, 3))), core(image)
    torch.testing.assert_close(there[..., 8:-4, 8:-4], here[..., 6:-6, 5:-7])


def test_the_regulariser_is_the_sum_of_its_parts(generator):
    config = GaussianLaplace(hidden_channels=2, input_kern=5, hidden_kern=3, gamma_input=50, gamma_hidden=0.1)
    core = config.build(generator)
    first, *hidden = (layer.weight for layer in core.layers)
    smooth = laplace_penalty(first, gaussian_laplace_weight(5, 0.5, 0.0))
    torch.testing.assert_close(core.regularizer(), 50 * smooth + 0.1 * group_sparsity(hidden))


def test_batch_norm_takes_a_tenth_of_each_batch(generator):
    core = GaussianLaplace(hidden_channels=2, input_kern=5, layers=1).build(generator)
    x = torch.randn(4, 1, 12, 14, generator=generator)
    y = functional.conv2d(x, core.layers[0].weight)
    core(x)
    torch.testing.assert_close(core.layers[0].norm.running_mean, 0.1 * y.mean((0, 2, 3)).detach())


def test_images_smaller_than_the_kernel_are_refused(generator):
    with pytest.raises(ConfigurationError, match=r"10x64 px are smaller .*15 px.*choose"):
        GaussianLaplace().build(generator).map_size((10, 64))
