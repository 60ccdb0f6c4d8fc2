"""Images as shown, brought to the size of the network by exact area averaging."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError

Aspect = Literal["refuse", "letterbox", "crop"]
Floats = npt.NDArray[np.float64]

BLOCK_BYTES = 32 * 2**20


def overlaps(source: int, target: int) -> Floats:
    """Integer overlaps of ``target`` equal cells with ``source`` equal pixels along one axis.

    Lengths are counted in 1/(source·target) of the axis, so that every entry is an integer and every row
    sums to ``source``.

    Examples
    --------
    >>> overlaps(3, 2).tolist()
    [[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]
    """
    cell = np.arange(target)[:, None] * source
    pixel = np.arange(source)[None, :] * target
    shared = np.minimum(cell + source, pixel + target) - np.maximum(cell, pixel)
    return np.asarray(np.maximum(shared, 0), np.float64)


def area_average(images: npt.NDArray[np.generic], row: int, col: int) -> npt.NDArray[np.float32]:
    """Average images over equal rectangles.

    The sums of integer grey levels are exact in float64; one division and one rounding to float32 follow.

    Parameters
    ----------
    images : (K, h, w)
        Grey levels (or luminances).
    row, col
        Size of the result, px.

    Returns
    -------
    (K, row, col) float32
        In the unit of ``images``.

    Examples
    --------
    >>> area_average(np.array([[[0, 2, 4, 6], [8, 10, 12, 14]]], np.uint8), 1, 2).tolist()
    [[[5.0, 9.0]]]
    """
    count, height, width = images.shape
    rows, cols = overlaps(height, row), overlaps(width, col)
    out = np.empty((count, row, col), np.float32)
    step = max(1, BLOCK_BYTES // (8 * height * width))
    for start in range(0, count, step):
        block = images[start : start + step].astype(np.float64)
        out[start : start + step] = (rows @ (block @ cols.T)) / (height * width)
    return out


def fit_aspect(
    images: npt.NDArray[np.generic], row: int, col: int, aspect: Aspect, fill: float
) -> npt.NDArray[np.generic]:
    """Bring images to the aspect ratio ``col / row``: refuse, add borders, or cut centrally.

    Parameters
    ----------
    images : (K, h, w)
    row, col
        Size that the images will be averaged to; the ratio matches where one side, scaled, rounds to the
        other in whole pixels.
    aspect
        ``"refuse"`` raises, ``"letterbox"`` adds equal borders of ``fill``, ``"crop"`` keeps the centre.
    fill
        Value of the borders, in the unit of the images.

    Raises
    ------
    DataError
        If the ratio does not match and ``aspect`` is ``"refuse"``.
    """
    height, width = images.shape[1:]
    wide, tall = round(height * col / row), round(width * row / col)
    if wide == width or tall == height:
        return images
    if aspect == "refuse":
        raise DataError(
            f"images are {height}×{width} px; expected the aspect ratio of {row}×{col}; "
            "choose aspect 'letterbox' or 'crop' in the preprocessing"
        )
    if aspect == "crop":
        top, left = max(height - tall, 0) // 2, max(width - wide, 0) // 2
        return images[:, top : top + min(tall, height), left : left + min(wide, width)]
    framed = np.full(
        (len(images), max(tall, height), max(wide, width)), fill, np.result_type(images, np.float32)
    )
    top, left = (framed.shape[1] - height) // 2, (framed.shape[2] - width) // 2
    framed[:, top : top + height, left : left + width] = images
    return framed


def to_luminance(
    images: npt.NDArray[np.uint8], pixel_value: Floats, luminance: Floats
) -> npt.NDArray[np.float32]:
    """Turn grey levels into luminance by the measured curve, linear between its points.

    Parameters
    ----------
    images : (K, h, w) uint8
    pixel_value, luminance : (P,) float64
        Rising grey levels and the cd/m² measured at them.

    Raises
    ------
    DataError
        If images hold grey levels outside those measured, or the grey levels do not rise.
    """
    if len(pixel_value) < 2 or (np.diff(pixel_value) <= 0).any():
        raise DataError(
            "the monitor calibration lacks rising grey levels; expected at least 2; measure it again"
        )
    low, high = int(images.min()), int(images.max())
    if low < pixel_value[0] or high > pixel_value[-1]:
        raise DataError(
            f"images span grey levels {low}..{high} but the monitor was measured at "
            f"{pixel_value[0]:g}..{pixel_value[-1]:g}; expected a calibration that covers them"
        )
    curve = np.interp(np.arange(256), pixel_value, luminance).astype(np.float32)
    return curve[images]
