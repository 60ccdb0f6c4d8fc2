"""How well predictions fit responses, unit by unit: plain, exact numpy."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from inception_loop.dataset.oracle import jackknife_oracle
from inception_loop.errors import DataError

Floats = npt.NDArray[np.floating]
Doubles = npt.NDArray[np.float64]


def pearson(a: Floats, b: Floats) -> Doubles:
    """Pearson correlation of columns.

    Parameters
    ----------
    a, b
        (T, N), any unit.

    Returns
    -------
    ndarray
        (N,) float64; NaN where a column is constant or holds a NaN.

    Raises
    ------
    DataError
        If the shapes differ or there are fewer than 2 rows.

    Examples
    --------
    >>> pearson(np.array([[1.0], [2.0], [4.0]]), np.array([[2.0], [4.0], [8.0]])).tolist()
    [1.0]
    """
    if a.shape != b.shape or len(a) < 2:
        raise DataError(
            f"cannot correlate arrays of shapes {a.shape} and {b.shape}; expected equal, at least 2 rows"
        )
    x, y = (np.asarray(v, np.float64) for v in (a, b))
    x, y = x - x.mean(0), y - y.mean(0)
    flat = (np.ptp(a, axis=0) == 0) | (np.ptp(b, axis=0) == 0)
    scale = np.sqrt((x * x).sum(0) * (y * y).sum(0))
    scale[flat] = np.nan
    return np.asarray((x * y).sum(0) / scale, np.float64)


class Repeats(NamedTuple):
    """Trials grouped by condition, for conditions that were shown at least twice.

    Attributes
    ----------
    shown : (I,) presentations of each condition
    response, prediction : (I, N) means over the presentations
    noise : (I, N) unbiased variance of the responses over the presentations
    rows : (T',) the trials of these conditions, one condition after the other
    """

    shown: npt.NDArray[np.int64]
    response: Doubles
    prediction: Doubles
    noise: Doubles
    rows: npt.NDArray[np.int64]

    def oracle(self, response: Floats) -> Doubles:
        """Jackknife oracle (N,) of all responses (T, N), over the trials of all repeated conditions."""
        return jackknife_oracle(response[self.rows], np.repeat(np.arange(len(self.shown)), self.shown))


def group_repeats(condition: npt.NDArray[np.str_], response: Floats, prediction: Floats) -> Repeats | None:
    """Group trials by condition; None where no condition was shown twice.

    Parameters
    ----------
    condition
        (T,) what was shown in each trial.
    response, prediction
        (T, N).
    """
    _, inverse, count = np.unique(condition, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(count[inverse] > 1)
    if not rows.size:
        return None
    order = rows[np.argsort(inverse[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(inverse[order], prepend=-1))
    n = count[count > 1]
    y, q = (np.asarray(v[order], np.float64) for v in (response, prediction))
    mean = np.add.reduceat(y, starts) / n[:, None]
    noise = np.add.reduceat((y - np.repeat(mean, n, axis=0)) ** 2, starts) / (n - 1)[:, None]
    return Repeats(n, mean, np.add.reduceat(q, starts) / n[:, None], noise, order)


class RepeatScores(NamedTuple):
    """Scores that need repeats, each (N,) float64, NaN where a unit does not allow it.

    Attributes
    ----------
    corr_to_mean : correlation of predictions and responses averaged over repeats
    fev : explainable share of the variance, (Var - noise variance) / Var
    feve : share of the explainable variance that is explained, not clipped (Cadena et al. 2019)
    signal_power : SP, variance of the responses over images without noise, squared unit of the responses
    ceiling : √(SP/(SP + noise variance)), the highest single-trial correlation; where SP > 0
    cc_max : √(SP/variance of the image means), the highest correlation to the mean (Schoppe et al. 2016)
    cc_norm : correlation to the mean over cc_max, not clipped (Schoppe et al. 2016)
    """

    corr_to_mean: Doubles
    fev: Doubles
    feve: Doubles
    signal_power: Doubles
    ceiling: Doubles
    cc_max: Doubles
    cc_norm: Doubles


def repeat_scores(repeats: Repeats, response: Floats, prediction: Floats) -> RepeatScores:
    """Score predictions against repeated presentations.

    The noise variance is the mean over images of the unbiased variance over repeats; the signal power is
    the variance of the image means less the share of noise in it, which for equal repeats has the
    expectation of Schoppe et al. 2016 and does not depend on the order of the repeats. Images that were shown
    more often than others weigh no more in it; their means just hold less noise.

    The ceiling is the root of signal power over signal power plus noise variance, both unbiased: S/(S + V).
    The plain variance over all trials, which FEV and FEVE are defined by, is lower than S + V by
    S(R - 1)/(IR - 1), because repeats share their image, and would set the ceiling too high. A unit without
    signal has no ceiling, ``cc_max`` or ``cc_norm``: NaN where the signal power is not positive.

    Parameters
    ----------
    repeats
        Of `group_repeats`.
    response, prediction
        (T, N) all trials, as given there.

    Raises
    ------
    DataError
        If only one image was repeated.
    """
    if len(repeats.shown) < 2:
        raise DataError("one repeated image only; expected at least 2 to compare images; show more of them")
    y, q = (np.asarray(v[repeats.rows], np.float64) for v in (response, prediction))
    total, noise = y.var(0, ddof=1), repeats.noise.mean(0)
    power = repeats.response.var(0, ddof=1) - (repeats.noise / repeats.shown[:, None]).mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        explainable = np.where(total > noise, total - noise, np.nan)
        feve = 1 - (((y - q) ** 2).mean(0) - noise) / explainable
        centred = repeats.prediction - repeats.prediction.mean(0)
        covariance = (centred * repeats.response).sum(0) / (len(centred) - 1)
        signal, over_images = np.where(power > 0, power, np.nan), repeats.response.var(0, ddof=1)
        scale = np.sqrt(repeats.prediction.var(0, ddof=1) * signal)
        return RepeatScores(
            corr_to_mean=pearson(repeats.prediction, repeats.response),
            fev=np.where(total > 0, (total - noise) / total, np.nan),
            feve=feve,
            signal_power=power,
            ceiling=np.sqrt(signal / (signal + noise)),
            cc_max=np.sqrt(signal / over_images),
            cc_norm=covariance / np.where(scale > 0, scale, np.nan),
        )
