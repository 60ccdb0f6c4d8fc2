import itertools

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.closed_loop.matrix import (
    ConfusionMatrix,
    confusion_matrix,
    diagonal_permutation_test,
    mean_of_others,
    own_image_is_best,
    pooled_diagonal_test,
)
from inception_loop.errors import DataError


def rows_of(matrix, units, model="cnn"):
    rows = [(model, i, u, matrix[a, b]) for a, i in enumerate(units) for b, u in enumerate(units)]
    return pl.DataFrame(
        rows, schema=["model_type", "image_unit_id", "source_unit_id", "mu_resp"], orient="row"
    )


def test_rows_are_images_and_columns_units_in_the_order_given():
    values = np.arange(9.0).reshape(3, 3)
    matrix = confusion_matrix(rows_of(values, [4, 5, 6]), [6, 4, 5])
    np.testing.assert_array_equal(matrix.responses, values[np.ix_([2, 0, 1], [2, 0, 1])])


def test_units_without_all_responses_are_left_out_and_only_those():
    table = rows_of(np.arange(16.0).reshape(4, 4), [1, 2, 3, 4]).filter(pl.col("source_unit_id") != 3)
    assert confusion_matrix(table, [1, 2, 3, 4]).unit_ids.tolist() == [1, 2, 4]
    assert confusion_matrix(table, [3]).unit_ids.tolist() == []


def test_a_unit_listed_twice_is_refused():
    with pytest.raises(DataError, match="twice"):
        confusion_matrix(rows_of(np.eye(2), [1, 2]), [1, 1])


def test_the_own_image_must_be_strictly_best():
    matrix = ConfusionMatrix(np.arange(3), np.array([[2.0, 1, 5], [1, 1, 0], [0, 0, 4]]))
    assert own_image_is_best(matrix).tolist() == [True, False, False]


@given(st.integers(2, 5), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_p_value_approaches_that_of_all_permutations(n, seed):
    values = np.random.default_rng(seed).normal(size=(n, n))
    observed = np.diag(values).mean()
    means = [values[list(p), range(n)].mean() for p in itertools.permutations(range(n))]
    exact = np.mean([m >= observed - 1e-12 for m in means])
    test = diagonal_permutation_test(ConfusionMatrix(np.arange(n), values), n_permutations=20_000, seed=seed)
    assert test.p_value == pytest.approx(exact, abs=0.02)
    assert test.null_mean == pytest.approx(np.mean(means), abs=0.05)


def test_p_is_never_zero_and_a_constant_matrix_gives_one():
    perfect = diagonal_permutation_test(ConfusionMatrix(np.arange(20), np.eye(20)), n_permutations=99_999)
    assert perfect.p_value == 1e-5
    flat = diagonal_permutation_test(ConfusionMatrix(np.arange(6), np.full((6, 6), 0.1)), n_permutations=999)
    assert flat.p_value == 1.0


def test_the_test_is_seeded_and_ignores_how_the_units_are_ordered_up_to_chance():
    values = np.random.default_rng(1).normal(size=(12, 12)) + np.eye(12) * 0.4
    matrix = ConfusionMatrix(np.arange(12), values)
    first, again = (diagonal_permutation_test(matrix, n_permutations=9_999, seed=3) for _ in range(2))
    assert first == again
    order = np.random.default_rng(2).permutation(12)
    other = diagonal_permutation_test(
        ConfusionMatrix(order, values[np.ix_(order, order)]), n_permutations=9_999, seed=3
    )
    assert other.p_value == pytest.approx(first.p_value, abs=0.02)
    assert other.statistic == pytest.approx(first.statistic)


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(5)
    p = [
        diagonal_permutation_test(
            ConfusionMatrix(np.arange(8), rng.normal(size=(8, 8))), n_permutations=399, seed=s
        ).p_value
        for s in range(200)
    ]
    assert 0.01 < np.mean(np.array(p) <= 0.05) < 0.10
    assert abs(np.mean(p) - 0.5) < 0.07


def test_one_unit_cannot_be_permuted():
    with pytest.raises(DataError, match="at least 2"):
        diagonal_permutation_test(ConfusionMatrix(np.arange(1), np.eye(1)))


def test_images_of_several_loops_are_permuted_within_their_loop():
    rng = np.random.default_rng(5)
    small = [ConfusionMatrix(np.arange(3), rng.normal(size=(3, 3)) + shift) for shift in (0.0, 50.0)]
    found = pooled_diagonal_test(small, n_permutations=19_999, seed=1)
    orders = list(itertools.permutations(range(3)))
    sums = [[matrix.responses[list(order), range(3)].sum() for order in orders] for matrix in small]
    means = np.array([(one + other) / 6 for one in sums[0] for other in sums[1]])
    assert found.statistic == pytest.approx(means[0])
    assert found.p_value == pytest.approx((means >= means[0] - 1e-9).mean(), abs=0.02)
    assert found.null_mean == pytest.approx(means.mean(), abs=0.05)
    one = diagonal_permutation_test(small[0], n_permutations=999, seed=2)
    assert pooled_diagonal_test(small[:1], n_permutations=999, seed=2) == one
    with pytest.raises(DataError, match="0 units; expected at least 2 to permute"):
        pooled_diagonal_test([])


def test_the_mean_of_others_leaves_out_the_own_image_and_needs_others():
    values = np.random.default_rng(0).normal(size=(5, 5))
    expected = [np.delete(values[:, unit], unit).mean() for unit in range(5)]
    assert mean_of_others(ConfusionMatrix(np.arange(5), values)) == pytest.approx(expected, abs=1e-14)
    with pytest.raises(DataError, match="there are no others' images"):
        mean_of_others(ConfusionMatrix(np.arange(1), np.ones((1, 1))))
