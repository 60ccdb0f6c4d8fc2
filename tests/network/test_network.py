from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.modulators import NoModulator
from inception_loop.network.network import Network
from inception_loop.network.shifters import NoShifter

SIZE = (16, 20)


def make(config, seed=1, units=None, precision="float32"):
    return Network(config, units or {"a": 7, "b": 4}, SIZE, torch.Generator().manual_seed(seed), precision)


def stirred(network, generator):
    """Make shifts and gains that are not trivial."""
    with torch.no_grad():
        for parameter in (*network.shifters.parameters(), *network.modulators.parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return network.eval()


@pytest.fixture
def inputs(generator):
    def draw(*shape):
        return torch.randn(shape, generator=generator)

    return draw(5, 1, *SIZE), draw(5, 2), draw(5, 3)


@pytest.mark.parametrize("gain", ["before", "after"])
def test_the_gain_acts_where_the_config_says(small, generator, inputs, gain):
    network = stirred(make(small.model_copy(update={"gain": gain})), generator)
    images, eye, behavior = inputs
    drive = network.readouts["a"](network.core(images), network.shifters["a"](eye))
    factor = network.modulators["a"](behavior)
    before, after = functional.elu(factor * drive) + 1, factor * (functional.elu(drive) + 1)
    torch.testing.assert_close(network(images, "a", eye, behavior), before if gain == "before" else after)
    assert not torch.allclose(before, after)


@pytest.mark.parametrize("gain", ["before", "after"])
def test_predictions_are_positive_whatever_comes_in(small, generator, inputs, gain):
    network = stirred(make(small.model_copy(update={"gain": gain})), generator)
    assert (network(*(inputs[0] * 30, "a"), *inputs[1:]) >= 0).all()


def test_without_eye_nothing_shifts_and_without_behaviour_nothing_scales(small, generator, inputs):
    network = stirred(make(small), generator)
    images, eye, behavior = inputs
    plain = functional.elu(network.readouts["a"](network.core(images))) + 1
    torch.testing.assert_close(network(images, "a", None, None), plain)
    assert network.shift("a", None) is None
    assert network.gain("a", None) is None
    bare = make(small.model_copy(update={"shifter": NoShifter(), "modulator": NoModulator()})).eval()
    torch.testing.assert_close(bare(images, "a", eye, behavior), bare(images, "a", None, None))


def test_subset_and_pairs_are_parts_of_the_whole(small, generator, inputs):
    network = stirred(make(small), generator)
    images, eye, behavior = inputs
    whole = network(images, "a", eye, behavior)
    for units in ([6, 0], [6, 0, 1, 2, 2]):
        index = torch.tensor(units)
        part = network(images, "a", eye, behavior, index)
        torch.testing.assert_close(part, whole[:, index], atol=1e-5, rtol=1e-5)
    pairs = network(images, "a", eye, behavior, index, paired=True)
    torch.testing.assert_close(pairs, whole[:, index].diagonal(), atol=1e-5, rtol=1e-5)


def test_scans_share_the_core_and_nothing_else(small, inputs):
    network = make(small)
    images, eye, behavior = inputs
    network(images, "b", eye, behavior).sum().backward()
    touched = {
        name.split(".")[1]
        for name, p in network.named_parameters()
        if p.grad is not None and "core" not in name
    }
    assert touched == {"b"}
    assert all(p.grad is not None for p in network.core.parameters())


def test_the_same_seed_gives_the_same_bits_and_leaves_the_global_generator_alone(small):
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one = make(small, seed=5).state_dict()
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(4)
    two, other = make(small, seed=5).state_dict(), make(small, seed=6).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["core.layers.0.weight"], other["core.layers.0.weight"])


def test_biases_start_at_the_mean_response(small, inputs):
    network = make(small).eval()
    with torch.no_grad():
        network.readouts["a"].features.zero_()
    mean = torch.linspace(1, 2, 7)
    network.start_at_mean("a", mean)
    torch.testing.assert_close(network(*(inputs[0], "a"), *inputs[1:]), mean.expand(5, 7))


def test_the_regulariser_of_a_scan_is_that_of_the_parts_it_uses(small):
    network = make(small)
    expected = network.core.regularizer() + network.readouts["b"].regularizer()
    torch.testing.assert_close(network.regularizer("b"), expected)


def test_bfloat16_stays_close_and_keeps_its_weights_in_float32(small, generator, inputs):
    full, half = make(small).eval(), make(small, precision="bfloat16").eval()
    exact, rounded = (network(*(inputs[0], "a"), *inputs[1:]) for network in (full, half))
    assert rounded.dtype == torch.float32
    assert {p.dtype for p in half.parameters()} == {torch.float32}
    assert 0 < (exact - rounded).abs().max() < 0.05


def test_what_cannot_work_is_refused_in_one_line(small):
    with pytest.raises(ConfigurationError, match=r"no readout key 'c'.*expected one of: a, b"):
        make(small).readout("c")
    with pytest.raises(ConfigurationError, match="without a readout key"):
        Network(small, {}, SIZE, torch.Generator())
    with pytest.raises(ConfigurationError, match="smaller than the core's first kernel"):
        Network(small, {"a": 1}, (4, 20), torch.Generator())
    with pytest.raises(ConfigurationError, match="0 units"):
        make(small, units={"a": 0})
