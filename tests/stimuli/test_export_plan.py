"""What of a set stays: the same as taking one thing away after the other until it fits."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.errors import ConfigurationError
from inception_loop.stimuli.export_plan import plan_session, ranked_units
from inception_loop.stimuli.planner import fit

TRIAL_S = 0.9
SCHEMA = {
    "image_row": pl.Int64,
    "source_name": pl.String,
    "source_unit_id": pl.Int64,
    "shift_x": pl.Int64,
    "shift_y": pl.Int64,
    "hu_rank": pl.Int64,
}


def product(units, kinds=2, shifts=9, others=0) -> pl.DataFrame:
    """Conditions of a set in which every unit has as many images; units in order of rank."""
    rows = [(None, None, 0)] * others
    rows += [("a", unit, shift) for _ in range(kinds) for shift in range(shifts) for unit in range(units)]
    names, units_, shift = zip(*rows, strict=True)
    return pl.DataFrame(
        {"image_row": range(len(rows)), "source_name": names, "source_unit_id": units_, "shift_x": shift}
        | {"shift_y": 0, "hu_rank": units_},
        schema_overrides=SCHEMA,
    )


def plan(conditions, **changes):
    return plan_session(conditions, **{"repeats": 20, "shown_s": 0.5, "gap_s": 0.4, **changes})


def slow(conditions, repeats, minutes, floor, times):
    """Take away one thing after the other: shifted copies, a repeat, a unit; return what stays."""
    rows = conditions.to_dicts()
    ranks = {}
    for row in rows:
        if row["source_unit_id"] is not None:
            ranks[row["source_name"], row["source_unit_id"]] = row["hu_rank"]
    units = sorted(ranks, key=lambda unit: ranks[unit])

    def images(kept, shifted):
        return {
            row["image_row"]
            for row in rows
            if row["source_unit_id"] is None
            or (shifted and (row["source_name"], row["source_unit_id"]) in kept)
            or ((row["source_name"], row["source_unit_id"]) in kept and row["shift_x"] == 0 == row["shift_y"])
        }

    def fits(shown, repeats):
        return sum(times[image] for image in shown) * repeats * TRIAL_S / 60 <= minutes * (1 + 1e-12)

    everything = images(units, True)
    if fits(everything, repeats):
        return everything, repeats, len(units)
    while not fits(images(units, False), repeats):
        if repeats > floor:
            repeats -= 1
        elif len(units) > 1:
            units.pop()
        else:
            return None
    return images(units, False), repeats, len(units)


@st.composite
def sets(draw):
    """Small sets in which images are shared, units lack some, and the blank is shown several times."""
    n_units, n_images = draw(st.integers(1, 5)), draw(st.integers(2, 10))
    ranks = draw(st.permutations(range(n_units)))
    unit = st.one_of(st.none(), st.integers(0, n_units - 1))
    rows = []
    for image in range(n_images):
        for owner in draw(st.lists(unit, min_size=1, max_size=3)):
            shift = 0 if owner is None else draw(st.sampled_from([0, 0, 1]))
            name = None if owner is None else "ab"[owner % 2]
            rank = None if owner is None else ranks[owner]
            rows.append((image, name, owner, shift, 0, rank))
    conditions = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    # a unit that has shifted copies alone would be cut to nothing: every unit has its centre image
    extra = [(n_images + u, "ab"[u % 2], u, 0, 0, ranks[u]) for u in range(n_units)]
    conditions = pl.concat([conditions, pl.DataFrame(extra, schema=SCHEMA, orient="row")])
    times = np.ones(n_images + n_units, np.int64)
    times[draw(st.integers(0, n_images - 1))] = draw(st.integers(1, 3))
    return conditions, times


@settings(max_examples=60)
@given(sets(), st.integers(1, 6), st.floats(0.01, 3), st.integers(1, 6))
def test_what_stays_is_what_the_slow_obvious_way_leaves(drawn, repeats, minutes, floor):
    conditions, times = drawn
    floor = min(floor, repeats)
    expected = slow(conditions, repeats, minutes, floor, times)
    limits = {"repeats": repeats, "minutes": minutes, "min_repeats": floor, "times": times}
    if expected is None:
        with pytest.raises(ConfigurationError, match="give more time"):
            plan(conditions, **limits)
        return
    found = plan(conditions, **limits)
    images, kept_repeats, units = expected
    assert found.images.tolist() == sorted(images)
    assert found.cut.units >= units  # one that shares all its images costs nothing, and is kept
    assert found.cut.repeats == kept_repeats
    assert found.cut.trials == kept_repeats * times[sorted(images)].sum()
    assert found.cut.minutes <= minutes * (1 + 1e-9)
    assert found.left_out.height == found.full.units - found.cut.units
    assert found.is_cut == (found.cut.trials < found.full.trials)


@settings(max_examples=40)
@given(sets(), st.floats(0.01, 3), st.floats(0.01, 3))
def test_more_minutes_show_the_same_images_and_more(drawn, some, more):
    conditions, times = drawn

    def images(minutes):
        try:
            return set(plan(conditions, repeats=4, minutes=minutes, times=times).images.tolist())
        except ConfigurationError:
            return set()

    assert images(min(some, more)) <= images(max(some, more))


@pytest.mark.parametrize("minutes", [13.5 * 60, 600, 90, 89.9, 60, 5])
@pytest.mark.parametrize("floor", [None, 10])
def test_a_set_in_which_all_units_have_the_same_is_cut_as_its_numbers(minutes, floor):
    kept = fit(
        [2 * units for units in range(151)],
        2700,
        repeats=20,
        trial_s=TRIAL_S,
        minutes=minutes,
        min_repeats=floor,
    )
    found = plan(product(150), minutes=minutes, min_repeats=floor)
    assert (found.full.trials, found.full.minutes / 60) == (54_000, 13.5)
    assert (found.cut.units, found.cut.repeats) == (kept.units, kept.repeats)
    assert found.cut.trials == 2 * kept.units * (9 if kept.shifted else 1) * kept.repeats


def test_the_published_lengths_on_the_images_of_a_set():
    conditions = product(150, others=0)
    assert plan(conditions).full.minutes == pytest.approx(13.5 * 60)
    centre = plan(conditions, minutes=90)
    assert (centre.cut.units, centre.cut.shifted_copies, centre.cut.minutes) == (150, 0, 90.0)
    hour = plan(conditions, minutes=60)
    assert (hour.cut.units, hour.cut.minutes) == (100, 60.0)
    assert hour.left_out["hu_rank"].to_list() == list(range(100, 150))


def test_oracle_images_and_blanks_stay_and_count():
    found = plan(product(150, others=41), minutes=60)
    assert set(range(41)) <= set(found.images.tolist())
    assert (found.cut.others, found.cut.units) == (41, (200 - 41) // 2)


def test_units_go_by_the_rank_of_the_selection_and_those_without_one_first():
    conditions = product(4, kinds=1, shifts=1).with_columns(hu_rank=pl.lit(None, pl.Int64))
    ranks = pl.DataFrame({"name": "a", "unit_id": [0, 1, 3, 9], "hu_rank": [2, 0, 1, 3]})
    assert ranked_units(conditions, ranks)["source_unit_id"].to_list() == [1, 3, 0, 2]
    assert ranked_units(conditions)["source_unit_id"].to_list() == [0, 1, 2, 3]
    given = conditions.with_columns(hu_rank=pl.Series([1, 3, 0, 2]))
    assert ranked_units(given)["source_unit_id"].to_list() == [2, 0, 3, 1]


def test_without_ranks_the_units_of_several_scans_go_in_turn():
    rows = [
        (k, name, unit, 0, 0, None)
        for k, (name, unit) in enumerate([("a", 5), ("a", 2), ("a", 9), ("b", 1), ("b", 0)])
    ]
    units = ranked_units(pl.DataFrame(rows, schema=SCHEMA, orient="row"))
    assert units.select("source_name", "source_unit_id").rows() == [
        ("a", 5),
        ("b", 1),
        ("a", 2),
        ("b", 0),
        ("a", 9),
    ]


def test_a_set_of_oracle_images_alone_fits_or_is_refused():
    conditions = product(1, kinds=1, shifts=1, others=5).filter(pl.col("source_unit_id").is_null())
    assert plan(conditions, minutes=2).cut.trials == 100
    with pytest.raises(ConfigurationError, match="alone take 5; expected room for them"):
        plan(conditions, minutes=1)
