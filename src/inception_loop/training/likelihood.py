"""Likelihood of responses under predictions, unit by unit: Poisson, whole numbers or not."""

from __future__ import annotations

import numpy as np

from inception_loop.training.objective import EPSILON
from inception_loop.training.scores import Doubles, Floats


def unit_poisson_loss(predicted: Floats, observed: Floats) -> Doubles:
    """Loss that training minimises, of every unit: mean over trials of ``q - y log(q + 1e-12)``.

    Parameters
    ----------
    predicted, observed
        (T, N) q ≥ 0 and y in the same unit, on which the loss depends.

    Returns
    -------
    ndarray
        (N,) float64, smallest where q is y; NaN for a unit with a negative prediction.

    Examples
    --------
    >>> unit_poisson_loss(np.ones((2, 3)), np.zeros((2, 3))).tolist()
    [1.0, 1.0, 1.0]
    """
    q, y = np.asarray(predicted, np.float64), np.asarray(observed, np.float64)
    loss = (q - y * np.log(np.maximum(q, 0) + EPSILON)).mean(0)
    return np.where((q < 0).any(0), np.nan, loss)


def bits_per_response(predicted: Floats, observed: Floats) -> Doubles:
    """Information of predictions about responses, per unit of summed response.

    Poisson log-likelihood of the predictions minus that of a constant, the unit's own mean over these trials,
    in bits over the sum of the responses. Of spike counts these are bits per spike. Deconvolved activity is
    no count: it is then a quasi-likelihood (the variance taken to be proportional to the mean), and its bits
    per unit of activity are the same whatever that unit, so that units and scans can be compared with each
    other, but not with bits per spike.

    Parameters
    ----------
    predicted, observed
        (T, N) q ≥ 0 and y ≥ 0 in the same unit.

    Returns
    -------
    ndarray
        (N,) float64; negative where the constant is better; NaN for units that never respond, or have a
        negative response or prediction.

    Examples
    --------
    >>> y = np.array([[0.0], [2.0]])
    >>> bits_per_response(y, y).round(6).tolist(), bits_per_response(np.ones((2, 1)), y).round(6).tolist()
    ([1.0], [0.0])
    """
    y, total = np.asarray(observed, np.float64), np.asarray(observed, np.float64).sum(0)
    known = (total > 0) & (y >= 0).all(0)
    mean = np.where(known, y.mean(0), 1.0)
    gain = unit_poisson_loss(np.broadcast_to(mean, y.shape), y) - unit_poisson_loss(predicted, y)
    return np.asarray(gain * len(y) / np.where(known, total, np.nan) / np.log(2), np.float64)
