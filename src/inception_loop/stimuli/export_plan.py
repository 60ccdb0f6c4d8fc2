"""What of a stimulus set is shown in the time there is: image by image, units by rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.stimuli.leave_out import remaining
from inception_loop.stimuli.planner import Kept, fit

UNIT = ["source_name", "source_unit_id"]


class Size(NamedTuple):
    """A session counted: units, different images in all and of each sort, repeats, trials, minutes."""

    units: int
    images: int
    unit_images: int
    shifted_copies: int
    others: int
    repeats: int
    trials: int
    minutes: float


@dataclass(frozen=True)
class Plan:
    """A session that is to fit, and what it leaves out.

    Attributes
    ----------
    full, wanted, cut : the whole session, what of it is to be shown, and what fits (the same where nothing is
        left out)
    images : (k,) int64, rows of the images that stay, ascending
    left_out : table ``source_name, source_unit_id, hu_rank`` of the units that do not fit, in order of rank
    asked : units and image classes that were not to be shown
    ranked : units of ``full`` that have a rank; the others are of a truth panel
    """

    full: Size
    wanted: Size
    cut: Size
    images: npt.NDArray[np.int64]
    left_out: pl.DataFrame
    asked: tuple[str, ...] = ()
    ranked: int = 0

    @property
    def is_cut(self) -> bool:
        """Whether anything is left out."""
        return self.cut != self.full or bool(self.asked)


def plan_session(
    conditions: pl.DataFrame,
    *,
    repeats: int,
    shown_s: float,
    gap_s: float,
    minutes: float | None = None,
    min_repeats: int | None = None,
    ranks: pl.DataFrame | None = None,
    times: npt.NDArray[np.int64] | None = None,
    leave_out: Sequence[str] = (),
) -> Plan:
    """Plan the session of a stimulus set, image by image.

    An image goes with the last unit that it is shown for: one that two units share, or that also stands
    there as an oracle image, stays as long as one of them does.

    Parameters
    ----------
    conditions
        ``image_row, source_name, source_unit_id`` (null or negative: made for no unit), ``shift_x, shift_y``
        px and, where known, ``hu_rank``; one row a condition.
    repeats
        Blocks, each of which shows every image.
    shown_s, gap_s
        Timing, s.
    minutes
        Length that there is; None: any.
    min_repeats
        Repeats may go down to so many before units go; None: they stay.
    ranks
        ``name, unit_id, hu_rank`` of a selection; otherwise see `ranked_units`.
    times : (K,) int64
        How often a block shows each image, by ascending ``image_row``; None: once.
    leave_out
        Units and image classes not to show, see `remaining`.

    Raises
    ------
    ConfigurationError
        If not even one unit fits, or what is to be left out is not there.

    Examples
    --------
    >>> conditions = pl.DataFrame({"image_row": [0, 1, 2], "source_name": ["a", "a", None],
    ...     "source_unit_id": [8, 5, None], "shift_x": 0, "shift_y": 0})
    >>> plan = plan_session(conditions, repeats=10, shown_s=0.5, gap_s=0.5, minutes=0.4)
    >>> plan.images.tolist(), plan.left_out["source_unit_id"].to_list(), plan.cut.trials
    ([0, 2], [5], 20)
    """
    rows = np.unique(conditions["image_row"].to_numpy()).astype(np.int64)
    shown = np.ones(len(rows), np.int64) if times is None else times
    trial_s = shown_s + gap_s
    whole = _Stages(conditions, rows, shown, ranks)
    wanted = _Stages(remaining(conditions, leave_out), rows, shown, ranks) if leave_out else whole
    kept = everything = Kept(wanted.units.height, True, repeats)
    if minutes is not None:
        kept = fit(
            _totals(wanted.last, wanted.times, wanted.units.height),
            int(wanted.times.sum()),
            repeats=repeats,
            trial_s=trial_s,
            minutes=minutes,
            min_repeats=min_repeats,
        )
    return Plan(
        full=whole.size(Kept(whole.units.height, True, repeats), trial_s),
        wanted=wanted.size(everything, trial_s),
        cut=wanted.size(kept, trial_s),
        images=wanted.rows[wanted.stays(kept)],
        left_out=wanted.units[kept.units :],
        asked=tuple(leave_out),
        ranked=whole.units["hu_rank"].count(),
    )


class _Stages:
    """Images of a session and when each is given up, see `_last_needed`."""

    def __init__(
        self,
        conditions: pl.DataFrame,
        rows: npt.NDArray[np.int64],
        times: npt.NDArray[np.int64],
        ranks: pl.DataFrame | None,
    ) -> None:
        self.units = ranked_units(conditions, ranks)
        self.rows, self.last = _last_needed(conditions, self.units)
        self.times = times[np.searchsorted(rows, self.rows)]

    def stays(self, kept: Kept) -> npt.NDArray[np.bool_]:
        """Return which of the images are shown."""
        centre: npt.NDArray[np.bool_] = self.last <= kept.units
        return centre | (self.last > self.units.height) if kept.shifted else centre

    def size(self, kept: Kept, trial_s: float) -> Size:
        """Count what is shown."""
        stays, n_units = self.stays(kept), self.units.height
        of = self.last[stays]
        trials = int(self.times[stays].sum()) * kept.repeats
        return Size(
            units=kept.units,
            images=len(of),
            unit_images=int(((of > 0) & (of <= n_units)).sum()),
            shifted_copies=int((of > n_units).sum()),
            others=int((of == 0).sum()),
            repeats=kept.repeats,
            trials=trials,
            minutes=trials * trial_s / 60,
        )


def _totals(last: npt.NDArray[np.int64], shown: npt.NDArray[np.int64], n_units: int) -> npt.NDArray[np.int64]:
    """Return what a block shows for the first 0, 1, … U units without shifted copies."""
    per_stage = np.zeros(n_units + 2, np.int64)
    np.add.at(per_stage, last, shown)
    return per_stage[:-1].cumsum()


def ranked_units(conditions: pl.DataFrame, ranks: pl.DataFrame | None = None) -> pl.DataFrame:
    """List the units of a stimulus set, those that are to stay longest first.

    By ``hu_rank``, as the selection or else the conditions know it; units without one (those of a truth
    panel) come last. Without any rank, by their place among the rows of their scan: images are made in the
    order of rank.

    Parameters
    ----------
    conditions
        As for `plan_session`.
    ranks
        ``name, unit_id, hu_rank``.

    Returns
    -------
    Table ``source_name, source_unit_id, hu_rank``
    """
    made = conditions.filter(pl.col("source_unit_id").fill_null(-1) >= 0)
    given = pl.col("hu_rank") if "hu_rank" in made.columns else pl.lit(None)
    units = made.group_by(UNIT, maintain_order=True).agg(given.cast(pl.Int64).min().alias("hu_rank"))
    if ranks is not None:
        selected = ranks.filter(pl.col("hu_rank").is_not_null()).select(
            source_name="name", source_unit_id="unit_id", selected=pl.col("hu_rank").cast(pl.Int64)
        )
        units = units.join(selected.unique(UNIT, keep="first"), on=UNIT, how="left", maintain_order="left")
        units = units.with_columns(hu_rank=pl.coalesce("selected", "hu_rank")).drop("selected")
    place = pl.int_range(pl.len()).over("source_name")
    return (
        units.with_columns(_place=place, _row=pl.int_range(pl.len()))
        .sort("hu_rank", "_place", "_row", nulls_last=True)
        .select(*UNIT, "hu_rank")
    )


def _last_needed(
    conditions: pl.DataFrame, units: pl.DataFrame
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of the images, ascending, and when each goes, counted from the end of giving up.

    0: it is shown for no unit and stays; u + 1: with unit u of the list; U + 1: with the shifted copies.
    """
    numbered = units.select(UNIT).with_columns(_unit=pl.int_range(1, pl.len() + 1))
    shifted = pl.any_horizontal(pl.col("shift_x", "shift_y").fill_null(0) != 0)
    rows = conditions.join(numbered, on=UNIT, how="left").select(
        "image_row",
        last=pl.when(pl.col("_unit").is_null())
        .then(0)
        .when(shifted)
        .then(units.height + 1)
        .otherwise("_unit"),
    )
    by_image = rows.group_by("image_row").agg(pl.col("last").min()).sort("image_row")
    images, last = (by_image[name].to_numpy().astype(np.int64) for name in ("image_row", "last"))
    return images, last
