"""Figures and page of several loops: same data, same bytes; what is missing is said."""

import numpy as np
import polars as pl
import pytest

from inception_loop.closed_loop.loop_units import words_of
from inception_loop.closed_loop.statistics.over_loops import UNITS, across_loops
from inception_loop.report.figures.loops import forest_figure, look_of, units_figure
from inception_loop.report.loops_report import headline, loops_lines, render_loops_page, tone


def units_of(sizes=(12, 9, 3), effect=1.2):
    rng = np.random.default_rng(3)
    rows = [
        (key, words_of(key), str(loop), str(7 + loop), str(unit), *rng.normal([effect, 0], 0.5))
        for key in ("cnn_linear", "cnn_gabor")
        for loop, n in enumerate(sizes)
        for unit in range(n if key == "cnn_linear" or loop else 0)
    ]
    return pl.DataFrame(rows, schema=UNITS, orient="row")


LOOPS = [("0", "7"), ("1", "8"), ("2", "9")]


@pytest.fixture(scope="module")
def tables():
    units = units_of()
    return across_loops(units, loops=LOOPS, n_permutations=999), units


def test_the_forest_has_a_row_a_loop_and_says_what_is_not_done(tables):
    figure = forest_figure(tables[0])
    assert (
        "own MEI against own RF image: interval above 0 in 2 of 2 loops, mean over all 24 units" in figure.alt
    )
    assert figure.svg == forest_figure(tables[0]).svg
    assert b"<svg" in figure.svg


def test_a_panel_a_loop_counts_the_units_above_the_line(tables):
    figure = units_figure(tables[1], "cnn_gabor")
    rows = tables[1].filter(comparison="cnn_gabor", loop="1")
    above = rows.filter(pl.col("own") > pl.col("control")).height
    assert f"loop 1: {above} of 9 above the line" in figure.alt
    assert "loop 0" not in figure.alt


@pytest.mark.parametrize("key", ["cnn_others", "cnn_natural", "masked_cnn_masked_natural"])
def test_every_comparison_has_a_colour_and_a_marker_of_its_own(key):
    others = {look_of(one) for one in ("cnn_linear", "cnn_gabor", "masked_cnn_others")}
    assert look_of(key) not in others


def test_the_headline_counts_loops_that_win_by_corrected_p(tables):
    assert headline(tables[0]) == (
        "own MEI against own RF image: wins in 2 of 3 loops, loses in 0 (q ≤ 0.05); own MEI "
        "against own best Gabor: wins in 1 of 3 loops, loses in 0, 1 not tested (q ≤ 0.05); these are 3 "
        "animals: no statement about animals"
    )
    lines = loops_lines(tables[0])
    assert len(lines) == 1 + 2 * 4
    assert "loop 2 has 3 units; expected at least 5 in each loop" in lines[1]


def test_loops_that_lose_are_counted_and_five_animals_make_a_statement():
    worse = across_loops(units_of(effect=-1.2), loops=LOOPS, n_permutations=999)
    assert "wins in 0 of 3 loops, loses in 2 (q ≤ 0.05)" in headline(worse)
    assert "interval above 0 in 0 of 2 loops, below 0 in 2, mean" in forest_figure(worse).alt
    five = across_loops(units_of((9,) * 5), n_permutations=999)
    row = five.filter(key="cnn_linear_animals_interval").row(0, named=True)
    assert (
        f"over 5 animals mean difference {row['value']:.2f} (95 % interval {row['lower']:.2f} to "
        f"{row['upper']:.2f});"
    ) in headline(five)
    assert "no statement about animals" not in headline(five)
    same = units_of((9, 9)).with_columns(control=pl.col("own"))
    assert "image: no loop could be tested" in headline(across_loops(same, n_permutations=99))


def test_one_comparison_that_loses_takes_the_plain_yes_away():
    sizes = (9,) * 6
    units = units_of(sizes).filter(comparison="cnn_linear")
    natural = units.with_columns(
        comparison=pl.lit("cnn_natural"),
        what=pl.lit(words_of("cnn_natural")),
        own=pl.col("control"),
        control=pl.col("own"),
    )
    loops = pl.DataFrame({"diagonal_p_value": [1e-5] * 6})
    plain = across_loops(units, n_permutations=999)
    both = across_loops(pl.concat([units, natural]), n_permutations=999)
    assert (tone(plain, loops), tone(both, loops)) == ("yes", "partly")
    assert "own MEI against own best natural image: wins in 0 of 6 loops, loses in 6" in headline(both, loops)
    said = "own MEI against those of the other units: p < 0.001 in 5 of 6 loops; own MEI"
    weaker = pl.DataFrame({"diagonal_p_value": [1e-5] * 5 + [0.2]})
    assert headline(plain, weaker).startswith(said)
    assert tone(plain, weaker) == "partly"
    lost = across_loops(natural, n_permutations=999)
    assert tone(lost, pl.DataFrame({"diagonal_p_value": [0.5] * 6})) == "no"
    nothing = lost.with_columns(q_value=None)
    assert (
        tone(nothing, pl.DataFrame({"diagonal_p_value": [None] * 6}, schema={"diagonal_p_value": pl.Float64}))
        == "open"
    )


def test_the_page_holds_every_row_its_lineage_and_no_address(tables):
    tests, units = tables
    of_loops = {
        "loop": ["0", "1", "2"],
        "loop_group": [0, 1, 2],
        "animal": ["7", "8", "9"],
        "source_scan": ["7-1-1", "8-1-1", "9-1-1"],
        "n_later_scans": [1, 1, 2],
        "n_selected": [12, 12, 3],
        "n_units": [12, 9, 3],
        "own_image_is_best": [10, 2, 1],
        "diagonal_p_value": [0.01, 0.02, None],
        "evidence": [letter * 64 for letter in "abc"],
    }
    loops = pl.DataFrame(of_loops)
    page = render_loops_page(loops, tests, units, digest="d" * 64, settings={"seed": 3})
    assert page.count("<tr><td>") == tests.height
    for digest in "abcd":
        assert digest * 64 in page
    assert 'class="partly"' in page
    assert "not done: no unit was shown both images" in page
    assert "nan" not in page.lower().replace("nance", "")
    assert page.count('alt=""') == 0
