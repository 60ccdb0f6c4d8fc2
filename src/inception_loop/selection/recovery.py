"""What the truth of an animal says about the oracle: its expectation, and how far the estimate is off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.member import MemberData
from inception_loop.errors import DataError

Floats = npt.NDArray[np.float64]
LEAST_SIGNAL = 0.2  # signal over noise variance from which on a unit counts


def expected_oracle(signal: Floats, noise: Floats, repeats: npt.NDArray[np.int64]) -> Floats:
    """Return the expected jackknife oracle of units of known signal and noise, for finitely many images.

    A trial is the image's mean ``m_i`` plus a deviation, its oracle is ``m_i`` minus that deviation over
    ``R_i − 1``. The correlation therefore depends on two quantities only: the variance ``B`` of the means
    between images and the variance within. Their expectations give the limit
    ``S/√((S+V)(S+V/(R−1)))`` with the finite-sample term ``−(S+V/R)/I`` in the signal variance; their
    spread (the correlation is curved in both) gives a term of the next order, −1 % at 40 images × 10
    repeats and S = 0.3 V, by a two-point quadrature that is exact to second order.

    Parameters
    ----------
    signal : (N,) float64
        Variance (ddof 1) over the images of the response's mean over trials, squared unit of the traces.
    noise : (N,) float64
        Variance within an image, mean over images: trial noise, eye movements and gain together.
    repeats : (I,) int64
        Trials of each image, at least 2.

    Returns
    -------
    (N,) float64

    Examples
    --------
    >>> s, v, many = np.array([1.0]), np.array([1.0]), np.full(10**6, 10)
    >>> expected_oracle(s, v, many).round(4).tolist(), round(1 / (2 * (1 + 1 / 9)) ** 0.5, 4)
    ([0.6708], 0.6708)
    """
    if repeats.size < 2 or (repeats < 2).any():
        raise DataError(
            f"{repeats.size} images with {repeats.tolist()[:5]} repeats; expected 2 images of 2 or more"
        )
    trials, images = repeats.sum(), repeats.size
    weight = repeats / trials
    between = signal * (1 - (weight**2).sum()) + noise * (images - 1) / trials
    each = noise * images / trials  # variance of an image's mean
    spread = np.sqrt((4 * each * signal + 2 * each**2) * (images - 1)) / images
    shares = [(weight * (repeats - 1) / repeats / (repeats - 1.0) ** power).sum() for power in (0, 1, 2)]
    within_spread = np.sqrt(2 / (trials - images))
    points = [
        _correlation(between + a * spread, noise * (1 + b * within_spread), shares)
        for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))
    ]
    return np.asarray(sum(points) / 2 - _correlation(between, noise, shares), np.float64)


def _correlation(between: Floats, noise: Floats, shares: list[float]) -> Floats:
    covariance = between - noise * shares[1]
    return np.asarray(
        covariance / np.sqrt((between + noise * shares[0]) * (between + noise * shares[2])), np.float64
    )


@dataclass(frozen=True)
class OracleError:
    """Mean estimated and mean expected oracle over ``n_units``, and |difference| / expectation."""

    relative_error: float
    mean_estimate: float
    mean_expectation: float
    n_units: int


def oracle_repeats(member: MemberData, min_repeats: int) -> npt.NDArray[np.int64]:
    """Return the repeats of each test image of a member that the oracle takes in, by ascending hash."""
    repeats = np.unique(member.condition_hash[member.trials_of("test")], return_counts=True)[1]
    return repeats[repeats >= min_repeats].astype(np.int64)


def oracle_error(
    oracle: pl.DataFrame,
    truth: pl.DataFrame,
    repeats: npt.NDArray[np.int64],
    least_signal: float = LEAST_SIGNAL,
) -> OracleError:
    """Compare the oracle of one member with its expectation.

    Parameters
    ----------
    oracle
        ``unit_id, oracle_pearson`` of the member.
    truth
        ``unit_id, signal_variance, noise_variance`` of the same recording.
    repeats : (I,) int64
        See `oracle_repeats`.
    least_signal
        Units with a smaller ratio of signal to noise variance are left out.

    Raises
    ------
    DataError
        If no unit has that much signal.

    Examples
    --------
    >>> truth = pl.DataFrame({"unit_id": [1], "signal_variance": [1.0], "noise_variance": [1.0]})
    >>> oracle_error(pl.DataFrame({"unit_id": [1], "oracle_pearson": [0.6]}), truth, np.full(50, 10)).n_units
    1
    """
    both = oracle.join(truth, on="unit_id").filter(
        (pl.col("signal_variance") >= least_signal * pl.col("noise_variance"))
        & (pl.col("signal_variance") > 0)
        & pl.col("oracle_pearson").is_not_null()
    )
    if both.height == 0:
        raise DataError(
            f"none of {oracle.height} units has a signal ≥ {least_signal} × its noise variance; expected some"
        )
    signal, noise = (both[f"{name}_variance"].cast(pl.Float64).to_numpy() for name in ("signal", "noise"))
    expected = float(expected_oracle(signal, noise, repeats).mean())
    estimate = float(both["oracle_pearson"].to_numpy().mean())
    return OracleError(abs(estimate - expected) / expected, estimate, expected, both.height)
