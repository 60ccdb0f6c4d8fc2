"""Refusing a recording that contradicts itself, naming scan, part, unit or trial."""

from __future__ import annotations

from typing import NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import RecordingError
from inception_loop.recordings.grey_levels import check_grey_levels
from inception_loop.recordings.recording import (
    CONDITION_COLUMNS,
    EXCLUDED_COLUMNS,
    FIELD_COLUMNS,
    MASK_TYPES,
    STACK_COLUMNS,
    TRIAL_COLUMNS,
    UNIT_COLUMNS,
    EyeTrace,
    Recording,
    Traces,
    TreadmillTrace,
    TrialResponses,
    unit_blocks,
)

_TABLES = {
    "units": UNIT_COLUMNS,
    "fields": FIELD_COLUMNS,
    "trials": TRIAL_COLUMNS,
    "conditions": CONDITION_COLUMNS,
    "stack_coordinates": STACK_COLUMNS,
    "excluded_trials": EXCLUDED_COLUMNS,
}
_KEYS = {"units": "unit_id", "trials": "trial_idx", "conditions": "condition_hash", "fields": "field"}
_TIERS = ("train", "validation", "test")
REFRESH_S = 0.02
"""A refresh of a slow monitor: flips written by two clocks may lie so far apart."""


def validate(recording: Recording) -> None:
    """Refuse a recording that contradicts itself; `Recording` calls it on construction.

    Raises
    ------
    RecordingError
        On the first contradiction found: one line that names scan, part, unit or trial.
    """
    _check_tables(recording)
    _check_stimuli(recording)
    _check_trials(recording)
    if isinstance(recording.activity, Traces):
        _check_traces(recording, recording.activity)
    else:
        _check_responses(recording, recording.activity)
    _check_behavior(recording)


def _fail(recording: Recording, what: str) -> NoReturn:
    raise RecordingError(f"scan {recording.scan}: {what}")


def _check_tables(r: Recording) -> None:
    for name, columns in _TABLES.items():
        missing = [c for c in columns if c not in getattr(r, name).columns]
        if missing:
            _fail(r, f"table {name} lacks column {missing[0]!r}; expected {', '.join(columns)}")
    for name, key in _KEYS.items():
        keys = getattr(r, name)[key]
        if keys.null_count():
            _fail(r, f"row {int(keys.is_null().arg_max() or 0)} of {name} has no {key}; expected one a row")
        repeated = keys.is_duplicated()
        if repeated.any():
            _fail(r, f"{key} {keys.filter(repeated)[0]} stands twice in {name}; expected once")
    if r.units.height == 0:
        _fail(r, "no units; expected at least one")
    strays = r.units.filter(~pl.col("field").is_in(r.fields["field"].to_list()))
    if strays.height:
        _fail(
            r, f"unit {strays['unit_id'][0]} lies in field {strays['field'][0]}, which fields does not list"
        )
    odd = r.units.filter(~pl.col("mask_type").is_in(MASK_TYPES) | pl.col("mask_type").is_null())
    if odd.height:
        _fail(
            r,
            f"unit {odd['unit_id'][0]} has mask_type {odd['mask_type'][0]!r}; "
            f"expected one of {', '.join(MASK_TYPES)}",
        )


def _check_stimuli(r: Recording) -> None:
    if r.images.ndim != 3 or r.images.size == 0 or r.images.dtype not in (np.uint8, np.float32):
        _fail(
            r,
            f"images are {r.images.dtype} of shape {r.images.shape}; expected uint8 or float32 grey levels "
            "(images, height, width), at least 1 image",
        )
    check_grey_levels(r.images, f"scan {r.scan}")
    rows = r.conditions["image_row"]
    if rows.null_count() or (rows < 0).any() or (rows >= len(r.images)).any():
        _fail(
            r,
            f"conditions point outside the {len(r.images)} images; expected image_row 0..{len(r.images) - 1}",
        )
    if "tier" in r.conditions.columns:
        odd = r.conditions.filter(pl.col("tier").is_not_null() & ~pl.col("tier").is_in(_TIERS))
        if odd.height:
            _fail(
                r,
                f"condition {odd['condition_hash'][0]!r} has tier {odd['tier'][0]!r}; "
                f"expected one of {', '.join(_TIERS)}, or null",
            )


def _check_trials(r: Recording) -> None:
    if r.trials.height == 0:
        _fail(r, "no trials; expected at least one presentation")
    unknown = r.trials.filter(~pl.col("condition_hash").is_in(r.conditions["condition_hash"].to_list()))
    if unknown.height:
        _fail(
            r,
            f"trial {unknown['trial_idx'][0]} shows condition {unknown['condition_hash'][0]!r}, "
            "which conditions does not list",
        )
    onsets = r.trials.select("trial_idx", onset=pl.col("onset_flip").cast(pl.Float64)).drop_nulls()
    onsets = onsets.filter(pl.col("onset").is_not_nan())
    back = np.diff(onsets["onset"].to_numpy()) <= 0
    if back.any():
        _fail(
            r,
            f"trial {onsets['trial_idx'][int(back.argmax()) + 1]} has an onset before that of the trial "
            "above it; expected trials in order of presentation; sort them by onset_flip",
        )
    _check_flips(r)
    _check_excluded(r)


def _check_flips(r: Recording) -> None:
    """Refuse a blank after its image, an image that ends before it begins, and two images at a time."""
    trial = r.trials["trial_idx"]
    clear, onset, offset = (
        r.trials[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("clear_flip", "onset_flip", "offset_flip")
    )
    late = clear > onset
    if late.any():
        row = int(late.argmax())
        _fail(
            r,
            f"trial {trial[row]} has its clear_flip at {clear[row]:.3f} s, after its onset_flip at "
            f"{onset[row]:.3f} s; expected the blank before the image",
        )
    backward = offset <= onset
    if backward.any():
        row = int(backward.argmax())
        _fail(
            r,
            f"trial {trial[row]} has its offset_flip at {offset[row]:.3f} s, not after its onset_flip at "
            f"{onset[row]:.3f} s; expected the image to go off after it came on",
        )
    ends = np.fmax.accumulate(offset)  # NaN only before the first offset that is known
    overlap = np.append(False, onset[1:] < ends[:-1] - REFRESH_S)
    if overlap.any():
        row = int(overlap.argmax())
        other = int(np.nanargmax(offset[:row]))
        _fail(
            r,
            f"trial {trial[row]} has its onset_flip at {onset[row]:.3f} s, before trial {trial[other]} goes "
            f"off at {offset[other]:.3f} s; expected one image at a time, to {1e3 * REFRESH_S:.0f} ms",
        )


def _check_excluded(r: Recording) -> None:
    excluded = r.excluded_trials["trial_idx"]
    repeated = excluded.is_duplicated()
    if repeated.any():
        _fail(r, f"trial {excluded.filter(repeated)[0]} stands twice in excluded_trials; expected once")
    strays = excluded.filter(~excluded.is_in(r.trials["trial_idx"].to_list()).fill_null(False))
    if strays.len():
        _fail(
            r,
            f"excluded_trials name trial {strays[0]}, which trials does not list; expected trials that were "
            "shown; correct the number or leave it out",
        )


def _check_traces(r: Recording, traces: Traces) -> None:
    shape = traces.values.shape
    if len(shape) != 2 or shape[0] != r.units.height:
        _fail(r, f"traces have shape {shape}; expected ({r.units.height} units, frames)")
    if len(traces.frame_times) != len(traces.behavior_frame_times):
        _fail(
            r,
            f"{len(traces.frame_times)} frame times but {len(traces.behavior_frame_times)} behaviour frame "
            "times; expected one of each a frame; export both clocks over the same frames",
        )
    if abs(shape[1] - len(traces.frame_times)) > 1:
        _fail(
            r,
            f"traces have {shape[1]} frames but there are {len(traces.frame_times)} frame times; "
            "expected the same number, or one more or less (a frame cut off at the end)",
        )
    late = r.units.filter(~pl.col("ms_delay").cast(pl.Float64).fill_null(np.nan).is_finite())
    if late.height:
        _fail(
            r,
            f"unit {late['unit_id'][0]} has ms_delay {late['ms_delay'][0]}; expected ms, because its trace "
            "is read on its own clock; 0 where the frame times are the unit's own",
        )
    for name in ("frame_times", "behavior_frame_times"):
        _check_clock(r, name, getattr(traces, name))
    first = 0
    for block in unit_blocks(traces.values):
        _check_numbers(r, block, first)
        first += len(block)


def _check_numbers(r: Recording, block: npt.NDArray[np.float32], first: int) -> None:
    # a sum is finite only if all its terms are: the usual block costs one pass and no copy
    if np.isfinite(block.sum(axis=1, dtype=np.float64)).all():
        return
    lost = np.isnan(block).all(axis=1)
    if lost.any():
        unit = r.units["unit_id"][first + int(lost.argmax())]
        _fail(r, f"the trace of unit {unit} is all NaN; leave the unit out")
    wild = np.isinf(block).any(axis=1)
    if wild.any():
        unit = r.units["unit_id"][first + int(wild.argmax())]
        _fail(r, f"the trace of unit {unit} holds infinite values; expected numbers, NaN where lost")


def _check_responses(r: Recording, responses: TrialResponses) -> None:
    expected = (r.trials.height, r.units.height)
    if responses.values.shape != expected:
        _fail(
            r,
            f"responses have shape {responses.values.shape}; "
            f"expected ({expected[0]} trials, {expected[1]} units)",
        )
    wild = np.isinf(responses.values).any(axis=1)
    if wild.any():
        trial = r.trials["trial_idx"][int(wild.argmax())]
        _fail(r, f"the responses to trial {trial} hold infinite values; expected numbers, NaN where lost")
    lost = np.isnan(responses.values).all(axis=0)
    if lost.any():
        unit = r.units["unit_id"][int(lost.argmax())]
        _fail(r, f"the responses of unit {unit} are all NaN; leave the unit out")


def _check_clock(r: Recording, name: str, clock: npt.NDArray[np.float64]) -> None:
    if clock.ndim != 1 or len(clock) < 2 or not np.isfinite(clock).all():
        _fail(r, f"{name} has shape {clock.shape} or holds NaN; expected at least 2 finite times in s")
    back = np.diff(clock) <= 0
    if back.any():
        _fail(r, f"{name} does not increase at sample {int(back.argmax()) + 1}; expected rising times in s")


def _check_behavior(r: Recording) -> None:
    for name, part in (("eye", r.eye), ("treadmill", r.treadmill)):
        if part is None:
            continue
        values = dict(vars(part))
        expected, of = r.trials.height, "trials"
        if isinstance(part, (EyeTrace, TreadmillTrace)):
            if isinstance(r.activity, TrialResponses):
                _fail(
                    r,
                    f"{name} is a trace, but the responses are binned per trial and no frame clock ties the "
                    f"two; expected one {name} value a trial",
                )
            time = values.pop("time")
            _check_clock(r, f"{name}.time", time)
            expected, of = len(time), "times"
        for column, value in values.items():
            if value.shape != (expected,):
                _fail(
                    r, f"{name} has {expected} {of} but {len(value)} values of {column}; expected one of each"
                )
            if np.isinf(value).any():
                _fail(r, f"{name}.{column} holds infinite values; expected numbers, NaN where not tracked")
