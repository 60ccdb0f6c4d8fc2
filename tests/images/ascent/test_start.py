"""A unit's noise depends on seed and key alone."""

import numpy as np

from inception_loop.images.ascent.start import grey_noise


def test_noise_of_a_unit_does_not_depend_on_the_others():
    together = grey_noise(["a/1", "a/2", "b/1"], 3, mean=128, std=8, size=(36, 64))
    assert np.array_equal(grey_noise(["a/2"], 3, mean=128, std=8, size=(36, 64))[0], together[1])
    assert np.array_equal(grey_noise(["b/1", "a/1"], 3, mean=128, std=8, size=(36, 64)), together[[2, 0]])


def test_units_and_seeds_differ():
    first = grey_noise(["a/1", "a/2"], 3, mean=128, std=8, size=(36, 64))
    other = grey_noise(["a/1", "a/2"], 4, mean=128, std=8, size=(36, 64))
    flat = np.concatenate([first, other]).reshape(4, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(4)).max() < 0.1


def test_noise_has_its_mean_and_std_within_the_grey_range():
    noise = grey_noise([str(i) for i in range(20)], 3, mean=128, std=8, size=(36, 64))
    assert abs(noise.mean() - 128) < 0.2
    assert abs(noise.std() - 8) < 0.1
    wild = grey_noise(["a"], 3, mean=128, std=200, size=(36, 64))
    assert (wild.min(), wild.max()) == (0, 255)
    assert wild.dtype == np.float32
