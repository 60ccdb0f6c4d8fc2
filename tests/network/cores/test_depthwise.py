from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.network.cores.depthwise import depthwise


def maps(generator, side, dtype=torch.float32):
    x = torch.randn(3, 4, 7, 9, generator=generator).to(dtype)
    return x.contiguous(memory_format=torch.channels_last), torch.randn(4, 1, side, side, generator=generator)


@pytest.mark.parametrize("side", [1, 3, 7])
def test_it_is_the_grouped_convolution_with_its_gradients(generator, side):
    x, weight = (value.requires_grad_() for value in maps(generator, side))
    got, expected = depthwise(x, weight), functional.conv2d(x, weight, padding=side // 2, groups=4)
    torch.testing.assert_close(got, expected)
    wanted = torch.randn(got.shape, generator=generator)
    for mine, of_library in zip(
        torch.autograd.grad((got * wanted).sum(), (x, weight)),
        torch.autograd.grad((expected * wanted).sum(), (x, weight)),
        strict=True,
    ):
        torch.testing.assert_close(mine, of_library, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_first_and_second_gradients_are_right_in_both_layouts(generator, channels_last):
    x = torch.randn(2, 2, 4, 5, generator=generator).double()
    layout = torch.channels_last if channels_last else torch.contiguous_format
    weight = torch.randn(2, 1, 3, 3, generator=generator).double().requires_grad_()
    inputs = (x.contiguous(memory_format=layout).requires_grad_(), weight)
    torch.autograd.gradcheck(depthwise, inputs)
    torch.autograd.gradgradcheck(depthwise, inputs)


def test_a_side_that_needs_no_gradient_gets_none(generator):
    x, weight = maps(generator, 3)
    depthwise(x.requires_grad_(), weight).sum().backward()
    assert x.grad is not None
    assert weight.grad is None


def test_kernels_of_half_precision_gather_their_gradient_in_full(generator):
    """The sum over many images is rounded once, not image by image."""
    x = torch.ones(300, 1, 3, 3, dtype=torch.bfloat16)
    weight = torch.ones(1, 1, 1, 1, requires_grad=True)
    depthwise(x, weight).sum().backward()
    assert weight.grad.item() == 2704  # 300 · 9 = 2700 to the next of eight bits; step by step 256 is the end


def test_a_stack_is_every_call_alone(generator):
    x, weight = torch.randn(3, 2, 4, 7, 9, generator=generator), torch.randn(3, 4, 1, 3, 3)
    got = torch.func.vmap(depthwise)(x, weight.requires_grad_())
    (gradient,) = torch.autograd.grad(got.square().sum(), weight)
    for index in range(3):
        kernel = weight[index].detach().requires_grad_()
        one = depthwise(x[index], kernel)
        torch.testing.assert_close(got[index], one)
        torch.testing.assert_close(gradient[index], torch.autograd.grad(one.square().sum(), kernel)[0])
