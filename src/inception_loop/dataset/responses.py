"""One response a trial and unit: filtered traces read at the middle of the response window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import LostData, RawFluorescence, ResponseWindow
from inception_loop.dataset.deconvolution import Deconvolution
from inception_loop.dataset.leakage import lag1_correlations, typical
from inception_loop.dataset.sampling import Floats, hamming_window, is_hole, median_interval
from inception_loop.dataset.trace_reading import Singles, TraceSampler, common_gaps, trace_blocks
from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import Recorded, Traces, TrialResponses

TRIALS_AT_ONCE = 64
SHOWN_TOLERANCE = 0.05  # s between the median time an image was on and the window's length

VALID = ""
NO_ONSET = "no onset flip"
OUTSIDE = "outside the recording"
LOST = "response lost"
NO_FRAMES = "frames missing"


class Responses(NamedTuple):
    """Responses of a scan's somata to its valid trials.

    Attributes
    ----------
    values : (T, N) float32
        Valid trials in order of presentation × somata by ``unit_id``.
    status : table
        Every trial, see `trial_status`.
    filled : int
        Trace samples that were NaN and interpolated.
    lag1 : (N,) float64
        Leakage into the next trial, see `lag1_correlations`.
    deconvolution : dict
        What was done to raw fluorescence, with the median leakage before and after; empty where nothing was.
    gaps : dict
        Of traces with NaNs: ``longest_filled_s``, the longest run that was interpolated in a unit, and
        ``units_filled_over_tenth``, how many units had more than 10 % of their samples interpolated. Of lost
        responses per trial: ``worst_unit``, the unit that lost most, and ``worst_unit_share``, the share of
        the lost trials in which it did. Empty where nothing was lost.
    """

    values: Singles
    status: pl.DataFrame
    filled: int
    lag1: Floats
    deconvolution: dict[str, Any]
    gaps: dict[str, Any]


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


def without_frames(
    status: pl.DataFrame,
    window: ResponseWindow,
    clock: Floats,
    delays: Floats,
    lost: npt.NDArray[np.bool_] | None = None,
) -> pl.DataFrame:
    """Mark the valid trials that would be read from frames that are not there.

    A trial needs the frames on both sides of its instant, on every unit's own clock, and those under the
    filter's window around them. It is lost if any of them is lost, or if a hole of the clock lies between
    two of them (see `sampling.is_hole`).

    Parameters
    ----------
    status
        As of `trial_status`.
    window
        Instant and filter.
    clock : (F,) float64, s
    delays : (N,) float64, s
        Of the somata.
    lost : (F,) bool
        Frames without a value in any unit; none by default.

    Returns
    -------
    ``status`` with ``frames missing`` for these trials.

    Examples
    --------
    >>> clock = np.array([0.0, 0.1, 0.2, 0.3, 1.0, 1.1, 1.2, 1.3])
    >>> trials = pl.DataFrame({"onset_s": [-0.1, 0.0, 0.3, 0.7, 0.75], "status": [""] * 5})
    >>> narrow = ResponseWindow(filter="none")  # read 0.3 s after the onset
    >>> without_frames(trials, narrow, clock, np.zeros(1))["status"].to_list()
    ['', '', 'frames missing', '', '']
    """
    half = hamming_window(window.width, median_interval(clock)).size // 2
    at = status["onset_s"].to_numpy() + window.instant
    # Counting from the left, ends included: a frame that is hit exactly needs none beside it.
    first = np.searchsorted(clock, at - delays.max(), side="right") - 1 - half
    last = np.searchsorted(clock, at - delays.min(), side="left") + half
    gone = _any_between(is_hole(clock), first, last)
    if lost is not None:
        gone |= _any_between(lost, first, last + 1)
    marked = pl.when((pl.col("status") == VALID) & pl.lit(pl.Series(gone))).then(pl.lit(NO_FRAMES))
    return status.with_columns(status=marked.otherwise("status"))


def _any_between(
    marks: npt.NDArray[np.bool_], begin: npt.NDArray[np.int64], end: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Whether any mark from ``begin`` to before ``end`` is set; positions over the ends count as not set."""
    until = np.concatenate(([0], np.cumsum(marks)))
    some: npt.NDArray[np.bool_] = until[np.clip(end, 0, marks.size)] > until[np.clip(begin, 0, marks.size)]
    return some


def binned_status(
    trials: pl.DataFrame, excluded: pl.DataFrame, responses: Singles, rows: npt.NDArray[np.int64]
) -> pl.DataFrame:
    """Say of every trial whose responses were handed over whether they can be used, and if not, why.

    A trial with a NaN in any soma is lost as a whole; flips are not needed.

    Parameters
    ----------
    trials, excluded
        Tables ``trials`` and ``excluded_trials`` of a `Recording`.
    responses : (T, M) float32
    rows : (N,) int64
        Columns of the somata.

    Returns
    -------
    As `trial_status`.
    """
    lost = pl.Series(
        np.concatenate([np.isnan(some[:, rows]).any(axis=1) for some in _trials_at_once(responses)])
    )
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


def shown_s(trials: pl.DataFrame) -> float | None:
    """Return the median time that an image was on, s; None where no offset is known."""
    on, off = (trials[name].cast(pl.Float64) for name in ("onset_flip", "offset_flip"))
    median = (off - on).drop_nulls().drop_nans().median()
    return median if isinstance(median, float) else None


def _check_shown(trials: pl.DataFrame, duration: float) -> None:
    median = shown_s(trials)
    if median is not None and abs(median - duration) > SHOWN_TOLERANCE:
        raise RecordingError(
            f"images were on for {median:.3f} s (median) but the response window is {duration:.3f} s; "
            f"expected a difference of at most {SHOWN_TOLERANCE} s; set window.duration to what was shown"
        )


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
    recording: Recorded,
    excluded: pl.DataFrame,
    window: ResponseWindow,
    raw: RawFluorescence | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    lost: LostData | None = None,
) -> Responses:
    """Read every soma's response to every valid trial, or take those that were handed over per trial.

    Works through blocks of units of bounded memory.

    Parameters
    ----------
    recording
        Its activity should be deconvolved or spikes.
    excluded
        Table ``trial_idx, reason`` of trials to leave out.
    window
        Response window and filter.
    raw
        What happens to raw ΔF/F; refused by default.
    progress
        Receives ``(units done, units, text)``.
    lost
        What happens where responses or samples are lost.

    Raises
    ------
    RecordingError
        If the traces are raw ΔF/F and refused, no unit is a soma, no trial is valid, more of a unit's samples
        are NaN than may be filled, or responses per trial are lost and this is refused.
    ConfigurationError
        If raw ΔF/F is to be deconvolved but the library for it is not installed.
    """
    raw, lost = raw or RawFluorescence(), lost or LostData()
    rows = soma_rows(recording.units)
    if rows.size == 0:
        raise RecordingError(
            f"scan {recording.scan}: no unit is a soma; expected mask_type 'soma' for at least one"
        )
    activity = recording.activity
    _check_kind(recording, raw)
    if isinstance(activity, TrialResponses):
        return _binned_responses(recording, activity.values, rows, excluded, lost)
    return _read_responses(recording, activity, rows, excluded, window, raw, lost, progress)


def _check_kind(recording: Recorded, raw: RawFluorescence) -> None:
    if recording.trace_kind in ("deconvolved", "spikes"):
        return
    if isinstance(recording.activity, TrialResponses):
        raise RecordingError(
            f"scan {recording.scan}: responses per trial are {recording.trace_kind!r}; expected "
            "'deconvolved' or 'spikes': what is binned cannot be deconvolved; bin deconvolved traces"
        )
    if raw.policy == "refuse":
        raise RecordingError(
            f"scan {recording.scan}: traces are {recording.trace_kind!r}; expected 'deconvolved' or 'spikes' "
            "because slow transients leak into the next trial; deconvolve them before they are recorded, "
            "or set raw_fluorescence.policy to 'oasis'"
        )


def _binned_responses(
    recording: Recorded,
    values: Singles,
    rows: npt.NDArray[np.int64],
    excluded: pl.DataFrame,
    policy: LostData,
) -> Responses:
    status = binned_status(recording.trials, excluded, values, rows)
    gaps = _worst_unit(recording, values, rows, np.flatnonzero((status["status"] == LOST).to_numpy()))
    if gaps and policy.lost_responses == "refuse":
        raise RecordingError(
            f"scan {recording.scan}: {(status['status'] == LOST).sum()} trials have a NaN response, "
            f"{gaps['worst_unit_share']:.0%} of them in unit {gaps['worst_unit']}; expected none; leave that "
            "unit out of the recording, or set lost.lost_responses to 'drop_trial' to drop these trials"
        )
    valid = _valid_rows(recording, status)
    if valid.size < len(values) or not np.array_equal(rows, np.arange(values.shape[1])):
        picked = np.empty((valid.size, rows.size), np.float32)
        for start in range(0, valid.size, TRIALS_AT_ONCE):
            some = slice(start, start + TRIALS_AT_ONCE)
            picked[some] = values[valid[some]][:, rows]
        values = picked
    return Responses(values, status, 0, lag1_correlations(values, valid), {}, gaps)


def _worst_unit(
    recording: Recorded, values: Singles, rows: npt.NDArray[np.int64], lost: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Name the soma with most NaNs in the lost trials, the lowest number of several; see `Responses`."""
    if not lost.size:
        return {}
    counts = np.zeros(rows.size, np.int64)
    for start in range(0, lost.size, TRIALS_AT_ONCE):
        counts += np.isnan(values[lost[start : start + TRIALS_AT_ONCE]][:, rows]).sum(axis=0)
    worst = int(counts.argmax())
    unit = int(recording.units["unit_id"][int(rows[worst])])
    return {"worst_unit": unit, "worst_unit_share": float(counts[worst] / lost.size)}


def _trials_at_once(values: Singles) -> Iterator[Singles]:
    for start in range(0, len(values), TRIALS_AT_ONCE):
        yield values[start : start + TRIALS_AT_ONCE]


def _read_responses(
    recording: Recorded,
    activity: Traces,
    rows: npt.NDArray[np.int64],
    excluded: pl.DataFrame,
    window: ResponseWindow,
    raw: RawFluorescence,
    policy: LostData,
    progress: Callable[[int, int, str], None],
) -> Responses:
    stored = np.sort(rows)  # read front to back, put in the order of the unit ids at the end
    delays = recording.units["ms_delay"].to_numpy()[stored].astype(np.float64) / 1000
    clock, begin, end = unit_clock(activity, delays)
    status = trial_status(recording.trials, excluded, window, begin, end)
    dt = median_interval(clock)
    most = (window.duration if policy.longest_gap is None else policy.longest_gap) / dt + 1e-6
    gone = common_gaps(activity.values, stored, clock.size, most)
    status = without_frames(status, window, clock, delays, gone)
    valid = _valid_rows(recording, status)
    instants = status["onset_s"].to_numpy()[valid] + window.instant
    sample = TraceSampler(clock, instants, delays, hamming_window(window.width, dt))
    deconvolve = Deconvolution(raw, dt) if recording.trace_kind == "dff" else None
    unit_ids = recording.units["unit_id"].to_numpy()[stored]
    values = np.empty((valid.size, rows.size), np.float32)
    lag1, before = np.empty(rows.size), np.empty(rows.size)
    filled, longest = np.zeros((2, rows.size), np.int64)
    for block in trace_blocks(activity.values, stored, clock.size, sample.bytes_of_a_unit):
        units, traces, filled[block.units], longest[block.units] = block
        _check_filled(recording, unit_ids[units], filled[units] / activity.values.shape[1], policy)
        if deconvolve is not None:
            before[units] = lag1_correlations(sample(traces, delays[units]), valid)
            traces = deconvolve(traces, unit_ids[units])
        values[:, units] = sample(traces, delays[units])
        lag1[units] = lag1_correlations(values[:, units], valid)
        progress(units.stop, rows.size, "units")
    found = {} if deconvolve is None else deconvolve.findings
    if found:
        found |= {"lag1_leakage_before": typical(before), "lag1_leakage_after": typical(lag1)}
    by_id = np.searchsorted(stored, rows)
    for some in _trials_at_once(values):
        some[:] = some.take(by_id, axis=1)
    gaps: dict[str, Any] = {}
    if filled.any():
        gaps["longest_filled_s"] = float(longest.max() * dt)
        gaps["units_filled_over_tenth"] = int((filled > 0.1 * activity.values.shape[1]).sum())
    return Responses(values, status, int(filled.sum()), lag1[by_id], found, gaps)


def _check_filled(
    recording: Recorded, unit_ids: npt.NDArray[np.int64], shares: Floats, policy: LostData
) -> None:
    for unit, share in zip(unit_ids, shares, strict=True):
        if share > policy.most_filled:
            raise RecordingError(
                f"scan {recording.scan}: {share:.1%} of the samples of unit {unit} are NaN; expected at most "
                f"{policy.most_filled:.1%}; leave the unit out of the recording, or raise lost.most_filled"
            )


def _valid_rows(recording: Recorded, status: pl.DataFrame) -> npt.NDArray[np.int64]:
    valid = np.flatnonzero((status["status"] == VALID).to_numpy())
    if valid.size == 0:
        counts = status["status"].value_counts(sort=True).rows()
        raise RecordingError(
            f"scan {recording.scan}: no valid trial of {status.height} ({counts}); expected some"
        )
    return valid
