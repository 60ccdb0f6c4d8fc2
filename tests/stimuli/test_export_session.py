"""A cut session is a session: blocked, seeded, of the images that stay; and where it comes from."""

import dataclasses
import re

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import LOOP, Column, Kind, Table
from inception_loop.errors import ConfigurationError, DataError
from inception_loop.stimuli.export_readme import readme
from inception_loop.stimuli.export_session import session_of
from inception_loop.stimuli.export_source import CALIBRATION, CLOSEST, PROCESSED, export_source
from inception_loop.stimuli.export_warnings import warnings_of
from inception_loop.stimuli.export_words import left_out

UNITS = (30, 11, 7, 5)


@pytest.fixture
def source(store, sets):
    """4 units × 2 images × 2 shifts, 3 oracle images, a blank twice a block, 3 blocks."""
    return export_source(store, sets.make_set(store, units=UNITS, blanks=2))


def shown(session):
    return session.conditions["image_row"].to_numpy()[session.trials["condition_row"].to_numpy()]


@pytest.mark.parametrize("minutes", [0.95, 0.6, 0.5, 0.4])
def test_every_block_of_a_cut_session_shows_every_image_that_stays_and_none_after_itself(source, minutes):
    session = session_of(source, minutes)
    images = shown(session)
    assert session.plan.is_cut == (minutes < 0.945)
    assert len(images) * 0.9 / 60 == pytest.approx(session.plan.cut.minutes)
    assert session.plan.cut.minutes <= minutes
    blank = session.conditions.filter(model_type="blank")["image_row"].item()
    for block in range(3):
        counts = np.bincount(images[session.trials["block"].to_numpy() == block], minlength=len(session.rows))
        assert counts[blank] == 2
        assert (np.delete(counts, blank) == 1).all()
    assert (np.diff(images) != 0).all()
    assert session.trials["position"].to_list() == list(range(len(images)))


def test_what_is_left_out_is_what_the_plan_says(source):
    session = session_of(source, 0.6)  # room for 13 images a block: 5 others and 4 units' 2 each
    assert session.plan.cut.units == 4
    assert session.plan.cut.shifted_copies == 0
    assert session.conditions.filter(pl.col("shift_x") != 0).height == 0
    less = session_of(source, 0.5)  # 11 images: 3 units
    assert less.plan.left_out["source_unit_id"].to_list() == [5]
    assert set(less.conditions["source_unit_id"].drop_nulls()) == {30, 11, 7}
    assert less.conditions.filter(model_type="oracle").height == 3


def test_rows_files_and_hashes_of_a_cut_session_name_the_same_images(source):
    session = session_of(source, 0.5)
    before = dict(source.conditions.select("condition_hash", "image_row").iter_rows())
    for name, row, file in session.conditions.select("condition_hash", "image_row", "image_file").iter_rows():
        np.testing.assert_array_equal(session.image(row), source.images[before[name]])
        assert file == session.files[row] == f"images/{row:05d}_{name}.png"
    hashes = session.conditions["condition_hash"].gather(session.trials["condition_row"])
    assert session.trials["condition_hash"].to_list() == hashes.to_list()
    assert session.trials["image_row"].to_list() == shown(session).tolist()


def test_a_cut_order_is_decided_by_the_seed_of_the_set(source):
    one, other = (session_of(source, 0.5).trials["condition_hash"].to_list() for _ in range(2))
    assert one == other
    reseeded = session_of(dataclasses.replace(source, seed=6), 0.5).trials["condition_hash"].to_list()
    assert one != reseeded
    assert sorted(one) == sorted(reseeded)


def test_fewer_repeats_are_fewer_blocks_of_the_same_images(source):
    session = session_of(source, 0.45, min_repeats=2)
    assert (session.plan.cut.units, session.plan.cut.repeats) == (4, 2)
    assert session.trials["block"].max() == 1


def test_a_session_that_fits_keeps_the_order_of_the_set(source):
    whole, fits = session_of(source), session_of(source, 1000)
    assert whole.trials.equals(fits.trials)
    assert whole.trials["condition_row"].to_list() == source.trials["condition_row"].to_list()


def test_an_image_of_two_units_stays_as_long_as_one_of_them(store, sets):
    source = export_source(store, sets.make_set(store, units=UNITS, shifts=((0, 0),), blanks=1))
    conditions = source.conditions.with_row_index("n")
    twin = conditions.filter(source_unit_id=5, model_type="linear")["n"].item()
    row, name = (
        conditions.filter(source_unit_id=30, model_type="linear").select("image_row", "condition_hash").row(0)
    )
    lost = conditions["image_row"][twin]
    conditions = conditions.with_columns(
        image_row=pl.when(pl.col("n") == twin).then(row).otherwise("image_row"),
        condition_hash=pl.when(pl.col("n") == twin).then(pl.lit(name)).otherwise("condition_hash"),
    ).drop("n")
    trials = source.trials.filter(pl.col("condition_row") != twin).with_columns(
        position=pl.int_range(pl.len())
    )
    shared = dataclasses.replace(source, conditions=conditions, trials=trials)
    session = session_of(shared, 0.45)  # 10 images: others 4, and all but one of 30's, 11's, 7's two
    assert session.plan.left_out["source_unit_id"].to_list() == [5]
    kept = session.conditions.filter(source_unit_id=5)
    assert kept["model_type"].to_list() == ["linear"]
    assert len(session.rows) == session.conditions["image_row"].n_unique()
    assert lost not in session.rows


def test_blocks_that_show_different_images_are_refused(source):
    spoilt = source.trials.with_columns(
        condition_row=pl.when(pl.col("position") == 0).then(pl.lit(1)).otherwise("condition_row")
    )
    with pytest.raises(DataError, match="do not all show the same images"):
        session_of(dataclasses.replace(source, trials=spoilt))


def test_without_a_blank_the_gaps_have_the_mean_of_the_target_or_in_old_sets_of_the_images(store, sets):
    source = export_source(store, sets.make_set(store, blanks=0))
    assert source.conditions["target_grey"].null_count() == source.conditions.height
    assert session_of(source).grey == round(source.images.mean())
    grey = pl.when(pl.col("model_type") != "oracle").then(97.0)
    known = source.conditions.with_columns(target_grey=grey)
    assert session_of(dataclasses.replace(source, conditions=known)).grey == 97


# --- from the store ----------------------------------------------------------------------------------------


class StubConfig(Config):
    loop_group: int = 0
    target: dict[str, float] = Field({})
    number: int = 0


def test_ranks_and_monitor_are_found_in_the_lineage_however_far_up(store, sets, monkeypatch):
    monkeypatch.setattr("inception_loop.artifacts.kind.CATALOGUE", {})

    def make(name, inputs, config=None, **row):
        columns = {
            key: Column(pa.float64() if isinstance(row[key], float) else pa.int64(), "") for key in row
        }
        kind = Kind(
            name=name, version=1, meaning="Of a test.", payloads={name: Table(columns)}, partition=LOOP
        )
        rows = pl.DataFrame([row])
        return store.make(kind, config or StubConfig(), lambda a: a.write_table(name, rows), inputs).ref

    selection = sets.make_selection(store, {30: 3, 11: 0, 7: None, 5: 1})
    curve = {"black": 0.2, "white": 24.0, "gamma": 2.1}
    measured = [make(CALIBRATION, {}, StubConfig(number=n), **(curve | {"gamma": 2.0 + n})) for n in (0, 1)]
    closest = make(CLOSEST, {"calibration": measured}, position=1)
    target = StubConfig(target={"mean": 10.0, "contrast": 2.0})
    processed = make(PROCESSED, {"calibration": closest}, target, number=1)
    inputs = {"processed_image": processed, "corrected_high_unit_selection": selection}
    fill = make("stub_fill", inputs, number=1)
    source = export_source(store, sets.make_set(store, units=UNITS, inputs={"stimulus_fill": fill}))
    assert source.monitor == {
        "calibrations": [{"digest": measured[1].digest, **curve, "gamma": 3.0}],
        "targets": [{"mean": 10.0, "contrast": 2.0}],
    }
    session = session_of(source, 0.35)
    assert session.plan.cut.units == 1
    assert session.plan.left_out["source_unit_id"].to_list() == [5, 30, 7]
    said = " ".join(readme(session, []).split())
    assert "brought to mean 10 and RMS contrast 2 grey levels" in said
    assert (
        f"The rig's monitor was calibrated: {measured[1].digest[:12]}, 0.20 to 24.0 cd/m², gamma 3.00" in said
    )
    assert "measured: time not given; how long before this session: time of the session not given" in said
    assert "3 units from the end of the ranking: 5 (hu_rank 1), 30 (hu_rank 3), 7 (not ranked); not" in said


def in_light(source, **known):
    """The source with images in cd/m² by one calibration, of which something is known."""
    target = {"type": "luminance", "mean": 10.0, "contrast": 2.0}
    curve = {"digest": "abc" * 20, "black": 0.2, "white": 24.0, "gamma": 2.1, "timestamp": "", **known}
    return session_of(dataclasses.replace(source, monitor={"targets": [target], "calibrations": [curve]}))


def test_the_readme_says_by_which_calibration_and_how_old_it_is(source):
    scan = {"animal_id": 17, "session": 2, "scan_idx": 3, "rig": "a"}
    measured = {"timestamp": "2019-03-04T09:30", "session_time": "2019-03-05T11:30:00+00:00"}
    session = in_light(source, **scan, **measured, hours_before_session=26.0)
    said = " ".join(readme(session, []).split())
    assert (
        "Their grey levels come from the calibration abcabcabcabc of scan 17-2-3, rig a, 0.20 to 24.0 cd/m², "
        "gamma 2.10, measured 2019-03-04T09:30, 26.0 h before the session (2019-03-05T11:30:00+00:00)."
        in said
    )
    after = in_light(source, **measured, hours_before_session=-72.0)
    assert "3.0 days after the session" in " ".join(readme(after, []).split())
    assert not any("abcabcabcabc" in line for line in warnings_of(session))


def test_light_by_a_calibration_without_a_time_is_warned_of(source):
    (line,) = (line for line in warnings_of(in_light(source)) if "cd/m²" in line)
    assert "by the calibration abcabcabcabc, of which nobody knows when it was measured" in line
    said = " ".join(readme(in_light(source), []).split())
    assert "measured: time not given" in said
    assert f"WARNING: {line}." in said


def test_images_unlike_in_light_are_warned_of_as_far_as_they_are_shown(source):
    made = source.conditions.filter(pl.col("source_unit_id") >= 0)
    filled = made.select(
        "image_class", "model_type", "shift_x", "shift_y", name="source_name", unit_id="source_unit_id"
    ).with_columns(
        target=pl.lit("grey"),
        luminance_mean=pl.lit(8.0),
        luminance_contrast=1 - 0.1 * ((pl.col("model_type") != "cnn") & (pl.col("unit_id") == UNITS[0])),
    )
    session = session_of(dataclasses.replace(source, filled=filled))
    (line,) = (line for line in warnings_of(session) if "alike in light" in line)
    assert f"/{UNITS[0]}, with 10 % less luminance contrast" in line
    assert f"WARNING: {line}." in " ".join(readme(session, []).split())
    without = session_of(session.source, leave_out=[f"{made['source_name'][0]}/{UNITS[0]}"])
    assert not any("alike in light" in line for line in warnings_of(without))


@pytest.mark.parametrize(
    ("repeats", "options", "part"),
    [
        (
            3,
            {},
            "3 oracle images of the source scan are shown 3 times: .*set session.repeats .* to 5 or more",
        ),
        (6, {"minutes": 0.3, "min_repeats": 1}, "shown once: .*--min-repeats 5 .*--minutes 0.9 to keep all"),
        (6, {"leave_out": ["natural"]}, "no oracle image .*do not name their class in --leave-out"),
        (6, {"minutes": 1.0, "min_repeats": 5}, None),
        (6, {}, None),
    ],
)
def test_oracle_images_that_are_shown_too_rarely_are_warned_of(store, sets, repeats, options, part):
    source = export_source(store, sets.make_set(store, units=UNITS, shifts=((0, 0),), repeats=repeats))
    found = warnings_of(session_of(source, **options))
    assert len(found) == (part is not None)
    if part is not None:
        assert re.search(part, found[0])


def test_what_the_warning_advises_helps_and_keeps_what_is_shown(store, sets):
    source = export_source(store, sets.make_set(store, units=UNITS, repeats=9))
    for minutes in (0.15, 0.2, 0.3, 0.45):
        less = session_of(source, minutes, 1)
        (said,) = warnings_of(less)
        more = session_of(source, float(re.search(r"--minutes ([\d.]+)", said)[1]), 5)
        assert warnings_of(more) == []
        assert set(less.rows) <= set(more.rows)


def test_a_set_without_oracle_images_is_warned_of(store, sets):
    source = export_source(store, sets.make_set(store, oracle=0, repeats=5))
    assert "session.max_oracle" in warnings_of(session_of(source))[0]


# --- left out as asked -------------------------------------------------------------------------------------


def test_what_is_asked_to_be_left_out_goes_before_any_minutes_are_counted(source):
    session = session_of(source, 0.5, leave_out=["1-1-1/11", "multi_lin_rf"])
    assert session.conditions.filter(pl.col("source_unit_id") == 11).height == 0
    assert "multi_lin_rf" not in session.conditions["image_class"]
    plan = session.plan  # 3 units × 2 shifts, 3 oracle images, 2 blanks: 11 a block, just as many as fit
    assert (plan.full.units, plan.wanted.units, plan.cut.units) == (4, 3, 3)
    assert (plan.full.images, plan.wanted.images, plan.cut.shifted_copies) == (20, 10, 3)
    assert plan.left_out.height == 0
    assert left_out(plan) == ["1-1-1/11, multi_lin_rf: 10 images, as asked"]
    images = shown(session)
    assert (np.diff(images) != 0).all()
    assert np.bincount(images[session.trials["block"].to_numpy() == 1]).tolist() == [1] * 9 + [2]


def test_an_image_of_two_units_stays_for_the_one_that_is_not_left_out(source):
    conditions = source.conditions
    twin = conditions.filter(source_unit_id=5).head(1)
    both = pl.concat([conditions, twin.with_columns(source_unit_id=pl.lit(7, pl.Int64))])
    shared = dataclasses.replace(source, conditions=both)
    row = twin["image_row"].item()
    whose = session_of(shared).trials.filter(image_row=row).select("scan", "unit_id").unique().rows()
    assert whose == [("1-1-1", "5;7")]
    session = session_of(shared, leave_out=["1-1-1/7"])
    kept = session.trials.filter(condition_hash=twin["condition_hash"].item())
    assert kept["unit_id"].unique().to_list() == ["5"]
    assert session.plan.is_cut


def test_a_trial_says_what_it_shows_and_for_which_unit(source):
    trials = session_of(source).trials
    of_trial = source.conditions[trials["condition_row"].to_numpy()]
    assert trials["image_class"].to_list() == of_trial["image_class"].to_list()
    assert trials["unit_id"].cast(pl.Int64).to_list() == of_trial["source_unit_id"].to_list()
    assert set(trials.filter(pl.col("unit_id").is_not_null())["scan"]) == {"1-1-1"}
    assert trials.filter(image_class="natural")["scan"].null_count() == 9


def test_sets_shown_before_say_nothing_of_this_one(store, sets):
    old = sets.make_selection(store, {5: 0})
    before = sets.make_set(store, seed=1, inputs={"corrected_high_unit_selection": old})
    source = export_source(store, sets.make_set(store, seed=2, inputs={"before": before}))
    assert source.ranks is None


def test_another_kind_is_refused(store, sets):
    ref = sets.make_selection(store, {1: 0})
    with pytest.raises(ConfigurationError, match="expected a stimulus_set to export"):
        export_source(store, ref)
