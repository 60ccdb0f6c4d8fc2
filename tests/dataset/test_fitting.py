"""What a recording lacks is met by choices with names, and by no more of them than it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.fitting import fitting_config
from inception_loop.dataset.stage import make_dataset
from inception_loop.recordings.archive import lacks
from inception_loop.recordings.recording import TrialResponses


def chosen(recording):
    """Return the choices that differ from the published ones."""
    return fitting_config(recording, lacks(recording)).model_dump(exclude_defaults=True, exclude={"group_id"})


def nowhere(units):
    return units.with_columns(pl.lit(float("nan")).alias(c) for c in ("px_x", "px_y", "um_x", "um_y", "um_z"))


def shown(trials, seconds):
    return trials.with_columns(offset_flip=pl.col("onset_flip") + seconds)


def with_area(recording):
    return replace(recording, units=recording.units.with_columns(brain_area=pl.lit("V1")))


def test_a_recording_that_lacks_nothing_needs_no_choice(make_recording):
    assert chosen(with_area(make_recording())) == {}


@pytest.mark.parametrize(
    ("change", "choice"),
    [
        (lambda r: {"eye": None}, {"missing": {"no_eye": "omit"}}),
        (lambda r: {"treadmill": None}, {"missing": {"no_treadmill": "omit"}}),
        (
            lambda r: {"units": nowhere(r.units)},
            {"missing": {"no_positions": "keep"}, "layers": {"otherwise": "unset"}},
        ),
        (lambda r: {"units": r.units.drop("brain_area")}, {"areas": {"otherwise": "unknown"}}),
        (lambda r: {"trials": shown(r.trials, 0.25)}, {"window": {"duration": 0.25}}),
        (lambda r: {"trials": shown(r.trials, 0.52)}, {}),
        (lambda r: {"images": r.images[:, :64, :64]}, {"frame": {"col": 36}}),
        (lambda r: {"images": r.images[:, :71, :64]}, {"frame": {"aspect": "letterbox"}}),
        (
            lambda r: {"conditions": r.conditions.with_columns(image_class=pl.lit("scene"))},
            {"tiers": {"natural_classes": ("scene",)}},
        ),
        (
            lambda r: {"trials": r.trials.with_columns(condition_hash=pl.Series(once(r)))},
            {"tiers": {"least_repeated": 2}},
        ),
    ],
    ids=[
        *("eye", "treadmill", "places", "area", "shorter", "about as long", "square", "odd", "class", "twice")
    ],
)
def test_each_lack_is_met_by_its_choice(make_recording, change, choice):
    r = with_area(make_recording())
    assert chosen(replace(r, **change(r))) == choice


def once(r):
    """Conditions of trials that show every image once and one of them twice."""
    names = r.conditions["condition_hash"].to_list()
    return [*names[: r.trials.height - 1], names[0]]


def test_a_recording_that_lacks_everything_goes_through_with_its_choices(store, save, make_recording):
    r = make_recording()
    nothing = pl.lit(float("nan"))
    bare = replace(
        r,
        activity=TrialResponses(np.random.default_rng(1).random((r.trials.height, 6), dtype=np.float32)),
        trials=r.trials.with_columns(
            clear_flip=nothing, onset_flip=nothing, offset_flip=nothing, condition_hash=pl.Series(once(r))
        ),
        units=nowhere(r.units),
        fields=r.fields.with_columns(pl.lit(float("nan")).alias(c) for c in r.fields.columns[1:]),
        eye=None,
        treadmill=None,
        calibration=None,
    )
    config = fitting_config(bare, lacks(bare), group_id=7)
    assert config != DatasetConfig(group_id=7)
    made = make_dataset(store, config, [save(bare)])
    (dataset,) = [outcome.ref for outcome in made["static_multi_dataset"]]
    members = store.table(dataset, "members").row(0, named=True)
    assert (members["has_eye"], members["has_treadmill"], members["n_units"]) == (False, False, 5)
    assert min(members["n_train"], members["n_validation"], members["n_test"]) > 0
