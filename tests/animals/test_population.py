"""Trial noise, and signal and noise variance, against brute simulation."""

import numpy as np
import pytest

from inception_loop.animals.behavior import reference_behavior
from inception_loop.animals.population import add_noise, image_moments
from inception_loop.animals.reference_images import reference_images


def test_noise_has_the_mean_and_variance_it_claims():
    expected = np.tile(np.array([0.2, 1.0, 4.0], dtype=np.float32), (200_000, 1))
    fano = np.array([0.5, 1.0, 0.1])
    drawn = add_noise(expected, fano, np.random.default_rng(1))
    assert drawn.min() >= 0
    np.testing.assert_allclose(drawn.mean(axis=0), expected[0], rtol=0.01)
    np.testing.assert_allclose(drawn.var(axis=0), fano * expected[0], rtol=0.03)


def test_signal_and_noise_are_those_of_many_simulated_repeats(animal):
    population = animal.population(0)
    images = reference_images()[:12]
    states = reference_behavior(animal.config.behavior)[0].take(np.arange(400))
    mean, signal, noise = image_moments(population, images, np.arange(12), states)
    rng = np.random.default_rng(3)
    trials = []
    for image in range(12):
        pick = states.take(rng.integers(400, size=1500))
        expected = population.expected(images, np.full(1500, image), pick)
        trials.append(add_noise(expected, population.fano, rng))
    responses = np.stack(trials).astype(float)
    error = np.sqrt(responses.var(axis=1) / 1500)
    assert (np.abs(mean - responses.mean(axis=1)) < 5 * error).all()
    np.testing.assert_allclose(noise, responses.var(axis=1, ddof=1).mean(axis=0), rtol=0.12)
    brute = responses.mean(axis=1).var(axis=0, ddof=1) - responses.var(axis=1).mean(axis=0) / 1500
    driven = animal.cells.kind != "unresponsive"
    np.testing.assert_allclose(signal[driven], brute[driven], rtol=0.2)
    assert (signal[~driven] < 0.01 * noise[~driven]).all()


def test_with_few_states_the_signal_is_not_biased_upwards(animal):
    population = animal.population(0)
    images = reference_images()[:20]
    behavior = reference_behavior(animal.config.behavior)[0]
    _, true, _ = image_moments(population, images, np.arange(20), behavior.take(np.arange(800)))
    rng = np.random.default_rng(4)
    few = [
        image_moments(population, images, np.arange(20), behavior.take(rng.integers(800, size=4)))[1]
        for _ in range(60)
    ]
    driven = animal.cells.kind != "unresponsive"
    ratio = np.mean(few, axis=0)[driven].sum() / true[driven].sum()
    assert ratio == pytest.approx(1, abs=0.06)
