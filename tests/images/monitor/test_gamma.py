"""A monitor is read both ways: monotone, exact, within its limits."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.interpolate import PchipInterpolator

from inception_loop.errors import DataError
from inception_loop.images.monitor.gamma import GREY, Monitor

KNOTS = np.linspace(0, 255, 80)
POWER = Monitor(KNOTS, 0.15 + 23.85 * (KNOTS / 255) ** 2.1)

rising = arrays(np.float64, 12, elements=st.floats(0, 10).map(lambda v: round(v, 3))).map(np.sort)


@given(rising, st.floats(0, 255))
def test_grey_of_luminance_of_a_grey_level_is_that_grey_level_even_on_plateaus(luminance, grey):
    if luminance[-1] <= luminance[0]:
        return
    monitor = Monitor(np.linspace(0, 255, 12), luminance)
    assert monitor.to_grey(monitor.to_luminance(np.array([grey])))[0] == pytest.approx(grey, abs=1e-6)


@given(rising)
def test_the_curve_rises_throughout_and_keeps_to_its_knots(luminance):
    if luminance[-1] <= luminance[0]:
        return
    knots = np.linspace(0, 255, 12)
    monitor = Monitor(knots, luminance)
    assert (np.diff(monitor.to_luminance(np.linspace(0, 255, 2000))) > 0).all()
    assert np.allclose(monitor.to_luminance(knots), luminance, atol=1e-5 * np.ptp(luminance))
    ends = monitor.to_luminance(np.array([-5.0, 300.0]))
    assert ends == pytest.approx([monitor.black, monitor.white], rel=1e-12)


def test_between_knots_it_is_scipys_monotone_cubic():
    grey = np.linspace(4, 251, 1000)  # but for the outermost pieces: theirs must not end flat
    assert np.allclose(POWER.to_luminance(grey), PchipInterpolator(KNOTS, POWER.luminance)(grey), atol=1e-5)


def test_rounding_to_bytes_is_rounding_the_grey_level():
    light = np.random.default_rng(0).uniform(-1, 26, (5, 40, 30))
    assert (POWER.to_bytes(light) == np.rint(POWER.to_grey(light))).all()
    assert (POWER.to_bytes(POWER.levels) == np.arange(256)).all()
    assert GREY.to_bytes(np.array([-3.0, 0.4, 127.6, 254.6, 300.0])).tolist() == [0, 0, 128, 255, 255]


def test_torch_and_numpy_agree():
    grey = torch.tensor([[0.0, 12.5], [200.0, 255.0]])
    light = POWER.to_luminance(grey)
    assert light.dtype == torch.float64
    assert (light.numpy() == POWER.to_luminance(grey.numpy())).all()
    assert torch.allclose(POWER.to_grey(light), grey.double())


@pytest.mark.parametrize(
    ("grey", "light", "message"),
    [
        ([0.0, 255.0], [1.0, np.nan], "all finite"),
        ([0.0, 255.0], [1.0, 2.0, 3.0], "as many of both"),
        ([0.0, 250.0], [1.0, 2.0], r"0\.\.250; expected them to rise from 0 to 255"),
        ([0.0, 100.0, 255.0], [1.0, 3.0, 2.5], "falls by up to 0.5"),
        ([0.0, 255.0], [1.0, 1.0], "expected it to rise"),
    ],
)
def test_what_is_no_rising_curve_is_refused(grey, light, message):
    with pytest.raises(DataError, match=message):
        Monitor(np.array(grey), np.array(light))
