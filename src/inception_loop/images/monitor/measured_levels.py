"""Luminances that a meter read off a monitor: one a grey level, or a reason why they are no measurement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.errors import DataError
from inception_loop.images.monitor.power_law import PowerLaw, fit_power_law

Floats = npt.NDArray[np.float64]

MAD_OF_NORMAL = 0.6745
FLOOR = 1e-3  # of the luminance range


class Soundness(Config):
    """What measured luminances have to be to count as a calibration."""

    min_step: float = Field(
        0.05, ge=0, description="Smallest mean step of luminance from one grey level to the next, cd/m²."
    )
    min_levels: int = Field(6, ge=5, description="Fewest different grey levels.")
    max_noise: float = Field(
        0.05, gt=0, description="Largest s.d. of the meter's noise, as a share of the luminance."
    )
    max_fall_sd: float = Field(
        5.0, gt=0, description="Falls of the luminance larger than this many s.d. of the noise are refused."
    )
    min_fall: float = Field(
        0.005, ge=0, description="Falls up to this share of the luminance range always pass for noise."
    )


@dataclass(frozen=True)
class MeasuredLevels:
    """One luminance a grey level, by rising grey level; readings of the same level are averaged.

    Attributes
    ----------
    pixel_value, luminance : (L,) float64, grey levels 0..255 and cd/m²
    readings : (L,) float64
        How many stand behind each.
    noise : float
        S.d. of the meter's noise as a share of the luminance, from how far each level lies off its
        neighbours (median, so that single outliers do not count).
    fall, fall_from, fall_to : float
        Largest fall of the luminance from a darker to a brighter grey level, cd/m² (0: there is none), and
        these two levels.
    """

    pixel_value: Floats
    luminance: Floats
    readings: Floats
    noise: float
    fall: float
    fall_from: float
    fall_to: float

    @property
    def mean_step(self) -> float:
        """Mean step from one level to the next, cd/m²; negative for a monitor that darkens."""
        return float((self.luminance[-1] - self.luminance[0]) / (len(self.luminance) - 1))


def measured_levels(pixel_value: Floats, luminance: Floats, rules: Soundness | None = None) -> MeasuredLevels:
    """Put a meter's readings in order, or refuse what is no measurement of a monitor.

    Parameters
    ----------
    pixel_value, luminance : (P,) float64
        Grey levels and cd/m², in any order.
    rules
        Thresholds; by default those of `Soundness`.

    Raises
    ------
    DataError
        If there are no readings, one is not a number or negative, the grey levels are too few or do not
        cover 0..255, or the luminance does not rise, scatters, or falls somewhere by more than noise.

    Examples
    --------
    >>> grey = np.linspace(0, 255, 18)
    >>> found = measured_levels(grey, (grey / 51) ** 2)
    >>> round(found.mean_step, 4), found.fall
    (1.4706, 0.0)
    """
    rules = rules or Soundness()
    _check_readings(pixel_value, luminance, rules)
    levels, where, counts = np.unique(pixel_value, return_inverse=True, return_counts=True)
    mean = np.bincount(where, luminance) / counts
    law = fit_power_law(levels, mean)
    fall, start, end = _largest_fall(mean)
    found = MeasuredLevels(
        pixel_value=levels,
        luminance=mean,
        readings=counts.astype(np.float64),
        noise=_noise(levels, mean, law),
        fall=fall,
        fall_from=float(levels[start]),
        fall_to=float(levels[end]),
    )
    _check_curve(found, rules)
    return found


def _check_readings(pixel_value: Floats, luminance: Floats, rules: Soundness) -> None:
    if len(pixel_value) == 0:
        raise DataError(
            "the monitor was never measured; expected grey levels 0..255 with their luminance; "
            "measure it, or take the closest calibration of the rig"
        )
    bad = ~(np.isfinite(pixel_value) & np.isfinite(luminance) & (luminance >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"the luminance at grey level {pixel_value[row]:g} is {luminance[row]:g} cd/m²"
            f"{_more(int(bad.sum()))}; expected numbers of at least 0; measure it again or leave it out"
        )
    levels = np.unique(pixel_value)
    if len(levels) < rules.min_levels:
        raise DataError(
            f"the monitor was measured at {len(levels)} grey levels; expected at least {rules.min_levels}; "
            "measure more"
        )
    if levels[0] != 0 or levels[-1] != 255:
        raise DataError(
            f"the monitor was measured at grey levels {levels[0]:g}..{levels[-1]:g}; expected 0..255; "
            "measure what is missing"
        )


def _check_curve(found: MeasuredLevels, rules: Soundness) -> None:
    dark, bright = found.luminance[0], found.luminance[-1]
    if found.mean_step < rules.min_step:
        raise DataError(
            f"the luminance changes by {found.mean_step:.3f} cd/m² a step on average ({dark:.2f} at grey "
            f"level 0, {bright:.2f} at 255); expected at least {rules.min_step:g}; this is no measurement of "
            "a monitor: measure it again"
        )
    if found.noise > rules.max_noise:
        raise DataError(
            f"the luminance scatters by {found.noise:.1%} from level to level; expected at most "
            f"{rules.max_noise:.1%}; measure it again, longer"
        )
    noise = found.noise * float(np.hypot(*_at(found, found.fall_from, found.fall_to)))
    allowed = max(rules.max_fall_sd * noise, rules.min_fall * (bright - dark))
    if found.fall > allowed:
        raise DataError(
            f"the luminance falls by {found.fall:.3f} cd/m² from grey level {found.fall_from:g} to "
            f"{found.fall_to:g}; expected a curve that rises but for noise ({allowed:.3f} here); "
            "measure it again"
        )


def _at(found: MeasuredLevels, *levels: float) -> Floats:
    return found.luminance[np.searchsorted(found.pixel_value, levels)]


def _largest_fall(luminance: Floats) -> tuple[float, int, int]:
    falls = np.maximum.accumulate(luminance) - luminance
    end = int(falls.argmax())
    start = int(luminance[: end + 1].argmax())
    return float(falls[end]), start, end


def _noise(x: Floats, y: Floats, law: PowerLaw) -> float:
    """Relative noise: how far the residuals of a smooth curve lie off the line through their neighbours."""
    smooth = law(x)
    residual = (y - smooth) / (smooth + FLOOR * (y.max() - y.min()) + np.finfo(np.float64).tiny)
    right = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    off = residual[1:-1] - (1 - right) * residual[:-2] - right * residual[2:]
    off /= np.sqrt(1 + (1 - right) ** 2 + right**2)
    return float(np.median(np.abs(off)) / MAD_OF_NORMAL)


def _more(bad: int) -> str:
    return f", and {bad - 1} more" if bad > 1 else ""
