"""Images of the real network: whoever shares the batch, whatever the eye and the animal do."""

import math

import pytest
import torch

from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.procedure import Fast
from inception_loop.images.mei import synthesize_meis
from inception_loop.network.config import CorePlusReadout
from inception_loop.network.cores import GaussianLaplace
from inception_loop.network.network import Network
from inception_loop.network.readouts import SpatialTransformer2d, SpatialTransformerPyramid2d
from inception_loop.training.config import ModelConfig
from inception_loop.training.ensemble import Ensemble
from inception_loop.training.model import Inputs, Model

EYE, BEHAVIOR = (0.4, -0.2), (1.0, 0.5, 0.2)
SHIFT_PX, GAIN = 6, 1.7


def model_of_network(core, readout, units=40):
    """A network with random features, an eye that shifts by 6 px and behaviour that scales by 1.7."""
    generator = torch.Generator().manual_seed(3)
    network = Network(CorePlusReadout(core=core, readout=readout), {"a": units}, (36, 64), generator)
    features = network.readout("a").features
    features.data = 0.3 * torch.randn(features.shape, generator=generator)
    network.readout("a").position.data *= 0.0
    width = network.core.map_size((36, 64))[1]
    network.shifters["a"].layers[-1].bias.data[0] = math.atanh(2 * SHIFT_PX / (width - 1))
    network.modulators["a"].last.bias.data[:] = math.log(GAIN)
    inputs = Inputs("a", units, (36, 64), 110.0, 50.0, False, EYE, BEHAVIOR)
    return Model(ModelConfig.model_construct(), network.eval().requires_grad_(False), {"a": inputs})


@pytest.fixture(scope="module")
def published():
    """The 2019 architecture with few channels."""
    core = GaussianLaplace(hidden_channels=2)
    return Ensemble([model_of_network(core, SpatialTransformerPyramid2d())], "a")


@pytest.fixture(scope="module")
def looking():
    """One network in several states: function from eye and behaviour modes to the model."""
    core = GaussianLaplace(hidden_channels=3, layers=2, input_kern=7, hidden_kern=3)
    one = model_of_network(core, SpatialTransformer2d())
    return lambda **modes: Ensemble([one], "a", **modes)


def climb(model, units, procedure=None):
    keys = [str(unit) for unit in units]
    return synthesize_meis(model, units, keys=keys, procedure=procedure, gains=2).ascent


def test_a_units_image_is_the_same_in_batches_of_1_7_and_32(published, cosine):
    short = Fast(iterations=12)
    together = climb(published, list(range(32)), short)
    for rows in ([5], [31, 5, 0, 8, 9, 10, 11]):
        apart = climb(published, rows, short)
        assert torch.allclose(apart.scores, together.scores[rows], rtol=1e-4)
        assert cosine(apart.images, together.images[rows] - 110).min() >= 0.9999


def test_the_same_batch_gives_the_same_bits(published):
    first, second = (climb(published, [4, 9, 1], Fast(iterations=8)) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.scores, second.scores)
    assert first.history.tobytes() == second.history.tobytes()


def test_the_eye_moves_the_image(looking, cosine):
    still, looks = (climb(looking(eye=eye), [0, 1, 2]) for eye in ("none", "training_mean"))
    assert cosine(looks.images, still.images.roll(SHIFT_PX, -1) - 110).min() > 0.99
    assert torch.allclose(looks.scores, still.scores, rtol=1e-2)


def test_behaviour_scales_the_drive_and_leaves_the_image(looking, cosine):
    rest, moving = looking(behavior="none"), looking(behavior="training_mean")
    found = [climb(model, [0, 1, 2]) for model in (rest, moving)]
    assert cosine(found[1].images, found[0].images - 110).min() > 0.99
    activations = [unit_objective(m, [0, 1, 2])(found[0].images, torch.arange(3)) for m in (rest, moving)]
    drive = activations[0] - 1
    assert (drive > 0).all()
    assert torch.allclose(activations[1], GAIN * drive + 1, rtol=1e-4)


@pytest.mark.parametrize("turn", [lambda x: x.flip(-1), lambda x: x.flip(-2)], ids=["left", "down"])
def test_turning_the_kernels_turns_the_image(cosine, turn):
    core = GaussianLaplace(hidden_channels=3, layers=2, input_kern=7, hidden_kern=3)
    straight, turned = (model_of_network(core, SpatialTransformer2d()) for _ in range(2))
    for name, weight in turned.network.core.named_parameters():
        if weight.ndim == 4:
            weight.data = turn(straight.network.core.get_parameter(name)).contiguous()
    plain = Fast(starts=4)  # the noise is not turned with it, so that another optimum could win
    found = [
        synthesize_meis(Ensemble([m], "a", eye="none"), [0, 1, 2], procedure=plain, gains=2).ascent
        for m in (straight, turned)
    ]
    assert torch.allclose(found[0].scores, found[1].scores, rtol=1e-2)
    assert cosine(found[1].images, turn(found[0].images) - 110).min() > 0.99


def test_bfloat16_loses_less_than_a_hundredth_of_the_activation(published):
    model = published
    units = list(range(4))
    exact = climb(model, units)
    network = model.networks[0]
    network.precision = "bfloat16"
    try:
        rough = climb(model, units)
    finally:
        network.precision = "float32"
    judged = unit_objective(model, units)(rough.images, torch.arange(4))
    assert (judged / exact.scores).min() > 0.99
