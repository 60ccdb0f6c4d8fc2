"""A recording whose conditions get the names that they have in the stimulus set that was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from inception_loop.errors import DataError
from inception_loop.recordings.recording import Recording
from inception_loop.stimuli.as_planned import Shown, beside_plan
from inception_loop.stimuli.recognition import LABELS, Recognition, ShownSet, Unmatched, recognise

STRANGE = "shows no condition of the stimulus set"
"""Reason for which a trial of an image that no stimulus set holds is excluded."""


def recognised(
    recording: Recording, shown: ShownSet, unmatched: Unmatched = "refuse"
) -> tuple[Recording, Recognition]:
    """Give the conditions of a recording the names that they have in a stimulus set.

    Hash, class, number and source of each recognised condition become those of the set; recorded conditions
    that show one image become one. A tier that the source gave is dropped from them.

    Parameters
    ----------
    recording
        As its files say.
    shown
        What the rig was given.
    unmatched
        Images that the set does not hold: refuse the recording, or exclude their trials.

    Returns
    -------
    The recording, and what was recognised

    Raises
    ------
    DataError
        If no image is of the set, or one is not and that is refused; see also `recognise`.
    """
    found = recognise(recording.conditions, recording.images, shown, recording.trials)
    strange = found.strangers
    if strange.height == found.conditions.height:
        raise DataError(_nothing(recording, shown))
    if strange.height and unmatched == "refuse":
        raise DataError(_strangers(recording, shown, strange))
    names = found.conditions.select(
        condition_hash="recorded_hash", _name=pl.coalesce("condition_hash", "recorded_hash")
    )
    trials = _renamed(recording.trials, names)
    conditions = _labelled(_renamed(recording.conditions, names), shown)
    excluded = recording.excluded_trials
    strays = trials.filter(pl.col("condition_hash").is_in(strange["recorded_hash"].to_list()))
    if shown.planned is not None:
        found = replace(found, beside_plan=_beside_plan(trials, shown.planned, shown.conditions))
    fresh = strays.filter(~pl.col("trial_idx").is_in(excluded["trial_idx"].to_list()))
    more = fresh.select("trial_idx", reason=pl.lit(STRANGE))
    return (
        replace(
            recording,
            trials=trials,
            conditions=conditions,
            excluded_trials=pl.concat([excluded.select("trial_idx", "reason"), more]).sort("trial_idx"),
        ),
        found,
    )


def _beside_plan(trials: pl.DataFrame, planned: Sequence[str], conditions: pl.DataFrame) -> Shown:
    """Compare images, not conditions: of the same pixels several may stand in a set."""
    row_of = dict(conditions.select("condition_hash", "image_row").rows())
    names = trials.sort("trial_idx")["condition_hash"]
    return beside_plan(
        [row_of[name] for name in names if name in row_of], [row_of[name] for name in planned], conditions
    )


def _renamed(table: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    joined = table.join(names, on="condition_hash", how="left", maintain_order="left")
    return joined.with_columns(condition_hash="_name").drop("_name")


def _labelled(conditions: pl.DataFrame, shown: ShownSet) -> pl.DataFrame:
    """Return one row a condition, those of the set labelled as there."""
    of_set = shown.conditions.select("condition_hash", *LABELS).unique(
        "condition_hash", keep="first", maintain_order=True
    )
    once = conditions.unique("condition_hash", keep="first", maintain_order=True)
    joined = once.join(of_set, on="condition_hash", how="left", suffix="_of_set", maintain_order="left")
    known = pl.col("image_class_of_set").is_not_null()
    given = [
        pl.when(known).then(pl.col(f"{name}_of_set")).otherwise(pl.col(name)).alias(name) for name in LABELS
    ]
    if "tier" in once.columns:
        given.append(pl.when(known).then(None).otherwise(pl.col("tier")).alias("tier"))
    return joined.with_columns(given).select(once.columns)


def _nothing(recording: Recording, shown: ShownSet) -> str:
    sizes = [f"{images.shape[1]}×{images.shape[2]} px" for images in (recording.images, shown.images)]
    return (
        f"scan {recording.scan}: none of its {recording.conditions.height} images ({sizes[0]}) is one of the "
        f"{len(shown.images)} of {shown.name} ({sizes[1]}); expected the images as they were sent, or "
        "reduced by averaging areas; give the set that was shown, and its images without gamma or cropping"
    )


def _strangers(recording: Recording, shown: ShownSet, strange: pl.DataFrame) -> str:
    first = strange.row(0, named=True)
    return (
        f"scan {recording.scan}: {strange.height} of {recording.conditions.height} images "
        f"({strange['n_trials'].sum()} trials) are not in {shown.name}, first image {first['image_row']} "
        f"({first['n_trials']} trials); expected images of the set only; give the set that was shown, or "
        "--unmatched exclude to leave their trials out"
    )
