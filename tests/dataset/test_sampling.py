from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.dataset.sampling import (
    fill_short_gaps,
    hamming_slope,
    hamming_window,
    interpolate,
    median_interval,
    slope,
    smooth,
)
from inception_loop.errors import DataError


@pytest.mark.parametrize("offset", np.linspace(-1e-9, 1e-9, 7))
def test_a_20_hz_clock_gives_21_taps_whatever_its_rounding(offset):
    assert hamming_window(0.5, 0.05 + offset).size == 21


@pytest.mark.parametrize("start", [0.0, 1 / 3, 5.0, 1234.5678, 86_399.975, 1.7e9])
@pytest.mark.parametrize("phase", np.linspace(0, 0.05, 6))
@pytest.mark.parametrize("rounding", [None, 6, 4])
def test_a_20_hz_clock_gives_21_taps_at_every_offset(start, phase, rounding):
    """Seconds since 1970 leave 2e-7 s of rounding; cameras write 4 or 6 digits."""
    for count in (199, 200):
        clock = start + phase + 0.05 * np.arange(count)
        summed = start + phase + np.cumsum(np.full(count, 0.05))
        for time in (clock, summed):
            time = time if rounding is None else time.round(rounding)
            assert hamming_window(0.5, median_interval(time)).size == 21


def gain(frequency, dt, taps):
    """Transfer function of a Hamming window: three Dirichlet kernels, at the frequency and one bin beside."""
    turns = frequency * dt + np.array([-1, 0, 1]) / (taps - 1)
    dirichlet = np.sin(taps * np.pi * turns) / np.sin(np.pi * turns)
    return float(dirichlet @ [0.23, 0.54, 0.23] / (0.54 * taps - 0.46))


def test_no_filter_where_the_window_is_shorter_than_a_sample():
    np.testing.assert_array_equal(hamming_window(0.1, 0.2), [1.0])


def test_window_of_a_negative_interval_is_refused():
    with pytest.raises(DataError, match="positive"):
        hamming_window(0.5, -0.1)


@given(st.floats(0.01, 1.0), st.floats(0.005, 0.5))
def test_window_is_symmetric_and_of_unit_sum(duration, dt):
    window = hamming_window(duration, dt)
    assert window.size % 2 == 1
    np.testing.assert_allclose(window.sum(), 1.0)
    np.testing.assert_allclose(window, window[::-1])


@pytest.mark.parametrize("frequency", [0.2, 0.7, 1.3, 3.0])
def test_sine_leaves_the_window_with_the_analytic_gain(frequency):
    dt, size = 0.05, 4001
    window = hamming_window(0.5, dt)
    time = np.arange(size) * dt
    got = smooth(np.sin(2 * np.pi * frequency * time), window)
    inner = slice(20, -20)
    want = gain(frequency, dt, window.size)
    np.testing.assert_allclose(got[inner], want * np.sin(2 * np.pi * frequency * time)[inner], atol=1e-12)


def test_slope_of_a_slow_sine_is_its_cosine():
    dt = 0.02
    time = np.arange(5000) * dt
    got = slope(np.sin(0.2 * time), hamming_slope(0.5, dt))
    assert np.isnan(got[:25]).all()
    assert np.isnan(got[-25:]).all()
    np.testing.assert_allclose(got[25:-25], 0.2 * np.cos(0.2 * time)[25:-25], atol=2e-4)


@pytest.mark.parametrize(("duration", "dt"), [(0.5, 0.05), (0.5, 0.3), (0.5, 0.9), (0.5, 1 / 30)])
def test_slope_of_a_ramp_is_exact(duration, dt):
    got = slope(3.0 * dt * np.arange(100), hamming_slope(duration, dt))
    np.testing.assert_allclose(got[~np.isnan(got)], 3.0)


def test_smoothing_keeps_a_constant_up_to_its_ends():
    np.testing.assert_allclose(smooth(np.full(8, 3.5), hamming_window(0.5, 0.05)), 3.5)


def test_nan_under_the_window_gives_nan():
    values = np.ones(50)
    values[25] = np.nan
    got = smooth(values, hamming_window(0.25, 0.05))
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(got)), np.arange(20, 31))


def test_a_gap_of_two_is_filled_and_a_gap_of_three_is_kept():
    nan = np.nan
    got = fill_short_gaps(np.array([nan, 1, nan, nan, 4, nan, nan, nan, 8, 9, nan, nan]))
    np.testing.assert_array_equal(got, [nan, 1, 2, 3, 4, nan, nan, nan, 8, 9, nan, nan])


def test_a_trace_without_any_value_stays_nan():
    assert np.isnan(fill_short_gaps(np.full(5, np.nan))).all()


def test_interpolation_on_a_sample_needs_no_neighbour():
    got = interpolate(np.arange(3.0), np.array([np.nan, 5.0, np.nan]), np.array([0.9, 1.0, 1.1]))
    np.testing.assert_array_equal(got, [np.nan, 5.0, np.nan])


def test_a_hole_in_the_clock_counts_as_a_gap():
    time = np.array([0, 1, 2, 3, 7, 8, 9.0])  # three samples missing
    got = interpolate(time, time, np.array([2.5, 5.0, 7.0]))
    np.testing.assert_array_equal(got, [2.5, np.nan, 7.0])
    time = np.array([0, 1, 2, 3, 6, 7, 8.0])  # two missing
    np.testing.assert_array_equal(interpolate(time, time, np.array([4.5])), [4.5])
