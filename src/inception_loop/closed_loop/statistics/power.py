"""Power for the next experiment: how many units and repeats, or animals, are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy.typing as npt
import polars as pl
import scipy

from inception_loop.closed_loop.statistics.paired import EXACT_SIGN_FLIPS
from inception_loop.closed_loop.statistics.values import finite_vector
from inception_loop.errors import DataError

MOST = 100_000
"""Largest number of units or repeats that is looked for."""


@dataclass(frozen=True)
class Variances:
    """What one loop teaches about the next.

    Attributes
    ----------
    effect : mean over units of own − control
    between_units : variance over units of the true difference; 0 if the differences vary no more than their
        trials explain
    within_repeats : variance of one own trial plus that of one control trial, mean over units; the noise of
        a unit's difference is this over the repeats
    n_units : units that this is taken from
    """

    effect: float
    between_units: float
    within_repeats: float
    n_units: int


def variances(
    differences: npt.ArrayLike,
    own_sem: npt.ArrayLike,
    control_sem: npt.ArrayLike,
    own_repeats: npt.ArrayLike,
    control_repeats: npt.ArrayLike,
) -> Variances:
    """Split the variance of the differences into that between units and that of their trials.

    Var(difference) = between_units + mean(own_sem² + control_sem²). Assumes independent trials and units.

    Parameters
    ----------
    differences
        (n,) own − control, one a unit.
    own_sem, control_sem
        (n,) standard errors of the two means; null where an image was shown once.
    own_repeats, control_repeats
        (n,) trials.

    Raises
    ------
    DataError
        If there are fewer than two units, an image was shown once, or a number is not finite.

    Examples
    --------
    >>> found = variances([0.2, 0.6, 1.0], [0.1] * 3, [0.1] * 3, [10] * 3, [10] * 3)
    >>> round(found.between_units, 3), round(found.within_repeats, 3)
    (0.14, 0.2)
    """
    values = finite_vector(differences, "differences", least=2)
    own = finite_vector(own_repeats, "numbers of repeats", least=2)
    repeats = [own, finite_vector(control_repeats, "numbers of repeats", least=2)]
    once = sum(int((counts < 2).sum()) for counts in repeats)
    if once:
        raise DataError(
            f"{once} images of {values.size} units were shown once: the variance over repeats is undefined; "
            "expected at least 2 repeats; leave these units out and say so"
        )
    errors = [finite_vector(given, "standard errors", least=2) for given in (own_sem, control_sem)]
    if len({part.size for part in (values, *repeats, *errors)}) > 1:
        raise DataError(
            f"{values.size} differences, but {[part.size for part in (*errors, *repeats)]} standard errors "
            "and repeats; expected one each a unit"
        )
    noise = float(sum((error**2).mean() for error in errors))
    trial = float(sum((error**2 * counts).mean() for error, counts in zip(errors, repeats, strict=True)))
    between = max(0.0, float(values.var(ddof=1)) - noise)
    return Variances(float(values.mean()), between, trial, values.size)


def power(
    effect: float,
    between_units: float,
    within_repeats: float,
    *,
    n_units: int,
    n_repeats: int,
    alpha: float = 0.05,
) -> float:
    """Return the power of the two-sided sign-flip test over the units of one animal.

    The noncentral t distribution of Student's paired test with variance between_units + within_repeats /
    n_repeats over n_units, at the largest level up to alpha that 2ⁿ sign flips can have: none, and so a power
    of 0, with fewer units than `fewest_units`. The sign flips have the same power to within 0.02 from 8 units
    on (``benchmarks/loop_statistics.py``); up to 0.09 less with 6, 0.03 with 7. Assumes normal differences
    and independent units.

    Parameters
    ----------
    effect
        Mean difference to be seen, of either sign. Taken from data it is uncertain, and too large on average
        if it was looked at because it was significant: ask for the end of its interval nearer 0 too, see
        `nearer_0`.
    between_units, within_repeats
        As `Variances` holds them.
    n_units, n_repeats
        Of the next experiment; repeats of each of the two images.
    alpha
        Of the test.

    Examples
    --------
    >>> round(power(0.5, 0.5, 4.0, n_units=34, n_repeats=8), 3)
    0.808
    >>> power(9.0, 0.5, 4.0, n_units=5, n_repeats=8)
    0.0
    """
    if n_repeats < 1 or within_repeats < 0 or between_units < 0:
        raise DataError(
            f"{n_repeats} repeats, variances {between_units} between units and {within_repeats} within "
            "repeats; expected at least 1 repeat and no negative variance"
        )
    if not 0 < alpha < 1:
        raise DataError(f"alpha is {alpha}; expected a number between 0 and 1")
    level = _level(n_units, alpha)
    variance = between_units + within_repeats / n_repeats
    return mean_power(effect, variance, n=n_units, alpha=level) if level else 0.0


def _level(n: int, alpha: float) -> float:
    """Return the largest p up to alpha that n sign flips can give: a multiple of 2/2ⁿ."""
    if n > EXACT_SIGN_FLIPS:
        return alpha
    steps = math.ldexp(1.0, n - 1)
    return math.floor(alpha * steps + 1e-9) / steps


def fewest_units(alpha: float = 0.05) -> int:
    """Return the fewest units whose two-sided sign-flip test can give p ≤ alpha: 2/2ⁿ is its smallest p.

    Examples
    --------
    >>> fewest_units(), fewest_units(0.001)
    (6, 11)
    """
    if not 0 < alpha < 1:
        raise DataError(f"alpha is {alpha}; expected a number between 0 and 1")
    return max(2, math.ceil(1 - math.log2(alpha)))


def nearer_0(lower: float, upper: float) -> float:
    """Return the end of an interval that is nearer 0; 0 if it holds 0.

    Examples
    --------
    >>> nearer_0(0.1, 0.9), nearer_0(-0.9, -0.1), nearer_0(-0.1, 0.5)
    (0.1, -0.1, 0.0)
    """
    return lower if lower > 0 else min(upper, 0.0)


def mean_power(effect: float, variance: float, *, n: int, alpha: float = 0.05) -> float:
    """Return the power of Student's two-sided test that the mean of ``n`` values is 0.

    Examples
    --------
    >>> round(mean_power(0.5, 1.0, n=34), 3)
    0.808
    """
    if not variance > 0:
        raise DataError(
            f"the variance is {variance}: there is no chance in such data and so no power to compute; "
            "expected a variance above 0"
        )
    if n < 2 or not 0 < alpha < 1:
        raise DataError(f"n is {n} and alpha {alpha}; expected n of at least 2 and alpha between 0 and 1")
    shift = abs(effect) / (variance / n) ** 0.5
    bound = scipy.stats.t.ppf(1 - alpha / 2, n - 1)
    found = float(scipy.stats.nct.sf(bound, n - 1, shift) + scipy.stats.nct.cdf(-bound, n - 1, shift))
    # far out the noncentral t has no number any more; the normal distribution is the same to 1e-4 there
    return found if not math.isnan(found) else float(scipy.stats.norm.sf(bound - shift))


def units_needed(
    effect: float,
    between_units: float,
    within_repeats: float,
    *,
    n_repeats: int,
    alpha: float = 0.05,
    wanted: float = 0.8,
) -> int | None:
    """Return the fewest units with at least the wanted power, None if `MOST` are too few.

    Never fewer than `fewest_units`, however large the effect.

    Examples
    --------
    >>> units_needed(0.5, 0.5, 4.0, n_repeats=8)
    34
    """

    def enough(n: int) -> bool:
        found = power(effect, between_units, within_repeats, n_units=n, n_repeats=n_repeats, alpha=alpha)
        return found >= wanted

    return _fewest(enough, fewest_units(alpha))


def repeats_needed(
    effect: float,
    between_units: float,
    within_repeats: float,
    *,
    n_units: int,
    alpha: float = 0.05,
    wanted: float = 0.8,
) -> int | None:
    """Return the fewest repeats with at least the wanted power, None if no number of repeats will do.

    Repeats do not help against the variance between units, nor where units are fewer than `fewest_units`.

    Examples
    --------
    >>> repeats_needed(0.5, 0.5, 4.0, n_units=34), repeats_needed(0.5, 0.5, 4.0, n_units=15)
    (8, None)
    """

    def enough(n: int) -> bool:
        found = power(effect, between_units, within_repeats, n_units=n_units, n_repeats=n, alpha=alpha)
        return found >= wanted

    return _fewest(enough, 1)


def _fewest(enough: Callable[[int], bool], least: int) -> int | None:
    if not enough(MOST):
        return None
    few, many = least - 1, least
    while not enough(many):
        few, many = many, min(2 * many, MOST)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if enough(middle) else (middle, many)
    return many


def power_table(
    found: Variances,
    n_units: Sequence[int] = (10, 15, 20, 30, 40, 60, 80, 100, 150),
    n_repeats: Sequence[int] = (2, 5, 10, 20, 40),
    *,
    effect: float | None = None,
    alpha: float = 0.05,
) -> pl.DataFrame:
    """Return the power of the next experiment for every number of units and repeats.

    Parameters
    ----------
    found
        Of an experiment that was done.
    n_units, n_repeats
        Of the next one.
    effect
        Mean difference to be seen, by default the one found.
    alpha
        Of the test.

    Returns
    -------
    Table ``n_units, n_repeats, power, units_for_80`` (fewest units with a power of 0.8 at that number of
    repeats), ``repeats_for_80`` (fewest repeats at that number of units); null if none suffice.

    Examples
    --------
    >>> power_table(Variances(0.5, 0.5, 4.0, 20), [34], [8]).select("units_for_80", "repeats_for_80").row(0)
    (34, 8)
    """
    size = found.effect if effect is None else effect
    between, trial = found.between_units, found.within_repeats
    repeats_for = {
        units: repeats_needed(size, between, trial, n_units=units, alpha=alpha) for units in n_units
    }
    rows: list[tuple[int, int, float, int | None, int | None]] = []
    for repeats in n_repeats:
        needed = units_needed(size, between, trial, n_repeats=repeats, alpha=alpha)
        for units in n_units:
            reached = power(size, between, trial, n_units=units, n_repeats=repeats, alpha=alpha)
            rows.append((units, repeats, reached, needed, repeats_for[units]))
    schema = {
        "n_units": pl.Int64,
        "n_repeats": pl.Int64,
        "power": pl.Float64,
        "units_for_80": pl.Int64,
        "repeats_for_80": pl.Int64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
