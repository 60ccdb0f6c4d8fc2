"""Activity, eye and running over a session: downsampled so that gaps show, and a closer look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.recordings.recording import (
    EyeTrace,
    Recorded,
    Traces,
    TreadmillTrace,
    TrialResponses,
    TrialTreadmill,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

ACTIVITY, PUPIL, CENTER_X, CENTER_Y, RUNNING = (
    "activity",
    "pupil radius",
    "pupil centre x",
    "pupil centre y",
    "running",
)
ONSET = "image onset"
SAMPLED_UNITS = 64
BINS = 300
CLOSE_S, CLOSE_TRIALS = 30.0, 60
MOST_POINTS = 600


@dataclass(frozen=True)
class Signal:
    """Something recorded over the session.

    Attributes
    ----------
    position : (S,) float64
        s since the first frame on the stimulus clock, or number of the trial counted from 0; ascending.
    value : (S,) float64
        NaN where it was lost.
    """

    position: Floats
    value: Floats

    @property
    def interval(self) -> float:
        """Usual distance of two samples."""
        return float(np.median(np.diff(self.position))) if self.position.size > 1 else 1.0


def missing_time(times: Floats) -> float:
    """Share of a stretch in which a clock has no ticks: gaps of more than one and a half intervals.

    Examples
    --------
    >>> missing_time(np.array([0.0, 1, 2, 5, 6]))
    0.2857142857142857
    """
    if times.size < 2:
        return 0.0
    steps = np.diff(times)
    usual = float(np.median(steps))
    lost = float((steps[steps > 1.5 * usual] - usual).sum())
    return lost / (float(times[-1] - times[0]) + usual)


def length(recording: Recorded) -> float:
    """Return how long a session is: s from the first frame to the last, or trials where it has no clock."""
    activity = recording.activity
    if isinstance(activity, Traces):
        return float(activity.frame_times[-1] - activity.frame_times[0])
    return float(recording.trials.height)


def trial_positions(recording: Recorded) -> Floats:
    """Where each trial lies: s since the first frame (NaN without an onset), or its number."""
    activity = recording.activity
    if not isinstance(activity, Traces):
        return np.arange(recording.trials.height, dtype=np.float64)
    onset = recording.trials["onset_flip"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    begin: Floats = onset - activity.frame_times[0]
    return begin


def population_signal(recording: Recorded, rows: Ints) -> Signal:
    """Mean activity of some units, each divided by its own s.d.; at most 64 of them, evenly chosen, are read.

    Parameters
    ----------
    recording
    rows : (N,) int64
        Rows of the units in the recording.
    """
    rows = rows[np.unique(np.linspace(0, rows.size - 1, min(rows.size, SAMPLED_UNITS)).round().astype(int))]
    activity = recording.activity
    if isinstance(activity, Traces):
        frames = min(activity.values.shape[1], activity.frame_times.size)
        position = activity.frame_times[:frames] - activity.frame_times[0]
        traces = (np.asarray(activity.values[row : row + 1], np.float64)[0, :frames] for row in rows)
    else:
        frames = activity.values.shape[0]
        position = np.arange(frames, dtype=np.float64)
        traces = (np.asarray(activity.values[:, row], np.float64) for row in rows)
    total, count = np.zeros(frames), np.zeros(frames)
    for trace in traces:
        known = np.isfinite(trace)
        std = trace[known].std() if known.any() else 0.0
        if std > 0:
            total[known] += trace[known] / std
        count += known
    value = np.full(frames, np.nan)
    np.divide(total, count, out=value, where=count > 0)
    return Signal(position, value)


def unit_signal(recording: Recorded, row: int) -> Signal:
    """Activity of one unit."""
    activity = recording.activity
    if isinstance(activity, TrialResponses):
        value = np.asarray(activity.values[:, row], np.float64)
        return Signal(np.arange(value.size, dtype=np.float64), value)
    frames = min(activity.values.shape[1], activity.frame_times.size)
    value = np.asarray(activity.values[row : row + 1], np.float64)[0, :frames]
    return Signal(activity.frame_times[:frames] - activity.frame_times[0], value)


def behavior_signals(recording: Recorded) -> dict[str, Signal]:
    """Pupil radius, its centre and running on the session's clock; what was not recorded is absent."""
    eye, treadmill = recording.eye, recording.treadmill
    found: dict[str, Signal] = {}
    if eye is not None:
        values = {PUPIL: eye.pupil_radius, CENTER_X: eye.center_x, CENTER_Y: eye.center_y}
        time = eye.time if isinstance(eye, EyeTrace) else None
        found |= {name: _on_clock(recording, time, value) for name, value in values.items()}
    if isinstance(treadmill, TreadmillTrace):
        found[RUNNING] = _on_clock(recording, treadmill.time, treadmill.velocity)
    if isinstance(treadmill, TrialTreadmill):
        found[RUNNING] = _on_clock(recording, None, treadmill.speed)
    return found


def _on_clock(recording: Recorded, time: Floats | None, value: Floats) -> Signal:
    """Bring a signal from the behaviour clock to the session's; without a time it is one value a trial."""
    value = np.asarray(value, np.float64)
    if time is None:
        position = trial_positions(recording)
        known = np.isfinite(position)
        return Signal(position[known], value[known])
    activity = recording.activity
    if not isinstance(activity, Traces):  # a valid recording has no behaviour trace then
        return Signal(np.empty(0), np.empty(0))
    clock = activity.behavior_frame_times
    inside = (time >= clock[0]) & (time <= clock[-1])  # the cameras run longer than the scan
    there = np.interp(time[inside], clock, activity.frame_times)
    return Signal(there - activity.frame_times[0], value[inside])


def overview(signal: Signal, end: float) -> pl.DataFrame:
    """Cut a signal into at most 300 equal bins from 0 to ``end``.

    Returns
    -------
    Table ``position`` (middle of the bin), ``low, mean, high`` (null: nothing known), ``lost`` (share of the
    samples that should be there and are not, whether the clock or the values lack them).
    """
    step = max(signal.interval, 1e-12)
    bins = int(np.clip(end / step / 4, 1, BINS))
    edges = np.linspace(0, end, bins + 1)
    edges[-1] = np.nextafter(edges[-1], np.inf)
    place = np.searchsorted(signal.position, edges)
    expected = max(1, int(end / bins / step))
    rows = []
    for start, stop in pairwise(place):
        known = signal.value[start:stop]
        known = known[np.isfinite(known)]
        lost = 1 - min(1.0, known.size / expected)
        some = known.size > 0
        rows.append((known.min(), known.mean(), known.max(), lost) if some else (None, None, None, 1.0))
    low, mean, high, lost_share = zip(*rows, strict=True)
    return pl.DataFrame(
        {
            "position": (edges[:-1] + edges[1:]) / 2,
            "low": pl.Series(low, dtype=pl.Float64),
            "mean": pl.Series(mean, dtype=pl.Float64),
            "high": pl.Series(high, dtype=pl.Float64),
            "lost": pl.Series(lost_share, dtype=pl.Float64),
        }
    )


def close_look(signals: Mapping[str, Signal], onsets: Floats, seconds: bool) -> pl.DataFrame:
    """Cut half a minute (or 60 trials) out of the middle of the session.

    Parameters
    ----------
    signals
        Channel → signal.
    onsets : (T,) float64
        Positions of the trials.
    seconds
        Whether positions are s.

    Returns
    -------
    Table ``channel, position, value`` (null: lost; always null for image onsets).
    """
    onsets = onsets[np.isfinite(onsets)]
    if onsets.size == 0:
        return pl.DataFrame(schema={"channel": pl.String, "position": pl.Float64, "value": pl.Float64})
    width = CLOSE_S if seconds else float(CLOSE_TRIALS)
    last = onsets[onsets <= max(onsets[0], onsets[-1] - width)][-1]
    begin = float(min(onsets[onsets.size // 2], last)) - (1.0 if seconds else 0.0)
    parts = [_cut(ONSET, Signal(onsets, np.full(onsets.size, np.nan)), begin, begin + width)]
    parts += [_cut(name, signal, begin, begin + width) for name, signal in signals.items()]
    return pl.concat(parts)


def _cut(channel: str, signal: Signal, begin: float, end: float) -> pl.DataFrame:
    rows = np.flatnonzero((signal.position >= begin) & (signal.position < end))
    rows = rows[:: max(1, -(-rows.size // MOST_POINTS))]
    value = pl.Series(signal.value[rows], dtype=pl.Float64).fill_nan(None)
    return pl.DataFrame({"position": signal.position[rows], "value": value}).select(
        pl.lit(channel).alias("channel"), "position", "value"
    )
