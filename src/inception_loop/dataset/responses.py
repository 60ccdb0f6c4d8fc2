"""One response a trial and unit: filtered traces read at the middle of the response window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.sampling import Floats, hamming_window, median_interval
from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import Recorded, Traces, TrialResponses, UnitRows

BLOCK_BYTES = 64 * 2**20
SHOWN_TOLERANCE = 0.05  # s between the median time an image was on and the window's length

VALID = ""
NO_ONSET = "no onset flip"
OUTSIDE = "outside the recording"
LOST = "response lost"


def soma_rows(units: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Rows of the units that are somata, in ascending order of ``unit_id``.

    Examples
    --------
    >>> soma_rows(pl.DataFrame({"unit_id": [5, 2, 3], "mask_type": ["soma", "axon", "soma"]})).tolist()
    [2, 0]
    """
    rows = units.with_row_index("row").filter(pl.col("mask_type") == "soma").sort("unit_id")["row"]
    return rows.to_numpy().astype(np.int64)


def trial_status(
    trials: pl.DataFrame, excluded: pl.DataFrame, window: ResponseWindow, begin: float, end: float
) -> pl.DataFrame:
    """Say of every trial whether it can be read, and if not, why.

    Parameters
    ----------
    trials, excluded
        Tables ``trials`` and ``excluded_trials`` of a `Recording`.
    window
        Its instant must lie inside the recording, too.
    begin, end
        Stretch in which every unit has samples, s on the stimulus clock.

    Returns
    -------
    Table ``trial_idx, condition_hash, onset_s, status``, in order of presentation; ``status`` is empty for
    valid trials. A NaN flip is no flip and lies nowhere; only the onset flip is needed.

    Raises
    ------
    RecordingError
        If images stayed on for another time than the window's length.
    """
    _check_shown(trials, window.duration)
    flips = [
        pl.col(name).cast(pl.Float64).fill_null(np.nan)
        for name in ("clear_flip", "onset_flip", "offset_flip")
    ]
    outside = pl.any_horizontal([flip.is_not_nan() & ~flip.is_between(begin, end) for flip in flips])
    instant = flips[1] + window.instant
    return trials.select(
        pl.col("trial_idx").cast(pl.Int64),
        "condition_hash",
        onset_s=flips[1],
        status=_excluded(excluded)
        .when(flips[1].is_nan())
        .then(pl.lit(NO_ONSET))
        .when(outside | ~instant.is_between(begin, end))
        .then(pl.lit(OUTSIDE))
        .otherwise(pl.lit(VALID)),
    )


def binned_status(
    trials: pl.DataFrame, excluded: pl.DataFrame, responses: npt.NDArray[np.float32]
) -> pl.DataFrame:
    """Say of every trial whose responses were handed over whether they can be used, and if not, why.

    A trial with a NaN in any unit is lost as a whole; flips are not needed.

    Returns
    -------
    As `trial_status`.
    """
    lost = pl.Series(np.isnan(responses.sum(axis=1, dtype=np.float64)))
    return trials.select(
        pl.col("trial_idx").cast(pl.Int64),
        "condition_hash",
        onset_s=pl.col("onset_flip").cast(pl.Float64).fill_null(np.nan),
        status=_excluded(excluded).when(lost).then(pl.lit(LOST)).otherwise(pl.lit(VALID)),
    )


def _excluded(excluded: pl.DataFrame) -> Any:  # polars has no public name for an unfinished when-then
    reason = dict(zip(excluded["trial_idx"], excluded["reason"], strict=True))
    said = pl.col("trial_idx").replace_strict(reason, default="", return_dtype=pl.String)
    return pl.when(pl.col("trial_idx").is_in(list(reason))).then(pl.format("excluded: {}", said))


def _check_shown(trials: pl.DataFrame, duration: float) -> None:
    shown = (
        (trials["offset_flip"].cast(pl.Float64) - trials["onset_flip"].cast(pl.Float64))
        .drop_nulls()
        .drop_nans()
    )
    median = shown.median()
    if isinstance(median, float) and abs(median - duration) > SHOWN_TOLERANCE:
        raise RecordingError(
            f"images were on for {median:.3f} s (median) but the response window is {duration:.3f} s; "
            f"expected a difference of at most {SHOWN_TOLERANCE} s; set window.duration to what was shown"
        )


def fill_nans(traces: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], int]:
    """Interpolate NaNs of traces linearly (ends hold the nearest value); return also how many there were.

    Parameters
    ----------
    traces : (U, F) float32
        Each trace with at least one value.

    Examples
    --------
    >>> fill_nans(np.array([[np.nan, 1, np.nan, 3]], np.float32))
    (array([[1., 1., 2., 3.]], dtype=float32), 2)
    """
    lost = np.isnan(traces)
    if not lost.any():
        return traces, 0
    filled = traces.copy()
    frames = np.arange(traces.shape[1])
    for unit in np.flatnonzero(lost.any(axis=1)):
        gap = lost[unit]
        filled[unit, gap] = np.interp(frames[gap], frames[~gap], traces[unit, ~gap])
    return filled, int(lost.sum())


def read_traces(
    traces: UnitRows,
    rows: npt.NDArray[np.int64],
    frame_times: Floats,
    delays: Floats,
    instants: Floats,
    window: Floats,
) -> tuple[npt.NDArray[np.float32], int]:
    """Low-pass traces and interpolate each linearly at every instant, on the unit's own clock.

    A unit's samples were taken ``delays`` later than the frame times. Only what the instants need is
    filtered: the window is applied at the two frames around each. At the ends of the recording the window
    is cut and scaled to unit sum again. Works through blocks of units of bounded memory.

    Parameters
    ----------
    traces : (M, F) float32
        Read in blocks of units; NaNs are interpolated, see `fill_nans`.
    rows : (N,) int64
        Units to read, in the order of the responses.
    frame_times : (F,) float64, s
    delays : (N,) float64, s
    instants : (T,) float64, s
        Inside the clock of every unit.
    window : (W,) float64
        Symmetric, unit sum.

    Returns
    -------
    responses : (T, N) float32
        In the unit of the traces.
    filled : int
        Samples that were NaN.
    """
    half, frames, filled = window.size // 2, frame_times.size, 0
    taps = np.zeros((window.size + 1, 2))
    taps[:-1, 0] = taps[1:, 1] = window
    weight = np.convolve(np.ones(frames), window)[half : half + frames]
    out = np.empty((instants.size, len(rows)), np.float32)
    step = max(1, BLOCK_BYTES // (8 * max(instants.size * taps.shape[0], frames)))
    column = np.full(traces.shape[0], -1)
    column[rows] = np.arange(len(rows))
    for start in range(0, len(column), step):
        columns = column[start : start + step]
        kept = np.flatnonzero(columns >= 0)
        columns = columns[kept]
        block, lost = fill_nans(np.asarray(traces[start : start + step], np.float32)[kept, :frames])
        filled += lost
        at = instants[None, :] - delays[columns, None]
        left = np.clip(np.searchsorted(frame_times, at, side="right") - 1, 0, frames - 2)
        part = (at - frame_times[left]) / (frame_times[left + 1] - frame_times[left])
        padded = np.pad(block, ((0, 0), (half, half)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, window.size + 1, axis=1)
        ends = (
            windows[np.arange(len(block))[:, None], left]
            @ taps
            / np.stack([weight[left], weight[left + 1]], -1)
        )
        out[:, columns] = (ends[..., 0] * (1 - part) + ends[..., 1] * part).T
    return out, filled


def unit_clock(traces: Traces, delays: Floats) -> tuple[Floats, float, float]:
    """Return the frame times that have a sample in the traces, and the stretch in which all somata have one.

    Traces and frame times that differ by one are cut to the shorter.

    Parameters
    ----------
    traces
        Activity with its clock.
    delays : (N,) float64, s
        Of the somata.

    Returns
    -------
    frame_times : (F,) float64, s
    begin, end : s on the stimulus clock
    """
    frames = min(traces.values.shape[1], traces.frame_times.size)
    clock = traces.frame_times[:frames]
    return clock, float(clock[0] + delays.max()), float(clock[-1] + delays.min())


def respond(
    recording: Recorded, excluded: pl.DataFrame, window: ResponseWindow
) -> tuple[npt.NDArray[np.float32], pl.DataFrame, int]:
    """Read every soma's response to every valid trial, or take those that were handed over per trial.

    Parameters
    ----------
    recording
        Its activity must be deconvolved or spikes.
    excluded
        Table ``trial_idx, reason`` of trials to leave out.
    window
        Response window and filter.

    Returns
    -------
    responses : (T, N) float32
        Valid trials in order of presentation × somata by ``unit_id``.
    status : table
        Every trial, see `trial_status`.
    filled : int
        Trace samples that were NaN and interpolated.

    Raises
    ------
    RecordingError
        If the traces are raw ΔF/F, no unit is a soma, or no trial is valid.
    """
    if recording.trace_kind not in ("deconvolved", "spikes"):
        raise RecordingError(
            f"scan {recording.scan}: traces are {recording.trace_kind!r}; expected 'deconvolved' or 'spikes' "
            "because slow transients leak into the next trial; deconvolve them before they are recorded"
        )
    rows = soma_rows(recording.units)
    if rows.size == 0:
        raise RecordingError(
            f"scan {recording.scan}: no unit is a soma; expected mask_type 'soma' for at least one"
        )
    activity = recording.activity
    if isinstance(activity, TrialResponses):
        values = activity.values[:, rows]
        status = binned_status(recording.trials, excluded, values)
        return values[_valid_rows(recording, status)], status, 0
    delays = recording.units["ms_delay"].to_numpy()[rows].astype(np.float64) / 1000
    clock, begin, end = unit_clock(activity, delays)
    status = trial_status(recording.trials, excluded, window, begin, end)
    instants = status["onset_s"].to_numpy()[_valid_rows(recording, status)] + window.instant
    taps = hamming_window(window.width, median_interval(clock))
    responses, filled = read_traces(activity.values, rows, clock, delays, instants, taps)
    return responses, status, filled


def _valid_rows(recording: Recorded, status: pl.DataFrame) -> npt.NDArray[np.int64]:
    valid = np.flatnonzero((status["status"] == VALID).to_numpy())
    if valid.size == 0:
        counts = status["status"].value_counts(sort=True).rows()
        raise RecordingError(
            f"scan {recording.scan}: no valid trial of {status.height} ({counts}); expected some"
        )
    return valid
