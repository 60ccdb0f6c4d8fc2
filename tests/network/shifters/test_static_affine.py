from __future__ import annotations

import math

import pytest
import torch
from pydantic import TypeAdapter

from inception_loop.network.shifters import Shifter, StaticAffine2d


def drawn(generator, **config):
    shifter = StaticAffine2d(**config).build(generator)
    with torch.no_grad():
        for parameter in shifter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return shifter


def test_it_is_the_tanh_of_an_affine_map_written_out(generator):
    shifter = drawn(generator)
    with torch.no_grad():
        shifter.weight.copy_(torch.tensor([[0.1, -0.2], [0.3, 0.4]]))
        shifter.bias.copy_(torch.tensor([0.05, -0.5]))
    x, y = shifter(torch.tensor([[2.0, 1.0]]))[0].tolist()
    assert x == pytest.approx(math.tanh(0.1 * 2 - 0.2 * 1 + 0.05), rel=1e-6)
    assert y == pytest.approx(math.tanh(0.3 * 2 + 0.4 * 1 - 0.5), rel=1e-6)


def test_no_eye_position_shifts_beyond_the_map(generator):
    eye = torch.randn(200, 2, generator=generator) * 1e3
    assert drawn(generator)(eye).abs().max() <= 1


def test_without_bias_the_mean_eye_position_shifts_nothing_and_opposite_ones_oppositely(generator):
    shifter = drawn(generator, bias=False)
    assert [name for name, _ in shifter.named_parameters()] == ["weight"]
    eye = torch.randn(9, 2, generator=generator)
    assert (shifter(torch.zeros(1, 2)) == 0).all()
    torch.testing.assert_close(shifter(-eye), -shifter(eye))


def test_it_starts_with_nearly_no_shift_and_a_zero_bias(generator):
    weights = torch.cat([StaticAffine2d().build(generator).weight for _ in range(300)])
    assert weights.std().item() == pytest.approx(1e-6, rel=0.1)
    assert (StaticAffine2d().build(generator).bias == 0).all()


def test_the_penalty_is_the_mean_square_of_the_weights_alone(generator):
    shifter = drawn(generator, gamma=0.5)
    with torch.no_grad():
        shifter.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert shifter.regularizer().item() == pytest.approx(0.5 * 30 / 4)
    assert StaticAffine2d().gamma == 1e-3


def test_the_union_knows_it_by_its_type():
    assert TypeAdapter(Shifter).validate_python({"type": "StaticAffine2d"}) == StaticAffine2d()


def test_a_stack_of_shifters_gives_what_each_gives(generator):
    shifters = [drawn(generator) for _ in range(3)]
    params, buffers = torch.func.stack_module_state(shifters)
    eye = torch.randn(4, 2, generator=generator)

    def call(p, b):
        return torch.func.functional_call(shifters[0], (p, b), (eye,))

    torch.testing.assert_close(
        torch.func.vmap(call)(params, buffers), torch.stack([s(eye) for s in shifters])
    )
