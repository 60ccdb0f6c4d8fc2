from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import DataError
from inception_loop.selection.config import HighUnitRules
from inception_loop.selection.high_units import (
    REASONS,
    count_reasons,
    require_units,
    select_units,
)
from inception_loop.selection.ranking import rank_units


def random_tables(seed, sizes=(120, 80)):
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    name = np.repeat([f"m{k}" for k in range(len(sizes))], sizes)
    neuron = np.concatenate([np.arange(size) for size in sizes])
    key = {"name": name, "unit_id": 7 * neuron + 3}
    oracle = rng.normal(0.3, 0.25, n)
    table = pl.DataFrame({**key, "neuron_id": neuron, "oracle_pearson": oracle})
    ranked = rank_units(
        table.with_columns(
            pl.when(rng.random(n) < 0.05).then(None).otherwise("oracle_pearson").alias("oracle_pearson")
        )
    )
    units = pl.DataFrame(
        {
            **key,
            "neuron_id": neuron,
            "brain_area": "V1",
            "layer": "L2/3",
            **{axis: rng.uniform(0, 120, n) for axis in ("um_x", "um_y", "um_z")},
            "border_um": rng.uniform(0, 60, n),
        }
    )
    scores = pl.concat(
        pl.DataFrame({**key, "family": family, "test_corr": gain * np.abs(oracle) + rng.normal(0, 0.05, n)})
        for family, gain in (("cnn", 0.9), ("cnn", 0.8), ("linear", 0.5))
    )
    return ranked, units, scores


def slow(ranked, units, scores, rules):
    """The six rules, unit by unit: (name, unit_id) → (hu_rank, reason)."""
    fate = {}
    for name in sorted(set(ranked["name"])):
        place = {u["unit_id"]: u for u in units.filter(name=name).rows(named=True)}
        left = []
        for u in ranked.filter(name=name).rows(named=True):
            uid, oracle = u["unit_id"], u["oracle_corr"]
            if oracle is None or oracle <= 0:
                fate[name, uid] = (None, "no_oracle")
            elif u["top_ptile"] >= rules.top_ptile:
                fate[name, uid] = (None, "low_oracle")
            elif place[uid]["border_um"] < rules.border_um:
                fate[name, uid] = (None, "near_border")
            else:
                mine = scores.filter(name=name, unit_id=uid)
                cnn, lin = (mine.filter(family=f)["test_corr"].mean() / oracle for f in ("cnn", "linear"))
                left.append((uid, cnn, lin))
        above = [np.percentile([u[k] for u in left], rules.percentile) for k in (1, 2)] if left else []
        good = []
        for uid, cnn, lin in left:
            if cnn <= above[0]:
                fate[name, uid] = (None, "low_cnn_fraction")
            elif lin <= above[1]:
                fate[name, uid] = (None, "low_linear_fraction")
            else:
                good.append((lin - cnn, uid))
        kept = []
        for _, uid in sorted(good):
            at = np.array([place[uid][axis] for axis in ("um_x", "um_y", "um_z")])
            if any(np.linalg.norm(at - other) < rules.distance_um for other in kept):
                fate[name, uid] = (None, "too_close")
            else:
                rank = len(kept)
                kept.append(at)
                fate[name, uid] = (rank, "") if rank < rules.max_rank else (None, "beyond_max_rank")
    return fate


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 10**6),
    st.floats(0.1, 1.0),
    st.floats(0, 30),
    st.floats(0, 90),
    st.floats(0, 80),
    st.integers(1, 20),
)
def test_selection_equals_the_slow_one(seed, top, border, percentile, distance, max_rank):
    tables = random_tables(seed)
    rules = HighUnitRules(
        top_ptile=top, border_um=border, percentile=percentile, distance_um=distance, max_rank=max_rank
    )
    got = select_units(*tables, rules)
    want = slow(*tables, rules)
    assert {(r["name"], r["unit_id"]): (r["hu_rank"], r["reason"]) for r in got.rows(named=True)} == want
    assert got.height == tables[0].height


def test_default_thresholds_are_the_published_ones():
    rules = HighUnitRules()
    assert (rules.top_ptile, rules.border_um, rules.percentile, rules.distance_um, rules.max_rank) == (
        0.5, 10, 70, 20, 150,
    )  # fmt: skip


def test_selected_units_lie_apart_and_are_ordered_by_what_the_cnn_adds():
    table = (
        select_units(*random_tables(5, (600,)), HighUnitRules(percentile=20))
        .filter(reason="")
        .sort("hu_rank")
    )
    assert table.height > 20
    at = table.select("um_x", "um_y", "um_z").to_numpy()
    distance = np.linalg.norm(at[:, None] - at[None], axis=2)
    assert distance[np.triu_indices(len(at), 1)].min() >= 20
    gain = (table["cnn_fraction_oracle"] - table["lin_fraction_oracle"]).to_numpy()
    assert (np.diff(gain) <= 0).all()
    assert table["hu_rank"].to_list() == list(range(table.height))


def test_a_unit_without_a_score_of_one_family_falls_out():
    ranked, units, scores = random_tables(1)
    best = ranked.filter(pl.col("top_ptile") == 0)["unit_id"][0]
    part = scores.filter((pl.col("unit_id") != best) | (pl.col("family") == "cnn"))
    got = select_units(ranked, units, part, HighUnitRules(border_um=0))
    assert set(got.filter(unit_id=best)["reason"]) <= {"no_score", "low_oracle", "no_oracle"}
    assert "no_score" in set(got["reason"])


def test_unknown_places_pass_the_rules_of_place():
    ranked, units, scores = random_tables(2)
    nowhere = units.with_columns(
        pl.lit(None, pl.Float64).alias(c) for c in ("um_x", "um_y", "um_z", "border_um")
    )
    got = select_units(ranked, nowhere, scores, HighUnitRules())
    assert not {"near_border", "too_close"} & set(got["reason"])
    assert got.filter(reason="").height > 0


def test_too_few_units_are_an_error_that_counts_what_each_rule_removed():
    table = select_units(*random_tables(3), HighUnitRules())
    n = table.filter(reason="").height
    require_units(table, n)
    with pytest.raises(DataError, match=f"^{n} of 200 units selected; expected at least {n + 1}") as error:
        require_units(table, n + 1)
    for reason, count in count_reasons(table).items():
        assert f"{count} {reason} ({REASONS[reason]})" in str(error.value)
    assert sum(count_reasons(table).values()) + n == 200


def test_no_candidate_left_after_the_first_rules_is_an_empty_selection():
    ranked, units, scores = random_tables(4)
    table = select_units(ranked, units.with_columns(border_um=pl.lit(0.0)), scores, HighUnitRules())
    assert table["hu_rank"].null_count() == table.height
