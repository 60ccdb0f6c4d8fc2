"""Low-pass filters and interpolation shared by every trace: responses, pupil, running."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError

Floats = npt.NDArray[np.float64]

KEPT_GAP = 3  # untracked samples in a row from which on a gap stays a gap


def median_interval(time: Floats) -> float:
    """Return the median interval of a clock, s."""
    return float(np.median(np.diff(time)))


def is_hole(time: Floats, kept_gap: int = KEPT_GAP) -> npt.NDArray[np.bool_]:
    """Say which intervals of a clock lack ``kept_gap`` or more samples altogether: (S − 1,) bool.

    Examples
    --------
    >>> is_hole(np.array([0.0, 1.0, 2.0, 5.0, 9.0, 10.0])).tolist()
    [False, False, False, True, False]
    """
    step = np.diff(time)
    return np.asarray(step > (kept_gap + 0.5) * np.median(step), np.bool_)


def hamming_window(duration: float, dt: float) -> Floats:
    """Unit-sum Hamming window whose half-width is the response window.

    Parameters
    ----------
    duration
        Length of the response window, s.
    dt
        Sampling interval of the trace, s.

    Returns
    -------
    window : (2·⌊duration/dt + 1e-6⌋ + 1,) float64
        A single 1 (no filter) where ``duration < dt``. Without the 1e-6 a 20 Hz clock gives 9 or 10
        samples by rounding. Walker et al. 2019, methods.

    Examples
    --------
    >>> hamming_window(0.5, 0.05).size, round(float(hamming_window(0.5, 0.05).sum()), 12)
    (21, 1.0)
    >>> hamming_window(0.5, 1.0)
    array([1.])
    """
    if not (dt > 0 and duration >= 0):
        raise DataError(f"a window of {duration} s at an interval of {dt} s; expected positive times")
    window: Floats = np.hamming(2 * math.floor(duration / dt + 1e-6) + 1)
    return np.asarray(window / window.sum(), np.float64)


def hamming_slope(duration: float, dt: float) -> Floats:
    """Analytic derivative of the Hamming window, scaled so that a ramp gives its slope per second.

    The derivative of ``0.54 − 0.46·cos(2πn/(M−1))`` is a sine; the window's steps at both ends, which it
    leaves out, cost 15 % of the slope and are given back by the scale. With up to
    three taps, where that sine vanishes, the slope is the central difference.

    Returns
    -------
    taps : (max(M, 3),) float64, 1/s
        To be convolved with the trace.

    Examples
    --------
    >>> ramp = 2.0 * 0.05 * np.arange(50)
    >>> bool(np.allclose(np.convolve(ramp, hamming_slope(0.5, 0.05), "valid"), 2.0))
    True
    """
    size = max(hamming_window(duration, dt).size, 3)
    steps = np.arange(size) - size // 2
    taps = -np.sin(2 * np.pi * steps / (size - 1)) if size > 3 else -steps.astype(np.float64)
    return np.asarray(taps / (-(taps * steps).sum() * dt), np.float64)


def smooth(values: Floats, window: Floats) -> Floats:
    """Convolve a trace with a window; at the ends the window is cut and scaled to unit sum again.

    A constant trace therefore stays constant up to its ends. A NaN anywhere under the window gives NaN.

    Parameters
    ----------
    values : (S,) float64
    window : (M,) float64, M odd, unit sum

    Examples
    --------
    >>> smooth(np.full(4, 7.0), hamming_window(0.2, 0.1)).tolist()
    [7.0, 7.0, 7.0, 7.0]
    """
    half = window.size // 2
    full = np.convolve(values, window)[half : half + values.size]
    kept = np.convolve(np.ones(values.size), window)[half : half + values.size]
    return np.asarray(full / kept, np.float64)


def slope(values: Floats, taps: Floats) -> Floats:
    """Convolve a trace with derivative taps; NaN where the taps reach over an end or a NaN."""
    out = np.full(values.size, np.nan)
    half = taps.size // 2
    if values.size >= taps.size:
        out[half : values.size - half] = np.convolve(values, taps, "valid")
    return out


def fill_short_gaps(values: Floats, kept_gap: int = KEPT_GAP) -> Floats:
    """Interpolate gaps of fewer than ``kept_gap`` NaNs linearly; longer ones and those at an end stay NaN.

    Examples
    --------
    >>> fill_short_gaps(np.array([0, np.nan, np.nan, 3, np.nan, np.nan, np.nan, 7])).tolist()
    [0.0, 1.0, 2.0, 3.0, nan, nan, nan, 7.0]
    """
    lost = np.isnan(values)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], lost, [False])).astype(np.int8)))
    begin, end = edges[::2], edges[1::2]
    short = (end - begin < kept_gap) & (begin > 0) & (end < values.size)
    out = values.astype(np.float64, copy=True)
    if short.any():
        rows = np.concatenate([np.arange(b, e) for b, e in zip(begin[short], end[short], strict=True)])
        known = np.flatnonzero(~lost)
        out[rows] = np.interp(rows, known, values[known])
    return out


def interpolate(time: Floats, values: Floats, at: Floats, kept_gap: int = KEPT_GAP) -> Floats:
    """Interpolate linearly; NaN outside the clock, beside a NaN and inside a hole of the clock.

    A hole is an interval in which ``kept_gap`` or more samples are missing altogether.

    Parameters
    ----------
    time, values : (S,) float64
        Rising times (s) and the trace.
    at : (T,) float64, s
        Instants, NaN allowed.

    Returns
    -------
    (T,) float64

    Examples
    --------
    >>> interpolate(np.arange(4.0), np.array([0, 1, np.nan, 3]), np.array([0.5, 1.0, 1.5, 9.0])).tolist()
    [0.5, 1.0, nan, nan]
    """
    left = np.clip(np.searchsorted(time, at, side="right") - 1, 0, time.size - 2)
    step = time[left + 1] - time[left]
    part = (at - time[left]) / step
    below, above = values[left], values[left + 1]
    out = np.where(part == 0, below, np.where(part == 1, above, below + part * (above - below)))
    hole = is_hole(time, kept_gap)[left] & (part > 0) & (part < 1)
    return np.where((part < 0) | (part > 1) | np.isnan(part) | hole, np.nan, out)
