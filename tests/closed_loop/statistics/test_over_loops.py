import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.statistics.bootstrap import interval
from inception_loop.closed_loop.statistics.mixed import mixed_model
from inception_loop.closed_loop.statistics.over_loops import UNITS, across_loops
from inception_loop.closed_loop.statistics.paired import sign_flip_test
from inception_loop.closed_loop.statistics.pooled import about, pooled_interval
from inception_loop.closed_loop.statistics.rows import animal_rows
from inception_loop.errors import DataError


def units(loops=("1", "2"), animals=None, *, n=8, effect=0.6, seed=0, comparison="cnn_linear"):
    rng = np.random.default_rng(seed)
    rows = [
        (
            comparison,
            "own MEI against own RF image",
            loop,
            animal,
            f"{loop}/{unit}",
            *rng.normal([effect, 0], 1),
        )
        for loop, animal in zip(loops, animals or [f"m{loop}" for loop in loops], strict=True)
        for unit in range(n)
    ]
    return pl.DataFrame(rows, schema=UNITS, orient="row")


def rows_of(table, **options):
    return {row["key"]: row for row in across_loops(table, **options).iter_rows(named=True)}


def test_a_loop_has_the_numbers_of_its_own_tests_and_the_pool_those_of_all_units():
    table = units()
    found = rows_of(table, seed=3)
    first = table.filter(loop="1")
    differences = (first["own"] - first["control"]).to_numpy()
    ends, test = interval(differences, seed=3), sign_flip_test(differences, seed=3)
    row = found["cnn_linear_loop_1"]
    assert (row["value"], row["lower"], row["upper"]) == (test.statistic, ends.lower, ends.upper)
    assert (row["p_value"], row["n"], row["animal"]) == (test.p_value, 8, "m1")
    assert row["n_above"] == (differences > 0).sum()
    every = (table["own"] - table["control"]).to_numpy()
    pooled, ends = found["cnn_linear_pooled_units"], pooled_interval(every, table["loop"].to_numpy(), seed=3)
    assert (pooled["lower"], pooled["upper"], pooled["n"]) == (ends.lower, ends.upper, 16)
    assert pooled["p_value"] == sign_flip_test(every, seed=3).p_value
    assert pooled["loop"] is None


def test_animals_speak_from_five_on_and_two_loops_of_one_are_one():
    loops = tuple("123456")
    found = rows_of(units(loops, ["a", "b", "c", "d", "e", "e"]))
    assert found["cnn_linear_animals_interval"]["n"] == 5
    assert found["cnn_linear_animals_mixed"]["p_value"] is not None
    assert "2 loops of animal e count as one animal" in found["cnn_linear_animals_interval"]["words"]
    few = rows_of(units(loops, ["a", "b", "c", "d", "d", "d"]))
    for key in ("animals_interval", "animals_sign_flip", "animals_mixed"):
        assert few[f"cnn_linear_{key}"]["value"] is None
        assert "there are 4 animals; expected at least 5" in few[f"cnn_linear_{key}"]["words"]
    table = units(loops, ["a", "b", "c", "d", "e", "e"])
    model = mixed_model((table["own"] - table["control"]).to_numpy(), table["animal"].to_numpy())
    assert found["cnn_linear_animals_mixed"]["p_value"] == model.p_value


def test_the_seed_is_that_of_the_statements_over_animals_too():
    table = units(tuple("123456789"))
    drawn = {seed: rows_of(table, seed=seed)["cnn_linear_animals_interval"] for seed in (0, 1)}
    by_hand = animal_rows("x", "", (table["own"] - table["control"]).to_numpy(), table["animal"], seed=1)
    assert drawn[1]["lower"] == by_hand[0]["lower"]
    assert drawn[1]["lower"] != drawn[0]["lower"]


def test_what_a_loop_does_not_allow_is_said_beside_what_it_does():
    table = pl.concat([units(("1",)), units(("2",), n=3)])
    found = rows_of(table, loops=[("1", "m1"), ("2", "m2"), ("3", "m3")])
    assert found["cnn_linear_loop_2"]["lower"] is None
    assert found["cnn_linear_loop_2"]["p_value"] == 0.25 * round(found["cnn_linear_loop_2"]["p_value"] / 0.25)
    assert "no interval: there are 3 units; expected at least 5" in found["cnn_linear_loop_2"]["words"]
    assert "loop 3 (animal m3): not done: no unit was shown both" in found["cnn_linear_loop_3"]["words"]
    assert found["cnn_linear_loop_3"]["n"] == 0
    pooled = found["cnn_linear_pooled_units"]["words"]
    assert "loop 2 has 3 units; expected at least 5 in each loop" in pooled
    assert "; without loop 3, which does not compare these: the mean over units like these of these" in pooled
    same = units(("1",)).with_columns(own=pl.lit(1.0), control=pl.lit(1.0))
    assert "no test: all 8 differences are 0" in rows_of(same)["cnn_linear_loop_1"]["words"]


def test_a_pooled_row_says_that_it_is_about_these_animals():
    row = rows_of(units())["cnn_linear_pooled_units"]
    assert row["words"].endswith(about())
    assert "neither interval nor p says anything of other animals" in row["words"]
    assert "about these animals only" in row["assumptions"]
    assert "this animal" not in row["words"] + row["assumptions"]


def test_own_against_the_mean_of_others_has_no_sign_flips_for_these_are_not_exchangeable():
    found = rows_of(units(comparison="cnn_others"))
    for key in ("cnn_others_loop_1", "cnn_others_pooled_units"):
        row = found[key]
        assert (row["p_value"], row["q_value"]) == (None, None)
        assert row["lower"] < row["value"] < row["upper"]
        assert "the permutation of the diagonal tests these" in row["words"]
        assert "exchangeable" not in row["assumptions"]
        assert "too narrow" in row["assumptions"]


def test_p_values_are_corrected_over_loops_and_comparisons():
    table = pl.concat([units(seed=1), units(seed=2, comparison="cnn_gabor", effect=0.1)])
    found = across_loops(table)
    alone = found.filter(pl.col("loop").is_not_null()).sort("p_value")
    steps = alone["p_value"].to_numpy() * 4 / np.arange(1, 5)
    np.testing.assert_allclose(alone["q_value"], np.minimum.accumulate(steps[::-1])[::-1])
    pooled = found.filter(pl.col("key").str.ends_with("pooled_units")).sort("p_value")
    assert pooled["q_value"][1] == pooled["p_value"][1]


def test_a_cell_that_is_in_two_loops_is_refused():
    table = units().with_columns(unit=pl.lit("5-1-1/") + pl.col("unit").str.slice(2), animal=pl.lit("5"))
    said = (
        r"^8 units are in a comparison twice, first unit 5-1-1/0 of animal 5 in loops 1 and 2: the same cell"
    )
    with pytest.raises(DataError, match=said):
        across_loops(table)
    with pytest.raises(DataError, match="the table of units lacks own, control; it has"):
        across_loops(table.drop("own", "control"))
