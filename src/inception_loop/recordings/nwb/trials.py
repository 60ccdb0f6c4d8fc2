"""The stimuli of an NWB file as the trials, conditions and images of a recording."""

from __future__ import annotations

from collections.abc import Callable

import h5py
import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.recordings.nwb.file import NwbFile
from inception_loop.recordings.nwb.images import load
from inception_loop.recordings.nwb.presentations import Shown, find_shown, times
from inception_loop.recordings.options import ReadOptions
from inception_loop.recordings.presented import Images, presented

_OVERLAP_S = 1e-3


def read_stimuli(
    nwb: NwbFile, options: ReadOptions
) -> tuple[pl.DataFrame, pl.DataFrame, Images, pl.DataFrame]:
    """Return the tables ``trials`` and ``conditions``, the images shown, and ``excluded_trials``.

    Trials come from a table of intervals with a column of images, else from an `IndexSeries`
    (``options.names["trials"]`` chooses). Rows that show no image are no trials and are left out; trials
    inside the file's invalid times are listed as excluded.

    Raises
    ------
    RecordingError
        If images or trials are lacking, ambiguous, or contradict each other.
    """
    shown = find_shown(nwb, options)
    _check_order(nwb, shown, options)
    on = shown.number >= 0
    if not on.any():
        raise nwb.refused(
            f"{shown.place} shows no image in any of its {len(on)} rows; expected trials with images"
        )
    numbers, rows = np.unique(shown.number[on], return_inverse=True)
    images = load(nwb, shown.images, numbers.tolist())
    images, kept, rows = _without_twins(images, rows)
    trials = pl.DataFrame(
        {
            "trial_idx": shown.trial_idx[on],
            "image_row": rows.astype(np.int64),
            "clear_flip": shown.clear[on],
            "onset_flip": shown.onset[on],
            "offset_flip": shown.offset[on],
        }
    )
    conditions = _conditions(nwb, shown, on, rows, len(kept))
    excluded = _excluded(nwb, shown)
    return *presented(trials, conditions, images, options, str(nwb.path)), images, excluded


def _without_twins(
    images: Images, rows: npt.NDArray[np.int64]
) -> tuple[Images, list[int], npt.NDArray[np.int64]]:
    """Keep the first of images with the same pixels: they are one stimulus."""
    first: dict[bytes, int] = {}
    kept: list[int] = []
    new = np.empty(len(images), np.int64)
    for row, image in enumerate(images):
        key = image.tobytes()
        if key not in first:
            first[key] = len(kept)
            kept.append(row)
        new[row] = first[key]
    return images[kept], kept, new[rows]


def _conditions(
    nwb: NwbFile, shown: Shown, on: npt.NDArray[np.bool_], rows: npt.NDArray[np.int64], images: int
) -> pl.DataFrame:
    conditions = {"image_row": np.arange(images, dtype=np.int64)}
    trials = shown.trial_idx[on]
    first = np.unique(rows, return_index=True)[1]
    texts: dict[str, list[str]] = {}
    for name, values in shown.said.items():
        told = np.array(values)[on]
        other = told != told[first][rows]
        if other.any():
            trial = int(other.argmax())
            before = first[rows[trial]]
            raise nwb.refused(
                f"trials {trials[before]} and {trials[trial]} of {shown.place} show one image but say {name} "
                f"{str(told[before])!r} and {str(told[trial])!r}; expected the same of both"
            )
        texts[name] = told[first].tolist()
    return pl.DataFrame(conditions | texts)


def _excluded(nwb: NwbFile, shown: Shown) -> pl.DataFrame:
    reasons: dict[int, str] = {}
    table = nwb.at("/intervals/invalid_times")
    if isinstance(table, h5py.Group):
        starts, stops = times(nwb, table, "start_time"), times(nwb, table, "stop_time")
        end = np.where(np.isnan(shown.offset), shown.onset, shown.offset)
        for start, stop in zip(starts, stops, strict=True):
            inside = (shown.onset < stop) & (end > start) & (shown.number >= 0)
            reasons |= dict.fromkeys(shown.trial_idx[inside].tolist(), "lies in invalid_times of the file")
    return pl.DataFrame(
        {"trial_idx": sorted(reasons), "reason": [reasons[trial] for trial in sorted(reasons)]},
        schema={"trial_idx": pl.Int64, "reason": pl.String},
    )


def _check_order(nwb: NwbFile, shown: Shown, options: ReadOptions) -> None:
    """Refuse presentations out of order, of no length, or one inside another."""

    def refuse(bad: npt.NDArray[np.bool_], what: Callable[[int], str]) -> None:
        if bad.any():
            row = int(bad.argmax())
            raise nwb.refused(f"trial {shown.trial_idx[row]} of {shown.place} {what(row)}")

    onset, offset, trial = shown.onset, shown.offset, shown.trial_idx
    refuse(~np.isfinite(onset), lambda row: f"begins at {onset[row]} s; expected a time")
    refuse(
        np.diff(onset, prepend=-np.inf) <= 0,
        lambda row: (
            f"begins at {onset[row]:.3f} s, not after trial {trial[row - 1]} above it at "
            f"{onset[row - 1]:.3f} s; expected rows in order of presentation; sort them"
        ),
    )
    refuse(
        offset <= onset,
        lambda row: f"ends at {offset[row]:.3f} s but begins at {onset[row]:.3f} s; expected an end after it",
    )
    known = np.isfinite(offset)
    end = np.where(known, offset, onset + 0.9 * options.shown_s)
    refuse(
        np.append(False, onset[1:] < end[:-1] - _OVERLAP_S),
        lambda row: (
            f"begins at {onset[row]:.3f} s, before trial {trial[row - 1]} ends at "
            + (
                f"{offset[row - 1]:.3f} s; expected trials that do not overlap"
                if known[row - 1]
                else f"{onset[row - 1] + options.shown_s:.3f} s if images are on for {options.shown_s} s; "
                "expected one row a presentation; set shown_s to the time that images are on"
            )
        ),
    )
