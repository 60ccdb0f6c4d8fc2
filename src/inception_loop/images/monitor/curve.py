"""Curves through a meter's readings: the power law, a smooth correction of it, the readings made monotone."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

from inception_loop.images.monitor.gamma import Monitor
from inception_loop.images.monitor.measured_levels import MeasuredLevels
from inception_loop.images.monitor.power_law import PowerLaw, fit_power_law

Floats = npt.NDArray[np.float64]
Curve = Literal["smoothed", "measured", "fit"]

FLOOR = 0.02  # of the luminance range: what is added to the luminance where the noise is in proportion to it
PENALTIES = np.geomspace(1e-10, 1e6, 161)
GREY = np.arange(256, dtype=np.float64)


def law_curve(law: PowerLaw) -> Monitor:
    """Return the power law itself."""
    return Monitor(GREY, law(GREY))


def smoothed_curve(levels: MeasuredLevels) -> Monitor:
    """Return a power law plus a smoothing spline of its residuals, no rougher than the readings call for.

    Where a monitor obeys the law the correction vanishes; where it does not, the curve follows the readings.
    Of the two laws that count residuals alike or by the luminance it takes the one with likelier residuals.
    """
    laws = [fit_power_law(levels.pixel_value, levels.luminance, noise) for noise in ("absolute", "relative")]
    found = [_correction(levels, law) for law in laws]
    best = int(np.argmin([deviance for deviance, _ in found]))
    curve = np.maximum(laws[best](GREY) + found[best][1], 0.0)
    return Monitor(GREY, scipy.optimize.isotonic_regression(curve).x)


def measured_curve(levels: MeasuredLevels) -> Monitor:
    """Return the nearest monotone curve: levels out of order become one point at their mean.

    Black and white stay where they are.
    """
    found = scipy.optimize.isotonic_regression(levels.luminance, weights=levels.readings)
    edges = zip(found.blocks[:-1], found.blocks[1:], strict=True)
    parts = [(levels.pixel_value[a:b], float(found.x[a])) for a, b in edges]
    grey, luminance = [part.mean() for part, _ in parts], [at for _, at in parts]
    if len(parts[0][0]) > 1:
        grey, luminance = [0.0, parts[0][0][-1], *grey[1:]], [luminance[0], *luminance]
    if len(parts[-1][0]) > 1:
        grey, luminance = [*grey[:-1], parts[-1][0][0], 255.0], [*luminance, luminance[-1]]
    return Monitor(np.array(grey), np.array(luminance))


def _correction(levels: MeasuredLevels, law: PowerLaw) -> tuple[float, Floats]:
    smooth = law(levels.pixel_value)
    weight = levels.readings * (law.range / (smooth + FLOOR * law.range)) ** 2
    deviance, fitted = smoothing_spline(levels.pixel_value / 255, levels.luminance - smooth, weight)
    spline = scipy.interpolate.CubicSpline(levels.pixel_value, fitted, bc_type="natural")
    return deviance, np.asarray(spline(GREY))


def smoothing_spline(x: Floats, y: Floats, weight: Floats) -> tuple[float, Floats]:
    """Fit a natural cubic smoothing spline whose roughness is the likeliest.

    The roughness penalty is chosen by restricted maximum likelihood (Wahba 1985), which overfits far less
    often than cross-validation.

    Parameters
    ----------
    x, y, weight : (L,) float64
        Rising places, values, and weights in inverse proportion to the noise's variance; L at least 4.

    Returns
    -------
    deviance : float
        Minus twice the log likelihood, but for a constant that only L and the weights determine.
    fitted : (L,) float64
        The spline at ``x``.

    Examples
    --------
    >>> x = np.linspace(0, 1, 20)
    >>> bool(np.allclose(smoothing_spline(x, 3 * x + 1, np.ones(20))[1], 3 * x + 1))
    True
    """
    root = np.sqrt(weight)
    roughness, modes = np.linalg.eigh(_penalty(x) / np.outer(root, root))
    amplitude = modes.T @ (root * y)
    rough, wavy = np.maximum(roughness[2:], 1e-300), amplitude[2:]  # straight lines, the first two, are free
    penalties = PENALTIES / rough[0]
    spread = 1 + 1 / np.outer(penalties, rough)
    noise = np.maximum((wavy**2 / spread).mean(1), 1e-300)
    deviance = len(wavy) * np.log(noise) + np.log(spread).sum(1)
    best = int(deviance.argmin())
    kept = 1 / (1 + penalties[best] * np.maximum(roughness, 0.0))
    kept[:2] = 1.0
    return float(deviance[best]), np.asarray(modes @ (amplitude * kept) / root)


def _penalty(x: Floats) -> Floats:
    """(L, L) matrix of the integral of the squared second derivative (Green and Silverman 1994, 2.1.2)."""
    step, inner = np.diff(x), len(x) - 2
    second = np.zeros((len(x), inner))
    overlap = np.zeros((inner, inner))
    for j in range(inner):
        second[j : j + 3, j] = 1 / step[j], -1 / step[j] - 1 / step[j + 1], 1 / step[j + 1]
        overlap[j, j] = (step[j] + step[j + 1]) / 3
        if j + 1 < inner:
            overlap[j, j + 1] = overlap[j + 1, j] = step[j + 1] / 6
    return np.asarray(second @ np.linalg.solve(overlap, second.T))
