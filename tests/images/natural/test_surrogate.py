"""A guess from values and gradients: exact where asked, right between, unsure far away."""

import pytest
import torch

from inception_loop.images.natural import surrogate
from inception_loop.images.natural.surrogate import Surrogate, active_directions


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def fitted(function, points, n_sloped):
    points = points.clone().requires_grad_()
    values = function(points)
    (slopes,) = torch.autograd.grad(values.sum(), points)
    return Surrogate.fit(points.detach(), values.detach(), slopes[:n_sloped], torch.arange(n_sloped))


FUNCTIONS = {
    "linear": lambda p: 3 + p @ torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64),
    "energy": lambda p: (0.1 + p[:, :2].square().sum(1)).sqrt(),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_values_and_gradients_at_a_few_points_tell_the_others(function):
    guess = fitted(function, draw(16, 3), 10)
    others = draw(200, 3)
    truth = function(others)
    assert torch.corrcoef(torch.stack([guess.mean(others), truth]))[0, 1] > 0.9


def test_it_is_sure_where_it_was_asked_and_unsure_far_away():
    points = draw(16, 3)
    guess = fitted(FUNCTIONS["energy"], points, 16)
    near, far = guess.deviation(points), guess.deviation(points * 20)
    assert near.max() < 0.2 * far.min()


def rectifiers(points, bias):
    """Outputs of very many random rectifiers at (n, r) points, and their gradients (n, r)."""
    directions = draw(points.shape[1] + 1, 400_000) * 2**0.5
    on = points @ directions[:-1] + bias * directions[-1]
    return on.clamp(min=0), (on > 0)[:, None] * directions[:-1]


def test_its_covariances_are_those_of_random_rectifiers():
    points = draw(4, 2)
    biased = torch.cat([points, torch.full((4, 1), 0.7, dtype=torch.float64)], 1)
    values, slopes = rectifiers(points, 0.7)
    count = values.shape[1]
    close = {"atol": 0.03, "rtol": 0.02}
    assert torch.allclose(surrogate._of_values(biased, biased), values @ values.T / count, **close)
    mixed = torch.einsum("ns,mrs->nmr", values, slopes) / count
    assert torch.allclose(surrogate._with_slopes(biased, biased), mixed, **close)
    both = torch.einsum("nrs,mqs->nmrq", slopes, slopes) / count
    assert torch.allclose(surrogate._of_slopes(biased), both, **close)


def test_mean_and_deviation_are_those_of_the_normal_distribution():
    guess, at = fitted(FUNCTIONS["energy"], draw(6, 2), 4), draw(5, 2)
    everything = torch.cat([at, torch.full((5, 1), guess.points[0, -1].item(), dtype=torch.float64)], 1)
    cross = torch.cat(
        [
            surrogate._of_values(everything, guess.points),
            surrogate._with_slopes(everything, guess.points[:4]).flatten(1),
        ],
        1,
    )
    assert torch.allclose(guess.mean(at), guess.level + guess.spread * cross @ guess.weights)
    known = cross @ torch.linalg.solve(guess.factor @ guess.factor.T, cross.T)
    variance = guess.amplitude * (surrogate._of_values(everything, everything) - known).diagonal()
    assert torch.allclose(guess.deviation(at), guess.spread * variance.clamp(min=0).sqrt(), atol=1e-7)


def test_a_complex_cell_is_guessed_far_from_the_images_asked_about():
    guess = fitted(FUNCTIONS["energy"], draw(12, 2), 12)
    circle = torch.linspace(0, 6, 13, dtype=torch.float64)
    far = 5 * torch.stack([circle.cos(), circle.sin()], 1)
    assert guess.mean(far).min() > 4


def test_the_main_directions_of_gradients_are_found():
    plane = torch.linalg.qr(draw(50, 2))[0]
    gradients = draw(9, 2) @ plane.T
    turn = active_directions(gradients, 10)
    directions = gradients.T @ turn
    assert turn.shape == (9, 2)
    assert torch.allclose(directions.T @ directions, torch.eye(2, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(plane @ (plane.T @ directions), directions, atol=1e-9)
    assert active_directions(torch.zeros(3, 5, dtype=torch.float64), 2).shape == (3, 0)


def test_equal_activations_are_no_trouble():
    flat = Surrogate.fit(
        draw(4, 2), torch.ones(4, dtype=torch.float64), torch.zeros(1, 2).double(), torch.tensor([0])
    )
    assert torch.allclose(flat.mean(draw(3, 2)), torch.ones(3, dtype=torch.float64))
