"""The ascent finds answers known in closed form, and every item finds its own whoever is beside it."""

import numpy as np
import pytest
import torch

from inception_loop.images.ascent.ascend import Schedule, ascend
from inception_loop.images.ascent.constraints import (
    AtMostContrast,
    FixedContrast,
    FixedContrastInRange,
    GreyRange,
    L2Norm,
    OnlyInside,
)
from inception_loop.images.ascent.objectives import unit_objective
from inception_loop.images.ascent.smoothing import GaussianSmoothing, OneOverF
from inception_loop.images.ascent.steps import MeanAbsoluteStep, Ramp, RmsStep

STEPS = Schedule(60, RmsStep(Ramp(3.0, 0.1)))


def test_the_best_image_of_a_linear_unit_under_a_norm_is_its_filter(linear_cells, even, noise, cosine):
    found = ascend(unit_objective(linear_cells, range(8)), noise(8), L2Norm(300.0, about=110.0), STEPS)
    assert cosine(found.images, even[:8]).min() > 0.99
    gain = found.scores - (110.0 * even[:8]).sum((1, 2))
    assert torch.allclose(gain, torch.full_like(gain, 300.0), rtol=0.002)


def test_at_a_fixed_mean_and_contrast_it_is_the_filter_too(ln_cells, even, noise, cosine):
    found = ascend(unit_objective(ln_cells, range(8)), noise(8), FixedContrast(110.0, 6.0), STEPS)
    assert cosine(found.images, even[:8]).min() > 0.99


def test_under_a_range_it_is_the_sign_of_the_filter(linear_cells, even, noise):
    schedule = Schedule(300, RmsStep(Ramp(1000.0, 1000.0)))
    found = ascend(unit_objective(linear_cells, [3]), noise(1), GreyRange(), schedule)
    strong = even[3].abs() > 1e-4
    assert torch.equal(found.images[0][strong], 255.0 * (even[3][strong] > 0))


def test_energy_of_a_quadrature_pair_reaches_its_analytic_maximum(energy_cells, noise):
    found = ascend(unit_objective(energy_cells, range(8)), noise(8), FixedContrast(110.0, 6.0), STEPS)
    norm2 = 6.0**2 * 36 * 64
    assert (found.scores / norm2).min() > 0.99
    assert (found.scores / norm2).max() < 1.01


def test_smoothing_the_gradient_keeps_the_answer_of_a_smooth_linear_unit(linear_cells, even, noise, cosine):
    schedule = Schedule(60, RmsStep(Ramp(3.0, 0.1)), precondition=GaussianSmoothing(1.0))
    found = ascend(unit_objective(linear_cells, range(20)), noise(20), FixedContrast(110.0, 6.0), schedule)
    assert cosine(found.images, even[:20]).min() > 0.97


TURNS = {
    "left": lambda x: x.flip(-1),
    "down": lambda x: x.flip(-2),
    "transposed": lambda x: x.transpose(-1, -2),
    "shifted": lambda x: x.roll((5, -9), (-2, -1)),
}


@pytest.mark.parametrize("turn", TURNS)
def test_turning_or_shifting_the_problem_does_so_to_the_answer(even, noise, turn):
    start, filters, periodic = noise(4), even[:4], turn == "shifted"  # a shift needs the 1/f filter's borders
    smooth = OneOverF(0.1) if periodic else GaussianSmoothing(1.0)
    schedule, turn = Schedule(30, RmsStep(Ramp(3.0, 0.1)), precondition=smooth), TURNS[turn]

    def climb(start, filters):
        def energy(x, rows):
            return (x * filters[rows]).sum((1, 2)) ** 2

        return ascend(energy, start, FixedContrastInRange(110.0, 6.0), schedule).images

    straight, turned = climb(start, filters), climb(turn(start).contiguous(), turn(filters).contiguous())
    assert torch.allclose(turn(straight), turned, atol=0.02)


@pytest.mark.parametrize(
    "constraint", [GreyRange(), FixedContrastInRange(110.0, 6.0), FixedContrastInRange(110.0, 25.0)]
)
def test_an_image_does_not_depend_on_who_shares_its_batch(energy_cells, noise, constraint):
    start = noise(32)
    schedule = Schedule(
        25, MeanAbsoluteStep(Ramp(1.0, 0.1)), precondition=GaussianSmoothing(1.0), patience=3, tolerance=0.02
    )

    def climb(rows):
        return ascend(unit_objective(energy_cells, rows), start[rows], constraint, schedule)

    together = climb(list(range(32)))
    for rows in ([5], [31, 5, 0, 8, 9, 10, 11]):
        apart = climb(rows)
        assert torch.equal(apart.images, together.images[rows])
        assert torch.equal(apart.scores, together.scores[rows])
        assert np.array_equal(apart.history, together.history[:, rows], equal_nan=True)
        assert apart.reasons == tuple(together.reasons[row] for row in rows)


def test_the_best_image_is_kept_and_its_score_never_falls(linear_cells, noise):
    def shaky(gradient, progress):
        sign = 1.0 if progress < 0.5 else -1.0
        return sign * 5.0 * gradient / gradient.abs().amax()

    objective = unit_objective(linear_cells, [0, 1, 2])
    found = ascend(objective, noise(3), GreyRange(), Schedule(20, shaky))
    assert (np.diff(found.best_history, axis=0) >= 0).all()
    assert np.array_equal(found.best_history[-1], found.scores.numpy())
    assert (found.history[-1] < found.history.max(axis=0)).all()
    assert torch.equal(objective(found.images, torch.arange(3)), found.scores)


def test_what_the_objective_saw_is_what_is_kept(linear_cells, noise):
    present = AtMostContrast(11.0, 110.0)
    objective = unit_objective(linear_cells, [0, 1])
    schedule = Schedule(40, RmsStep(Ramp(3.0, 3.0)), present=present)
    found = ascend(objective, noise(2), GreyRange(), schedule)
    assert torch.allclose(found.images.flatten(1).std(1, correction=0), torch.tensor(11.0), atol=1e-3)
    assert torch.equal(objective(found.images, torch.arange(2)), found.scores)


def test_an_item_without_gradient_stops_at_once_and_alone(even, noise):
    def deaf_to_one(x, rows):
        return (x * even[rows]).sum((1, 2)) * (rows != 1)

    found = ascend(deaf_to_one, noise(3), L2Norm(300.0, about=110.0), STEPS)
    assert found.reasons == ("iterations", "zero_gradient", "iterations")
    assert found.iterations.tolist() == [60, 0, 60]


def test_an_item_that_leaves_the_numbers_keeps_its_best_image(even, noise):
    def breaks(x, rows):
        score = (x * even[rows]).sum((1, 2))
        return torch.where(score > 100, torch.nan, score)

    found = ascend(breaks, noise(2), L2Norm(300.0, about=0.0), STEPS)
    assert found.reasons == ("not_finite", "not_finite")
    assert torch.isfinite(found.images).all()
    assert (found.scores <= 100).all()


def test_items_that_no_longer_rise_stop_and_leave_the_batch(linear_cells, noise):
    seen = []
    objective = unit_objective(linear_cells, [0, 1, 2])

    def watched(x, rows):
        seen.append(len(rows))
        return objective(x, rows)

    schedule = Schedule(200, RmsStep(Ramp(3.0, 0.03)), patience=5, tolerance=1e-3)
    found = ascend(watched, noise(3), L2Norm(300.0, about=110.0), schedule)
    assert set(found.reasons) == {"converged"}
    assert found.iterations.max() < 100
    assert sum(seen) == (found.iterations + 1).sum()
    for item, taken in enumerate(found.iterations):
        assert np.isfinite(found.history[: taken + 1, item]).all()
        assert np.isnan(found.history[taken + 1 :, item]).all()


def test_the_initial_images_are_not_touched(linear_cells, noise):
    start = noise(2)
    before = start.clone()
    ascend(unit_objective(linear_cells, [0, 1]), start, FixedContrastInRange(110.0, 60.0), STEPS)
    assert torch.equal(start, before)


def test_an_item_keeps_its_own_mask_when_others_leave(linear_cells, even, noise):
    free = torch.zeros(3, 36, 64, dtype=torch.bool)
    for item in range(3):
        free[item, :, 20 * item : 20 * item + 24] = True
    objective = unit_objective(linear_cells, [0, 1, 2])

    steps = iter(range(100))

    def deaf_after_a_while(x, rows):
        return objective(x, rows) * ((rows > 0) | (next(steps) < 10))

    start, fixed = noise(3), torch.full((3, 36, 64), 110.0)
    schedule = Schedule(40, RmsStep(Ramp(3.0, 3.0)))
    found = ascend(deaf_after_a_while, start, OnlyInside(free, fixed), schedule)
    assert found.reasons == ("zero_gradient", "iterations", "iterations")
    assert (found.images[~free] == 110).all()
    assert (found.images[1:][free[1:]] != 110).any()


def test_a_step_that_leads_back_and_forth_across_the_summit_is_halved_before_it_counts_as_the_end():
    ridge = torch.linspace(0.3, 3.0, 12).reshape(1, 3, 4)  # narrow along some pixels: long steps overshoot
    summit = torch.full((1, 3, 4), 2.0)

    def objective(images, rows):
        return 100 - ((images - summit) * ridge).square().sum((1, 2))

    def climb(halvings):
        schedule = Schedule(200, RmsStep(Ramp(1.0, 1.0)), patience=5, tolerance=1e-3, halvings=halvings)
        return ascend(objective, torch.zeros(1, 3, 4), GreyRange(-9.0, 9.0), schedule)

    coarse, fine = climb(0), climb(6)
    assert coarse.reasons == fine.reasons == ("converged",)
    assert 100 - fine.scores.item() < 0.1 * (100 - coarse.scores.item())
