"""The power law of a monitor, ``luminance = amplitude · pixel^gamma + offset``, fitted with its errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy

Floats = npt.NDArray[np.float64]
Noise = Literal["absolute", "relative"]

WHITE = 255.0
AMPLITUDES, GAMMAS, OFFSETS = (0.0, 1000.0), (0.0, 20.0), (0.0, 100.0)
"""Bounds of the published fit. The amplitude's are those of luminance at full drive, cd/m²."""

STARTS = np.geomspace(0.05, GAMMAS[1], 80)
FLOOR = 1e-3  # of the luminance range: the luminance meter's error where there is no light
ROUNDS = 6  # of reweighting; the weights of relative noise hang on the curve


@dataclass(frozen=True)
class PowerLaw:
    """A fitted power law. Grey levels are divided by 255 before they are raised to gamma.

    Attributes
    ----------
    range, offset : float
        Luminance that full drive adds, and luminance of black, cd/m².
    gamma : float
    covariance : (3, 3) float64
        Of (range, gamma, offset); 0 for an offset at its bound. It follows from the residuals as they are
        (MacKinnon and White 1985, HC3), so that noise may differ between grey levels.
    mse : float
        Mean squared residual, (cd/m²)².
    """

    range: float
    gamma: float
    offset: float
    covariance: Floats
    mse: float

    def __call__(self, pixel_value: Floats) -> Floats:
        """Return the luminance at grey levels, cd/m²."""
        return np.asarray(self.range * (pixel_value / WHITE) ** self.gamma + self.offset)

    @property
    def errors(self) -> tuple[float, float, float]:
        """Standard errors of (range, gamma, offset)."""
        range_, gamma, offset = np.sqrt(np.diag(self.covariance)).tolist()
        return range_, gamma, offset

    @property
    def amplitude(self) -> float:
        """Factor of ``pixel^gamma`` for grey levels 0..255 as they are, cd/m²."""
        return float(self.range * WHITE**-self.gamma)

    @property
    def amplitude_error(self) -> float:
        """Standard error of `amplitude`."""
        by = WHITE**-self.gamma * np.array([1.0, -self.range * np.log(WHITE)])
        return float(np.sqrt(by @ self.covariance[:2, :2] @ by))


def fit_power_law(pixel_value: Floats, luminance: Floats, noise: Noise = "absolute") -> PowerLaw:
    """Fit a power law by least squares.

    For a given gamma the best range and offset are a linear problem, so that one variable is left to search
    (Golub and Pereyra 1973): there is no start to choose and no local minimum to fall into.

    Parameters
    ----------
    pixel_value, luminance : (P,) float64
        Grey levels 0..255 and cd/m² measured at them; at least 4 different grey levels.
    noise
        ``"absolute"``: every residual counts alike, as published. ``"relative"``: in proportion to the
        luminance; gamma and offset are then four to fifteen times surer where the monitor obeys the law, and
        further off where it does not.

    Examples
    --------
    >>> grey = np.linspace(0, 255, 9)
    >>> found = fit_power_law(grey, 24 * (grey / 255) ** 2.2 + 0.3)
    >>> round(found.range, 6), round(found.gamma, 6), round(found.offset, 6)
    (24.0, 2.2, 0.3)
    """
    u = pixel_value / WHITE
    weight = np.ones_like(u)
    found = _search(u, luminance, weight)
    for _ in range(ROUNDS if noise == "relative" else 0):
        curve = found[0] * u ** found[1] + found[2]
        weight = (curve + FLOOR * found[0]) ** -2.0
        weight /= weight.mean()
        found = _search(u, luminance, weight, (found[1] / 2, min(2 * found[1], GAMMAS[1])))
    residual = luminance - (found[0] * u ** found[1] + found[2])
    covariance = _covariance(u, residual, weight, *found)
    return PowerLaw(*found, covariance, float((residual**2).mean()))


def _search(
    u: Floats, y: Floats, weight: Floats, around: tuple[float, float] | None = None
) -> tuple[float, float, float]:
    def cost(gamma: float) -> float:
        return _linear(u**gamma, y, weight)[2]

    if around is None:
        best = int(np.argmin([cost(gamma) for gamma in STARTS]))
        around = STARTS[max(best - 1, 0)], STARTS[min(best + 1, len(STARTS) - 1)]
    found = scipy.optimize.minimize_scalar(cost, bounds=around, method="bounded", options={"xatol": 1e-9})
    gamma = float(found.x)
    range_, offset, _ = _linear(u**gamma, y, weight)
    return range_, gamma, offset


def _linear(f: Floats, y: Floats, weight: Floats) -> tuple[float, float, float]:
    """Range, offset and cost of ``y ≈ range · f + offset`` within the bounds."""
    total = weight.sum()
    f_mean, y_mean = weight @ f / total, weight @ y / total
    spread = weight @ (f - f_mean) ** 2
    range_ = float(np.clip(weight @ ((f - f_mean) * y) / spread if spread > 0 else 0.0, *AMPLITUDES))
    offset = float(y_mean - range_ * f_mean)
    if not OFFSETS[0] <= offset <= OFFSETS[1]:
        offset = float(np.clip(offset, *OFFSETS))
        range_ = float(np.clip(weight @ (f * (y - offset)) / (weight @ f**2), *AMPLITUDES))
    return range_, offset, float(weight @ (y - range_ * f - offset) ** 2)


def _covariance(
    u: Floats, residual: Floats, weight: Floats, range_: float, gamma: float, offset: float
) -> Floats:
    log = np.log(np.where(u > 0, u, 1.0))
    free = [0, 1, 2] if OFFSETS[0] < offset < OFFSETS[1] else [0, 1]
    root = np.sqrt(weight)
    slope = (np.stack([u**gamma, range_ * u**gamma * log, np.ones_like(u)], 1) * root[:, None])[:, free]
    bread = np.linalg.pinv(slope.T @ slope)
    leverage = np.minimum(np.einsum("ij,jk,ik->i", slope, bread, slope), 1 - 1e-9)
    scores = slope * (root * residual / (1 - leverage))[:, None]
    out = np.zeros((3, 3))
    out[np.ix_(free, free)] = bread @ (scores.T @ scores) @ bread
    return out
