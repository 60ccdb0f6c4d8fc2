from dataclasses import replace

import polars as pl

from inception_loop.report.closed_loop.loop_tests import LoopTests, collect_tests, next_loops
from inception_loop.report.page import render_page


def test_shares_of_tests_and_evidence_agree(data):
    evidence = dict(data.evidence.select("key", "value").rows())
    tests = dict(data.tests.select("key", "value").rows())
    assert tests["cnn_linear_share"] == evidence["own_mei_over_own_rf_share"]
    assert tests["cnn_natural_share"] == evidence["own_mei_over_best_natural_share"]
    assert tests["panel_complex_cnn_linear_share"] == evidence["panel_complex_mei_over_rf_share"]
    assert tests["cnn_diagonal"] == evidence["diagonal_mean"]


def test_the_next_loop_needs_no_more_units_with_more_repeats(data):
    found = {(one.control, one.measured): one for one in next_loops(data.power)}
    assert set(found) == {(control, measured) for control in ("linear", "natural") for measured in (1, 0)}
    for one in found.values():
        for needed in (one.units, one.repeats):
            numbers = [n for n in needed.values() if n is not None]
            assert numbers == sorted(numbers, reverse=True)
            assert list(needed) == sorted(needed)
        assert all(n is None or n >= 6 for n in one.units.values())
    interval = data.tests.row(by_predicate=pl.col("key") == "cnn_linear_interval", named=True)
    assert found["linear", True].effect == interval["value"]
    assert found["linear", False].effect == interval["lower"] > 0
    for n, units in found["linear", False].units.items():
        assert units > found["linear", True].units[n]


def test_an_effect_below_0_and_an_interval_that_holds_0_are_said(data, read_page):
    natural = pl.col("control") == "natural"
    near = pl.when(natural).then(0.0).otherwise("effect_nearer_0").alias("effect_nearer_0")
    effect = pl.when(natural).then(-0.19).otherwise("effect").alias("effect")
    needed = [
        pl.when(natural).then(None).otherwise(name).alias(name)
        for name in ("units_nearer_0", "repeats_nearer_0")
    ]
    power = data.power.with_columns(near, effect, *needed)
    text = " ".join("".join(read_page(render_page(replace(data, power=power))).text).split())
    assert text.count("own MEI against own best natural image: the opposite") == 2  # of cells, of repeats
    assert "own MEI against own linear RF image: the opposite" not in text
    assert "… at the interval’s end nearer 0 0.00 (holds 0) no number" in text
    assert "With fewer than 6 cells no sign flips can give p < 0.05" in text


def test_a_loop_made_without_statistics_has_empty_tables(store):
    found = collect_tests(store, {})
    for name in ("tests", "unit_tests", "power"):
        assert getattr(found, name).equals(getattr(LoopTests(), name))
        assert getattr(found, name).height == 0
