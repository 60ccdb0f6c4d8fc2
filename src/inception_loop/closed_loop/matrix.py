"""The confusion matrix of a loop and the permutation test of its diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConfusionMatrix:
    """Mean responses of units to each other's images.

    Attributes
    ----------
    unit_ids : (n,) int64, source units; image *i* was made for the unit that column *i* recorded
    responses : (n images, n units) float64, in the unit of the summary table
    """

    unit_ids: npt.NDArray[np.int64]
    responses: Floats


@dataclass(frozen=True)
class PermutationTest:
    """Whether the mean response to the own image is larger than under shuffled image labels.

    Attributes
    ----------
    statistic : mean of the diagonal, in the unit of the matrix
    null_mean : mean over the permutations
    p_value : (b + 1) / (B + 1), b = permutations with at least the observed statistic
    n_permutations, n_units : B, and the side of the matrix
    """

    statistic: float
    null_mean: float
    p_value: float
    n_permutations: int
    n_units: int


def confusion_matrix(
    summary: pl.DataFrame, unit_ids: Sequence[int], model_type: str = "cnn"
) -> ConfusionMatrix:
    """Return the square matrix of mean responses, images × units, in the order given.

    Units without a response to every image of the others are left out, fewest responses first, until the
    matrix is complete.

    Parameters
    ----------
    summary
        Rows of `summary_confusion`.
    unit_ids
        Source units, in the order wanted.
    model_type
        Which images.

    Examples
    --------
    >>> rows = [("cnn", image, unit, float(image == unit)) for image in (5, 8) for unit in (5, 8)]
    >>> names = ["model_type", "image_unit_id", "source_unit_id", "mu_resp"]
    >>> confusion_matrix(pl.DataFrame(rows, schema=names, orient="row"), [8, 5, 9]).unit_ids.tolist()
    [8, 5]
    """
    place = {unit: index for index, unit in enumerate(unit_ids)}
    if len(place) != len(unit_ids):
        raise DataError(
            f"{len(unit_ids) - len(place)} units stand twice in the list; expected each unit once"
        )
    responses = np.full((len(place), len(place)), np.nan)
    rows = summary.filter(pl.col("model_type") == model_type)
    for image, unit, response in rows.select("image_unit_id", "source_unit_id", "mu_resp").iter_rows():
        if image in place and unit in place:
            responses[place[image], place[unit]] = response
    keep = _complete(np.isfinite(responses))
    return ConfusionMatrix(np.array(unit_ids, dtype=np.int64)[keep], responses[np.ix_(keep, keep)])


def _complete(known: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    keep = np.arange(len(known))
    while keep.size and not known[np.ix_(keep, keep)].all():
        part = known[np.ix_(keep, keep)]
        keep = np.delete(keep, int((part.sum(axis=0) + part.sum(axis=1)).argmin()))
    return keep


def own_image_is_best(matrix: ConfusionMatrix) -> npt.NDArray[np.bool_]:
    """Return per unit (n,) whether its own image gives its strictly largest response in the matrix.

    Examples
    --------
    >>> own_image_is_best(ConfusionMatrix(np.array([1, 2]), np.array([[3.0, 1.0], [2.0, 1.0]]))).tolist()
    [True, False]
    """
    others = matrix.responses.copy()
    np.fill_diagonal(others, -np.inf)
    best: npt.NDArray[np.bool_] = np.diag(matrix.responses) > others.max(axis=0, initial=-np.inf)
    return best


def mean_of_others(matrix: ConfusionMatrix) -> Floats:
    """Return per unit (n,) its mean response to the other units' images.

    Raises
    ------
    DataError
        If there are no others.

    Examples
    --------
    >>> mean_of_others(ConfusionMatrix(np.arange(3), np.array([[9.0, 1, 2], [3, 9, 4], [5, 6, 9]]))).tolist()
    [4.0, 3.5, 3.0]
    """
    n = len(matrix.unit_ids)
    if n < 2:
        raise DataError(
            f"the confusion matrix has {n} units; expected at least 2: there are no others' images"
        )
    others: Floats = (matrix.responses.sum(axis=0) - np.diag(matrix.responses)) / (n - 1)
    return others


def diagonal_permutation_test(
    matrix: ConfusionMatrix, *, n_permutations: int = 99_999, seed: int = 0
) -> PermutationTest:
    """Test the mean of the diagonal against random assignments of images to units.

    Under the null hypothesis the labels of the images are exchangeable. One-sided; the observed assignment
    counts as one of the permutations, so p is never 0 (Phipson & Smyth 2010).

    Parameters
    ----------
    matrix
        Mean responses, images × units.
    n_permutations
        B.
    seed
        Of the permutations.

    Raises
    ------
    DataError
        If the matrix has fewer than two units.

    Examples
    --------
    >>> test = diagonal_permutation_test(ConfusionMatrix(np.arange(8), np.eye(8)), n_permutations=999)
    >>> test.statistic, test.p_value
    (1.0, 0.001)
    """
    return pooled_diagonal_test([matrix], n_permutations=n_permutations, seed=seed)


def pooled_diagonal_test(
    matrices: Sequence[ConfusionMatrix], *, n_permutations: int = 99_999, seed: int = 0
) -> PermutationTest:
    """Test the mean over all units of several loops, images permuted within their loop.

    Parameters
    ----------
    matrices
        Of every loop, images × units.
    n_permutations, seed
        As for `diagonal_permutation_test`, which this is for one loop.

    Raises
    ------
    DataError
        If there is no matrix, or one has fewer than two units.

    Examples
    --------
    >>> test = pooled_diagonal_test([ConfusionMatrix(np.arange(4), np.eye(4))] * 3, n_permutations=999)
    >>> test.statistic, test.n_units, test.p_value
    (1.0, 12, 0.001)
    """
    sizes = [len(matrix.unit_ids) for matrix in matrices]
    if min(sizes, default=0) < 2:
        raise DataError(
            f"the confusion matrix has {min(sizes, default=0)} units; expected at least 2 to permute image "
            "labels"
        )
    n = sum(sizes)
    statistic = float(np.concatenate([np.diag(matrix.responses) for matrix in matrices]).mean())
    generator = np.random.default_rng(seed)
    # equal sums may differ in the last bits: count them as reached
    reached = statistic - 1e-12 * max(float(np.abs(matrix.responses).max()) for matrix in matrices)
    count, total, left = 0, 0.0, n_permutations
    while left:
        block = min(left, max(1, 2_000_000 // n))
        means = np.zeros(block)
        for size, matrix in zip(sizes, matrices, strict=True):
            labels = generator.permuted(np.tile(np.arange(size), (block, 1)), axis=1)
            means += matrix.responses[labels, np.arange(size)].sum(axis=1)
        means /= n
        count += int((means >= reached).sum())
        total += float(means.sum())
        left -= block
    return PermutationTest(
        statistic, total / n_permutations, (count + 1) / (n_permutations + 1), n_permutations, n
    )
