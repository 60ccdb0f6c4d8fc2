from __future__ import annotations

import torch

from inception_loop.network.modulators import MLPModulator, PerceptronModulator


def drawn(generator, units=6, gamma=0.0):
    modulator = PerceptronModulator(MLPModulator(gamma_modulator=gamma), units, generator)
    with torch.no_grad():
        for parameter in modulator.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return modulator


def test_it_is_two_relu_layers_and_an_exponential(generator):
    modulator = drawn(generator)
    behavior = torch.randn(4, 3, generator=generator)
    x = behavior
    for layer in modulator.hidden:
        x = (x @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(
        modulator(behavior), torch.exp(x @ modulator.last.weight.T + modulator.last.bias)
    )
    assert [tuple(layer.weight.shape) for layer in modulator.hidden] == [(10, 3), (10, 10)]


def test_subset_and_pairs_are_parts_of_the_whole(generator):
    modulator = drawn(generator)
    behavior, units = torch.randn(4, 3, generator=generator), torch.tensor([5, 0, 5, 2])
    whole = modulator(behavior)
    torch.testing.assert_close(modulator(behavior, units), whole[:, units])
    torch.testing.assert_close(modulator(behavior, units, paired=True), whole[:, units].diagonal())


def test_every_gain_is_one_at_first_and_the_penalty_is_the_mean_last_weight(generator):
    start = PerceptronModulator(MLPModulator(), 6, generator)
    assert (start(torch.randn(9, 3, generator=generator)) == 1).all()
    modulator = drawn(generator, gamma=2.0)
    torch.testing.assert_close(modulator.regularizer(), 2 * modulator.last.weight.abs().mean())
