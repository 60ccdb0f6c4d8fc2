"""Images with the same pixels, or the same after enlarging or averaging."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.area_average import area_average

Bytes = npt.NDArray[np.uint8]
Images = Bytes | npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

WHOLE = 1e-3
"""Grey levels: what a float that holds a whole number may be off."""
ROUNDED = 0.51
"""Grey levels: what rounding to whole ones may change."""
_AT_ONCE = 512  # images compared at a time


def same_pixels(images: Images, rows: Rows, sent: Bytes, known: Rows) -> list[list[int]]:
    """Find for recorded images those that were sent.

    Images of the size of those sent have the same grey levels, larger ones have their pixels repeated; both
    may be floats of whole grey levels. Smaller ones are those sent averaged over areas; they may be rounded.

    Parameters
    ----------
    images : (K, h, w), grey levels
        Recorded.
    rows : (k,) int64
        Those that are asked about.
    sent : (M, height, width) uint8
    known : (m,) int64
        Rows of ``sent`` that count.

    Returns
    -------
    For each of ``rows`` the rows of ``sent``, the nearest first; none if the shapes differ in their ratio.

    Examples
    --------
    >>> sent = np.array([[[0, 8], [8, 0]], [[100, 50], [40, 20]]], np.uint8)
    >>> all_rows = np.arange(2)
    >>> same_pixels(sent[::-1].repeat(2, axis=1).repeat(2, axis=2), all_rows, sent, all_rows)
    [[1], [0]]
    >>> same_pixels(np.array([[[53]]], np.uint8), np.array([0]), sent, all_rows)  # 52.5, rounded
    [[1]]
    """
    (h, w), (height, width) = images.shape[1:], sent.shape[1:]
    if h * width != w * height:
        return [[] for _ in rows]
    if (h, w) == (height, width):
        return _same(images, rows, sent, known)
    return (_enlarged if h > height else _reduced)(images, rows, sent, known)


def _same(images: Images, rows: Rows, sent: Bytes, known: Rows) -> list[list[int]]:
    places: dict[bytes, list[int]] = {}
    for row in known.tolist():
        places.setdefault(_digest(sent[row]), []).append(row)
    found = []
    for row in rows.tolist():
        whole = _whole(images[row])
        found.append([] if whole is None else places.get(_digest(whole), []))
    return found


def _whole(image: Images) -> Bytes | None:
    """Return an image as bytes; None if its grey levels are not whole."""
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    rounded = np.rint(image)
    if np.abs(image - rounded).max() > WHOLE:
        return None
    return rounded.clip(0, 255).astype(np.uint8)


def _enlarged(images: Images, rows: Rows, sent: Bytes, known: Rows) -> list[list[int]]:
    height, width = sent.shape[1:]
    found: list[list[int]] = []
    for block in np.array_split(rows, max(1, len(rows) // _AT_ONCE)):
        averaged = area_average(images[block], height, width)
        found += _same(averaged, np.arange(len(block)), sent, known)
    return found


def _reduced(images: Images, rows: Rows, sent: Bytes, known: Rows) -> list[list[int]]:
    row, col = images.shape[1:]
    # about the middle grey, so that the products below lose no digits
    averaged = area_average(sent, row, col)[known].reshape(len(known), -1).astype(np.float64) - 128
    squares = (averaged**2).sum(1)
    slack = averaged.shape[1] * ROUNDED**2 + 1e-9 * squares.max(initial=1)
    found: list[list[int]] = []
    for block in np.array_split(rows, max(1, len(rows) // _AT_ONCE)):
        mine = images[block].reshape(len(block), -1).astype(np.float64) - 128
        distance = (mine**2).sum(1)[:, None] + squares - 2 * mine @ averaged.T
        for one, near in zip(mine, distance, strict=True):
            places = [int(k) for k in np.flatnonzero(near <= slack) if _rounded(one, averaged[k])]
            found.append([int(known[k]) for k in sorted(places, key=lambda k: float(near[k]))])
    return found


def _rounded(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    return bool(np.abs(one - other).max() <= ROUNDED)


def _digest(image: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(image.tobytes()).digest()
