"""One response a trial and unit: filtered traces read at the middle of the response window."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import LostData, RawFluorescence, ResponseWindow
from inception_loop.dataset.deconvolution import Deconvolution
from inception_loop.dataset.leakage import lag_correlations, typical
from inception_loop.dataset.sampling import Floats, hamming_window, median_interval
from inception_loop.dataset.trace_reading import Singles, TraceSampler, common_gaps, trace_blocks
from inception_loop.dataset.trial_status import LOST, VALID, binned_status, trial_status, without_frames
from inception_loop.errors import RecordingError
from inception_loop.recordings.recording import Recorded, Traces, TrialResponses

TRIALS_AT_ONCE = 64


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
        Leakage into the next trial, see `lag_correlations`.
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
    lost = [np.isnan(some[:, rows]).any(axis=1) for some in _trials_at_once(values)]
    status = binned_status(recording.trials, excluded, np.concatenate(lost))
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
    return Responses(values, status, 0, lag_correlations(values, valid)[0], {}, gaps)


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
            before[units] = lag_correlations(sample(traces, delays[units]), valid)[0]
            traces = deconvolve(traces, unit_ids[units])
        values[:, units] = sample(traces, delays[units])
        lag1[units] = lag_correlations(values[:, units], valid)[0]
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
