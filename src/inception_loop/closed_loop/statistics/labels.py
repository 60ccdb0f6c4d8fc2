"""Permutation of the labels of trials, for many units at once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb, prod

import numpy as np
import numpy.typing as npt
import scipy

from inception_loop.closed_loop.statistics.values import Floats

Blocks = tuple[tuple[int, int], ...]
"""(own, control) trials of each block; labels are exchanged within blocks only."""

Labels = npt.NDArray[np.bool_]

UNITS = 256
"""Units whose statistics are held at once."""

VALUES = 2_000_000
"""Labels, or statistics, held at once."""


@dataclass(frozen=True)
class LabelTest:
    """p-values of units that share their numbers of trials.

    Attributes
    ----------
    p_values : one a unit, two-sided
    p_smallest : smallest that was possible
    method : how they were made
    """

    p_values: list[float]
    p_smallest: float
    method: str


def own_trials(blocks: Blocks) -> Labels:
    """Return which trials (trials,) are of the own image: block after block, own first.

    Examples
    --------
    >>> own_trials(((2, 1),)).tolist()
    [True, True, False]
    """
    return np.concatenate([np.arange(a + b) < a for a, b in blocks])


def splits(blocks: Blocks) -> int:
    """Return in how many ways the labels can be exchanged.

    Examples
    --------
    >>> splits(((5, 5),)), splits(((2, 2), (1, 1)))
    (252, 12)
    """
    return prod(comb(a + b, a) for a, b in blocks)


def welch_p(responses: Floats, blocks: Blocks) -> LabelTest:
    """Return Welch's p-values of units (units, trials), trials in the order of `own_trials`."""
    own = own_trials(blocks)
    found = scipy.stats.ttest_ind(responses[:, own], responses[:, ~own], axis=1, equal_var=False)
    return LabelTest([float(p) for p in found.pvalue], 0.0, "Welch's t")


def permutation_p(responses: Floats, blocks: Blocks, n_permutations: int, seed: int) -> LabelTest:
    """Return permutation p-values of units, of the size of Welch's t.

    Every split of the labels is enumerated where there are no more than ``n_permutations + 1``; else p is
    (b + 1)/(B + 1). The splits drawn depend on the seed and the numbers of trials only.

    Parameters
    ----------
    responses
        (units, trials), trials in the order of `own_trials`; at least two of each image, and some variance
        within the images.
    blocks
        Numbers of trials.
    n_permutations, seed
        Of the permutations.

    Examples
    --------
    >>> permutation_p(np.array([[3.0, 2.5, 2.8, 1.1, 0.9, 1.4]]), ((3, 3),), 999, 0).p_values
    [0.1]
    """
    total = splits(blocks)
    exact = total <= n_permutations + 1
    every = _every_split(blocks) if exact else None
    counts = [
        _count(part, blocks, every, n_permutations, seed)
        for part in np.split(responses, range(UNITS, len(responses), UNITS))
    ]
    count = np.concatenate(counts)
    if exact:
        # with even blocks a split and its mirror image have the same size of t
        least = 2 if all(a == b for a, b in blocks) else 1
        return LabelTest([int(c) / total for c in count], least / total, f"all {total:,} splits of labels")
    p_values = [(int(c) + 1) / (n_permutations + 1) for c in count]
    return LabelTest(p_values, 1 / (n_permutations + 1), f"{n_permutations:,} permutations of labels")


def _count(
    responses: Floats, blocks: Blocks, every: Labels | None, n_permutations: int, seed: int
) -> npt.NDArray[np.int64]:
    # equal statistics may differ in the last bits: count them as reached
    reached = _sizes_of_t(own_trials(blocks)[None, :], responses)[0] * (1.0 - 1e-9)
    total = n_permutations if every is None else len(every)
    bound = max(1, VALUES // max(UNITS, responses.shape[1]))
    generator = np.random.default_rng(seed)
    count = np.zeros(len(responses), dtype=np.int64)
    for start in range(0, total, bound):
        size = min(bound, total - start)
        labels = _drawn(blocks, size, generator) if every is None else every[start : start + size]
        count += (_sizes_of_t(labels, responses) >= reached).sum(axis=0)
    return count


def _every_split(blocks: Blocks) -> Labels:
    table = np.zeros((1, 0), dtype=bool)
    for a, b in blocks:
        chosen = list(combinations(range(a + b), a))
        part = np.zeros((len(chosen), a + b), dtype=bool)
        np.put_along_axis(part, np.array(chosen, dtype=np.int64).reshape(len(chosen), a), True, axis=1)
        table = np.hstack([np.repeat(table, len(part), axis=0), np.tile(part, (len(table), 1))])
    return table


def _drawn(blocks: Blocks, size: int, generator: np.random.Generator) -> Labels:
    return np.hstack([generator.random((size, a + b)).argsort(axis=1) < a for a, b in blocks])


def _sizes_of_t(labels: Labels, responses: Floats) -> Floats:
    """Return the size of Welch's t (labels, units) of every split for every unit."""
    values = (responses - responses.mean(axis=1, keepdims=True)).T
    own, n_own = labels.astype(np.float64), int(labels[0].sum())
    n_control = labels.shape[1] - n_own
    sums, squares = own @ values, own @ values**2
    other, other_squares = values.sum(axis=0) - sums, (values**2).sum(axis=0) - squares
    own_variance = (squares - sums**2 / n_own) / (n_own - 1)
    control_variance = (other_squares - other**2 / n_control) / (n_control - 1)
    error = np.maximum(own_variance, 0) / n_own + np.maximum(control_variance, 0) / n_control
    difference = np.abs(sums / n_own - other / n_control)
    # a split that leaves no variance within images is beyond any t, unless its means agree too
    floor = np.broadcast_to(1e-14 * (values**2).mean(axis=0), error.shape)
    flat = error <= floor
    size: Floats = difference / np.sqrt(np.where(flat, 1.0, error))
    size[flat] = np.where(difference[flat] ** 2 > floor[flat], np.inf, 0.0)
    return size
