from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inception_loop.artifacts.kind import upgraded
from inception_loop.errors import DataError
from inception_loop.selection.config import HighUnitRules
from inception_loop.selection.high_units import (
    CORRECTED_HIGH_UNIT_SELECTION,
    REASONS,
    SINCE_2,
    count_reasons,
    require_units,
    select_units,
)
from inception_loop.selection.ranking import rank_units

PLACE = ["um_x", "um_y", "um_z"]


def random_tables(seed, sizes=(120, 80), *, coarse=False):
    """Two members; coarse values tie a lot, and some places and scores are not known."""
    rng = np.random.default_rng(seed)
    n = sum(sizes)
    name = np.repeat([f"m{k}" for k in range(len(sizes))], sizes)
    neuron = np.concatenate([np.arange(size) for size in sizes])
    key = {"name": name, "unit_id": 7 * neuron + 3}
    digits, step = (1, 10) if coarse else (12, 0.001)

    def known(values, share):
        lost = rng.random(n) < (share if coarse else 0)
        return [None if gone else value for gone, value in zip(lost, values.tolist(), strict=True)]

    oracle = rng.normal(0.3, 0.25, n).round(digits)
    table = pl.DataFrame({**key, "neuron_id": neuron, "oracle_pearson": oracle})
    ranked = rank_units(
        table.with_columns(
            pl.when(rng.random(n) < 0.05).then(None).otherwise("oracle_pearson").alias("oracle_pearson")
        )
    )
    places = {axis: rng.uniform(0, 120, n) // step * step for axis in PLACE}
    units = pl.DataFrame(
        {
            **key,
            "neuron_id": neuron,
            "brain_area": "V1",
            "layer": "L2/3",
            **{axis: known(values, 0.05) for axis, values in places.items()},
            "border_um": known(rng.uniform(0, 60, n) // step * step, 0.1),
        }
    )
    corr = {
        (family, k): (gain * np.abs(oracle) + rng.normal(0, 0.05, n)).round(digits)
        for family, k, gain in (("cnn", 0, 0.9), ("cnn", 1, 0.8), ("linear", 0, 0.5))
    }
    scores = pl.concat(
        pl.DataFrame({**key, "family": family, "test_corr": known(values, 0.1)})
        for (family, _), values in corr.items()
    )
    return ranked, units, scores


def percentile(values, percent):
    """As np.percentile, without its roundings."""
    values, place = sorted(values), (len(values) - 1) * percent / 100
    below, above = values[int(np.floor(place))], values[int(np.ceil(place))]
    assert below + (above - below) * (place % 1) == pytest.approx(np.percentile(values, percent))
    return below + (above - below) * (place % 1)


def slow(ranked, units, scores, rules):
    """The six rules, unit by unit: (name, unit_id) → hu_rank, reason, what was measured, its threshold."""
    fate, limits, nearest, corr = {}, {}, {}, {}
    for row in scores.drop_nulls().rows(named=True):
        corr.setdefault((row["name"], row["unit_id"], row["family"]), []).append(row["test_corr"])
    for name in sorted(set(ranked["name"])):
        place = {u["unit_id"]: u for u in units.filter(name=name).rows(named=True)}
        left = []
        for u in ranked.filter(name=name).rows(named=True):
            uid, oracle, border = u["unit_id"], u["oracle_corr"], place[u["unit_id"]]["border_um"]
            if oracle is None or oracle <= 0:
                fate[name, uid] = (None, "no_oracle", oracle, 0)
            elif u["top_ptile"] >= rules.top_ptile:
                fate[name, uid] = (None, "low_oracle", u["top_ptile"], rules.top_ptile)
            elif border is not None and border < rules.border_um:
                fate[name, uid] = (None, "near_border", border, rules.border_um)
            else:
                mine = [corr.get((name, uid, family)) for family in ("cnn", "linear")]
                if not all(mine):
                    fate[name, uid] = (None, "no_score", None, None)
                else:
                    left.append((uid, *(sum(sorted(c)) / len(c) / oracle for c in mine)))
        above = [percentile([u[k] for u in left], rules.percentile) for k in (1, 2)] if left else [None, None]
        limits[name] = tuple(above)
        good = []
        for uid, cnn, lin in left:
            if cnn <= above[0]:
                fate[name, uid] = (None, "low_cnn_fraction", cnn, above[0])
            elif lin <= above[1]:
                fate[name, uid] = (None, "low_linear_fraction", lin, above[1])
            else:
                good.append((lin - cnn, uid))
        kept = []
        for _, uid in sorted(good):
            at = np.array([place[uid][axis] for axis in PLACE], float)
            apart = [(np.linalg.norm(at - other), rank) for rank, (_, other) in enumerate(kept)]
            apart = [pair for pair in apart if not np.isnan(pair[0])]
            if apart:
                nearest[name, uid] = (min(apart)[0], kept[min(apart)[1]][0])
            if apart and min(apart)[0] < rules.distance_um:
                fate[name, uid] = (None, "too_close", min(apart)[0], rules.distance_um)
            else:
                rank = len(kept)
                kept.append((uid, at))
                out = rank >= rules.max_rank
                beyond = (None, "beyond_max_rank", rank, rules.max_rank)
                fate[name, uid] = beyond if out else (rank, "", None, None)
    return fate, limits, nearest


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.booleans(),
    st.floats(0.1, 1.0),
    st.integers(0, 3),
    st.one_of(st.integers(0, 9).map(lambda k: 10 * k), st.floats(0, 90)),
    st.one_of(st.sampled_from([0, 10, 20, 30]), st.floats(0, 80)),
    st.integers(1, 20),
)
@example(seed=1, coarse=True, top=1.0, border=0, percentile=0, distance=1e-200, max_rank=1)
def test_selection_equals_the_slow_one(seed, coarse, top, border, percentile, distance, max_rank):
    tables = random_tables(seed, coarse=coarse)
    rules = HighUnitRules(
        top_ptile=top, border_um=10 * border, percentile=percentile, distance_um=distance, max_rank=max_rank
    )
    got = select_units(*tables, rules)
    fate, limits, nearest = slow(*tables, rules)
    assert got.height == tables[0].height == len(fate)
    for row in got.rows(named=True):
        unit = row["name"], row["unit_id"]
        hu_rank, reason, measured, threshold = fate[unit]
        assert (row["hu_rank"], row["reason"]) == (hu_rank, reason), unit
        assert (row["measured"], row["threshold"]) == pytest.approx((measured, threshold), abs=1e-9)
        assert (row["cnn_threshold"], row["lin_threshold"]) == pytest.approx(limits[unit[0]], abs=1e-12)
        assert (row["nearest_um"], row["nearest_unit_id"]) == pytest.approx(nearest.get(unit, (None, None)))


def test_of_units_tied_at_the_percentile_none_is_above_it():
    for n in (7, 91, 171):  # 90 and 170 times 0.7 are no whole numbers in floating point
        tables = random_tables(1, (n,))
        ranked = tables[0].with_columns(oracle_corr=pl.lit(0.5), top_ptile=pl.lit(0.0))
        row = {"name": "m0", "unit_id": ranked["unit_id"].sort()}
        corr = np.minimum(np.arange(n), (n - 1) * 7 // 10) / 300  # from the percentile on all the same
        scores = pl.concat(pl.DataFrame({**row, "family": f, "test_corr": corr}) for f in ("cnn", "linear"))
        table = select_units(ranked, tables[1], scores, HighUnitRules(border_um=0))
        assert set(table["reason"]) == {"low_cnn_fraction"}


def test_what_is_not_a_number_is_not_known():
    ranked, units, scores = random_tables(2, coarse=True)
    known = select_units(ranked, units, scores, HighUnitRules())
    columns = [
        frame.with_columns(pl.selectors.float().fill_null(np.nan)) for frame in (ranked, units, scores)
    ]
    assert select_units(*columns, HighUnitRules()).equals(known)


def test_a_ranking_of_another_dataset_is_refused():
    ranked, units, scores = random_tables(2)
    with pytest.raises(DataError, match="unit 3 of m0 and 0 others are ranked, but not of the dataset's 199"):
        select_units(ranked, units[1:], scores, HighUnitRules())


def test_a_selection_of_version_1_says_why_but_not_by_how_much():
    declared = CORRECTED_HIGH_UNIT_SELECTION.payloads["corrected_high_unit_selection"]
    table = select_units(*random_tables(3), HighUnitRules()).select(*declared.columns)
    lifted = pl.DataFrame(pl.from_arrow(upgraded(table.drop(*SINCE_2).to_arrow(), declared, 1, "here")))
    assert lifted.drop(*SINCE_2).equals(table.drop(*SINCE_2))
    assert lifted.schema == table.schema
    assert lifted.select(*SINCE_2.keys()).null_count().row(0) == (table.height,) * len(SINCE_2)


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
