"""On the simulated animal's own cells images are what is known to be best, with no network in between."""

import numpy as np
import pytest
import torch

from inception_loop.animals.simulated import SimulatedAnimal, SimulatedConfig
from inception_loop.errors import DataError
from inception_loop.images.ascent.ascend import Schedule, ascend
from inception_loop.images.ascent.constraints import GreyRange
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.smoothing import gaussian_blur
from inception_loop.images.ascent.steps import Ramp, RmsStep
from inception_loop.images.mei import synthesize_meis
from inception_loop.images.recovery import image_cosine, share_of_maximum
from inception_loop.images.rf import linear_rf
from inception_loop.recovery.true_network import true_network


@pytest.fixture(scope="module")
def animal():
    with pytest.MonkeyPatch.context() as patch:  # trial noise takes long to scale, and none is needed here
        patch.setattr("inception_loop.animals.simulated_cells._fano", lambda cells, *_: 0 * cells.fano)
        animal = SimulatedAnimal(SimulatedConfig(n_units=40))
        assert len(animal.cells) == 40
    return animal


@pytest.fixture(scope="module")
def model(animal):
    config = animal.config
    return true_network(animal.cells, mean_grey=config.mean_grey, contrast_grey=config.contrast_grey)


@pytest.fixture(scope="module")
def of_kind(animal):
    """Function from a kind of cells to their columns and true filters."""

    def of(kind):
        columns = np.flatnonzero(animal.cells.kind == kind)
        return columns, animal.cells.even[columns].reshape(-1, 36, 64)

    return of


def share(animal, found, columns, filters):
    return share_of_maximum(animal.respond, found.images.numpy(), filters, columns, mean=128.0)


def test_the_model_answers_as_the_animal_does(animal, model):
    images = torch.rand(3, 36, 64, generator=torch.Generator().manual_seed(1)) * 255
    shown = model(images, torch.arange(40)).numpy()
    assert shown == pytest.approx(animal.respond(images.numpy()), rel=1e-4)


def test_the_mei_of_a_simple_cell_is_its_filter_and_so_is_its_rf_image(animal, model, of_kind):
    columns, filters = of_kind("simple")
    mei = synthesize_meis(model, columns.tolist(), gains=2).ascent
    linear = linear_rf(model, columns.tolist()).ascent
    for found in (mei, linear):
        assert image_cosine(found.images.numpy(), filters).min() >= 0.99
        assert share(animal, found, columns, filters).min() >= 0.97


@pytest.mark.parametrize("kind", ["complex", "mixed"])
def test_the_mei_reaches_the_analytic_maximum(animal, model, of_kind, kind):
    # a mixed cell also has a lesser best image, the negative of its filter: a start apart decides
    columns, filters = of_kind(kind)
    found = synthesize_meis(model, columns.tolist(), gains=2).ascent
    assert share(animal, found, columns, filters).min() >= 0.97


def test_a_purely_complex_cell_has_no_rf_image(model, of_kind):
    columns, _ = of_kind("complex")
    with pytest.raises(DataError, match=rf"no gradient at grey: {', '.join(map(str, columns))}; expected"):
        linear_rf(model, columns.tolist())


def test_a_linear_account_makes_a_good_image_of_a_simple_cell_and_none_of_a_complex_one(
    animal, model, of_kind
):
    noise = gaussian_blur(torch.randn(400, 36, 64, generator=torch.Generator().manual_seed(1)), 1.5) * 150

    def shares(kind):
        columns, filters = of_kind(kind)
        responses = model(128 + noise, torch.from_numpy(columns))
        account = torch.einsum("kn,khw->nhw", responses - responses.mean(0), noise).numpy()
        return share_of_maximum(animal.respond, account, filters, columns, mean=128.0, norm=8 * 48)

    assert shares("simple").min() > 0.6
    assert shares("complex").max() < 0.4


def test_under_a_range_the_best_image_of_a_simple_cell_is_the_sign_of_its_filter(model, of_kind):
    columns, filters = of_kind("simple")
    start = torch.full((len(columns), 36, 64), 128.0) + torch.tensor(filters)
    schedule = Schedule(60, RmsStep(Ramp(400.0, 400.0)))
    found = ascend(unit_objective(model, columns.tolist()), start, GreyRange(), schedule)
    strong = np.abs(filters) > 0.02 * np.abs(filters).max((1, 2), keepdims=True)
    assert np.array_equal(found.images.numpy()[strong], 255.0 * (filters[strong] > 0))
