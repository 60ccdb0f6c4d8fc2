"""One response a trial and unit: filtered traces read at the middle of the response window."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.sampling import Floats, hamming_window, median_interval
from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import Recording

BLOCK_BYTES = 64 * 2**20
SHOWN_TOLERANCE = 0.05  # s between the median time an image was on and the window's length

VALID = ""
NO_ONSET = "no onset flip"
OUTSIDE = "outside the recording"


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
        If onsets go back in time, or images stayed on for another time than the window's length.
    """
    _check_order(trials)
    _check_shown(trials, window.duration)
    reason = dict(zip(excluded["trial_idx"], excluded["reason"], strict=True))
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
        status=pl.when(pl.col("trial_idx").is_in(list(reason)))
        .then(
            pl.format(
                "excluded: {}", pl.col("trial_idx").replace_strict(reason, default="", return_dtype=pl.String)
            )
        )
        .when(flips[1].is_nan())
        .then(pl.lit(NO_ONSET))
        .when(outside | ~instant.is_between(begin, end))
        .then(pl.lit(OUTSIDE))
        .otherwise(pl.lit(VALID)),
    )


def _check_order(trials: pl.DataFrame) -> None:
    onset = trials.select("trial_idx", pl.col("onset_flip").cast(pl.Float64)).filter(
        pl.col("onset_flip").is_not_nan()
    )
    back = np.flatnonzero(np.diff(onset["onset_flip"].to_numpy()) <= 0)
    if back.size:
        raise RecordingError(
            f"trial {onset['trial_idx'][int(back[0]) + 1]} has an onset before that of the trial above it; "
            "expected trials in order of presentation; sort them by onset_flip"
        )


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
    traces: npt.NDArray[np.float32],
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
    traces : (N, F) float32
        May be memory-mapped; NaNs are interpolated, see `fill_nans`.
    frame_times : (F,) float64, s
    delays : (N,) float64, s
    instants : (T,) float64, s
        Inside the clock of every unit.
    window : (M,) float64
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
    out = np.empty((instants.size, len(traces)), np.float32)
    step = max(1, BLOCK_BYTES // (8 * max(instants.size * taps.shape[0], frames)))
    for start in range(0, len(traces), step):
        block, lost = fill_nans(np.asarray(traces[start : start + step, :frames], np.float32))
        filled += lost
        at = instants[None, :] - delays[start : start + step, None]
        left = np.clip(np.searchsorted(frame_times, at, side="right") - 1, 0, frames - 2)
        part = (at - frame_times[left]) / (frame_times[left + 1] - frame_times[left])
        padded = np.pad(block, ((0, 0), (half, half)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, window.size + 1, axis=1)
        ends = (
            windows[np.arange(len(block))[:, None], left]
            @ taps
            / np.stack([weight[left], weight[left + 1]], -1)
        )
        out[:, start : start + step] = (ends[..., 0] * (1 - part) + ends[..., 1] * part).T
    return out, filled


def unit_clock(recording: Recording) -> tuple[Floats, float, float]:
    """Return the frame times that have a sample in the traces, and the stretch in which all somata have one.

    Traces and frame times that differ by one are cut to the shorter.

    Returns
    -------
    frame_times : (F,) float64, s
    begin, end : s on the stimulus clock
    """
    rows = soma_rows(recording.units)
    if rows.size == 0:
        raise RecordingError(
            f"scan {recording.scan}: no unit is a soma; expected mask_type 'soma' for at least one"
        )
    frames = min(recording.traces.shape[1], recording.frame_times.size)
    clock = recording.frame_times[:frames]
    delays = recording.units["ms_delay"].to_numpy()[rows] / 1000
    return clock, float(clock[0] + delays.max()), float(clock[-1] + delays.min())


def respond(
    recording: Recording, excluded: pl.DataFrame, window: ResponseWindow
) -> tuple[npt.NDArray[np.float32], pl.DataFrame, int]:
    """Read every soma's response to every valid trial.

    Parameters
    ----------
    recording
        Its traces must be deconvolved activity or spikes.
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
    clock, begin, end = unit_clock(recording)
    status = trial_status(recording.trials, excluded, window, begin, end)
    valid = status.filter(status=VALID)
    if valid.height == 0:
        counts = status["status"].value_counts(sort=True).rows()
        raise RecordingError(
            f"scan {recording.scan}: no valid trial of {status.height} ({counts}); expected some"
        )
    rows = soma_rows(recording.units)
    taps = hamming_window(window.width, median_interval(clock))
    delays = recording.units["ms_delay"].to_numpy()[rows].astype(np.float64) / 1000
    traces = recording.traces if np.array_equal(rows, np.arange(len(rows))) else recording.traces[rows]
    responses, filled = read_traces(traces, clock, delays, valid["onset_s"].to_numpy() + window.instant, taps)
    return responses, status, filled
