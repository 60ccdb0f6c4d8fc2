"""Every part that the field's neuralpredictors 0.3.0 has too: with its weights, its answers.

Where the answers differ the test says which choice of the published code makes the difference. Its
modulators are an empty package, and what it calls initialisation of shifters changes nothing.
"""

from __future__ import annotations

import pytest
import torch

from inception_loop.network.cores import (
    DepthSeparable,
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
from inception_loop.network.output import respond
from inception_loop.network.readouts import (
    FullGaussian2d,
    GridPredictor,
    SpatialTransformer2d,
    SpatialTransformerPooled2d,
    SpatialTransformerPyramid2d,
    SpatialXFeatures,
)
from inception_loop.network.regularizers import (
    gaussian_laplace_weight,
    group_sparsity,
    laplace_penalty,
    relative_laplace_penalty,
)
from inception_loop.network.shifters import MLPShifter, StaticAffine2d

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:neuralpredictors")

UNITS, CHANNELS, SIZE = 11, 5, (22, 50)


def close(got, expected):
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def stirred(module, generator):
    """Draw all weights and running statistics anew, so that nothing agrees by being 0 or 1."""
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn(p.shape, generator=generator) * 0.1)
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.running_mean.normal_(generator=generator)
                part.running_var.uniform_(0.5, 2, generator=generator)
    return module


# Cores

STACKED = {
    "one-before": Stacked2d(hidden_channels=4, input_kern=7, hidden_kern=3, skip=0),
    "skip": Stacked2d(hidden_channels=4, input_kern=7, hidden_kern=5, skip=3, layers=4, momentum=0.3),
    "padded-laplace": ModStacked2d(hidden_channels=4, input_kern=7, hidden_kern=3, laplace_padding=1),
    "gaussian": GaussianLaplace(hidden_channels=4, input_kern=7, hidden_kern=3),
    "sigmoid": SigmoidLaplace(hidden_channels=4, input_kern=7, hidden_kern=1),
    "linear": StackedLinearGaussianLaplace(hidden_channels=4, input_kern=7, hidden_kern=3, skip=2),
    "single": Linear(hidden_channels=4, input_kern=8),
    "single-gaussian": LinearGaussianLaplace(hidden_channels=4, input_kern=6),
    "single-sigmoid": LinearSigmoidLaplace(hidden_channels=4, input_kern=7),
    "single-padded": ModLinear(hidden_channels=4, input_kern=8, laplace_padding=1),
}


def their_core(peer, config, **changed):
    fields = {name: getattr(config, name) for name in ("hidden_channels", "input_kern", "momentum")}
    same = {
        "input_channels": 1,
        "hidden_kern": getattr(config, "hidden_kern", 1),
        "layers": getattr(config, "layers", 1),
        "skip": getattr(config, "skip", 0),
        "gamma_input": config.gamma_input,
        "gamma_hidden": getattr(config, "gamma_hidden", 0.0),
        "laplace_padding": getattr(config, "laplace_padding", 1),
        "pad_input": False,
        "bias": False,
        "linear": not getattr(config, "nonlinear", True),
    }
    return peer.cores.Stacked2dCore(**(fields | same | changed))


@torch.no_grad()
def copy_core(ours, theirs):
    for here, there in zip(ours.layers, theirs.features, strict=True):
        there.norm.load_state_dict(here.norm.state_dict())
        if hasattr(there, "conv"):
            there.conv.weight.copy_(here.weight)
            continue
        for p in there.ds_conv.parameters():
            p.zero_()
        for name, weight in (("in", here.in_depth), ("out", here.out_depth)):
            getattr(there.ds_conv, f"{name}_depth_conv").weight.copy_(weight)
        there.ds_conv.spatial_conv.weight.copy_(here.spatial)
        there.ds_conv.in_depth_conv.bias.copy_(here.in_bias)


def assert_same_core(ours, theirs, generator):
    """In training, in the statistics that batch norm keeps, and after it."""
    for _ in range(2):
        images = torch.randn(3, 1, 20, 24, generator=generator)
        close(ours.train()(images), theirs.train()(images))
    for here, there in zip(ours.layers, theirs.features, strict=True):
        close(here.norm.running_mean, there.norm.running_mean)
        close(here.norm.running_var, there.norm.running_var)
    close(ours.eval()(images), theirs.eval()(images))


@pytest.mark.parametrize("config", STACKED.values(), ids=STACKED)
def test_a_stacked_core(peer, config, generator):
    ours, theirs = stirred(config.build(generator), generator), their_core(peer, config)
    copy_core(ours, theirs)
    assert_same_core(ours, theirs, generator)
    if (ours.pixel_weight == 1).all():
        close(ours.regularizer(), theirs.regularizer())


@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("stack", [-1, None])
def test_a_depth_separable_core(peer, generator, skip, stack):
    """Theirs has biases behind the depthwise and the last convolution too: batch norm takes them away."""
    config = DepthSeparable(hidden_channels=4, input_kern=5, hidden_kern=3, skip=skip, stack=stack)
    ours = stirred(config.build(generator), generator)
    theirs = their_core(
        peer,
        config,
        depth_separable=True,
        bias=True,
        laplace_padding=None,
        input_regularizer="LaplaceL2norm",
        use_avg_reg=False,
        stack=stack,
    )
    copy_core(ours, theirs)
    assert_same_core(ours, theirs, generator)
    close(ours.regularizer(), theirs.regularizer())
    images = torch.randn(3, 1, 20, 24, generator=generator)
    with torch.no_grad():
        for layer in theirs.features[1:]:
            layer.ds_conv.spatial_conv.bias.normal_(generator=generator)
            layer.ds_conv.out_depth_conv.bias.normal_(generator=generator)
    close(ours.train()(images), theirs.train()(images))


def test_a_padded_input_is_theirs_alone(peer, generator):
    """Their default pads images with zeros, grey at the border that no camera saw; inside both agree."""
    config = Linear(hidden_channels=4, input_kern=7)
    ours, theirs = config.build(generator), their_core(peer, config, pad_input=True)
    copy_core(ours, theirs)
    images = torch.randn(3, 1, 20, 24, generator=generator)
    padded = theirs.eval()(images)
    assert padded.shape[2:] == images.shape[2:]
    close(ours.eval()(images), padded[:, :, 3:-3, 3:-3])


# Regularisers


@pytest.mark.parametrize("padding", [0, 1])
def test_the_laplacian_penalty(peer, generator, padding):
    weight = torch.randn(4, 3, 9, 9, generator=generator)
    theirs = peer.regularizers.LaplaceL2(padding=padding)
    close(laplace_penalty(weight, torch.ones(9, 9), padding=padding), theirs(weight))


def test_the_laplacian_penalty_relative_to_the_kernels(peer, generator):
    """Divided by the squared kernels, it stays when they shrink; ours has both and says which it is."""
    weight = torch.randn(4, 3, 9, 9, generator=generator)
    theirs = peer.regularizers.LaplaceL2norm()
    close(relative_laplace_penalty(weight, torch.ones(9, 9)), theirs(weight))
    close(theirs(weight / 10), theirs(weight))
    close(
        laplace_penalty(weight / 10, torch.ones(9, 9)),
        theirs(weight) * weight.square().sum() / 4 / 3 / 162 / 100,
    )


@pytest.mark.parametrize("side", [9, 15])
def test_the_gaussian_weighted_penalty(peer, generator, side):
    """Theirs weighs before squaring, stretches the Gaussian from 0 to 1 and divides by the kernels."""
    weight = torch.randn(4, 3, side, side, generator=generator)
    theirs = peer.regularizers.GaussianLaplaceL2(kernel=side)
    sigma = (side / 4) / ((side - 1) / 2)
    away = gaussian_laplace_weight(side, sigma, 0.0)
    stretched = (away - away.min()) / (away.max() - away.min())
    close(relative_laplace_penalty(weight, stretched.square()), theirs(weight))
    one_weighed_once = laplace_penalty(weight, away)
    assert not torch.isclose(one_weighed_once, theirs(weight, avg=True) / 2, rtol=1e-2)


def test_group_sparsity(peer, generator):
    config = Stacked2d(hidden_channels=4, input_kern=7, hidden_kern=3)
    ours, theirs = config.build(generator), their_core(peer, config)
    copy_core(ours, theirs)
    close(group_sparsity([layer.weight for layer in ours.layers][1:]), theirs.group_sparsity())


def test_group_sparsity_of_a_depth_separable_core_is_silently_none(peer):
    """Whatever it is asked for, theirs adds 0; ours has no such field."""
    theirs = their_core(peer, DepthSeparable(), depth_separable=True, gamma_hidden=1e3, gamma_input=0)
    assert theirs.regularizer() == 0
    assert "gamma_hidden" not in DepthSeparable.model_fields


# Readouts


def their_pyramid(peer, config):
    return peer.readouts.PointPyramid2d(
        in_shape=[CHANNELS, *SIZE],
        outdims=UNITS,
        scale_n=config.scale_n,
        positive=False,
        bias=True,
        init_range=0.1,
        downsample=config.downsample,
        type="gauss5x5",
        feature_reg_weight=config.gamma_features,
    )


def their_pooled(peer, config):
    return peer.readouts.PointPooled2d(
        in_shape=[CHANNELS, *SIZE],
        outdims=UNITS,
        pool_steps=getattr(config, "pool_steps", 0),
        bias=True,
        pool_kern=2,
        init_range=0.1,
        feature_reg_weight=config.gamma_features,
    )


def their_gaussian(peer, config):
    return peer.readouts.FullGaussian2d(
        in_shape=(CHANNELS, *SIZE),
        outdims=UNITS,
        bias=True,
        gauss_type=config.gauss_type,
        feature_reg_weight=config.gamma_features,
    )


@torch.no_grad()
def copy_point(ours, theirs):
    """Theirs keeps features by levels and channels, units last."""
    named = dict(theirs.named_parameters())
    place, features = (
        next(p for name, p in named.items() if name in names)
        for names in (("grid", "_mu"), ("features", "_features"))
    )
    place.copy_(ours.position[None, :, None])
    features.copy_(ours.features.flatten(1).T[None, :, None])
    theirs.bias.copy_(ours.bias)
    if "sigma" in named:
        named["sigma"].copy_(ours.sigma.view(named["sigma"].shape))


POINTS = {
    "pyramid": (SpatialTransformerPyramid2d(scale_n=3), their_pyramid),
    "pyramid-deep": (SpatialTransformerPyramid2d(scale_n=5, gamma_features=3), their_pyramid),
    "pyramid-blurred": (SpatialTransformerPyramid2d(scale_n=4, downsample=False), their_pyramid),
    "pooled": (SpatialTransformerPooled2d(), their_pooled),
    "point": (SpatialTransformer2d(), their_pooled),
    "gaussian-full": (FullGaussian2d(), their_gaussian),
    "gaussian-uncorrelated": (FullGaussian2d(gauss_type="uncorrelated"), their_gaussian),
    "gaussian-isotropic": (FullGaussian2d(gauss_type="isotropic"), their_gaussian),
}
points = pytest.mark.parametrize(("config", "make_theirs"), POINTS.values(), ids=POINTS)


def both(peer, config, make_theirs, generator, reach=0.7):
    ours = stirred(config.build(UNITS, CHANNELS, SIZE, generator), generator)
    ours.start_at((torch.rand(UNITS, 2, generator=generator) * 2 - 1) * reach)
    theirs = make_theirs(peer, config)
    copy_point(ours, theirs)
    return ours, theirs


@points
def test_a_readout_from_a_point(peer, config, make_theirs, generator):
    ours, theirs = both(peer, config, make_theirs, generator)
    x = torch.randn(6, CHANNELS, *SIZE, generator=generator)
    shift = (torch.rand(6, 2, generator=generator) * 2 - 1) * 0.3
    close(ours.eval()(x), theirs.eval()(x))
    close(ours(x, shift), theirs(x, shift=shift))
    close(ours.regularizer(), theirs.regularizer(reduction="mean"))


@points
def test_beyond_the_map_theirs_reads_zeros(peer, config, make_theirs, generator):
    """Theirs keeps places in the map, but then adds the shift and pads the map with zeros."""
    ours, theirs = both(peer, config, make_theirs, generator)
    x = torch.randn(6, CHANNELS, *SIZE, generator=generator)
    far = torch.full((6, 2), 9.0)
    close(theirs.eval()(x, shift=far), theirs.bias.expand(6, -1))
    ours.start_at(torch.ones(UNITS, 2))
    corner = ours(x)
    assert (corner - ours.bias).abs().min() > 0
    close(ours.eval()(x, far), corner)


@pytest.mark.parametrize("gauss_type", ["full", "uncorrelated", "isotropic"])
def test_the_places_that_a_gaussian_readout_draws(peer, generator, gauss_type):
    """The same draw, kept in the map after it was made, in training."""
    config = FullGaussian2d(gauss_type=gauss_type, init_sigma=0.4)
    ours, theirs = both(peer, config, their_gaussian, generator)
    x = torch.randn(6, CHANNELS, *SIZE, generator=generator)
    torch.manual_seed(5)
    noise = torch.empty(6, UNITS, 1, 2).normal_()
    torch.manual_seed(5)
    close(ours(x, noise=noise[:, :, 0]), theirs.train()(x))


@pytest.mark.parametrize("final_tanh", [True, False])
def test_the_places_that_are_predicted_from_the_cortex(peer, generator, final_tanh):
    cortex = torch.randn(UNITS, 2, generator=generator) * 300
    predictor = GridPredictor(hidden_layers=1, hidden_features=7, final_tanh=final_tanh)
    ours = FullGaussian2d(grid_predictor=predictor).build(UNITS, CHANNELS, SIZE, generator, cortex)
    theirs = peer.readouts.FullGaussian2d(
        in_shape=(CHANNELS, *SIZE),
        outdims=UNITS,
        bias=True,
        grid_mean_predictor={"hidden_layers": 1, "hidden_features": 7, "final_tanh": final_tanh},
        source_grid=cortex.numpy(),
    )
    with torch.no_grad():
        for here, there in zip(
            [*ours.predictor.hidden.parameters(), *ours.predictor.last.parameters()],
            theirs.mu_transform.parameters(),
            strict=True,
        ):
            there.copy_(here)
    close(ours.centers(), theirs.mu[0, :, 0])


def their_factorized(peer):
    return peer.readouts.FullFactorized2d(
        in_shape=(CHANNELS, *SIZE), outdims=UNITS, bias=True, normalize=True, constrain_pos=True
    )


@pytest.fixture
def factorized(peer, generator):
    ours, theirs = SpatialXFeatures().build(UNITS, CHANNELS, SIZE, generator), their_factorized(peer)
    with torch.no_grad():
        ours.features.uniform_(generator=generator)  # theirs clamps features as well
        ours.bias.normal_(generator=generator)
        ours.mask.normal_(generator=generator)
        theirs._features.copy_(ours.features)
        theirs.bias.copy_(ours.bias)
    return ours, theirs, torch.randn(6, CHANNELS, *SIZE, generator=generator)


def test_a_readout_through_a_mask(factorized):
    ours, theirs, x = factorized
    ours.project()
    theirs.spatial.data.copy_(ours.mask)
    close(ours(x), theirs(x))


def test_a_penalty_on_masks_of_theirs_multiplies_all_masks_with_all_features(factorized):
    """It forgets that both are of the same unit, so that it grows with the number of units."""
    ours, theirs, _ = factorized
    ours.project()
    theirs.spatial.data.copy_(ours.mask)
    masks = theirs.normalized_spatial.abs().sum((1, 2))
    features = theirs.features.abs().sum(1)
    count = UNITS * CHANNELS * SIZE[0] * SIZE[1]
    close(theirs.regularizer(reduction="mean"), masks.sum() * features.sum() / count)
    close(ours.regularizer(), (masks * features).sum() / count)


def test_a_mask_is_normalised_before_theirs_is_made_positive(factorized):
    """So that of a mask with negative weights theirs has a smaller norm than 1; ours always has 1."""
    ours, theirs, x = factorized
    theirs.spatial.data.copy_(ours.mask)
    smaller = ours.mask.clamp(min=0).norm(dim=(1, 2)) / ours.mask.norm(dim=(1, 2))
    assert smaller.max() < 0.9
    close((ours(x) - ours.bias) * smaller + ours.bias, theirs(x))


def test_a_mask_of_theirs_cannot_follow_the_eye(factorized):
    _, theirs, x = factorized
    with pytest.raises(NotImplementedError, match="shift is not implemented"):
        theirs(x, shift=torch.zeros(6, 2))


# Shifters and output


@pytest.mark.parametrize("layers", [1, 3])
def test_a_perceptron_shifter(peer, generator, layers):
    ours = stirred(MLPShifter(shift_layers=layers, hidden=5).build(generator), generator)
    theirs = peer.shifters.MLP(input_features=2, hidden_channels=5, shift_layers=layers)
    with torch.no_grad():
        for here, there in zip(ours.parameters(), theirs.parameters(), strict=True):
            there.copy_(here)
    eye = torch.randn(9, 2, generator=generator)
    close(ours(eye), theirs(eye))
    assert ours.regularizer() == theirs.regularizer() == 0


def test_what_they_call_initialisation_of_a_perceptron_changes_nothing(peer):
    """It looks for layers among the parameters; ours draws its start and ends in a layer of zeros."""
    theirs = peer.shifters.MLP(shift_layers=3)
    before = [p.clone() for p in theirs.parameters()]
    theirs.initialize()
    assert all(torch.equal(a, b) for a, b in zip(before, theirs.parameters(), strict=True))


@pytest.mark.parametrize("bias", [True, False])
def test_an_affine_shifter(peer, generator, bias):
    ours = stirred(StaticAffine2d(bias=bias).build(generator), generator)
    theirs = peer.shifters.StaticAffine2d(bias=bias)
    with torch.no_grad():
        for here, there in zip(ours.parameters(), theirs.parameters(), strict=True):
            there.copy_(here)
    eye = torch.randn(9, 2, generator=generator)
    close(ours(eye), theirs(eye))
    close(ours.regularizer(), 1e-3 * theirs.regularizer())


def test_the_output_nonlinearities(peer):
    """Their softplus overflows from about 89 on."""
    drive = torch.linspace(-30, 80, 50)
    close(respond(drive, "elu1"), peer.activations.Elu1()(drive.clone()))
    close(respond(drive, "softplus"), peer.activations.Log1Exp()(drive))
    large = torch.tensor([100.0])
    assert peer.activations.Log1Exp()(large).isinf().all()
    assert respond(large, "softplus") == 100
