"""How much of a trial's response leaks into the next one: the sign of traces that were too slow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.sampling import Floats

UNITS_AT_ONCE = 64
FEWEST_PAIRS = 3


def successors(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return which of some rows are followed by the very next one.

    Examples
    --------
    >>> successors(np.array([0, 1, 3, 4, 5])).tolist()
    [0, 2, 3]
    """
    return np.flatnonzero(np.diff(rows) == 1)


def lag1_correlations(responses: npt.NDArray[np.floating], rows: npt.NDArray[np.int64]) -> Floats:
    """Correlation of each unit's responses to successive trials.

    Deconvolved activity read in time leaks little; a median above 0.1 says that the traces were too slow.

    Parameters
    ----------
    responses : (T, N) float
        All valid trials in order of presentation.
    rows : (T,) int64
        Position of each of them among all trials shown; only direct successors are paired.

    Returns
    -------
    (N,) float64; NaN for units that do not vary, and for all where there are fewer than 3 pairs.
    """
    first = successors(rows)
    out = np.full(responses.shape[1], np.nan)
    if first.size < FEWEST_PAIRS:
        return out
    for start in range(0, out.size, UNITS_AT_ONCE):
        units = slice(start, start + UNITS_AT_ONCE)
        block = np.ascontiguousarray(responses[:, units].T, np.float64)  # sums know nothing of other units
        before, after = block.take(first, axis=1), block.take(first + 1, axis=1)
        before -= before.mean(axis=1, keepdims=True)
        after -= after.mean(axis=1, keepdims=True)
        scale = np.sqrt((before**2).sum(axis=1) * (after**2).sum(axis=1))
        np.divide((before * after).sum(axis=1), scale, out=out[units], where=scale > 0)
    return out


def typical(correlations: Floats) -> float | None:
    """Median over the units that have one; None where none has.

    Examples
    --------
    >>> typical(np.array([0.1, np.nan, 0.3, 0.2])), typical(np.array([np.nan]))
    (0.2, None)
    """
    known = correlations[~np.isnan(correlations)]
    return float(np.median(known)) if known.size else None
