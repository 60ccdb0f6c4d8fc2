"""What every readout of the union keeps to; a new one is tested by being a member."""

from __future__ import annotations

import copy
import typing

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.utils._python_dispatch import TorchDispatchMode

from inception_loop.errors import ConfigurationError
from inception_loop.network import masking
from inception_loop.network.readouts import (
    ModifiedSpatialTransformerPyramid2d,
    Readout,
    SpatialTransformerPooled2d,
    SpatialTransformerPyramid2d,
    SpatialXFeatures,
)

MEMBERS = typing.get_args(typing.get_args(Readout)[0])
CONFIGS = [member() for member in MEMBERS]
CONFIGS += [member(downsample=False) for member in MEMBERS if "downsample" in member.model_fields]

SIZE, CHANNELS, UNITS = (17, 20), 3, 40
"""UNITS is more than any readout's FEW_UNITS."""

ONE_SCALE = {
    ModifiedSpatialTransformerPyramid2d: {"downsample": False, "scale_n": 2},
    SpatialTransformerPooled2d: {"pool_steps": 0},
    SpatialTransformerPyramid2d: {"downsample": False, "scale_n": 2},
    SpatialXFeatures: {"init_sigma": 1.0},
}
"""Halved maps are moved exactly by some px only: those have tests of their own."""


def name(config):
    return config.type + ("" if getattr(config, "downsample", True) else "-blurred")


every = pytest.mark.parametrize("config", CONFIGS, ids=name)


def make(config, generator, *, units=UNITS, channels=CHANNELS, size=SIZE, reach=0.9):
    """A readout with weights drawn at random and places within ± ``reach``."""
    cortex = torch.rand(units, 2, generator=generator) * 500
    readout = config.build(units, channels, size, generator, cortex)
    places = {id(p) for p in readout.place_parameters()}
    with torch.no_grad():
        for p in readout.parameters():
            if id(p) not in places:
                p.copy_(torch.randn(p.shape, generator=generator))
    readout.start_at((torch.rand(units, 2, generator=generator) * 2 - 1) * reach)
    return readout


@pytest.fixture
def inputs(generator):
    maps = torch.randn(6, CHANNELS, *SIZE, generator=generator)
    return maps, torch.randn(6, 2, generator=generator) * 0.4


def close(a, b):
    torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-5)


@every
@pytest.mark.parametrize("units", [[4], [8, 0, 3], [7, 7, 1], [*range(39, 0, -1)]], ids=len)
def test_a_subset_of_units_equals_the_columns_of_all(config, generator, inputs, units):
    readout, (x, shift) = make(config, generator), inputs
    index = torch.tensor(units)
    close(readout(x, shift, index), readout(x, shift)[:, index])


@every
def test_a_permuted_unit_order_permutes_the_answers(config, generator, inputs):
    readout, (x, shift) = make(config, generator), inputs
    order = torch.randperm(UNITS, generator=generator)
    permuted = copy.deepcopy(readout)
    with torch.no_grad():
        for p in [*permuted.parameters(), *permuted.buffers()]:
            if len(p) == UNITS:
                p.copy_(p[order])
    close(permuted(x, shift), readout(x, shift)[:, order])
    close(permuted.centers(), readout.centers()[order])


@every
@pytest.mark.parametrize("shifted", [True, False])
def test_paired_equals_the_diagonal(config, generator, inputs, shifted):
    readout, (x, shift) = make(config, generator), inputs
    shift, units = shift if shifted else None, torch.tensor([3, 1, 39, 1, 5, 8])
    close(readout(x, shift, units, paired=True), readout(x, shift, units).diagonal())


@every
def test_an_answer_does_not_depend_on_who_shares_the_batch(config, generator, inputs):
    readout, (x, shift) = make(config, generator), inputs
    close(readout(x, shift), torch.cat([readout(x[i : i + 1], shift[i : i + 1]) for i in range(6)]))


@every
def test_it_is_linear_in_the_map(config, generator, inputs):
    readout, (x, shift) = make(config, generator), inputs
    drive = [readout(part, shift) - readout.bias for part in (2 * x - 3 * x.flip(0), x, x.flip(0))]
    torch.testing.assert_close(drive[0], 2 * drive[1] - 3 * drive[2], atol=1e-4, rtol=1e-4)


@every
def test_a_shifted_image_and_a_shifted_eye_are_the_same(config, generator):
    fields = ONE_SCALE.get(type(config), {})
    readout = make(config.model_copy(update=fields), generator, size=(33, 65), reach=0.4)
    x = torch.randn(2, CHANNELS, 33, 65, generator=generator)
    eye = torch.tensor([[1 * 2 / 64, -2 * 2 / 32]]).expand(2, 2)
    torch.testing.assert_close(readout(x, eye), readout(x.roll((2, -1), (2, 3)), None), atol=1e-4, rtol=1e-4)


@every
def test_beyond_the_border_the_border_counts(config, generator, inputs):
    readout, (x, _) = make(config, generator), inputs
    border, far = (readout(x, torch.full((6, 2), reach)) for reach in (2.0, 30.0))
    close(border, far)
    assert (far - readout.bias).abs().min() > 0


@every
def test_an_eye_at_rest_can_learn_to_shift(config, generator, inputs):
    readout, x = make(config, generator), inputs[0]
    shift = torch.zeros(6, 2, requires_grad=True)
    (to_shift,) = torch.autograd.grad(readout(x, shift).square().sum(), shift)
    assert (to_shift != 0).all()


@every
@pytest.mark.parametrize("units", [3, UNITS])
def test_a_place_that_came_to_the_border_can_leave_it(config, generator, inputs, units):
    readout, x = make(config, generator, units=units), inputs[0]
    readout.start_at(torch.tensor([[1.0, -1.0]]).expand(units, 2))
    noise = readout.draw_noise(6, generator)
    to_places = torch.autograd.grad(
        readout(x, noise=noise).square().sum(), [p for p in readout.place_parameters() if len(p) == units]
    )
    assert all((p != 0).float().mean() > 0.9 for p in to_places)


@every
def test_the_regulariser_is_the_stated_formula(config, generator):
    readout = make(config, generator)
    weight = readout.features
    if isinstance(config, SpatialXFeatures):
        mask = readout.mask.clamp(min=0)
        weight = mask[:, None] / mask.norm(dim=(1, 2))[:, None, None, None] * weight[..., None, None]
    torch.testing.assert_close(readout.regularizer(), config.gamma_features * weight.abs().mean())


@every
@pytest.mark.parametrize("units", [3, UNITS])
def test_gradients_pass_gradcheck(config, generator, units):
    readout = make(config, generator, units=units).double()
    with torch.no_grad():
        for p in readout.place_parameters():
            p += 0.05  # masks have a kink at 0
    names, values = zip(*readout.named_parameters(), strict=True)
    x = torch.randn(2, CHANNELS, *SIZE, generator=generator, dtype=torch.float64, requires_grad=True)
    shift = (torch.randn(2, 2, generator=generator, dtype=torch.float64) * 0.3).requires_grad_()

    def answer(x, shift, *values):
        return functional_call(readout, dict(zip(names, values, strict=True)), (x, shift))

    assert torch.autograd.gradcheck(answer, (x, shift, *values), fast_mode=True)


def stack(config, generator, count=3, units=UNITS):
    """Separate readouts, what calls them as one, and their stacked parameters and buffers."""
    readouts = [make(config, generator, units=units) for _ in range(count)]
    parameters, buffers = stack_module_state(readouts)
    base = copy.deepcopy(readouts[0]).to("meta")

    def one(parameters, buffers, x, shift, noise=None, units=None, paired=False):
        state = (parameters, buffers)
        return functional_call(base, state, (x, shift, units), {"noise": noise, "paired": paired})

    return readouts, one, parameters, buffers


def stacked_inputs(readouts, generator):
    x = torch.randn(len(readouts), 5, CHANNELS, *SIZE, generator=generator, requires_grad=True)
    shift = (torch.randn(len(readouts), 5, 2, generator=generator) * 0.3).requires_grad_()
    noise = [readout.draw_noise(5, generator) for readout in readouts]
    return x, shift, None if noise[0] is None else torch.stack(noise)


def separately(readouts, x, shift, noise, **how):
    noise = [None] * len(readouts) if noise is None else noise
    parts = zip(readouts, x, shift, noise, strict=True)
    return torch.stack([readout(x, shift, noise=noise, **how) for readout, x, shift, noise in parts])


@every
@pytest.mark.parametrize("units", [3, UNITS])
def test_a_stack_of_readouts_under_vmap_equals_separate_ones(config, generator, units):
    readouts, one, parameters, buffers = stack(config, generator, units=units)
    x, shift, noise = stacked_inputs(readouts, generator)
    got = vmap(one, in_dims=(0, 0, 0, 0, None if noise is None else 0))(parameters, buffers, x, shift, noise)
    expected = separately(readouts, x, shift, noise)
    close(got, expected)
    upstream = torch.randn(got.shape, generator=generator)
    leaves = [p for readout in readouts for p in readout.parameters()]
    ours = torch.autograd.grad(got, [x, shift, *parameters.values()], upstream)
    theirs = torch.autograd.grad(expected, [x, shift, *leaves], upstream, allow_unused=True)
    for a, b in zip(ours[:2], theirs[:2], strict=True):
        close(a, b)
    for index, a in enumerate(ours[2:]):
        for network, b in enumerate(theirs[2 + index :: len(parameters)]):
            close(a[network], torch.zeros_like(a[network]) if b is None else b)


@every
def test_gradients_taken_within_a_stack_are_those_of_separate_readouts(config, generator):
    readouts, one, parameters, buffers = stack(config, generator)
    x, shift, _ = stacked_inputs(readouts, generator)

    def loss(parameters, x, buffers, shift):
        return one(parameters, buffers, x, shift).sin().sum()

    got, to_x = vmap(grad(loss, argnums=(0, 1)))(parameters, x, buffers, shift)
    expected = separately(readouts, x, shift, None).sin().sum()
    close(to_x, *torch.autograd.grad(expected, x, retain_graph=True))
    for index, readout in enumerate(readouts):
        for key, p in readout.named_parameters():
            (b,) = torch.autograd.grad(expected, p, retain_graph=True, allow_unused=True)
            close(got[key][index], torch.zeros_like(p) if b is None else b)


@every
@pytest.mark.parametrize("paired", [True, False])
def test_a_stack_reads_a_subset_out_and_pairs(config, generator, paired):
    readouts, one, parameters, buffers = stack(config, generator)
    x, shift, _ = stacked_inputs(readouts, generator)
    units = torch.tensor([4, 0, 39, 4, 1])
    got = vmap(lambda *v: one(*v, units=units, paired=paired))(parameters, buffers, x, shift)
    close(got, separately(readouts, x, shift, None, units=units, paired=paired))


@every
def test_penalties_of_a_stack_are_those_of_separate_readouts(config, generator):
    readouts, _, parameters, buffers = stack(config, generator)
    base = copy.deepcopy(readouts[0]).to("meta")
    got = vmap(lambda *state: functional_call(_Penalty(base), _under(state), ()))(parameters, buffers)
    close(got, torch.stack([readout.regularizer() for readout in readouts]))


class _Penalty(torch.nn.Module):
    def __init__(self, readout):
        super().__init__()
        self.readout = readout

    def forward(self):
        return self.readout.regularizer()


def _under(state):
    return tuple({f"readout.{key}": value for key, value in part.items()} for part in state)


class Largest(TorchDispatchMode):
    """The most numbers that any dense tensor held that was made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for value in out if isinstance(out, tuple | list) else [out]:
            if isinstance(value, Tensor) and value.layout == torch.strided:
                made = value.untyped_storage().size() // value.element_size()
                self.numbers = max(self.numbers, made)
        return out


@every
def test_no_tensor_of_images_by_features_by_units_is_ever_made(config, generator, monkeypatch):
    monkeypatch.setattr(masking, "CACHED_BYTES", 1 << 16)
    images, channels, units = 64, 16, 500
    readout = make(config, generator, units=units, channels=channels)
    x = torch.randn(images, channels, *SIZE, generator=generator, requires_grad=True)
    shift = torch.zeros(images, 2, requires_grad=True)
    with Largest() as largest:
        readout(x, shift).sum().backward()
    assert x.numel() <= largest.numbers < images * channels * units


@every
def test_units_look_where_they_are_told_to_start(config, generator):
    readout = make(config, generator)
    wanted = (torch.rand(UNITS, 2, generator=generator) * 2 - 1) * 0.3
    readout.start_at(wanted)
    torch.testing.assert_close(readout.centers(), wanted, atol=0.02, rtol=0)


@every
def test_projected_places_are_on_the_map_and_projecting_again_changes_nothing(config, generator, inputs):
    readout, (x, shift) = make(config, generator), inputs
    with torch.no_grad():
        for p in readout.place_parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 3)
    readout.project()
    assert readout.centers().abs().max() <= 1
    once = readout(x, shift)
    readout.project()
    assert torch.equal(readout(x, shift), once)


@every
def test_it_starts_at_the_published_features_and_no_bias(config, generator):
    readout = config.build(300, 8, SIZE, generator, torch.rand(300, 2, generator=generator))
    assert (readout.features == 1 / 8).all()
    assert (readout.bias == 0).all()


@every
def test_the_same_generator_makes_the_same_readout(config):
    one, two = (make(config, torch.Generator().manual_seed(3)).state_dict() for _ in range(2))
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)


@every
def test_no_units_is_refused(config, generator):
    with pytest.raises(ConfigurationError, match="0 units; expected at least 1"):
        config.build(0, CHANNELS, SIZE, generator, torch.zeros(0, 2))


@pytest.mark.parametrize("member", MEMBERS)
def test_a_readout_is_named_as_its_class(member):
    assert member().type == member.__name__
