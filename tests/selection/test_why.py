from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from inception_loop.selection.high_units import REASONS
from inception_loop.selection.why import BY_HOW_MUCH, markdown_of, why_units_fell_out


@pytest.fixture(scope="module")
def selection():
    """Two members; the second lost units to a single rule."""
    rng = np.random.default_rng(0)
    n = 200
    reason = rng.choice(["", *REASONS], n)
    out = reason != ""
    return pl.DataFrame(
        {
            "name": ["b"] * n + ["a"] * 5,
            "reason": [*reason, "", "", "low_oracle", "low_oracle", "low_oracle"],
            "measured": [*np.where(out, rng.random(n), np.nan), None, None, 0.5, 0.75, 0.875],
            "threshold": [*np.where(out, 2.0, np.nan), None, None, 0.5, 0.5, 0.5],
        },
        schema_overrides={"measured": pl.Float64, "threshold": pl.Float64},
    ).with_columns(pl.col("measured", "threshold").fill_nan(None))


def test_every_unit_is_counted_once_in_the_order_of_the_rules(selection):
    table = why_units_fell_out(selection)
    for name in ("a", "b"):
        member, rows = selection.filter(name=name), table.filter(name=name)
        assert rows["left"][0] == member.height
        assert rows["left"][-1] == member.filter(reason="").height
        assert (np.diff(rows["left"]) == -rows["removed"][1:].to_numpy()).all()
        removed = [reason for reason in REASONS if reason in set(member["reason"])]
        assert rows["reason"][1:-1].to_list() == removed
        for reason, n in rows[1:-1].select("reason", "removed").rows():
            assert n == member.filter(reason=reason).height
    assert table["name"].is_sorted()


def test_the_words_hold_the_median_of_what_was_measured_and_its_threshold(selection):
    row = why_units_fell_out(selection).row(1, named=True)
    assert row["by_how_much"] == "0.75 of the units are better (median); less than 0.50 is allowed"


def test_every_rule_that_measures_something_says_by_how_much(selection):
    assert set(BY_HOW_MUCH) == set(REASONS) - {"no_score"}
    words = dict(why_units_fell_out(selection).filter(name="b").select("reason", "by_how_much").rows())
    assert {reason for reason, text in words.items() if text} == set(BY_HOW_MUCH)
    unknown = selection.with_columns(measured=pl.lit(None, pl.Float64))
    assert set(why_units_fell_out(unknown)["by_how_much"]) == {""}


def test_the_markdown_has_a_table_for_each_member(selection):
    table = why_units_fell_out(selection)
    text = markdown_of(table)
    assert text.startswith("### a: 2 of 5 units selected\n\n| rule |")
    assert text.count("### ") == 2
    assert text.count("\n|") == table.height + 2 * 2
