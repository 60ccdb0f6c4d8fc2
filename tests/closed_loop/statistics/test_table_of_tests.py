import re

import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.matrix import ConfusionMatrix
from inception_loop.closed_loop.statistics.bootstrap import interval
from inception_loop.closed_loop.statistics.paired import sign_flip_test
from inception_loop.closed_loop.statistics.per_unit import trial_table, unit_tests
from inception_loop.closed_loop.statistics.rows import (
    animal_rows,
    comparison_rows,
    diagonal_rows,
    per_unit_row,
)
from inception_loop.closed_loop.statistics.table_of_tests import ASSUMPTIONS, table_of_tests
from inception_loop.errors import DataError

WHAT = "own MEI against own RF image"


def rows_of_a_loop(seed=0, n=20, effect=0.5):
    rng = np.random.default_rng(seed)
    own, control = rng.normal(effect, 1, (n, 10)), rng.normal(0, 1, (n, 10))
    matrix = ConfusionMatrix(np.arange(n), rng.normal(size=(n, n)) + np.eye(n))
    rows = comparison_rows("cnn_linear", WHAT, own.mean(1), control.mean(1), n_permutations=999)
    rows.append(
        per_unit_row("cnn_linear", WHAT, unit_tests(trial_table(list(own), list(control)), n_permutations=99))
    )
    return (
        rows + diagonal_rows("cnn", "own MEI against others' MEIs", matrix, n_permutations=999),
        own,
        control,
    )


def test_the_table_holds_the_numbers_of_the_tests():
    rows, own, control = rows_of_a_loop()
    table = table_of_tests(rows)
    by_key = {row["key"]: row for row in table.iter_rows(named=True)}
    values = own.mean(1) - control.mean(1)
    test, ends = sign_flip_test(values, n_permutations=999), interval(values)
    assert by_key["cnn_linear_sign_flip"]["p_value"] == test.p_value
    assert (by_key["cnn_linear_interval"]["lower"], by_key["cnn_linear_interval"]["upper"]) == (
        ends.lower,
        ends.upper,
    )
    assert by_key["cnn_linear_share"]["value"] == pytest.approx((values > 0).mean())
    assert by_key["cnn_diagonal"]["p_value"] == 0.001
    assert by_key["cnn_own_over_others"]["value"] == pytest.approx(1.0, abs=0.5)


def test_every_row_says_its_n_its_assumptions_its_method_and_itself_in_words():
    table = table_of_tests(rows_of_a_loop()[0])
    for name in ("n", "n_of", "assumptions", "method", "words", "what", "statistic"):
        assert table[name].null_count() == 0, name
    assert all(str(row["n"]) in row["words"] for row in table.iter_rows(named=True))
    assert not any(table[name].is_nan().any() for name in ("value", "p_value", "q_value", "lower", "upper"))


def test_no_two_rows_of_a_comparison_are_called_alike():
    table = table_of_tests(rows_of_a_loop()[0])
    assert not table.select("what", "statistic").is_duplicated().any()
    assert "mean difference, sign flips" in table["statistic"].to_list()
    rng = np.random.default_rng(3)
    animals = table_of_tests(animal_rows("cnn_linear", WHAT, rng.normal(1, 1, 30), np.repeat(range(6), 5)))
    assert not animals["statistic"].is_duplicated().any()


def test_words_have_true_minus_signs_and_powers_of_ten():
    rng = np.random.default_rng(2)
    values = rng.normal(-2.0, 0.5, 25)
    matrix = ConfusionMatrix(np.arange(20), rng.normal(size=(20, 20)) + 3 * np.eye(20))
    rows = comparison_rows("cnn_linear", WHAT, values, np.zeros(25)) + diagonal_rows("cnn", "own", matrix)
    words = " ".join(table_of_tests(rows)["words"])
    assert "mean difference −" in words
    assert "p = 1.0 × 10⁻⁵" in words
    assert not re.search(r"[ (]-[0-9]|[0-9]e[-+]", words)


def test_several_comparisons_are_corrected_test_by_test():
    rng = np.random.default_rng(1)
    rows = []
    for control, effect in (("linear", 0.8), ("natural", 0.3), ("gabor", 0.0)):
        rows += comparison_rows(control, control, rng.normal(effect, 1, 25), np.zeros(25), n_permutations=999)
    table = table_of_tests(rows)
    for kind in ("sign_flip", "wilcoxon"):
        part = table.filter(pl.col("key").str.ends_with(kind)).sort("p_value")
        assert part["q_value"][0] == pytest.approx(min(part["p_value"] * 3 / np.arange(1, 4)))
    assert table.filter(pl.col("p_value").is_null())["q_value"].null_count() == 6


@pytest.mark.parametrize(
    ("own", "control", "why"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0], "all 5 differences are 0"),
        ([1.0], [0.0], "expected at least"),
        ([1.0, np.nan, 2.0, 3.0, 4.0], [0.0] * 5, "are NaN or infinite"),
        ([], [], "expected at least"),
    ],
)
def test_a_test_that_could_not_be_done_is_a_row_that_says_why(own, control, why):
    table = table_of_tests(comparison_rows("cnn_linear", WHAT, own, control))
    row = table.filter(pl.col("key") == "cnn_linear_sign_flip").row(0, named=True)
    assert row["p_value"] is None
    assert row["words"].startswith(f"{WHAT}: not done: ")
    assert why in row["words"]


def test_over_animals_the_table_speaks_of_animals_or_says_that_they_are_too_few():
    rng = np.random.default_rng(2)
    animals = np.repeat(np.arange(6), 20)
    values = 0.5 + 0.2 * rng.normal(size=6)[animals] + rng.normal(0, 0.5, 120)
    table = table_of_tests(animal_rows("cnn_linear", WHAT, values, animals))
    assert table["n"].to_list() == [6, 6, 6]
    assert set(table["n_of"]) == {"animals"}
    assert table["p_value"][1] == sign_flip_test([values[animals == a].mean() for a in range(6)]).p_value
    few = table_of_tests(animal_rows("cnn_linear", WHAT, values[:60], animals[:60]))
    assert few["value"].null_count() == 3
    assert all("there are 3 animals; expected at least 5" in words for words in few["words"])


def test_over_animals_seed_and_number_of_flips_are_those_asked():
    animals = np.repeat(np.arange(20), 2)
    values = np.random.default_rng(2).normal(0.3, 1, 40)
    first, other = (animal_rows("a", WHAT, values, animals, n_permutations=99, seed=seed) for seed in (0, 1))
    assert first[1]["method"] == "99 random sign flips"
    assert all(first[place]["words"] != other[place]["words"] for place in (0, 1))


def test_units_of_which_none_could_be_tested_are_said():
    tests = unit_tests(trial_table([[1.0]] * 3, [[0.0]] * 3))
    row = per_unit_row("cnn_linear", WHAT, tests)
    assert "none of 3 units could be tested: 1 trial of the own image" in row["words"]


def test_one_unit_has_no_diagonal_and_two_rows_of_one_key_are_refused():
    rows = diagonal_rows("cnn", "own", ConfusionMatrix(np.arange(1), np.eye(1)))
    assert all("not done" in row["words"] for row in rows)
    with pytest.raises(DataError, match="2 tests have the key of another, first cnn_diagonal"):
        table_of_tests(rows + rows)


def test_no_rows_are_an_empty_table_and_every_kind_has_its_assumptions():
    assert table_of_tests([]).height == 0
    assert all(ASSUMPTIONS.values())
