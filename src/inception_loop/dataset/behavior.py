"""Pupil and running at the instants at which the responses are read."""

from __future__ import annotations

import numpy as np
import polars as pl

from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.sampling import (
    Floats,
    fill_short_gaps,
    hamming_slope,
    hamming_window,
    interpolate,
    median_interval,
    slope,
    smooth,
)
from inception_loop.recordings.recording import (
    EyeTrace,
    Recorded,
    Traces,
    TreadmillTrace,
    TrialEye,
    TrialTreadmill,
)

EYE_CHANNELS = ("pupil", "dpupil", "center_x", "center_y")


def behavior_instants(recording: Recorded, window: ResponseWindow) -> Floats:
    """Instants of all trials on the behaviour clock; NaN outside the recording or without an onset.

    The two clocks of the same frames map one to the other, linearly between frames.

    Returns
    -------
    (T,) float64, s
    """
    onset = recording.trials["onset_flip"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    clocks = recording.activity
    if not isinstance(clocks, Traces):  # a valid recording has no behaviour trace then
        return np.full(onset.size, np.nan)
    return interpolate(clocks.frame_times, clocks.behavior_frame_times, onset + window.instant)


def eye_samples(recording: Recorded, window: ResponseWindow) -> tuple[pl.DataFrame, int]:
    """Read filtered pupil radius, its derivative and centre at every trial, or take those handed over so.

    Gaps of fewer than 3 untracked samples are interpolated; longer ones stay, and a value whose filter or
    interpolation touches one is missing.

    Returns
    -------
    Table ``trial_idx`` i64, ``pupil`` px, ``dpupil`` px/s, ``center_x, center_y`` px (null: missing),
    ``valid`` (nothing missing), in order of presentation; and the number of samples filled.
    """
    values = {name: np.full(recording.trials.height, np.nan) for name in EYE_CHANNELS}
    filled = 0
    eye = recording.eye
    if isinstance(eye, TrialEye):
        read = (eye.pupil_radius, eye.pupil_derivative, eye.center_x, eye.center_y)
        values = dict(zip(EYE_CHANNELS, read, strict=True))
    if isinstance(eye, EyeTrace):
        values, filled = _read_eye(eye, window, behavior_instants(recording, window))
    return _table(recording, values), filled


def _read_eye(eye: EyeTrace, window: ResponseWindow, at: Floats) -> tuple[dict[str, Floats], int]:
    dt = median_interval(eye.time)
    taps, slope_taps = hamming_window(window.width, dt), hamming_slope(window.width, dt)
    values, filled = {}, 0
    raws = {"pupil": eye.pupil_radius, "center_x": eye.center_x, "center_y": eye.center_y}
    for name, raw in raws.items():
        trace = fill_short_gaps(raw)
        filled += int(np.isnan(raw).sum() - np.isnan(trace).sum())
        values[name] = interpolate(eye.time, smooth(trace, taps), at)
        if name == "pupil":
            values["dpupil"] = interpolate(eye.time, slope(trace, slope_taps), at)
    return {name: values[name] for name in EYE_CHANNELS}, filled


def treadmill_samples(recording: Recorded, window: ResponseWindow) -> tuple[pl.DataFrame, int]:
    """Read the absolute value of the filtered running velocity at every trial, or take what was handed over.

    Returns
    -------
    Table ``trial_idx`` i64, ``treadmill`` cm/s (null: missing), ``valid``, in order of presentation; and the
    number of samples filled.
    """
    speed = np.full(recording.trials.height, np.nan)
    filled = 0
    treadmill = recording.treadmill
    if isinstance(treadmill, TrialTreadmill):
        speed = np.abs(treadmill.speed)
    if isinstance(treadmill, TreadmillTrace):
        time, raw = treadmill.time, treadmill.velocity
        trace = fill_short_gaps(raw)
        filled = int(np.isnan(raw).sum() - np.isnan(trace).sum())
        taps = hamming_window(window.width, median_interval(time))
        speed = np.abs(interpolate(time, smooth(trace, taps), behavior_instants(recording, window)))
    return _table(recording, {"treadmill": speed}), filled


def _table(recording: Recorded, values: dict[str, Floats]) -> pl.DataFrame:
    table = pl.DataFrame({"trial_idx": recording.trials["trial_idx"].cast(pl.Int64), **values})
    table = table.with_columns(pl.col(list(values)).fill_nan(None))
    return table.with_columns(valid=pl.all_horizontal(pl.col(list(values)).is_not_null()))
