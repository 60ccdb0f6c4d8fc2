from __future__ import annotations

import torch

from inception_loop.network.shifters import MLPShifter
from inception_loop.network.shifters.mlp import PerceptronShifter


def drawn(generator):
    shifter = PerceptronShifter(MLPShifter(), generator)
    with torch.no_grad():
        for parameter in shifter.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 3)
    return shifter


def test_it_is_three_layers_of_tanh(generator):
    shifter = drawn(generator)
    eye = torch.randn(4, 2, generator=generator)
    x = eye
    for layer in shifter.layers:
        x = torch.tanh(x @ layer.weight.T + layer.bias)
    torch.testing.assert_close(shifter(eye), x)
    assert [tuple(layer.weight.shape) for layer in shifter.layers] == [(5, 2), (5, 5), (2, 5)]


def test_no_eye_position_shifts_beyond_the_map(generator):
    eye = torch.randn(200, 2, generator=generator) * 1e3
    assert drawn(generator)(eye).abs().max() <= 1


def test_nothing_is_shifted_at_first_and_nothing_is_penalised(generator):
    shifter = PerceptronShifter(MLPShifter(), generator)
    assert (shifter(torch.randn(9, 2, generator=generator)) == 0).all()
    assert shifter.regularizer() == 0
