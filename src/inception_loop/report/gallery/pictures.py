"""Pictures of a gallery: one grey scale for all images, fields about 0, heat maps, outlines of masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

from inception_loop.report.pictures import png
from inception_loop.report.words import number, percent

Floats = npt.NDArray[np.floating]
Bytes = npt.NDArray[np.uint8]
Segment = tuple[int, int, int, int]
"""x, y and x, y of the ends of an edge, px from the top left corner of the picture."""
LEVELS = 33  # colours of a field or a heat map; odd: one of them is 0
FIELD_COLORS, HEAT_COLORS = "PuOr_r", "cividis"
LOW, HIGH = 0.0, 255.0


@dataclass(frozen=True)
class GreyScale:
    """The one grey scale of a gallery: grey levels that are shown black and white.

    Attributes
    ----------
    low, high : shown black and white, grey levels
    beyond : share of all pixels that lie beyond them, shown black or white too

    Examples
    --------
    >>> GreyScale(100, 140).shown(np.array([[90.0, 120.0, 140.0]])).tolist()
    [[0, 128, 255]]
    """

    low: float
    high: float
    beyond: float = 0.0

    def shown(self, image: Floats) -> Bytes:
        """Return an image as it is shown, 0 to 255."""
        scaled = (np.asarray(image, np.float64) - self.low) * (255 / (self.high - self.low))
        grey: Bytes = np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
        return grey

    def words(self) -> str:
        """Say which scale this is."""
        share = "less than 0.1 %" if self.beyond < 0.001 else percent(self.beyond)
        beyond = f"; {share} of the pixels lie beyond" if self.beyond else ""
        ends = f"black is {number(self.low, 0)}, white {number(self.high, 0)}"
        return f"{ends} of the grey levels 0 to 255{beyond}"


def common_scale(images: Iterable[Floats], bounds: tuple[float, float] | None = None) -> GreyScale:
    """Return the scale on which all images are shown: about their usual mean, so that few are clipped.

    Parameters
    ----------
    images : (H, W) each, grey levels
    bounds
        Grey levels to be black and white; by default about the median of the images' means as far as the
        largest deviation of nine images in ten, within 0 to 255.
    """
    stack = [np.asarray(image, np.float64) for image in images]
    if not stack:
        return GreyScale(LOW, HIGH)
    if bounds is None:
        middle = float(np.median([image.mean() for image in stack]))
        reach = float(np.quantile([np.abs(image - middle).max() for image in stack], 0.9))
        reach = max(np.ceil(reach), 1.0)
        bounds = (max(LOW, float(np.floor(middle - reach))), min(HIGH, float(np.ceil(middle + reach))))
    low, high = bounds
    beyond = sum(int(((image < low) | (image > high)).sum()) for image in stack)
    return GreyScale(low, high, beyond / sum(image.size for image in stack))


@cache
def palette(name: str) -> Bytes:
    """Return `LEVELS` colours of a matplotlib map as (n, 3) bytes."""
    colors: Bytes = mpl.colormaps[name].resampled(LEVELS)(np.arange(LEVELS), bytes=True)[:, :3]
    return colors


def levels(values: Floats, low: float, high: float) -> Bytes:
    """Return which of `LEVELS` colours each value has; beyond the ends the last."""
    scaled = (np.asarray(values, np.float64) - low) / (high - low) * (LEVELS - 1)
    found: Bytes = np.rint(np.clip(np.nan_to_num(scaled), 0, LEVELS - 1)).astype(np.uint8)
    return found


def field_limit(field: Floats) -> float:
    """Return the end of a field's own scale, which is symmetric about 0."""
    return float(np.abs(field).max(initial=0)) or 1.0


def field_levels(field: Floats) -> Bytes:
    """Return the colours of a field about 0, on its own scale."""
    limit = field_limit(field)
    return levels(field, -limit, limit)


def heat_levels(activation: Floats, own: float) -> Bytes:
    """Return the colours of displaced activations as shares, 0 to 1, of that in the image's own place."""
    return levels(activation / own, 0.0, 1.0) if own > 0 else levels(np.zeros_like(activation), 0.0, 1.0)


def bar_png(name: str) -> bytes:
    """Return the colours of a map in a row: the bar beside its pictures."""
    return png(np.arange(LEVELS, dtype=np.uint8)[None], palette(name))


def outline(mask: Floats, at: float = 0.5) -> list[Segment]:
    """Return the edges between the pixels inside a mask and those outside, joined along rows and columns.

    Examples
    --------
    >>> outline(np.array([[0.0, 1.0, 1.0], [0.0, 0.0, 0.0]]))
    [(1, 0, 3, 0), (1, 1, 3, 1), (1, 0, 1, 1), (3, 0, 3, 1)]
    """
    inside = np.pad(np.asarray(mask) > at, 1)
    flat = [(x, y, end, y) for y, x, end in _runs(inside[1:, 1:-1] != inside[:-1, 1:-1])]
    upright = [(x, y, x, end) for x, y, end in _runs((inside[1:-1, 1:] != inside[1:-1, :-1]).T)]
    return flat + upright


def _runs(edges: npt.NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Return row, start and end of every run of true values in a row."""
    padded = np.pad(edges, ((0, 0), (1, 1))).astype(np.int8)
    turns = np.diff(padded, axis=1)
    rows, starts = np.nonzero(turns == 1)
    _, ends = np.nonzero(turns == -1)
    return [(int(row), int(start), int(end)) for row, start, end in zip(rows, starts, ends, strict=True)]
