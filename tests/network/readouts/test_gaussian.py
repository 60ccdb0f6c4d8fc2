from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from inception_loop.errors import ConfigurationError
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.readouts import FullGaussian2d, GridPredictor, gaussian

SIZE = (22, 50)
TYPES = ("full", "uncorrelated", "isotropic")


def make(generator, *, units=9, channels=4, size=SIZE, cortex=None, **config):
    readout = FullGaussian2d(**{"init_mu_range": 1.0, **config}).build(
        units, channels, size, generator, cortex
    )
    with torch.no_grad():
        readout.features.copy_(torch.randn(readout.features.shape, generator=generator))
        if config.get("bias", True):
            readout.bias.copy_(torch.randn(units, generator=generator))
    return readout


def materialised(readout, x, shift, noise):
    """Batch × channels × units, as published, with the border counting beyond itself."""
    sigma = readout.sigma
    if readout.config.gauss_type != "full":
        sigma = torch.diag_embed(sigma.expand(-1, 2))
    places = readout.position.clamp(-1, 1).expand(len(x), -1, -1)
    if noise is not None:
        places = (places + (sigma @ noise[..., None])[..., 0]).clamp(-1, 1)
    grid = (places + shift[:, None])[:, :, None]
    samples = functional.grid_sample(x, grid, padding_mode="border", align_corners=True)[..., 0]
    return torch.einsum("bcu,uc->bu", samples, readout.features) + readout.bias


@pytest.fixture
def inputs(generator):
    x = torch.randn(6, 4, *SIZE, generator=generator)
    return x, torch.randn(6, 2, generator=generator) * 0.4


def ramp(size=(11, 21)):
    """Two channels: x and y of each pixel, in [-1, 1]."""
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in size), indexing="ij")
    return torch.stack((x, y))[None]


def looking(generator, mean, sigma, gauss_type="full"):
    """A unit for x and one for y, both of which look at the same place."""
    readout = make(generator, units=2, channels=2, size=(11, 21), gauss_type=gauss_type, bias=False)
    with torch.no_grad():
        readout.features.copy_(torch.eye(2))
        readout.position.copy_(torch.tensor(mean).expand(2, 2))
        readout.sigma.copy_(torch.tensor(sigma).expand_as(readout.sigma))
    return readout


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("gauss_type", TYPES)
@pytest.mark.parametrize("noisy", [False, True])
def test_both_ways_of_looking_give_the_materialised_sum_and_its_gradients(
    generator, inputs, gauss_type, few, noisy, monkeypatch
):
    monkeypatch.setattr(gaussian, "FEW_UNITS", few)
    readout = make(generator, gauss_type=gauss_type, init_sigma=0.5)
    x, shift = (v.requires_grad_() for v in inputs)
    noise = readout.draw_noise(6, generator) if noisy else None
    leaves = [x, shift, *(p for name, p in readout.named_parameters() if noisy or name != "sigma")]
    upstream = torch.randn(6, 9, generator=generator)
    expected, got = materialised(readout, x, shift, noise), readout(x, shift, noise=noise)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)
    for a, b in zip(
        torch.autograd.grad(got, leaves, upstream),
        torch.autograd.grad(expected, leaves, upstream),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("gauss_type", TYPES)
@pytest.mark.parametrize("few", [0, 100])
def test_its_gradients_pass_gradcheck_in_float64(generator, gauss_type, few, monkeypatch):
    monkeypatch.setattr(gaussian, "FEW_UNITS", few)
    readout = make(generator, units=3, channels=2, size=(4, 5), gauss_type=gauss_type, init_mu_range=0.5)
    readout.double()
    x = torch.randn(2, 2, 4, 5, generator=generator, dtype=torch.float64).requires_grad_()
    shift = (torch.randn(2, 2, generator=generator, dtype=torch.float64) * 0.1).requires_grad_()
    noise = readout.draw_noise(2, generator)
    assert noise.dtype == torch.float64
    names = [name for name, _ in readout.named_parameters()]

    def call(x, shift, *values):
        given = (x, shift)
        return torch.func.functional_call(
            readout, dict(zip(names, values, strict=True)), given, {"noise": noise}
        )

    assert torch.autograd.gradcheck(call, (x, shift, *readout.parameters()))


def test_on_a_ramp_the_expected_output_under_noise_is_that_at_the_mean_and_its_covariance_is_sigma_sigma_t(
    generator,
):
    sigma = [[0.1, 0.02], [-0.06, 0.05]]
    readout = looking(generator, [0.2, -0.1], sigma)
    count = 40_000
    noise = readout.draw_noise(count, generator)
    noise[:, 1] = noise[:, 0]  # both units of the pair see the same draw
    out = readout(ramp().expand(count, -1, -1, -1), noise=noise).detach().double()
    torch.testing.assert_close(
        out.mean(0).float(), readout(ramp())[0], atol=4 * 0.12 / count**0.5, rtol=0
    )  # four standard errors
    matrix = torch.tensor(sigma, dtype=torch.float64)
    torch.testing.assert_close(torch.cov(out.T), matrix @ matrix.T, atol=2e-4, rtol=0.03)


@pytest.mark.parametrize(
    ("gauss_type", "sigma", "variances"),
    [("uncorrelated", [0.1, 0.05], [0.01, 0.0025]), ("isotropic", [0.08], [0.0064, 0.0064])],
)
def test_the_simpler_gaussians_have_an_s_d_an_axis_or_one_for_both(generator, gauss_type, sigma, variances):
    readout = looking(generator, [0.0, 0.0], sigma, gauss_type)
    noise = readout.draw_noise(40_000, generator)
    noise[:, 1] = noise[:, 0]
    out = readout(ramp().expand(len(noise), -1, -1, -1), noise=noise).detach().double()
    torch.testing.assert_close(
        torch.cov(out.T), torch.diag(torch.tensor(variances)).double(), atol=3e-4, rtol=0.03
    )


@pytest.mark.parametrize("gauss_type", TYPES)
def test_no_sigma_is_no_noise_and_without_noise_sigma_plays_no_part(generator, inputs, gauss_type):
    readout = make(generator, gauss_type=gauss_type)
    still = readout(*inputs)
    assert not torch.allclose(readout(*inputs, noise=readout.draw_noise(6, generator)), still)
    with torch.no_grad():
        readout.sigma.zero_()
    torch.testing.assert_close(readout(*inputs, noise=readout.draw_noise(6, generator)), still)


def test_drawn_places_stay_in_the_map_before_they_are_shifted(generator):
    readout = looking(generator, [0.9, 0.0], [[9.0, 0.0], [0.0, 0.0]])
    noise = torch.ones(1, 2, 2)
    x, y = readout(ramp(), torch.tensor([[-0.5, 0.25]]), noise=noise)[0].tolist()
    assert x == pytest.approx(0.5)
    assert y == pytest.approx(0.25)


@pytest.mark.parametrize("few", [0, 100])
def test_a_place_on_the_border_can_leave_it(generator, few, monkeypatch):
    monkeypatch.setattr(gaussian, "FEW_UNITS", few)
    readout = looking(generator, [1.0, -1.0], [[0.0, 0.0], [0.0, 0.0]])
    shift = torch.zeros(1, 2, requires_grad=True)
    out = readout(ramp(), shift)[0]
    for unit, slope in enumerate(([1.0, 0.0], [0.0, 1.0])):
        to_shift, to_place = torch.autograd.grad(out[unit], (shift, readout.position), retain_graph=True)
        torch.testing.assert_close(to_shift[0], torch.tensor(slope))
        torch.testing.assert_close(to_place[unit], torch.tensor(slope))


def test_each_image_and_unit_has_its_own_draw_and_a_seed_gives_it_again(generator):
    readout = make(generator, units=50)
    one = readout.draw_noise(40, torch.Generator().manual_seed(3))
    assert one.shape == (40, 50, 2)
    assert one.unique().numel() == one.numel()
    assert one.mean().abs() < 0.07
    assert one.std().item() == pytest.approx(1, abs=0.05)
    assert torch.equal(one, readout.draw_noise(40, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("predicted", [False, True])
@pytest.mark.parametrize("few", [0, 100])
def test_a_subset_and_pairs_are_parts_of_the_whole_with_the_same_draw(
    generator, inputs, few, predicted, monkeypatch
):
    monkeypatch.setattr(gaussian, "FEW_UNITS", few)
    cortex = torch.rand(9, 2, generator=generator) * 500
    readout = make(generator, cortex=cortex, grid_predictor=GridPredictor() if predicted else None)
    noise = readout.draw_noise(6, generator)
    whole = readout(*inputs, noise=noise)
    for units in ([4], [8, 0, 3], [7, 7, 1, 2, 0, 5, 6, 8]):
        index = torch.tensor(units)
        part = readout(*inputs, index, noise=noise)
        torch.testing.assert_close(part, whole[:, index], atol=2e-5, rtol=1e-4)
    index = torch.tensor([3, 1, 4, 1, 5, 8])
    pairs = readout(*inputs, index, paired=True, noise=noise)
    torch.testing.assert_close(pairs, whole[:, index].diagonal(), atol=2e-5, rtol=1e-4)


def test_another_order_of_the_units_is_the_same_readout_in_that_order(generator, inputs):
    readout, order = make(generator), torch.randperm(9, generator=generator)
    other, noise = make(generator), readout.draw_noise(6, generator)
    other.load_state_dict({name: value[order] for name, value in readout.state_dict().items()})
    got = other(*inputs, noise=noise[:, order])
    torch.testing.assert_close(got, readout(*inputs, noise=noise)[:, order], atol=1e-5, rtol=1e-5)


def test_images_a_few_at_a_time_give_what_all_at_once_gives(generator, inputs, monkeypatch):
    monkeypatch.setattr(gaussian, "FEW_UNITS", 0)
    readout = make(generator)
    whole = readout(*inputs)
    monkeypatch.setattr(gaussian, "CACHED_BYTES", 1)
    torch.testing.assert_close(readout(*inputs), whole, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("few", [0, 100])
def test_a_stack_of_readouts_gives_what_each_gives_and_its_gradients(generator, inputs, few, monkeypatch):
    monkeypatch.setattr(gaussian, "FEW_UNITS", few)
    cortex = torch.rand(9, 2, generator=generator)
    readouts = [make(generator, cortex=cortex, grid_predictor=GridPredictor()) for _ in range(3)]
    x = torch.randn(3, *inputs[0].shape, generator=generator)
    noise = torch.randn(3, 6, 9, 2, generator=generator)
    params, buffers = torch.func.stack_module_state(readouts)

    def call(p, b, x, noise):
        return torch.func.functional_call(readouts[0], (p, b), (x, inputs[1]), {"noise": noise})

    got = torch.func.vmap(call)(params, buffers, x, noise)
    each = [r(x[i], inputs[1], noise=noise[i]) for i, r in enumerate(readouts)]
    torch.testing.assert_close(got, torch.stack(each), atol=1e-5, rtol=1e-5)
    got.square().sum().backward()
    torch.stack(each).square().sum().backward()
    for name, value in params.items():
        expected = torch.stack([r.get_parameter(name).grad for r in readouts])
        torch.testing.assert_close(value.grad, expected, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("final_tanh", [False, True])
@pytest.mark.parametrize("hidden_layers", [0, 1, 2])
def test_a_predictor_is_the_perceptron_written_out_on_range_normalised_places(
    generator, final_tanh, hidden_layers
):
    config = GridPredictor(hidden_layers=hidden_layers, hidden_features=5, final_tanh=final_tanh)
    cortex = torch.rand(9, 2, generator=generator) * torch.tensor([600.0, 300.0]) + 1000
    readout = make(generator, cortex=cortex, grid_predictor=config)
    weights = [p.detach() for name, p in readout.named_parameters() if name.startswith("predictor")]
    assert len(weights) == 2 * (hidden_layers + 1)
    centred = cortex - cortex.mean(0)
    at = centred / centred.abs().max()
    for layer in range(hidden_layers + 1):
        at = at @ weights[2 * layer].T + weights[2 * layer + 1]
        if layer < hidden_layers:
            at = torch.where(at > 0, at, torch.exp(at) - 1)
    expected = torch.tanh(at) if final_tanh else at.clamp(-1, 1)
    torch.testing.assert_close(readout.centers(), expected)
    assert not hasattr(readout, "position")


def test_a_predictor_sees_neither_where_the_cortex_begins_nor_in_which_unit(generator):
    cortex = torch.rand(9, 2, generator=generator) * 500
    one = make(generator, cortex=cortex, grid_predictor=GridPredictor())
    other = make(generator, cortex=cortex / 1000 + 7, grid_predictor=GridPredictor())
    own = {k: v for k, v in one.state_dict().items() if "cortex" not in k}
    other.load_state_dict(own, strict=False)
    torch.testing.assert_close(one.centers(), other.centers(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("final_tanh", [False, True])
def test_a_predictor_starts_at_places_that_its_last_layer_can_reach(generator, final_tanh):
    cortex = torch.rand(40, 2, generator=generator) * 500
    config = GridPredictor(hidden_layers=0, final_tanh=final_tanh)
    readout = make(generator, units=40, cortex=cortex, grid_predictor=config)
    wanted = cortex @ torch.tensor([[1e-3, 4e-4], [-2e-4, 1e-3]]) - 0.3
    readout.start_at(torch.tanh(wanted) if final_tanh else wanted)
    torch.testing.assert_close(readout.centers(), torch.tanh(wanted) if final_tanh else wanted)


def test_units_start_where_they_are_told_and_are_brought_back_into_the_map(generator):
    readout = make(generator)
    wanted = torch.rand(9, 2, generator=generator) * 2 - 1
    readout.start_at(wanted)
    torch.testing.assert_close(readout.centers(), wanted)
    with torch.no_grad():
        readout.position.mul_(5)
    readout.project()
    assert readout.position.abs().max() <= 1
    assert readout.place_parameters() == [readout.position]


def test_it_starts_as_in_the_field(generator):
    full = FullGaussian2d().build(300, 8, SIZE, generator)
    assert full.position.abs().max() <= 0.3
    assert full.position.std().item() == pytest.approx(0.6 / 12**0.5, rel=0.05)
    assert full.sigma.shape == (300, 2, 2)
    assert full.sigma.std().item() == pytest.approx(0.2 / 12**0.5, rel=0.05)
    assert (full.features == 1 / 8).all()
    assert (full.bias == 0).all()
    for gauss_type, width in (("uncorrelated", 2), ("isotropic", 1)):
        readout = FullGaussian2d(gauss_type=gauss_type).build(3, 8, SIZE, generator)
        torch.testing.assert_close(readout.sigma, torch.full((3, width), 0.1))


def test_the_penalty_is_the_mean_absolute_feature_with_its_strength(generator):
    readout = make(generator, gamma_features=0.5)
    torch.testing.assert_close(readout.regularizer(), 0.5 * readout.features.abs().mean())


def network(generator, **config):
    parts = CorePlusReadout(
        core=GaussianLaplace(hidden_channels=3, input_kern=5, hidden_kern=3), readout=FullGaussian2d(**config)
    )
    return Network(parts, {"a": 7}, (16, 20), generator).eval()


def test_without_bias_a_network_starts_without_the_mean_response(generator):
    net = network(generator, bias=False)
    net.start_at_mean("a", torch.full((7,), 3.0))
    assert (net.readouts["a"].bias == 0).all()
    assert "readouts.a.bias" not in dict(net.named_parameters())


def test_a_network_hands_the_noise_of_a_step_to_its_readout(generator):
    net, images = network(generator), torch.randn(5, 1, 16, 20, generator=generator)
    noise = net.draw_noise("a", 5, generator)
    still, moved = net(images, "a", None, None), net(images, "a", None, None, noise=noise)
    assert not torch.allclose(still, moved)
    torch.testing.assert_close(still, net(images, "a", None, None, noise=torch.zeros(5, 7, 2)))


def test_places_that_a_predictor_lacks_are_refused_naming_the_unit_and_the_choice_without(generator):
    config = FullGaussian2d(grid_predictor=GridPredictor())
    cortex = torch.zeros(5, 2)
    cortex[3, 1] = torch.nan
    with pytest.raises(ConfigurationError, match=r"1 of 5 units.*neuron 3.*grid_predictor null"):
        config.build(5, 4, SIZE, generator, cortex)
    with pytest.raises(ConfigurationError, match=r"no places.*grid_predictor null"):
        config.build(5, 4, SIZE, generator, None)
    with pytest.raises(ConfigurationError, match=r"shape \(4, 2\); expected \(5, 2\)"):
        config.build(5, 4, SIZE, generator, torch.zeros(4, 2))
    FullGaussian2d().build(5, 4, SIZE, generator, cortex)


def test_units_all_in_one_place_are_predicted_to_look_at_one_place(generator):
    readout = make(generator, cortex=torch.full((9, 2), 5.0), grid_predictor=GridPredictor())
    centers = readout.centers()
    assert torch.isfinite(centers).all()
    torch.testing.assert_close(centers, centers[:1].expand(9, 2))


def test_no_units_is_refused(generator):
    with pytest.raises(ConfigurationError, match="0 units; expected at least 1"):
        FullGaussian2d().build(0, 8, SIZE, generator)
