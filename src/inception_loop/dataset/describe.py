"""Columns of numbers in numbers: mean, std, extremes and median, in bounded memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.sampling import Floats
from inception_loop.errors import DataError

BLOCK_BYTES = 16 * 2**20
Numbers = npt.NDArray[np.floating]


def describe(values: Numbers) -> pl.DataFrame:
    """Describe columns; NaNs are left out. Works through blocks of columns.

    Parameters
    ----------
    values : (T, C) float

    Returns
    -------
    Table ``index, n, mean, std`` (ddof 1), ``min, max, median``, numbers as float64, one row a column.

    Raises
    ------
    DataError
        If a column has fewer than 2 values.

    Examples
    --------
    >>> describe(np.array([[1.0], [3.0], [np.nan]])).select("n", "mean", "median").rows()
    [(2, 2.0, 2.0)]
    """
    step = max(1, BLOCK_BYTES // (8 * max(1, len(values))))
    columns = range(0, values.shape[1], step)
    return pl.concat(
        [_describe(np.array(values[:, start : start + step].T, order="C"), start) for start in columns]
    )


def describe_images(
    frames: npt.NDArray[np.float32], rows: npt.NDArray[np.int64], per_input: bool
) -> pl.DataFrame:
    """Describe all pixels of images as one column; per input: the mean of each image's mean and std.

    Parameters
    ----------
    frames : (K, H, W) float32
    rows : (T,) int64
        Image of each trial; one that was shown twice counts twice.
    per_input
        Whether mean and std are averages over images.
    """
    pixels = frames[rows].reshape(len(rows), -1)
    if not per_input:
        return _describe(pixels.reshape(1, -1), 0)
    step = max(1, BLOCK_BYTES // (8 * max(1, pixels.shape[1])))
    blocks = [pixels[start : start + step].astype(np.float64) for start in range(0, len(pixels), step)]
    mean = np.concatenate([block.mean(axis=1) for block in blocks]).mean()
    std = np.concatenate([block.std(axis=1, ddof=1) for block in blocks]).mean()
    return _describe(pixels.reshape(1, -1), 0).with_columns(mean=pl.lit(mean), std=pl.lit(std))


def _describe(columns: Numbers, first: int) -> pl.DataFrame:
    """Describe columns, each a row of the array, which is sorted by it; ``first`` is their first index."""
    n, mean, square = _moments(columns, first)
    columns.sort(axis=1)  # NaNs come last
    each = np.arange(len(columns))
    middle = columns[each, (n - 1) // 2] + columns[each, n // 2]
    return pl.DataFrame(
        {
            "index": first + each,
            "n": n,
            "mean": mean,
            "std": np.sqrt(square / (n - 1)),
            "min": columns[:, 0].astype(np.float64),
            "max": columns[each, n - 1].astype(np.float64),
            "median": (middle / 2).astype(np.float64),
        }
    )


def _moments(columns: Numbers, first: int) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Return the number, mean and sum of squares about it of each column's values."""
    step = max(1, BLOCK_BYTES // (8 * len(columns)))
    pieces = [columns[:, start : start + step] for start in range(0, columns.shape[1], step)]
    n = sum(
        (np.count_nonzero(~np.isnan(piece), axis=1) for piece in pieces), np.zeros(len(columns), np.int64)
    )
    if (n < 2).any():
        raise DataError(
            f"column {first + int((n < 2).argmax())} has {int(n.min())} values to take statistics of; "
            "expected at least 2; use another norm_tier or give it more trials"
        )
    total = sum(np.nansum(piece, axis=1, dtype=np.float64) for piece in pieces)
    mean = np.asarray(total / n, np.float64)
    square = sum(np.nansum((piece - mean[:, None]) ** 2, axis=1) for piece in pieces)
    return n, mean, np.asarray(square, np.float64)
