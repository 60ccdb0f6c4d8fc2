"""What a recording lacks is met by choices with names, and by no more of them than it needs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from inception_loop.dataset.config import DatasetConfig
from inception_loop.dataset.fitting import fitting_config
from inception_loop.dataset.stage import make_dataset
from inception_loop.errors import DataError
from inception_loop.recordings.recording import TrialResponses


def chosen(recording):
    """Return the choices that differ from the published ones."""
    return fitting_config(recording).model_dump(exclude_defaults=True, exclude={"group_id"})


def nowhere(units):
    return units.with_columns(pl.lit(float("nan")).alias(c) for c in ("px_x", "px_y", "um_x", "um_y", "um_z"))


def shown(trials, seconds):
    return trials.with_columns(offset_flip=pl.col("onset_flip") + seconds)


def with_area(recording):
    return replace(recording, units=recording.units.with_columns(brain_area=pl.lit("V1")))


def test_a_recording_that_lacks_nothing_needs_no_choice(make_recording):
    assert chosen(with_area(make_recording())) == {}


CASES = {
    "eye": (lambda r: {"eye": None}, {"missing": {"no_eye": "omit"}}),
    "no centre": (
        lambda r: {"eye": replace(r.eye, center_x=np.full(r.eye.time.size, np.nan))},
        {"missing": {"no_eye": "omit"}},
    ),
    "treadmill": (lambda r: {"treadmill": None}, {"missing": {"no_treadmill": "omit"}}),
    "places": (
        lambda r: {"units": nowhere(r.units)},
        {"missing": {"no_positions": "keep"}, "layers": {"otherwise": "unset"}},
    ),
    "size of the field": (
        lambda r: {"fields": r.fields.with_columns(um_width=pl.lit(float("nan")))},
        {"missing": {"no_positions": "keep"}},
    ),
    "area": (lambda r: {"units": r.units.drop("brain_area")}, {"areas": {"otherwise": "unknown"}}),
    "below all layers": (
        lambda r: {"units": r.units.with_columns(um_z=pl.lit(5000.0))},
        {"layers": {"otherwise": "unset"}},
    ),
    "shown shorter": (lambda r: {"trials": shown(r.trials, 0.25)}, {"window": {"duration": 0.25}}),
    "shown about as long": (lambda r: {"trials": shown(r.trials, 0.52)}, {}),
    "square": (lambda r: {"images": r.images[:, :64, :64]}, {"frame": {"col": 36}}),
    "odd": (lambda r: {"images": r.images[:, :71, :64]}, {"frame": {"aspect": "letterbox"}}),
    "raw": (lambda r: {"trace_kind": "dff"}, {"raw_fluorescence": {"policy": "oasis"}}),
    "another class": (
        lambda r: {"conditions": r.conditions.with_columns(image_class=pl.lit("scene"))},
        {"tiers": {"natural_classes": ("scene",)}},
    ),
    "two classes": (
        lambda r: {"conditions": r.conditions.with_columns(image_class=mixed("scene"))},
        {"tiers": {"natural_classes": ("imagenet", "scene")}},
    ),
    "tiers without validation": (
        lambda r: {
            "conditions": r.conditions.with_columns(
                tier=pl.when(pl.col("image_row") < 5).then(pl.lit("test")).otherwise(pl.lit("train"))
            )
        },
        {"tiers": {"given_incomplete": "draw"}},
    ),
    "twice": (
        lambda r: {"trials": r.trials.with_columns(condition_hash=pl.Series(once(r)))},
        {"tiers": {"least_repeated": 2}},
    ),
}


def mixed(other):
    """Every second image is of another class."""
    return pl.when(pl.col("image_row") % 2 == 0).then(pl.lit(other)).otherwise("image_class")


def once(r):
    """Conditions of trials that show every image once and one of them twice."""
    names = r.conditions["condition_hash"].to_list()
    return [*names[: r.trials.height - 1], names[0]]


@pytest.mark.parametrize(("change", "choice"), CASES.values(), ids=CASES)
def test_each_lack_is_met_by_its_choice(make_recording, change, choice):
    r = with_area(make_recording())
    assert chosen(replace(r, **change(r))) == choice


@pytest.mark.parametrize("change", [change for change, _ in CASES.values()], ids=CASES)
def test_what_is_chosen_goes_through(store, save, make_recording, change):
    r = with_area(make_recording())
    r = replace(r, **change(r))
    assert make_dataset(store, fitting_config(r), [save(r)])["static_multi_dataset"]


def test_a_scan_that_showed_synthesised_images_is_never_proposed_for_training(make_recording):
    for name in ("multi_cnn_mei", "gabor", "masked_imagenet"):
        r = make_recording()
        with pytest.raises(DataError, match=f"showed synthesised images \\({name}\\): it is a later day"):
            fitting_config(replace(r, conditions=r.conditions.with_columns(image_class=mixed(name))))


def test_the_published_design_of_repeats_is_a_test_tier(make_recording):
    r = make_recording(n_images=2000)
    shown = [*range(2000), *(list(range(30)) * 9)]
    names = r.conditions["condition_hash"].to_list()
    onset = r.activity.frame_times[0] + 2.0 + 0.02 * np.arange(len(shown))
    trials = pl.DataFrame(
        {
            "trial_idx": np.arange(len(shown)),
            "condition_hash": [names[row] for row in shown],
            "clear_flip": np.nan,
            "onset_flip": onset,
            "offset_flip": np.nan,
        }
    )
    assert "tiers" not in chosen(with_area(replace(r, trials=trials)))


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
    config = fitting_config(bare, group_id=7)
    assert config != DatasetConfig(group_id=7)
    made = make_dataset(store, config, [save(bare)])
    (dataset,) = [outcome.ref for outcome in made["static_multi_dataset"]]
    members = store.table(dataset, "members").row(0, named=True)
    assert (members["has_eye"], members["has_treadmill"], members["n_units"]) == (False, False, 5)
    assert min(members["n_train"], members["n_validation"], members["n_test"]) > 0
