"""From network pixels to bytes on the monitor and back."""

import numpy as np

from inception_loop.dataset.area_average import area_average
from inception_loop.stimuli.rig import to_rig


def test_averaging_the_areas_gives_the_rounded_image_back(make_pictures):
    images = make_pictures(3)
    shown = to_rig(images, 2)
    assert shown.shape == (3, 72, 128)
    assert shown.dtype == np.uint8
    assert np.array_equal(area_average(shown, 36, 64), np.rint(images))


def test_values_are_clipped_and_rounded_never_wrapped():
    assert to_rig(np.array([[[-3.0, 300.0, 99.5, 100.5]]]), 1).tolist() == [[[0, 255, 100, 100]]]
