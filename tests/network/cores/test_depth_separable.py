from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from inception_loop.network.cores import DepthSeparable
from inception_loop.network.regularizers import laplace_penalty, relative_laplace_penalty

SMALL = {"hidden_channels": 3, "input_kern": 5, "hidden_kern": 3}


def plain_modules(core, kernel: int) -> nn.Sequential:
    """The obvious implementation with the weights of a core without skips; its biases are redundant."""
    first, *hidden = core.layers
    channels = first.weight.shape[0]
    layers: list[nn.Module] = [
        nn.Conv2d(1, channels, first.weight.shape[-1], bias=False),
        first.norm,
        nn.ELU(),
    ]
    layers[0].weight = first.weight
    for layer in hidden:
        mix = nn.Conv2d(channels, channels, 1)
        spatial = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        out = nn.Conv2d(channels, channels, 1)
        mix.weight, mix.bias, spatial.weight, out.weight = (
            layer.in_depth,
            layer.in_bias,
            layer.spatial,
            layer.out_depth,
        )
        nn.init.constant_(spatial.bias, 2.0)  # batch norm takes them away
        nn.init.constant_(out.bias, -3.0)
        layers += [mix, spatial, out, layer.norm, nn.ELU()]
    return nn.Sequential(*layers)


def test_the_defaults_are_the_baseline_of_the_competition(generator):
    core = DepthSeparable().build(generator)
    assert core.map_size((36, 64)) == (28, 56)
    assert core.channels == 64
    hidden = 64 * 64 + 64 + 64 * 49 + 64 * 64 + 128
    assert sum(p.numel() for p in core.parameters()) == 64 * 81 + 128 + 3 * hidden == 39_872


def test_in_training_it_is_the_obvious_stack_of_modules_and_so_are_its_gradients(generator):
    core = DepthSeparable(**SMALL).build(generator)
    with torch.no_grad():
        for layer in core.layers[1:]:
            layer.in_bias.copy_(torch.randn(3, generator=generator))
    core.double()
    obvious = plain_modules(core, 3).double()
    images = torch.randn(4, 1, 12, 14, generator=generator).double()
    wanted = torch.randn(4, 3, 8, 10, generator=generator).double()
    got, expected = core(images), obvious(images)
    torch.testing.assert_close(got, expected)
    weights = list(core.parameters())
    for mine, theirs in zip(
        torch.autograd.grad((got * wanted).sum(), weights),
        torch.autograd.grad((expected * wanted).sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(("skip", "inputs"), [(0, [3, 3, 3]), (2, [3, 6, 6]), (3, [3, 6, 9])])
def test_a_layer_sees_the_outputs_of_as_many_layers_as_skip_says(generator, skip, inputs):
    core = DepthSeparable(**SMALL, skip=skip).build(generator)
    assert [layer.in_depth.shape[1] for layer in core.layers[1:]] == inputs
    assert core(torch.randn(2, 1, 12, 14, generator=generator)).shape == (2, 3, 8, 10)


def test_forward_with_skips_is_the_written_out_recursion(generator):
    core = DepthSeparable(**SMALL, layers=3, skip=2, stack=None).build(generator)
    x = torch.randn(2, 1, 12, 14, generator=generator)
    core(x)
    core.eval()
    first, second, third = core.layers

    def hidden(layer, seen):
        mixed = functional.conv2d(seen, layer.in_depth, layer.in_bias)
        y = functional.conv2d(functional.conv2d(mixed, layer.spatial, padding=1, groups=3), layer.out_depth)
        mean, var = (v[:, None, None] for v in (layer.norm.running_mean, layer.norm.running_var))
        return functional.elu((y - mean) / torch.sqrt(var + 1e-5))

    with torch.no_grad():
        a = functional.elu(first.norm(functional.conv2d(x, first.weight)))
        b = hidden(second, a)
        c = hidden(third, torch.cat((a, b), 1))
        torch.testing.assert_close(core(x), torch.cat((a, b, c), 1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("stack", "read"), [(-1, [3]), (-2, [2, 3]), (1, [1, 2, 3]), (0, [0, 1, 2, 3]), (None, [0, 1, 2, 3])]
)
def test_the_readout_sees_the_layers_from_stack_on(generator, stack, read):
    state = DepthSeparable(**SMALL).build(generator).state_dict()
    image = torch.randn(2, 1, 12, 14, generator=generator)
    outs = {}
    for which in (stack, None):
        core = DepthSeparable(**SMALL, stack=which).build(generator).eval()
        core.load_state_dict(state)
        outs[which] = core(image)
        assert core.channels == outs[which].shape[1]
    torch.testing.assert_close(
        outs[stack], torch.cat([outs[None][:, 3 * layer : 3 * layer + 3] for layer in read], 1)
    )


def test_only_the_first_kernels_are_penalised(generator):
    ones = torch.ones(5, 5)
    for name, penalty in (("LaplaceL2norm", relative_laplace_penalty), ("LaplaceL2", laplace_penalty)):
        core = DepthSeparable(**SMALL, gamma_input=7, input_regularizer=name).build(generator)
        first = core.layers[0].weight
        torch.testing.assert_close(core.regularizer(), 7 * penalty(first, ones), rtol=0, atol=0)
        gradients = torch.autograd.grad(core.regularizer(), list(core.parameters()), allow_unused=True)
        assert [g is not None for g in gradients] == [p is first for p in core.parameters()]


def test_the_linear_control_superposes_up_to_its_offset(generator):
    core = DepthSeparable(**SMALL, linear=True).build(generator)
    core(torch.randn(8, 1, 12, 14, generator=generator))
    core.eval()
    a, b = torch.randn(2, 3, 1, 12, 14, generator=generator)
    with torch.no_grad():
        offset = core(torch.zeros(1, 1, 12, 14))
        deviation = core(2 * a - b) - offset - 2 * (core(a) - offset) + (core(b) - offset)
    assert deviation.abs().max() < 1e-4


def test_channels_lie_last_in_memory_through_all_layers(generator):
    core = DepthSeparable(**SMALL).build(generator)
    seen = []
    for layer in core.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    core(torch.randn(2, 1, 12, 14, generator=generator))
    assert all(y.is_contiguous(memory_format=torch.channels_last) for y in seen)
    assert len(seen) == 4
