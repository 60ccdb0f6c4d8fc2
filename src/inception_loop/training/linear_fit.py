"""The regularised linear receptive field of every unit, its penalty chosen on the validation trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.training.scores import Doubles, Floats, pearson
from inception_loop.training.smooth_ridge import SmoothRidge, spike_triggered_average

UNITS_AT_ONCE = 512
"""Units that are solved together: their coefficients take 10 MB at 36 x 64 px."""
Singles = npt.NDArray[np.float32]


class Tier(NamedTuple):
    """Images (T, H, W) and responses (T, N) of the trials of one tier."""

    images: Floats
    responses: Floats


class LinearFit(NamedTuple):
    """Regularised linear receptive fields, each at the penalty that predicts its validation trials best.

    Attributes
    ----------
    filters : (N, H, W) float32, applied to images minus the mean training image; 0 where no penalty predicts
    predicted : (test trials, N) float64
    smoothness, strength, val_corr : (N,) float64, NaN where no penalty predicts
    """

    filters: Singles
    predicted: Doubles
    smoothness: Doubles
    strength: Doubles
    val_corr: Doubles


def fit_linear(
    train: Tier,
    validation: Tier,
    test_images: Floats,
    smoothness: Sequence[float],
    strength: Sequence[float],
) -> LinearFit:
    """Fit every unit with every penalty, some units at a time, and keep each unit's best.

    Parameters
    ----------
    train, validation
        What is fitted, and what the penalty is chosen on (ties go to the one named first).
    test_images
        (T, H, W) to be predicted.
    smoothness, strength
        The penalties: all pairs of them, see `SmoothRidge`.
    """
    n, size = train.responses.shape[1], train.images.shape[1:]
    mean = train.responses.mean(0, dtype=np.float64)
    nothing = (np.full(n, np.nan) for _ in range(3))
    fit = LinearFit(np.zeros((n, *size), np.float32), np.tile(mean, (len(test_images), 1)), *nothing)
    for smooth in smoothness:
        ridge = SmoothRidge(train.images, smooth)
        seen, wanted = ridge.project(validation.images), ridge.project(test_images)
        for units in unit_blocks(n):
            moments = ridge.moments(train.responses[:, units])
            place, best = _choose(ridge, moments, seen, validation.responses[:, units], strength)
            better = np.flatnonzero(best > np.nan_to_num(fit.val_corr[units], nan=-np.inf))
            where = units.start + better
            chosen = np.array(strength)[place[better]]
            coefficients = ridge.solve(moments[:, better], chosen)
            fit.filters[where] = ridge.filters(coefficients)
            fit.predicted[:, where] = wanted @ coefficients + mean[where]
            fit.smoothness[where], fit.strength[where], fit.val_corr[where] = smooth, chosen, best[better]
    return fit


def averages(train: Tier) -> Singles:
    """Spike-triggered averages (N, H, W) of all units, some units at a time."""
    n, size = train.responses.shape[1], train.images.shape[1:]
    out = np.empty((n, *size), np.float32)
    for units in unit_blocks(n):
        out[units] = spike_triggered_average(train.images, train.responses[:, units])
    return out


def unit_blocks(n: int) -> Iterator[slice]:
    """Yield the units as slices of at most `UNITS_AT_ONCE`."""
    for start in range(0, n, UNITS_AT_ONCE):
        yield slice(start, start + UNITS_AT_ONCE)


def _choose(
    ridge: SmoothRidge, moments: Doubles, seen: Doubles, observed: Floats, strength: Sequence[float]
) -> tuple[npt.NDArray[np.int64], Doubles]:
    """Which strength predicts the validation trials of each unit best (U,), and how well; -inf: none."""
    tried = np.stack([pearson(seen @ ridge.solve(moments, one), observed) for one in strength])
    scores = np.nan_to_num(tried, nan=-np.inf)
    return scores.argmax(0), scores.max(0)
