"""From images of the network's size to the bytes that a rig is sent, at a stated mean and contrast.

The one place where grey levels become whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy
import torch

from inception_loop.errors import DataError
from inception_loop.images.contrast import match_contrast
from inception_loop.images.monitor.gamma import GREY, Monitor

Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
ZoomRule = Literal["repeat", "linear", "cubic"]

ORDERS = {"linear": 1, "cubic": 3}
GOOD = 5e-4
"""Relative miss of mean or contrast, by rounding, that is not worth a search."""

ROUNDS, CLOSER, REACH = (
    3,
    5,
    0.04,
)  # of the search; the last: of the gain at first, of the offset one grey level
_ticks = np.linspace(-1, 1, 13)
GRID = np.stack(np.meshgrid(_ticks, _ticks), -1).reshape(-1, 2)
MOST_VALUES = 4096


def zoom_images(images: npt.NDArray[np.floating], zoom: int, rule: ZoomRule = "repeat") -> Floats:
    """Enlarge (K, H, W) images ``zoom`` times along both axes; edges are those of the outermost pixels.

    ``"repeat"`` shows every pixel as a square, and averaging the squares gives it back exactly.
    ``"linear"`` and ``"cubic"`` interpolate between the pixels' centres (splines), which averaging blurs.

    Examples
    --------
    >>> zoom_images(np.array([[[0.0, 8.0]]]), 2).tolist()
    [[[0.0, 0.0, 8.0, 8.0], [0.0, 0.0, 8.0, 8.0]]]
    >>> zoom_images(np.array([[[0.0, 8.0]]]), 2, "linear")[0, 0].tolist()
    [0.0, 2.0, 6.0, 8.0]
    """
    if rule == "repeat":
        return np.asarray(images, np.float64).repeat(zoom, axis=1).repeat(zoom, axis=2)
    enlarged = [
        scipy.ndimage.zoom(image, zoom, np.float64, order=ORDERS[rule], mode="nearest", grid_mode=True)
        for image in images
    ]
    return np.stack(enlarged).clip(0, 255)


@dataclass(frozen=True)
class RigBytes:
    """K images as a rig is sent them, and how they came out.

    Attributes
    ----------
    images : (K, h, w) uint8, grey levels
    mean, contrast : (K,) float64
        Of what these bytes show, in the unit of the monitor.
    at_limit : (K,) float64
        Share of the pixels that are black or white.
    """

    images: Bytes
    mean: Floats
    contrast: Floats
    at_limit: Floats


def rig_bytes(
    images: npt.NDArray[np.floating],
    mean: float | None = None,
    contrast: float | None = None,
    *,
    monitor: Monitor = GREY,
    zoom: int = 1,
    rule: ZoomRule = "repeat",
    labels: Sequence[str] | None = None,
) -> RigBytes:
    """Turn images into the bytes that show them at a mean and RMS contrast on a monitor.

    Zoom, then grey levels to brightness, then mean and contrast matched exactly under the monitor's limits
    (`match_contrast` between black and white), then back to grey levels and rounded. Rounding costs a little
    of both; where that is more than `GOOD`, gain and offset are moved by a hair to the whole numbers that
    miss least. What remains is the lot of pictures with a large uniform ground: all of it takes one grey
    level or the next.

    Parameters
    ----------
    images : (K, H, W)
        Grey levels 0..255 at the network's size, whole or not.
    mean, contrast
        Wanted, in the unit of the monitor. None, both: the images as they are, rounded.
    monitor
        By default none: the bytes' own mean and contrast count.
    zoom, rule
        See `zoom_images`.
    labels
        What each image is called in an error.

    Raises
    ------
    DataError
        If an image is flat or not finite, or the monitor cannot show it so (says by how much).

    Examples
    --------
    >>> found = rig_bytes(np.array([[[1.0, 2.0], [10.0, 3.0]]]), 100.0, 80.0, zoom=2)
    >>> found.images.shape, found.mean.round(2).tolist(), found.contrast.round(2).tolist()
    ((1, 4, 4), [100.0], [80.12])
    """
    _check_finite(images, labels)
    small = rule == "repeat"  # repeated pixels change neither mean nor contrast
    pictures = np.clip(images, 0.0, 255.0).astype(np.float64) if small else zoom_images(images, zoom, rule)
    light = monitor.to_luminance(pictures)
    if mean is not None and contrast is not None:
        matched = match_contrast(
            torch.from_numpy(light),
            mean,
            contrast,
            monitor.black,
            monitor.white,
            unit=monitor.unit,
            labels=labels,
        )
        shown = np.stack([_rounded(light, monitor, mean, contrast) for light in matched.numpy()])
    else:
        shown = monitor.to_bytes(light)
    measured = [_moments(*np.unique(image, return_counts=True), monitor.levels) for image in shown]
    return RigBytes(
        images=shown.repeat(zoom, axis=1).repeat(zoom, axis=2) if small else shown,
        mean=np.array([found[0] for found in measured]),
        contrast=np.array([found[1] for found in measured]),
        at_limit=((shown == 0) | (shown == 255)).mean((1, 2)),
    )


def _check_finite(images: npt.NDArray[np.floating], labels: Sequence[str] | None) -> None:
    bad = ~np.isfinite(images).all((1, 2))
    if bad.any():
        row = int(bad.argmax())
        called = f"image {row}" if labels is None else labels[row]
        raise DataError(f"{called} has pixels that are no numbers; expected grey levels; make it again")


def _rounded(light: Floats, monitor: Monitor, mean: float, contrast: float) -> Bytes:
    """Bytes of one matched (h, w) image, with the gain and offset that keep mean and contrast best."""
    gain, offset = _best_rounding(light, monitor, mean, contrast)
    return monitor.to_bytes(_moved(light, monitor, mean, gain, offset))


def _best_rounding(light: Floats, monitor: Monitor, mean: float, contrast: float) -> tuple[float, float]:
    """Search gains and offsets around 1 and 0 for the least relative miss after rounding, ever closer."""
    values, counts = _histogram(light)
    level = int(monitor.to_bytes(np.array([mean]))[0])
    reach = np.array([REACH, float(np.gradient(monitor.levels)[level])])
    at, least = np.array([1.0, 0.0]), np.inf
    candidates = at[None]
    for _ in range(ROUNDS + 1):
        moved = _moved(values, monitor, mean, candidates[:, :1], candidates[:, 1:])
        found_mean, found_contrast = _moments(monitor.to_bytes(moved), counts, monitor.levels)
        miss = np.maximum(np.abs(found_mean / mean - 1), np.abs(found_contrast / contrast - 1))
        best = int(miss.argmin())
        if miss[best] < least:
            at, least = candidates[best], float(miss[best])
        if least <= GOOD:
            break
        candidates = at + GRID * reach
        reach = reach / CLOSER
    return float(at[0]), float(at[1])


def _moved(
    light: Floats, monitor: Monitor, mean: float, gain: Floats | float, offset: Floats | float
) -> Floats:
    """Move what lies between black and white; what is clipped stays so."""
    clipped = (light <= monitor.black) | (light >= monitor.white)
    return np.where(clipped, light, mean + gain * (light - mean) + offset)


def _histogram(light: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Different values and how many pixels have them; of many, those that lie close together count as one."""
    values, counts = np.unique(light, return_counts=True)
    if len(values) <= MOST_VALUES:
        return values, counts
    width = (values[-1] - values[0]) / MOST_VALUES
    return np.unique(np.round(light / width) * width, return_counts=True)


def _moments(grey: Bytes, counts: npt.NDArray[np.int64], levels: Floats) -> tuple[Floats, Floats]:
    """Mean and RMS contrast, in the unit of ``levels``, of pixels that take ``grey`` (…, V) levels."""
    light, share = levels[grey], counts / counts.sum()
    mean = light @ share
    return mean, np.sqrt((light - mean[..., None]) ** 2 @ share)
