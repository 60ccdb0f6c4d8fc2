"""Many units, a block of them at a time in double precision, and the correlation of their columns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.sampling import Floats

BLOCK_BYTES = 4 * 2**20  # stays in the cache while several passes are made over it


def unit_columns(responses: npt.NDArray[np.floating]) -> Iterator[tuple[slice, Floats]]:
    """Yield blocks of units as float64, so that many units never lie in memory twice.

    Parameters
    ----------
    responses : (T, N) float

    Yields
    ------
    Columns of the block, and their values (T, units).
    """
    step = max(1, BLOCK_BYTES // (8 * max(1, responses.shape[0])))
    for start in range(0, responses.shape[1], step):
        columns = slice(start, start + step)
        yield columns, np.asarray(responses[:, columns], np.float64)


def correlations(one: Floats, other: Floats) -> Floats:
    """Correlate columns; NaN where one does not vary (beyond rounding).

    Parameters
    ----------
    one, other : (T, N) float64

    Returns
    -------
    (N,) float64
    """
    energy = 1e-24 * np.maximum(_dots(one, one), _dots(other, other))
    a, b = one - one.mean(0), other - other.mean(0)
    aa, bb = _dots(a, a), _dots(b, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.minimum(aa, bb) > energy, _dots(a, b) / np.sqrt(aa * bb), np.nan)


def _dots(one: Floats, other: Floats) -> Floats:
    products: Floats = np.einsum("tn,tn->n", one, other)
    return products
