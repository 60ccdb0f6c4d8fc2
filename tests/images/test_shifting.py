"""Images are displaced by whole pixels, borders repeated."""

import numpy as np

from inception_loop.images.shifting import shift_images


def test_a_shift_moves_the_inside_and_repeats_the_border(noise):
    images = noise(2).numpy()
    moved = shift_images(images, (1, -2))
    assert np.array_equal(moved[:, :-2, 1:], images[:, 2:, :-1])
    assert np.array_equal(moved[:, -1], moved[:, -3])
    assert np.array_equal(moved[:, :, 0], moved[:, :, 1])


def test_no_shift_changes_nothing(noise):
    images = noise(2).numpy()
    assert np.array_equal(shift_images(images, (0, 0)), images)
