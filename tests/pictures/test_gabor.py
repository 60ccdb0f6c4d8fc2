"""Laws of Gabor patches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError
from inception_loop.pictures.gabor import gabor

PATCH = {
    "center_x": 30.0,
    "center_y": 16.0,
    "wavelength": 9.0,
    "orientation": 0.4,
    "phase": 0.7,
    "sigma": 3.0,
}


def test_a_slow_loop_over_pixels_gives_the_same_patch():
    patch = gabor(20, 30, **(PATCH | {"center_x": 12.3, "center_y": 9.1}))
    slow = np.empty((20, 30))
    for row in range(20):
        for column in range(30):
            dx, dy = column - 12.3, row - 9.1
            across = dx * np.cos(0.4) + dy * np.sin(0.4)
            slow[row, column] = np.exp(-(dx * dx + dy * dy) / 18) * np.cos(2 * np.pi * across / 9 + 0.7)
    np.testing.assert_allclose(patch, slow, atol=1e-12)


def test_phase_zero_is_even_and_phase_quarter_is_odd_about_the_centre():
    even = gabor(33, 61, **(PATCH | {"phase": 0.0}))
    odd = gabor(33, 61, **(PATCH | {"phase": -np.pi / 2}))
    np.testing.assert_allclose(even, even[::-1, ::-1], atol=1e-12)
    np.testing.assert_allclose(odd, -odd[::-1, ::-1], atol=1e-12)
    assert even[16, 30] == 1
    assert abs(odd[16, 30]) < 1e-12


def test_moving_the_centre_moves_the_patch():
    here, there = gabor(36, 64, **PATCH), gabor(36, 64, **(PATCH | {"center_x": 35.0, "center_y": 14.0}))
    np.testing.assert_allclose(here[4:30, 20:40], there[2:28, 25:45], atol=1e-12)


def test_transposing_the_image_turns_the_stripes_by_a_mirror():
    patch = gabor(40, 40, **(PATCH | {"center_y": 12.0}))
    turned = gabor(
        40,
        40,
        **(PATCH | {"center_x": 12.0, "center_y": 30.0, "orientation": np.pi / 2 - PATCH["orientation"]}),
    )
    np.testing.assert_allclose(patch.T, turned, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(wavelength=st.floats(4, 20), orientation=st.floats(0, 3.1))
def test_the_spectrum_peaks_at_the_wavelength_and_orientation(wavelength, orientation):
    patch = gabor(
        129, 129, center_x=64, center_y=64, wavelength=wavelength, orientation=orientation, phase=0, sigma=15
    )
    power = np.abs(np.fft.fft2(patch, s=(512, 512)))
    row, column = np.unravel_index(power.argmax(), power.shape)
    f = np.fft.fftfreq(512)
    assert np.hypot(f[row], f[column]) == pytest.approx(1 / wavelength, abs=2 / 512)
    direction = abs(f[column] * np.cos(orientation) + f[row] * np.sin(orientation))
    assert direction == pytest.approx(1 / wavelength, abs=2 / 512)


@pytest.mark.parametrize("wrong", [{"wavelength": 0.0}, {"sigma": -1.0}])
def test_a_size_that_is_not_positive_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="expected both above 0 px"):
        gabor(5, 5, **(PATCH | wrong))
