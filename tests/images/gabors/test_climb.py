"""Cells whose filter is a Gabor off the grid give that Gabor back, and no climb ends below its start."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import dual_annealing, minimize

from inception_loop.errors import DataError
from inception_loop.images.gabors.best import BestGaborConfig, make_best_gabor
from inception_loop.images.gabors.climb import climb_gabors
from inception_loop.images.gabors.drawing import at_contrast, gabors
from inception_loop.images.gabors.grid import PARAMETERS, GaborGrid
from inception_loop.images.gabors.optimal import (
    OptimalGaborConfig,
    make_optimal_gabor,
    optimal_gabors,
)
from inception_loop.images.gabors.search import search_gabors
from inception_loop.images.network import CallableModel

SIZE = (36, 64)
STATISTICS = {"mean": 110.0, "contrast": 8.0}
COARSE = GaborGrid(
    wavelengths=(5, 8, 12, 20),
    orientations=tuple(k * math.pi / 4 for k in range(4)),
    sigmas=(3, 5, 9),
    dy=(-0.3, -0.1, 0.1, 0.3),
    dx=(-0.3, -0.15, 0, 0.15, 0.3),
)
TRUE = torch.tensor(
    [
        [0.7, 6.5, 0.4, 3.6, 28.3, 16.1],
        [2.9, 9.7, 1.9, 4.4, 40.6, 20.3],
        [5.1, 14.0, 2.8, 6.3, 22.2, 14.9],
    ],
    dtype=torch.float64,
)


def unit_norm(parameters):
    images = at_contrast(gabors(parameters, SIZE), 0.0, 1.0)[0]
    return (images / images.flatten(1).norm(dim=1)[:, None, None]).float()


def model_of(filters, power=1, quadrature=None):
    def drive(x):
        d = (x - 110).flatten(1)
        out = (d @ filters.flatten(1).T) ** power
        return out if quadrature is None else out + (d @ quadrature.flatten(1).T) ** power

    return CallableModel(
        lambda x, u: drive(x)[:, u],
        110.0,
        50.0,
        SIZE,
        paired_units=lambda x, u: drive(x).gather(1, u[:, None])[:, 0],
    )


@pytest.fixture(scope="module")
def linear():
    return model_of(unit_norm(TRUE))


@pytest.fixture(scope="module")
def searched(linear):
    return search_gabors(linear, COARSE, [0, 1, 2], **STATISTICS, batch_size=500)


@pytest.fixture(scope="module")
def starts(searched):
    return torch.stack([searched.parameters(searched.diverse(unit, 3)) for unit in range(3)])


@pytest.fixture(scope="module")
def optimum(linear, starts):
    return optimal_gabors(
        linear, [0, 1, 2], starts, COARSE.bounds(SIZE), **STATISTICS, iterations=60, tolerance=1e-7
    )


def test_a_cell_whose_filter_is_a_gabor_off_the_grid_gives_its_parameters_back(optimum):
    error = (optimum.parameters - TRUE).abs()
    assert error[:, [1, 3, 4, 5]].max() < 0.05  # px
    assert error[:, [0, 2]].max() < 0.01  # rad
    limit = 8.0 * math.sqrt(36 * 64)  # the norm of the picture about its mean, by Cauchy and Schwarz
    assert optimum.activation == pytest.approx([limit] * 3, rel=1e-4)


def test_the_optimum_is_better_than_the_grid(optimum, searched):
    assert optimum.grid_activation == pytest.approx(searched.activation, rel=1e-5)
    assert (optimum.activation > 1.02 * optimum.grid_activation).all()
    assert optimum.n_starts.tolist() == [3, 3, 3]
    assert (optimum.evaluations <= 3 * 61).all()


def test_the_images_are_those_of_the_parameters_at_exact_statistics(optimum):
    images = at_contrast(gabors(optimum.parameters, SIZE), **STATISTICS)[0]
    assert torch.equal(images.float(), optimum.images)
    assert optimum.images.double().std((1, 2), correction=0).numpy() == pytest.approx([8.0] * 3, rel=1e-6)


def test_a_unit_climbs_as_it_does_alone(linear, starts, optimum):
    alone = optimal_gabors(
        linear, [1], starts[1:2], COARSE.bounds(SIZE), **STATISTICS, iterations=60, tolerance=1e-7
    )
    assert alone.activation[0] == pytest.approx(optimum.activation[1], rel=1e-5)
    assert alone.parameters[0].numpy() == pytest.approx(optimum.parameters[1].numpy(), abs=0.02)


def test_an_energy_cell_reaches_its_analytic_maximum(starts):
    turned = TRUE.clone()
    turned[:, 0] += math.pi / 2
    even, odd = unit_norm(TRUE), unit_norm(turned)
    overlap = (even * odd).sum((1, 2), keepdim=True)
    sine = odd - overlap * even
    cells = model_of(even, 2, sine / sine.flatten(1).norm(dim=1)[:, None, None])
    found = optimal_gabors(cells, [0, 1, 2], starts, COARSE.bounds(SIZE), **STATISTICS)
    assert (found.activation / (64 * 36 * 64) > 0.995).all()  # any phase is as good


def test_parameters_stay_within_their_bounds_and_no_score_falls(searched):
    beyond = TRUE.clone()
    beyond[:, 1], beyond[:, 3] = 30.0, 15.0  # longer and wider than the bounds allow
    beyond[:, 4] = 60.0
    filters = unit_norm(beyond)
    rows = torch.arange(3)
    bounds = COARSE.bounds(SIZE)
    at = searched.parameters(np.array([5, 700, 1234]))
    found = climb_gabors(
        lambda x, r: ((x - 110) * filters[r]).sum((1, 2)),
        at,
        bounds,
        image_size=SIZE,
        **STATISTICS,
        iterations=25,
    )
    assert (found.parameters >= bounds.low).all()
    assert (found.parameters <= bounds.high).all()
    assert (found.parameters[:, 4] == bounds.high[4]).any()
    assert (found.scores >= found.first_scores).all()
    shown = at_contrast(gabors(found.parameters, SIZE), **STATISTICS)[0]
    assert ((shown.float() - 110) * filters[rows]).sum((1, 2)).numpy() == pytest.approx(found.scores.numpy())


def test_it_finds_what_dual_annealing_finds_with_a_fraction_of_the_pictures(optimum, linear):
    low, high = (bound.numpy().copy() for bound in COARSE.bounds(SIZE))
    low[[0, 2]], high[[0, 2]] = 0, [2 * math.pi, math.pi]
    shown = []

    def loss(parameters):
        images = at_contrast(gabors(torch.tensor(parameters)[None], SIZE), **STATISTICS)[0]
        shown.append(len(images))
        return -linear.paired(images.float(), torch.tensor([0])).item()

    limits = list(zip(low, high, strict=True))
    rough = dual_annealing(loss, limits, maxiter=100, no_local_search=True, rng=np.random.default_rng(1))
    best = minimize(loss, rough.x, method="Nelder-Mead", bounds=limits, options={"maxfev": 600})
    assert optimum.activation[0] >= -best.fun * (1 - 1e-4)
    assert optimum.evaluations[0] < sum(shown) / 10


def test_a_turn_of_the_angles_is_the_same_picture():
    turned = TRUE.clone()
    turned[:, 2] += math.pi * torch.tensor([1, -1, 4])
    turned[:, 0] = torch.where(torch.tensor([True, True, False]), -turned[:, 0], turned[:, 0]) - 4 * math.pi
    filters = unit_norm(TRUE)
    found = optimal_gabors(
        model_of(filters), [0, 1, 2], turned[:, None], COARSE.bounds(SIZE), **STATISTICS, iterations=0
    )
    assert found.parameters.numpy() == pytest.approx(TRUE.numpy())


def test_starts_that_cannot_be_shown_name_the_unit(linear, starts):
    with pytest.raises(DataError, match=r"none of the Gabors to start from .* contrast 130\.0 .*: b, c; "):
        optimal_gabors(
            model_of(unit_norm(TRUE)),
            [0, 1],
            starts[:2],
            COARSE.bounds(SIZE),
            mean=110.0,
            contrast=130.0,
            names=["b", "c"],
        )


def test_pictures_that_do_not_fit_into_memory_are_halved_with_a_note(store, models, networks, target, linear):
    def small(x, u):
        if len(x) > 2:
            raise MemoryError
        return linear.paired(x, u)

    tight = CallableModel(linear, 110.0, 50.0, SIZE, paired_units=small)
    units = [{"neuron_id": 1, "unit_id": 101}]
    asked = {**target, "units": units, "judging": {"gains": 2, "reach": 0}}
    nets, few = networks(models, tight), COARSE.model_copy(update={"dy": (0.1,), "dx": (0.15,)})
    grid = make_best_gabor(store, BestGaborConfig(**asked, grid=few, candidates=4), networks=nets).ref
    config = OptimalGaborConfig(**asked, starts=4, iterations=2)
    ref = make_optimal_gabor(store, config, networks=nets, best_gabor=grid).ref
    assert store.manifest(ref).findings["images_at_once_for_memory"] == 2


def test_the_artifact_is_never_worse_than_the_grid(store, models, networks, target, linear):
    judging = {"gains": 2, "reach": 0}
    units = [{"neuron_id": n, "unit_id": 100 + n} for n in (2, 0)]
    asked = {**target, "units": units, "judging": judging}
    nets = networks(models, linear)
    narrow = COARSE.model_copy(update={"wavelengths": (5.0, 20.0), "dy": (-0.1, 0.1)})
    grid = make_best_gabor(store, BestGaborConfig(**asked, grid=narrow, candidates=3), networks=nets).ref
    config = OptimalGaborConfig(**{**asked, "units": units[::-1]}, starts=2, iterations=12)
    ref = make_optimal_gabor(store, config, networks=nets, best_gabor=grid).ref
    best, optimal = store.table(grid, "best_gabor")[::-1], store.table(ref, "optimal_gabor")
    assert optimal["unit_id"].to_list() == best["unit_id"].to_list() == [100, 102]
    assert (optimal["activation"].to_numpy() > best["activation"].to_numpy()).all()
    assert optimal["grid_activation"].to_numpy() == pytest.approx(best["activation"].to_numpy(), rel=1e-5)
    assert optimal["contrast"].to_numpy() == pytest.approx([8.0, 8.0], rel=1e-6)
    parameters = torch.tensor(optimal.select(PARAMETERS).to_numpy())
    shown = at_contrast(gabors(parameters, SIZE), **STATISTICS)[0].float()
    assert np.array_equal(store.arrays(ref, "images")["images"], shown.numpy())
    assert {role: len(refs) for role, refs in store.inputs(ref).items()} == {"model": 2, "best_gabor": 1}
