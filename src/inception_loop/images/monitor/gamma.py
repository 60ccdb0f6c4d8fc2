"""A monitor as a two-way, strictly rising curve between grey levels and luminance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inception_loop.errors import DataError

Floats = npt.NDArray[np.float64]
Values = TypeVar("Values", npt.NDArray[np.floating], Tensor)

SLOPE = 1e-8  # of the luminance range, a grey level: what a plateau rises by so that it can be read backwards
FLATTEST_END = 0.1  # of the outermost knots' slope: a curve that ends flat cannot be read backwards there


@dataclass(frozen=True)
class Monitor:
    """Luminance at every grey level 0..255, and the grey level at every luminance.

    Between its knots the curve is a monotone cubic (Fritsch and Carlson 1980): it has no bump that the
    knots do not have. Black and white are its ends; what lies outside is shown as them.

    Parameters
    ----------
    pixel_value : (P,) float64
        Grey levels, rising from 0 to 255.
    luminance : (P,) float64
        At them, cd/m² (or any other unit of brightness), never falling.
    unit
        Of the luminance, as it is called in errors.

    Raises
    ------
    DataError
        If the grey levels do not rise from 0 to 255, or the luminance falls or does not rise at all.

    Examples
    --------
    >>> monitor = Monitor(np.array([0.0, 100.0, 255.0]), np.array([0.2, 4.0, 24.0]))
    >>> monitor.black, monitor.white
    (0.2, 24.0)
    >>> monitor.to_grey(monitor.to_luminance(np.array([0.0, 63.7, 255.0]))).round(6).tolist()
    [0.0, 63.7, 255.0]
    """

    pixel_value: Floats
    luminance: Floats
    unit: str = "cd/m²"

    def __post_init__(self) -> None:
        x, y = np.asarray(self.pixel_value, np.float64), np.asarray(self.luminance, np.float64)
        if x.ndim != 1 or x.shape != y.shape or len(x) < 2 or not np.isfinite([x, y]).all():
            raise DataError(
                f"a monitor's curve has {x.shape} grey levels and {y.shape} luminances; expected as many of "
                "both, at least 2, all finite"
            )
        if x[0] != 0 or x[-1] != 255 or (np.diff(x) <= 0).any():
            raise DataError(
                f"a monitor's curve runs over grey levels {x[0]:g}..{x[-1]:g}; expected them to rise from 0 "
                "to 255"
            )
        if (np.diff(y) < 0).any() or y[-1] <= y[0]:
            raise DataError(
                f"a monitor's curve goes from {y[0]:g} to {y[-1]:g} {self.unit} and falls by up to "
                f"{max(0.0, -float(np.diff(y).min())):g}; expected it to rise throughout"
            )

    @property
    def black(self) -> float:
        """Luminance of grey level 0."""
        return float(self.luminance[0])

    @property
    def white(self) -> float:
        """Luminance of grey level 255."""
        return float(self.luminance[-1])

    @cached_property
    def _knots(self) -> tuple[Floats, Floats, Floats]:
        """Grey levels, luminances made to rise strictly, and slopes."""
        x = self.pixel_value
        rising = _strict(x, self.luminance)
        return x, rising, _slopes(x, rising)

    def to_luminance(self, grey: Values) -> Values:
        """Return the luminance of grey levels, whole or not; any shape, float64."""
        return _apply(self._luminance, grey)

    def to_grey(self, luminance: Values) -> Values:
        """Return the grey levels that show luminances, not rounded; any shape, float64.

        The inverse of `to_luminance` to 1e-6 grey levels.
        """
        return _apply(self._grey, luminance)

    def to_bytes(self, luminance: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
        """Return `to_grey`, rounded to the nearest grey level."""
        return np.searchsorted(self._halfway, luminance).astype(np.uint8)

    @cached_property
    def levels(self) -> Floats:
        """Luminance of the grey levels 0, 1, … 255, (256,) float64."""
        return self._luminance(np.arange(256, dtype=np.float64))

    @cached_property
    def _halfway(self) -> Floats:
        return self._luminance(np.arange(255, dtype=np.float64) + 0.5)

    def _luminance(self, grey: Floats) -> Floats:
        x, y, slope = self._knots
        at = np.clip(grey, 0.0, 255.0)
        k = np.clip(np.searchsorted(x, at, side="right") - 1, 0, len(x) - 2)
        found = _cubic((at - x[k]) / (x[k + 1] - x[k]), *_segment(x, y, slope, k))[0]
        return np.clip(found, y[k], y[k + 1])

    def _grey(self, luminance: Floats) -> Floats:
        x, y, slope = self._knots
        wanted = np.clip(luminance, y[0], y[-1])
        k = np.clip(np.searchsorted(y, wanted, side="right") - 1, 0, len(y) - 2)
        return np.asarray(x[k] + _solve(wanted, _segment(x, y, slope, k)) * (x[k + 1] - x[k]))


GREY = Monitor(np.array([0.0, 255.0]), np.array([0.0, 255.0]), "grey levels")
"""No monitor at all: brightness is the grey level."""


Segment = tuple[Floats, Floats, Floats, Floats]


def _strict(x: Floats, y: Floats) -> Floats:
    """Tilt plateaus by a hair; black and white stay where they are."""
    tilted = y + SLOPE * (y[-1] - y[0]) * x
    rising = y[0] + (tilted - y[0]) * ((y[-1] - y[0]) / (tilted[-1] - y[0]))
    rising[-1] = y[-1]
    return np.asarray(rising)


def _slopes(x: Floats, y: Floats) -> Floats:
    """Slopes at the knots for which the cubic is monotone: weighted harmonic means of the secants."""
    step, secant = np.diff(x), np.diff(y) / np.diff(x)
    if len(x) == 2:
        return np.repeat(secant, 2)
    before, after = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
    inner = (before + after) / (before / secant[:-1] + after / secant[1:])
    first = ((2 * step[0] + step[1]) * secant[0] - step[0] * secant[1]) / (step[0] + step[1])
    last = ((2 * step[-1] + step[-2]) * secant[-1] - step[-1] * secant[-2]) / (step[-1] + step[-2])
    ends = np.clip([first, last], FLATTEST_END * secant[[0, -1]], 3 * secant[[0, -1]])
    return np.concatenate([ends[:1], inner, ends[1:]])


def _segment(x: Floats, y: Floats, slope: Floats, k: npt.NDArray[np.intp]) -> Segment:
    width = x[k + 1] - x[k]
    return y[k], y[k + 1], slope[k] * width, slope[k + 1] * width


def _cubic(t: Floats, y0: Floats, y1: Floats, d0: Floats, d1: Floats) -> tuple[Floats, Floats]:
    """Hermite cubic on 0..1 and its derivative."""
    rise = y1 - y0
    a, b = d0 + d1 - 2 * rise, 3 * rise - 2 * d0 - d1
    return y0 + t * (d0 + t * (b + t * a)), d0 + t * (2 * b + t * 3 * a)


def _solve(wanted: Floats, segment: Segment) -> Floats:
    """Where on 0..1 the cubic has the wanted value: Newton's steps, halving where they leave the bracket."""
    low, high = np.zeros_like(wanted), np.ones_like(wanted)
    t = np.clip((wanted - segment[0]) / (segment[1] - segment[0]), 0.0, 1.0)
    for _ in range(60):
        value, slope = _cubic(t, *segment)
        low, high = np.where(value < wanted, t, low), np.where(value < wanted, high, t)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = t - (value - wanted) / slope
        moved = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        if np.abs(moved - t).max(initial=0.0) < 1e-13:
            return moved
        t = moved
    return t


def _apply(function: Callable[[Floats], Floats], values: Values) -> Values:
    if isinstance(values, Tensor):
        found = function(values.detach().double().cpu().numpy())
        return torch.from_numpy(found).to(values.device)
    return np.asarray(function(np.asarray(values, np.float64)))
