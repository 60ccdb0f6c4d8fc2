"""Linear receptive fields against slow obvious versions and against filters that are known."""

from __future__ import annotations

import numpy as np
import pytest

from inception_loop.errors import DataError
from inception_loop.training.smooth_ridge import SmoothRidge, spike_triggered_average

H, W = 6, 9


def laplacian(n):
    """Second difference along n pixels, the border's value continued beyond it."""
    out = np.zeros((n, n))
    for i in range(n - 1):
        out[i : i + 2, i : i + 2] += [[-1, 1], [1, -1]]
    return out


def slow(images, responses, smoothness, strength):
    """Normal equations, a matrix for the penalty; filters of every unit."""
    x = images.reshape(len(images), -1) - images.reshape(len(images), -1).mean(0)
    second = np.kron(laplacian(H), np.eye(W)) + np.kron(np.eye(H), laplacian(W))
    penalty = strength * x.var(0).mean() * (np.eye(H * W) + smoothness * second.T @ second)
    covariance = x.T @ x / len(x) + penalty
    filters = np.linalg.solve(covariance, x.T @ (responses - responses.mean(0)) / len(x))
    return filters.T.reshape(-1, H, W)


def trials(count, units=4, seed=0):
    rng = np.random.default_rng(seed)
    return 3 + rng.normal(size=(count, H, W)), rng.gamma(1, 1, (count, units))


def gabor():
    y, x = np.mgrid[:H, :W]
    return np.exp(-((x - 4) ** 2 + (y - 2.5) ** 2) / 3) * np.cos(1.2 * (x - 4))


def cosine(one, other):
    return (one * other).sum() / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.mark.parametrize("count", [30, 54, 55, 200])
@pytest.mark.parametrize("smoothness", [0.0, 0.5, 20.0])
@pytest.mark.parametrize("strength", [0.003, 1.0])
def test_one_decomposition_gives_the_solution_of_the_normal_equations(count, smoothness, strength):
    images, responses = trials(count)
    ridge = SmoothRidge(images, smoothness)
    coefficients = ridge.solve(ridge.moments(responses), strength)
    want = slow(images, responses, smoothness, strength)
    np.testing.assert_allclose(ridge.filters(coefficients), want, atol=1e-9 * np.abs(want).max())
    fresh = trials(7, seed=1)[0]
    predicted = np.einsum("thw,uhw->tu", fresh - images.mean(0), want)
    np.testing.assert_allclose(ridge.project(fresh) @ coefficients, predicted, atol=1e-8)


def test_every_unit_may_have_its_own_strength():
    images, responses = trials(80)
    ridge = SmoothRidge(images, 2.0)
    moments, own = ridge.moments(responses), np.array([0.01, 1.0, 0.1, 10.0])
    got = ridge.solve(moments, own)
    for unit, strength in enumerate(own):
        np.testing.assert_array_equal(got[:, [unit]], ridge.solve(moments[:, [unit]], strength))


def test_the_unit_of_the_images_leaves_predictions_as_they_are():
    images, responses = trials(80)
    one, other = SmoothRidge(images, 2.0), SmoothRidge(40 * images + 7, 2.0)
    fresh = trials(7, seed=1)[0]
    np.testing.assert_allclose(
        other.project(40 * fresh + 7) @ other.solve(other.moments(responses), 0.3),
        one.project(fresh) @ one.solve(one.moments(responses), 0.3),
        atol=1e-10,
    )


def test_a_smoother_penalty_gives_a_smoother_filter():
    images, responses = trials(200)
    second = np.kron(laplacian(H), np.eye(W)) + np.kron(np.eye(H), laplacian(W))

    def roughness(smoothness):
        ridge = SmoothRidge(images, smoothness)
        filters = ridge.filters(ridge.solve(ridge.moments(responses), 1.0)).reshape(4, -1)
        return ((filters @ second) ** 2).sum(1) / (filters**2).sum(1)

    assert (roughness(10.0) < roughness(1.0)).all()
    assert (roughness(1.0) < roughness(0.0)).all()


def test_the_average_is_that_of_images_weighted_by_responses():
    images, responses = trials(30)
    want = [np.average(images, axis=0, weights=unit) - images.mean(0) for unit in responses.T]
    np.testing.assert_allclose(spike_triggered_average(images, responses), want, atol=1e-12)
    responses[:, 1] = 0
    assert not spike_triggered_average(images, responses)[1].any()


def test_both_find_the_filter_of_a_linear_nonlinear_cell_in_white_noise():
    rng = np.random.default_rng(2)
    images = rng.normal(size=(20_000, H, W))
    drive = (images * gabor() / np.linalg.norm(gabor())).sum((1, 2))
    responses = rng.poisson(np.exp(drive - 1))[:, None]
    # the cosine of an estimate with error s a pixel is about 1 - P s²/2: here s² is 1/(T × signal to noise)
    assert cosine(spike_triggered_average(images, responses)[0], gabor()) > 0.99
    ridge = SmoothRidge(images, 1.0)
    assert cosine(ridge.filters(ridge.solve(ridge.moments(responses), 0.003))[0], gabor()) > 0.99


def test_correlated_images_blur_the_average_and_not_the_regression():
    rng = np.random.default_rng(3)
    white = rng.normal(size=(100_000, H, W))
    images = white.cumsum(1).cumsum(2) / 10
    images -= images.mean((1, 2), keepdims=True)
    drive = (images * gabor()).sum((1, 2))
    responses = rng.poisson(np.exp(0.7 * drive / drive.std()))[:, None]
    ridge = SmoothRidge(images)
    regressed = ridge.filters(ridge.solve(ridge.moments(responses), 1e-4))[0]
    wanted = gabor() - gabor().mean()  # the images tell nothing of the mean
    assert cosine(regressed, wanted) > 0.95
    assert cosine(spike_triggered_average(images, responses)[0], wanted) < 0.8


@pytest.mark.parametrize("images", [np.ones((1, H, W)), np.ones((5, H, W))], ids=["one", "all the same"])
def test_images_that_do_not_differ_are_refused(images):
    with pytest.raises(DataError, match="images that do not differ cannot be regressed on"):
        SmoothRidge(images)
