"""Tests of a loop, or of several animals, as rows for the table of tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.closed_loop.evidence import Share
from inception_loop.closed_loop.matrix import ConfusionMatrix, diagonal_permutation_test, mean_of_others
from inception_loop.closed_loop.statistics.bootstrap import animal_means, interval
from inception_loop.closed_loop.statistics.mixed import mixed_model
from inception_loop.closed_loop.statistics.numerals import said
from inception_loop.closed_loop.statistics.paired import PairedTest, sign_flip_test, wilcoxon_test
from inception_loop.closed_loop.statistics.table_of_tests import Row, row_of
from inception_loop.closed_loop.statistics.values import finite_vector
from inception_loop.errors import DataError


def comparison_rows(
    key: str,
    what: str,
    own: npt.ArrayLike,
    control: npt.ArrayLike,
    *,
    scale: str = "s.d.",
    n_permutations: int = 99_999,
    seed: int = 0,
) -> list[Row]:
    """Return the tests of own against control over the units of one animal.

    Parameters
    ----------
    key
        Beginning of the rows' keys, such as ``cnn_linear``.
    what
        What is compared, such as ``own MEI against own RF image``.
    own, control
        (n,) mean responses, one a unit.
    scale
        Unit of the responses, for the words.
    n_permutations, seed
        Of the sign flips; the seed also of the bootstrap.

    Returns
    -------
    Rows ``<key>_interval, <key>_sign_flip, <key>_wilcoxon, <key>_share``. A test that the data do not allow
    is a row all the same: without numbers, the reason in its words.

    Examples
    --------
    >>> rows = comparison_rows("cnn_linear", "own MEI against own RF image", [2, 3, 4, 3, 5], [1, 1, 1, 1, 1])
    >>> print(rows[1]["words"])
    own MEI against own RF image: mean difference 2.4 s.d. over 5 units, p = 0.0625 (all 32 sign flips)
    """
    differences = np.asarray(own, dtype=np.float64) - np.asarray(control, dtype=np.float64)

    def mean() -> Row:
        found = interval(differences, seed=seed)
        words = (
            f"mean difference {_ends(found.value, found.lower, found.upper, scale)} over {found.n} units: "
        )
        ends = {"lower": found.lower, "upper": found.upper, "n": found.n}
        return {"value": found.value, **ends, "method": found.method, "words": words + found.about}

    def flips() -> Row:
        found = sign_flip_test(differences, n_permutations=n_permutations, seed=seed)
        words = f"mean difference {said(found.statistic)} {scale} over {found.n} units, {_p(found)}"
        return _tested(found, words)

    def ranks() -> Row:
        found = wilcoxon_test(differences)
        words = f"rank sum {found.statistic:,g} over {found.n} units, {_p(found)}"
        return _tested(found, words)

    def share() -> Row:
        given = finite_vector(differences, "differences")
        found = Share(int((given > 0).sum()), given.size)
        words = f"{found.count} of {found.n} units respond more to their own image"
        ends = {"lower": found.lower, "upper": found.upper, "n": found.n}
        return {"value": found.value, **ends, "method": "Wilson score interval", "words": words}

    return [
        row_of(f"{key}_interval", what, "mean difference, bootstrap interval", "units", mean),
        row_of(f"{key}_sign_flip", what, "mean difference, sign flips", "units", flips),
        row_of(f"{key}_wilcoxon", what, "sum of positive ranks, Wilcoxon", "units", ranks),
        row_of(f"{key}_share", what, "share of units with own above control", "units", share),
    ]


def per_unit_row(key: str, what: str, tests: pl.DataFrame, *, alpha: float = 0.05) -> Row:
    """Return how many units respond more to their own image, one by one, after correction.

    Parameters
    ----------
    key, what
        As for `comparison_rows`; the row's key is ``<key>_per_unit``.
    tests
        Rows of `unit_tests`.
    alpha
        Bound of the q-values.

    Examples
    --------
    >>> tests = pl.DataFrame({"difference": [1.0, -1.0, 0.2], "q_value": [0.01, 0.02, None],
    ...                       "p_value": [0.01, 0.02, None], "method": ["252 splits", "252 splits", None]})
    >>> per_unit_row("cnn_linear", "own MEI against own RF image", tests)["words"][30:]
    '1 of 2 units respond more to their own image and 1 less (q ≤ 0.05); 1 unit could not be tested'
    """

    def counted() -> Row:
        tested = tests.filter(pl.col("p_value").is_not_null())
        if not tested.height:
            why = (
                tests["reason"].drop_nulls() if "reason" in tests.columns else pl.Series([], dtype=pl.String)
            )
            raise DataError(
                f"none of {tests.height} units could be tested" + (f": {why[0]}" if len(why) else "")
            )
        sure = tested.filter(pl.col("q_value") <= alpha)
        more, less = (sure.filter(pl.col("difference") * sign > 0).height for sign in (1, -1))
        left = tests.height - tested.height
        words = (
            f"{more} of {tested.height} units respond more to their own image and {less} less (q ≤ {alpha:g})"
        )
        words += f"; {left} unit{'s' * (left > 1)} could not be tested" if left else ""
        method = ", ".join(tested["method"].unique().sort().to_list()[:3])
        return {"value": float(more), "n": tested.height, "method": method, "words": words}

    return row_of(f"{key}_per_unit", what, "units with own above control after correction", "units", counted)


def diagonal_rows(
    key: str,
    what: str,
    matrix: ConfusionMatrix,
    *,
    scale: str = "s.d.",
    n_permutations: int = 99_999,
    seed: int = 0,
) -> list[Row]:
    """Return the test of the diagonal of a confusion matrix and the interval of own over others' images.

    Parameters
    ----------
    key, what
        As for `comparison_rows`; the keys end in ``_diagonal`` and ``_own_over_others``.
    matrix
        Mean responses, images × units.
    scale
        Unit of the responses, for the words.
    n_permutations, seed
        Of the permutations of images; the seed also of the bootstrap.

    Examples
    --------
    >>> rows = diagonal_rows("cnn", "own MEI against others' MEIs", ConfusionMatrix(np.arange(8), np.eye(8)))
    >>> rows[0]["p_value"], rows[1]["words"][:60]
    (3e-05, "own MEI against others' MEIs: not done: all 8 differences ar")
    """

    def diagonal() -> Row:
        found = diagonal_permutation_test(matrix, n_permutations=n_permutations, seed=seed)
        null, p_value = found.null_mean, found.p_value
        words = (
            f"mean {said(found.statistic)} against {said(null)} with shuffled images over {found.n_units} "
        )
        method = f"{n_permutations:,} permutations of images, one-sided"
        numbers = {"value": found.statistic, "p_value": p_value, "n": found.n_units, "method": method}
        return {**numbers, "words": f"{words}units, p = {said(p_value)} ({method})"}

    def over_others() -> Row:
        n = len(matrix.unit_ids)
        found = interval(np.diag(matrix.responses) - mean_of_others(matrix), seed=seed)
        words = f"mean difference {_ends(found.value, found.lower, found.upper, scale)} over {n} units: "
        ends = {"lower": found.lower, "upper": found.upper, "n": n}
        return {"value": found.value, **ends, "method": found.method, "words": words + found.about}

    return [
        row_of(f"{key}_diagonal", what, "mean response to the own image", "units", diagonal),
        row_of(f"{key}_own_over_others", what, "own minus mean of others' images", "units", over_others),
    ]


def animal_rows(
    key: str,
    what: str,
    differences: npt.ArrayLike,
    animals: npt.ArrayLike,
    *,
    scale: str = "s.d.",
    n_permutations: int = 99_999,
    seed: int = 0,
) -> list[Row]:
    """Return the statements over animals: interval, sign flips of the animals' means, mixed model.

    Parameters
    ----------
    key, what, scale
        As for `comparison_rows`; the keys end in ``_animals_interval``, ``_animals_sign_flip`` and
        ``_animals_mixed``. With fewer than 5 animals the rows say so instead.
    differences, animals
        (n,) own − control and the animal, one a unit.
    n_permutations, seed
        Of the sign flips, where they are not enumerated; the seed also of the bootstrap.

    Examples
    --------
    >>> rows = animal_rows("cnn_linear", "own MEI against own RF image", [1.0, 2.0, 3.0], ["a", "a", "b"])
    >>> rows[0]["words"][:75]
    'own MEI against own RF image: not done: there are 2 animals; expected at le'
    """

    def mean() -> Row:
        found = interval(differences, animals, over="animals", seed=seed)
        words = (
            f"mean difference {_ends(found.value, found.lower, found.upper, scale)} over {found.n} animals: "
        )
        ends = {"lower": found.lower, "upper": found.upper, "n": found.n}
        return {"value": found.value, **ends, "method": found.method, "words": words + found.about}

    def flips() -> Row:
        means = animal_means(differences, animals)
        found = sign_flip_test(means, n_permutations=n_permutations, seed=seed)
        words = f"mean difference {said(found.statistic)} {scale} over {found.n} animals, {_p(found)}"
        return _tested(found, words)

    def mixed() -> Row:
        found = mixed_model(differences, animals)
        words = (
            f"mean difference {_ends(found.value, found.lower, found.upper, scale)} over {found.n_animals} "
        )
        words += f"animals and {found.n_units} units, p = {said(found.p_value)}; variance "
        words += f"{said(found.between_animals)} between animals, {said(found.between_units)} between units: "
        words += found.about
        ends = {"lower": found.lower, "upper": found.upper, "n": found.n_animals, "p_value": found.p_value}
        method = "mixed model, restricted maximum likelihood, t with animals − 1 degrees of freedom"
        return {"value": found.value, **ends, "method": method, "words": words}

    return [
        row_of(f"{key}_animals_interval", what, "mean difference, bootstrap interval", "animals", mean),
        row_of(f"{key}_animals_sign_flip", what, "mean difference, sign flips", "animals", flips),
        row_of(f"{key}_animals_mixed", what, "mean difference, mixed model", "animals", mixed),
    ]


def _tested(found: PairedTest, words: str) -> Row:
    numbers = {"value": found.statistic, "p_value": found.p_value, "n": found.n}
    return {**numbers, "method": _method(found), "words": words}


def _method(found: PairedTest) -> str:
    if found.n_permutations is None:
        return "exact distribution of the rank sum" if found.exact else "normal approximation of the rank sum"
    flips = f"{found.n_permutations:,}"
    return f"all {flips} sign flips" if found.exact else f"{flips} random sign flips"


def _p(found: PairedTest) -> str:
    zeros = f"; {found.n_zero} of the differences are 0" if found.n_zero else ""
    return f"p = {said(found.p_value)} ({_method(found)}{zeros})"


def _ends(value: float, lower: float, upper: float, scale: str) -> str:
    return f"{said(value)} {scale} (95 % interval {said(lower)} to {said(upper)})"
