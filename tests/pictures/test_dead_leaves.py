"""Laws of dead leaves."""

import numpy as np
import pytest

from inception_loop.errors import ConfigurationError
from inception_loop.pictures.dead_leaves import dead_leaves


def test_a_picture_depends_on_its_seed_and_number_only():
    few, many = (dead_leaves(n, height=36, width=64, seed=5) for n in (2, 4))
    np.testing.assert_array_equal(few, many[:2])
    assert (dead_leaves(1, height=36, width=64, seed=6)[0] != few[0]).any()
    assert (few[0] != few[1]).any()


def test_grey_levels_stay_in_the_range_of_the_monitor():
    pictures = dead_leaves(20, height=36, width=64, seed=1)
    assert pictures.dtype == np.float32
    assert pictures.min() >= 0
    assert pictures.max() <= 255
    assert pictures.std(axis=(1, 2)).min() > 10


def test_power_falls_with_frequency_as_in_natural_images():
    pictures = dead_leaves(60, height=64, width=64, seed=2)
    window = np.hanning(64)[:, None] * np.hanning(64)
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred * window)) ** 2).mean(0)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    middle = (f > 3 / 64) & (f < 0.4)
    slope = np.polyfit(np.log(f[middle]), np.log(power[middle]), 1)[0]
    assert -3 < slope < -1.5  # natural images: about -2


@pytest.mark.parametrize("wrong", [{"smallest": 0.0}, {"smallest": 9.0, "largest": 4.0}, {"height": 0}])
def test_impossible_sizes_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="expected a positive size and 0 < smallest < largest"):
        dead_leaves(1, **({"height": 36, "width": 64, "seed": 1} | wrong))
