"""What the responses themselves say: silence, sparseness, leakage, drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.unit_columns import unit_columns

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

LAGS = tuple(range(1, 11))
FAR_LAGS = (3, 4, 5)
"""Trials so far apart share the animal's state, but no transient of an indicator."""
LEAST_IN_BLOCK = 5


def unit_statistics(responses: Singles) -> dict[str, Floats]:
    """Describe every unit's responses.

    Parameters
    ----------
    responses : (T, N) float32

    Returns
    -------
    Name → (N,) float64: ``mean``, ``std`` (ddof 1), ``size`` (mean absolute response), ``zero_share`` (share
    of trials that are exactly 0), ``sparseness`` (of a lifetime, Vinje & Gallant 2000: 0 for a unit that
    answers all trials alike, 1 for one that answers one trial only; NaN for a unit that never answers), and
    ``silent`` (1: all responses are equal).

    Examples
    --------
    >>> found = unit_statistics(np.array([[0, 1, 2], [4, 1, 2]], np.float32))
    >>> found["sparseness"].tolist(), found["silent"].tolist()
    ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0])
    """
    n, count = responses.shape
    names = ("mean", "std", "size", "zero_share", "sparseness", "silent")
    out = {name: np.full(count, np.nan) for name in names}
    for columns, block in unit_columns(responses):
        size, square = np.abs(block).mean(0), (block**2).mean(0)
        out["mean"][columns] = block.mean(0)
        out["std"][columns] = block.std(0, ddof=1) if n > 1 else 0.0
        out["size"][columns] = size
        out["zero_share"][columns] = (block == 0).mean(0)
        out["silent"][columns] = block.max(0) == block.min(0)
        with np.errstate(invalid="ignore", divide="ignore"):
            out["sparseness"][columns] = (1 - size**2 / square) / (1 - 1 / n)
    out["std"][out["silent"] == 1] = 0.0
    return out


def leakage(correlation: Floats, lags: Sequence[int] = LAGS) -> Floats:
    """How much more successive trials correlate than trials 3 to 5 apart.

    The animal's state changes slowly and makes all of these alike; what a slow indicator leaves behind of one
    trial is in the next one, and gone a few later.

    Parameters
    ----------
    correlation : (lags, N) float64
        See `lag_correlations`.

    Returns
    -------
    (N,) float64
    """
    far: Floats = correlation[[lags.index(lag) for lag in FAR_LAGS]].mean(0)
    near: Floats = correlation[lags.index(1)]
    return near - far


def population_response(responses: Singles, std: Floats, size: Floats) -> Floats:
    """Mean response of all units that vary to every trial, relative to what is usual in the session.

    Each unit counts by its own s.d., so that no loud one drowns the others.

    Parameters
    ----------
    responses : (T, N) float32
    std, size : (N,) float64
        s.d. and mean absolute response of each unit.

    Returns
    -------
    (T,) float64; its mean is 1 where no response is negative, and it is NaN where no unit varies.
    """
    loud = std > 0
    scale = np.where(loud, 1 / np.where(loud, std, 1), 0.0)
    usual = float((size * scale).sum())
    if usual == 0:
        return np.full(responses.shape[0], np.nan)
    total = np.zeros(responses.shape[0])
    for columns, block in unit_columns(responses):
        total += block @ scale[columns]
    return total / usual


def block_spread(responses: Singles, std: Floats, block: Ints) -> Floats:
    """How much responses vary within each part of the session, relative to all of it, whatever the baseline.

    Activity that vanishes leaves traces flat, at 0 or at whatever level was subtracted before.

    Parameters
    ----------
    responses : (T, N) float32
        Valid trials in order.
    std : (N,) float64
        s.d. of each unit; those with 0 do not count.
    block : (T,) int64
        Number of the part that each trial lies in, ascending.

    Returns
    -------
    (parts,) float64: s.d. within the part by that of all trials, mean over units; NaN for parts of fewer than
    5 trials and where no unit varies. Parts without trials are left out.

    Examples
    --------
    >>> swinging = np.array([[1.0], [3], [1], [3], [1], [3], [2], [2], [2], [2], [2], [2]], np.float32)
    >>> block_spread(swinging - 7, np.array([1.0]), np.repeat([0, 1], 6)).round(3).tolist()
    [1.095, 0.0]
    """
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    count = np.diff(starts, append=block.size)
    loud = std > 0
    total = np.zeros(starts.size)
    if starts.size == 0 or not loud.any():
        return np.full(starts.size, np.nan)
    scale = np.where(loud, 1 / np.where(loud, std, 1), 0.0)
    for columns, values in unit_columns(responses):
        values -= values.mean(0)
        mean = np.add.reduceat(values, starts, axis=0) / count[:, None]
        values -= np.repeat(mean, count, axis=0)
        square = np.add.reduceat(values**2, starts, axis=0) / np.maximum(count - 1, 1)[:, None]
        total += np.sqrt(square) @ scale[columns]
    return np.where(count >= LEAST_IN_BLOCK, total / loud.sum(), np.nan)


def thirds_change(values: npt.NDArray[np.float64]) -> Floats:
    """Mean of the last third of rows minus mean of the first third.

    Examples
    --------
    >>> float(thirds_change(np.array([1.0, 1, 5, 5, 2, 2])))
    1.0
    """
    third = max(1, len(values) // 3)
    change: Floats = np.asarray(values[-third:].mean(0) - values[:third].mean(0), np.float64)
    return change
