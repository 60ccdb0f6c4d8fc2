"""The mean over the units of several loops, each unit resampled within its loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from inception_loop.closed_loop.statistics.bootstrap import LEAST, Interval
from inception_loop.closed_loop.statistics.values import Floats, varying_vector
from inception_loop.errors import DataError

BLOCK = 1_000_000
"""Resampled values held at once."""

Noun = Literal["loop", "animal"]
"""What one part of the analysis is called: a loop, or the animal where each has one."""


def about(noun: Noun = "loop") -> str:
    """Say what the interval over the units of several loops (animals) speaks of.

    Examples
    --------
    >>> about("animal").rpartition(", ")[2]
    'and noise that units of an animal share (the same trials) is not in it'
    """
    article = "an" if noun == "animal" else "a"
    return (
        "the mean over units like these of these very animals, each unit with the same weight; neither "
        f"interval nor p says anything of other animals, and noise that units of {article} {noun} share (the "
        "same trials) is not in it"
    )


def pooled_interval(
    differences: npt.ArrayLike,
    loops: npt.ArrayLike,
    *,
    level: float = 0.95,
    n_resamples: int = 9_999,
    seed: int = 0,
    noun: Noun = "loop",
) -> Interval:
    """Return the mean difference over the units of several loops, units resampled within their loop.

    The bootstrap-t of `interval`, with the standard error of a stratified mean: √(Σ nₗ sₗ²)/N. The loops (the
    animals) are taken as they are: whether other animals would do the same is not asked.

    Parameters
    ----------
    differences
        (n,) own − control, one a unit.
    loops
        (n,) the loop of each.
    level, n_resamples, seed
        Of the interval, of the bootstrap.
    noun
        What a loop is called in the words.

    Raises
    ------
    DataError
        If a difference is not finite, they do not vary, or a loop has fewer than 5 units.

    Examples
    --------
    >>> rng = np.random.default_rng(2)
    >>> loops = np.repeat([1, 2, 3], 20)
    >>> found = pooled_interval(loops + rng.normal(0, 0.3, 60), loops)
    >>> found.lower < 2 < found.upper, found.upper - found.lower < 0.2, found.n
    (True, True, 60)
    """
    values = varying_vector(differences, "differences")
    names, place, sizes = np.unique(np.asarray(loops), return_inverse=True, return_counts=True)
    few = np.flatnonzero(sizes < LEAST)
    if few.size:
        raise DataError(
            f"{noun} {names[few[0]]} has {sizes[few[0]]} units; expected at least {LEAST} in each {noun} for "
            "an interval over units: fewer do not show how units differ"
        )
    parts = [values[place == number] for number in range(names.size)]
    mean, error = _stratified([part[None, :] for part in parts], values.size)
    tail = int((n_resamples + 1) * (1.0 - level) / 2.0 + 1e-9)
    if not 0 < level < 1 or tail < 1:
        raise DataError(
            f"an interval of level {level} cannot be had from {n_resamples} resamples; ask for more"
        )
    studentised = np.sort(_resampled(parts, float(mean[0]), n_resamples, seed))
    low, high = float(studentised[tail - 1]), float(studentised[-tail])
    return Interval(
        value=float(values.mean()),
        lower=float(values.mean()) - high * float(error[0]),
        upper=float(values.mean()) - low * float(error[0]),
        level=level,
        n=values.size,
        over="units",
        method=f"bootstrap-t, {n_resamples:,} resamples of units within {noun}s",
        about=about(noun),
    )


def _stratified(parts: Sequence[Floats], n: int) -> tuple[Floats, Floats]:
    """Return mean and standard error over strata, of (resamples, units) arrays."""
    mean = sum(part.sum(axis=1) for part in parts) / n
    squares = sum(part.shape[1] * part.var(axis=1, ddof=1) for part in parts)
    return np.asarray(mean), np.sqrt(np.asarray(squares)) / n


def _resampled(parts: Sequence[Floats], mean: float, n_resamples: int, seed: int) -> Floats:
    generator, n = np.random.default_rng(seed), sum(part.size for part in parts)
    found, left = [], n_resamples
    while left:
        block = min(left, max(1, BLOCK // n))
        drawn = [part[generator.integers(0, part.size, (block, part.size))] for part in parts]
        means, errors = _stratified(drawn, n)
        flat = errors <= 1e-12 * max(float(np.abs(part).max()) for part in parts)
        shift = means - mean
        found.append(np.where(flat, np.copysign(np.inf, shift), shift / np.where(flat, 1.0, errors)))
        left -= block
    return np.concatenate(found)
