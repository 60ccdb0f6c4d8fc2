"""How much of a trial's response leaks into the next one: the sign of traces that were too slow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.sampling import Floats

UNITS_AT_ONCE = 64
FEWEST_PAIRS = 3
NEXT = (1,)
Ints = npt.NDArray[np.int64]


def pairs(rows: Ints, lag: int) -> tuple[Ints, Ints]:
    """Return the places, among ``rows``, of the earlier and the later trial of every pair so far apart.

    Examples
    --------
    >>> [places.tolist() for places in pairs(np.array([0, 1, 3, 4, 5]), 1)]
    [[0, 2, 3], [1, 3, 4]]
    """
    there = np.searchsorted(rows, rows + lag)
    found = np.flatnonzero((there < rows.size) & (rows[np.minimum(there, rows.size - 1)] == rows + lag))
    return found, there[found]


def lag_correlations(responses: npt.NDArray[np.floating], rows: Ints, lags: Sequence[int] = NEXT) -> Floats:
    """Correlate each unit's responses of trials so many places apart.

    Deconvolved activity read in time leaks little into the next trial; a median above 0.1 says that the
    traces were too slow.

    Parameters
    ----------
    responses : (T, N) float
        All valid trials in order of presentation.
    rows : (T,) int64
        Position of each of them among all trials shown, ascending; only trials exactly so far apart are
        paired.
    lags
        How far.

    Returns
    -------
    (lags, N) float64; NaN for units that do not vary, and for all where there are fewer than 3 pairs.

    Examples
    --------
    >>> swinging = np.array([[1], [0], [1], [0], [1], [0]], np.float32)
    >>> lag_correlations(swinging, np.arange(6), [1, 2]).round(6).ravel().tolist()
    [-1.0, 1.0]
    """
    out = np.full((len(lags), responses.shape[1]), np.nan)
    paired = [pairs(rows, lag) for lag in lags]
    for start in range(0, responses.shape[1], UNITS_AT_ONCE):
        units = slice(start, start + UNITS_AT_ONCE)
        block = np.ascontiguousarray(responses[:, units].T, np.float64)  # sums know nothing of other units
        for found, (first, second) in zip(out, paired, strict=True):
            if first.size >= FEWEST_PAIRS:
                _correlate(block.take(first, axis=1), block.take(second, axis=1), found[units])
    return out


def _correlate(before: Floats, after: Floats, out: Floats) -> None:
    """Correlate rows in place; ``out`` stays where one does not vary."""
    before -= before.mean(axis=1, keepdims=True)
    after -= after.mean(axis=1, keepdims=True)
    scale = np.sqrt((before**2).sum(axis=1) * (after**2).sum(axis=1))
    np.divide((before * after).sum(axis=1), scale, out=out, where=scale > 0)


def typical(correlations: Floats) -> float | None:
    """Median over the units that have one; None where none has.

    Examples
    --------
    >>> typical(np.array([0.1, np.nan, 0.3, 0.2])), typical(np.array([np.nan]))
    (0.2, None)
    """
    known = correlations[~np.isnan(correlations)]
    return float(np.median(known)) if known.size else None
