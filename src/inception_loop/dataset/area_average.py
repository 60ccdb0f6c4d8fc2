"""Images as shown, brought to the size of the network by exact area averaging."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from inception_loop.errors import DataError

Aspect = Literal["refuse", "letterbox", "crop"]
Framing = Literal["as shown", "letterbox", "crop"]
Floats = npt.NDArray[np.float64]

BLOCK_BYTES = 2**20  # a block and its products stay in the cache


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
    """Average images over equal rectangles, a block of bounded memory at a time.

    The sums of 8-bit grey levels are exact, whatever the ratio; one division, and with it one rounding to
    float32, follows. Other numbers are summed in float64.

    Parameters
    ----------
    images : (K, h, w)
        Grey levels (or luminances); may be memory-mapped.
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
    out = np.empty((count, row, col), np.float32)
    step = max(1, BLOCK_BYTES // (4 * height * width))
    for start in range(0, count, step):
        block = images[start : start + step]
        if images.dtype == np.uint8 and height % row == width % col == 0:
            out[start : start + step] = _block_means(block, row, col)
        else:
            out[start : start + step] = _weighted_means(block, row, col)
    return out


def _block_means(images: npt.NDArray[np.generic], row: int, col: int) -> npt.NDArray[np.float64]:
    """Average whole blocks of pixels."""
    count, height, width = images.shape
    high, wide = height // row, width // col
    strips = images.reshape(count, row, high, width).sum(axis=2, dtype=np.uint32)
    sums = strips[:, :, ::wide].copy()
    for column in range(1, wide):
        sums += strips[:, :, column::wide]
    means: Floats = sums / (high * wide)
    return means


def _weighted_means(images: npt.NDArray[np.generic], row: int, col: int) -> Floats | npt.NDArray[np.float32]:
    """Average over rectangles whose borders cut pixels."""
    height, width = images.shape[1:]
    rows, cols = (
        overlaps(source, target) / math.gcd(source, target)
        for source, target in ((height, row), (width, col))
    )
    total = rows[0].sum() * cols[0].sum()
    bits = np.float32 if images.dtype == np.uint8 and 255 * total < 2**24 else np.float64  # sums are exact
    sums = (rows.astype(bits) @ images.astype(bits)) @ cols.T.astype(bits)
    means: Floats | npt.NDArray[np.float32] = sums / bits(total)
    return means


def framing(shape: tuple[int, int], row: int, col: int, aspect: Aspect) -> Framing:
    """Decide how images of another aspect ratio than ``col / row`` are brought to it.

    Parameters
    ----------
    shape
        Height and width of the images, px.
    row, col
        Size that the images will be averaged to; the ratio matches where one side, scaled, rounds to the
        other in whole pixels.
    aspect
        ``"refuse"`` raises, ``"letterbox"`` adds equal borders, ``"crop"`` keeps the centre. A border or cut
        of an odd number of pixels is one pixel smaller above and on the left.

    Raises
    ------
    DataError
        If the ratio does not match and ``aspect`` is ``"refuse"``.

    Examples
    --------
    >>> framing((72, 128), 36, 64, "refuse"), framing((100, 128), 36, 64, "crop")
    ('as shown', 'crop')
    """
    height, width = shape
    wide, tall = _matching(shape, row, col)
    if wide == width or tall == height:
        return "as shown"
    if aspect == "refuse":
        raise DataError(
            f"images are {height}×{width} px; expected the aspect ratio of {row}×{col}; "
            "choose aspect 'letterbox' or 'crop' in the preprocessing"
        )
    return aspect


def _matching(shape: tuple[int, int], row: int, col: int) -> tuple[int, int]:
    """Width that goes with the height, and height that goes with the width."""
    return round(shape[0] * col / row), round(shape[1] * row / col)


def fit_aspect(
    images: npt.NDArray[np.generic], row: int, col: int, aspect: Aspect, fill: float
) -> npt.NDArray[np.generic]:
    """Bring images to the aspect ratio ``col / row``; see `framing`.

    Parameters
    ----------
    images : (K, h, w)
    row, col, aspect
        See `framing`.
    fill
        Value of letterbox borders, in the unit of the images.
    """
    height, width = images.shape[1:]
    how = framing((height, width), row, col, aspect)
    if how == "as shown":
        return images
    wide, tall = _matching((height, width), row, col)
    if how == "crop":
        top, left = max(height - tall, 0) // 2, max(width - wide, 0) // 2
        return images[:, top : top + min(tall, height), left : left + min(wide, width)]
    framed = np.full(
        (len(images), max(tall, height), max(wide, width)), fill, np.result_type(images, np.float32)
    )
    top, left = (framed.shape[1] - height) // 2, (framed.shape[2] - width) // 2
    framed[:, top : top + height, left : left + width] = images
    return framed


def to_luminance(
    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32], pixel_value: Floats, luminance: Floats
) -> npt.NDArray[np.float32]:
    """Turn grey levels into luminance by the measured curve, linear between its points.

    Parameters
    ----------
    images : (K, h, w) uint8 or float32
        Grey levels 0..255, whole or not.
    pixel_value, luminance : (P,) float64
        Rising grey levels and the cd/m² measured at them.

    Raises
    ------
    DataError
        If images hold grey levels outside those measured (or NaN), or the grey levels do not rise.
    """
    if len(pixel_value) < 2 or (np.diff(pixel_value) <= 0).any():
        raise DataError(
            "the monitor calibration lacks rising grey levels; expected at least 2; measure it again"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= pixel_value[0] and high <= pixel_value[-1]):
        raise DataError(
            f"images span grey levels {low:g}..{high:g} but the monitor was measured at "
            f"{pixel_value[0]:g}..{pixel_value[-1]:g}; expected a calibration that covers them"
        )
    if images.dtype != np.uint8:
        return np.interp(images, pixel_value, luminance).astype(np.float32)
    curve = np.interp(np.arange(256), pixel_value, luminance).astype(np.float32)
    return curve[images]
