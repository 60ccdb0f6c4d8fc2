"""Fraction of oracle: what a network reaches of the jackknife oracle, the field's definitions by name.

The three agree for a population of reliable units. A unit whose oracle is near 0 spoils the first alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inception_loop.training.scores import Doubles


def unit_fractions(test_corr: Doubles, oracle: Doubles) -> Doubles:
    """Test correlation over oracle, unit by unit (Walker et al. 2019).

    "Frozen", the fair comparison to an oracle that knows no trial's eye and behaviour, is the same with
    predictions at the training means of both.

    Parameters
    ----------
    test_corr, oracle
        (N,) single-trial correlation and jackknife oracle.

    Returns
    -------
    ndarray
        (N,); NaN where the oracle is not positive. It explodes where the oracle is hardly so.

    Examples
    --------
    >>> unit_fractions(np.array([0.2, 0.2, 0.2]), np.array([0.4, 0.002, -0.1])).round(6).tolist()
    [0.5, 100.0, nan]
    """
    return np.asarray(test_corr / np.where(oracle > 0, oracle, np.nan), np.float64)


def slope(test_corr: Doubles, oracle: Doubles) -> float:
    """Slope through zero of test correlation on oracle over units, by least squares (Lurz et al. 2021).

    Parameters
    ----------
    test_corr, oracle
        (N,); units that lack either do not count.

    Returns
    -------
    float
        NaN where no unit has an oracle other than 0.

    Examples
    --------
    >>> slope(np.array([0.2, 0.4, np.nan]), np.array([0.4, 0.8, 0.9]))
    0.5
    """
    known = _known(test_corr, oracle)
    energy = float((oracle[known] ** 2).sum())
    return float((test_corr[known] * oracle[known]).sum()) / energy if energy else float("nan")


def ratio_of_means(test_corr: Doubles, oracle: Doubles) -> float:
    """Mean test correlation over mean oracle, of the units that have both.

    Returns
    -------
    float
        NaN where the mean oracle is not positive.

    Examples
    --------
    >>> ratio_of_means(np.array([0.3, 0.3]), np.array([0.4, 0.8])).__round__(6)
    0.5
    """
    known = _known(test_corr, oracle)
    whole = float(oracle[known].sum())
    return float(test_corr[known].sum()) / whole if whole > 0 else float("nan")


def _known(test_corr: Doubles, oracle: Doubles) -> npt.NDArray[np.bool_]:
    return np.isfinite(test_corr) & np.isfinite(oracle)
