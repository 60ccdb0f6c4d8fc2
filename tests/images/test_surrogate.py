"""A guess from values and gradients: exact where asked, right between, unsure far away."""

import pytest
import torch

from inception_loop.images.surrogate import Surrogate, active_directions


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


def test_mean_and_deviation_are_those_of_the_joint_normal_distribution():
    """The formulas in blocks against one Gaussian over values and finite differences."""
    points, at, step = draw(6, 2), draw(5, 2), 1e-4
    guess = fitted(lambda p: p[:, 0].sin() + p[:, 1], points, 3)

    def kernel(a, b):
        square = torch.cdist(a, b).square()
        return torch.exp(-square / (2 * guess.scale**2)) + a @ b.T / guess.scale**2

    shifts = step * torch.eye(2, dtype=torch.float64)
    moved = [(points[:3] + sign * shift) for shift in shifts for sign in (1, -1)]
    everything = torch.cat([points, *moved, at])
    mix = torch.zeros(6 + 6, len(everything), dtype=torch.float64)
    mix[:6, :6] = torch.eye(6)
    for axis in range(2):
        for row in range(3):
            mix[6 + 2 * row + axis, 6 + 6 * axis + row] = 1 / (2 * step)
            mix[6 + 2 * row + axis, 6 + 6 * axis + 3 + row] = -1 / (2 * step)
    joint = kernel(everything, everything)
    cross = joint[-5:] @ mix.T
    noisy = guess.factor @ guess.factor.T
    assert torch.allclose(
        noisy - torch.diag(noisy.diagonal()),
        (lambda k: k - torch.diag(k.diagonal()))(mix @ joint @ mix.T),
        atol=1e-5,
    )
    weights = torch.cat([guess.of_values, guess.of_slopes.flatten()])
    assert torch.allclose(guess.mean(at), guess.level + guess.spread * cross @ weights, atol=1e-6)
    variance = joint[-5:, -5:].diagonal() - (cross @ torch.linalg.solve(noisy, cross.T)).diagonal()
    assert torch.allclose(guess.deviation(at), guess.spread * variance.clamp(min=0).sqrt(), atol=1e-4)


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
