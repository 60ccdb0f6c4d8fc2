"""Which trials of a scan have a response, and why the others have none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import ResponseWindow
from inception_loop.dataset.sampling import Floats, hamming_window, is_hole, median_interval
from inception_loop.errors import RecordingError

SHOWN_TOLERANCE = 0.05  # s between the median time an image was on and the window's length

VALID = ""
NO_ONSET = "no onset flip"
OUTSIDE = "outside the recording"
LOST = "response lost"
NO_FRAMES = "frames missing"


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


def binned_status(trials: pl.DataFrame, excluded: pl.DataFrame, lost: npt.NDArray[np.bool_]) -> pl.DataFrame:
    """Say of every trial whose responses were handed over whether they can be used, and if not, why.

    A trial with a NaN in any soma is lost as a whole; flips are not needed.

    Parameters
    ----------
    trials, excluded
        Tables ``trials`` and ``excluded_trials`` of a `Recording`.
    lost : (T,) bool
        Whether any soma's response is NaN.

    Returns
    -------
    As `trial_status`.
    """
    return trials.select(
        pl.col("trial_idx").cast(pl.Int64),
        "condition_hash",
        onset_s=pl.col("onset_flip").cast(pl.Float64).fill_null(np.nan),
        status=_excluded(excluded).when(pl.Series(lost)).then(pl.lit(LOST)).otherwise(pl.lit(VALID)),
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
