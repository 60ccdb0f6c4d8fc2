"""The session that a rig is handed: a stimulus set as it stands, or cut to a length in a new order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.errors import DataError
from inception_loop.stimuli.export_plan import Plan, plan_session
from inception_loop.stimuli.leave_out import remaining, scan_of
from inception_loop.stimuli.order import blocked_order

IMAGES = "images"
_HARMLESS = re.compile(r"[0-9A-Za-z_-]{1,64}")
_DECIMALS = 6  # of times, s


@dataclass(frozen=True)
class ExportSource:
    """A stimulus set, as far as an export needs it.

    Attributes
    ----------
    kind, digest : its reference, without the place
    payloads : SHA-256 of each payload
    images : (K, h, w) uint8, grey levels as sent to the monitor; may be mapped
    conditions, trials : tables of the kind ``stimulus_set``
    shown_s, gap_s : timing, s
    seed : of the order
    ranks : ``name, unit_id, hu_rank`` of the selections that the set goes back to; None: not known
    monitor : what the set knows of the monitor: its calibration and the target of the images
    filled : rows of the fills that the set is made of, see `unequal_light`; None: not known
    """

    kind: str
    digest: str
    payloads: Mapping[str, str]
    images: npt.NDArray[np.uint8]
    conditions: pl.DataFrame
    trials: pl.DataFrame
    shown_s: float
    gap_s: float
    seed: int
    ranks: pl.DataFrame | None = None
    monitor: Mapping[str, Any] = field(default_factory=dict)
    filled: pl.DataFrame | None = None

    def __str__(self) -> str:
        return f"{self.kind}/{self.digest[:12]}"


@dataclass(frozen=True)
class Session:
    """What is shown, and when.

    Attributes
    ----------
    source : where it comes from
    plan : the whole session, the part that fits, what is left out
    rows : (k,) int64, rows of ``source.images`` that are shown, in the order of ``image_row``
    conditions : table of the set restricted to what is shown, ``image_row`` counted anew, with
        ``image_file``
    trials : table ``position, block, condition_row, condition_hash, image_row, image_file, image_class,
        scan, unit_id`` (text: several are joined by ";"), ``onset_s, shown_s, gap_s``; the gap lies before
        the image, the first one begins at 0 s
    """

    source: ExportSource
    plan: Plan
    rows: npt.NDArray[np.int64]
    conditions: pl.DataFrame
    trials: pl.DataFrame

    def image(self, row: int) -> npt.NDArray[np.uint8]:
        """Return one image that is shown, (h, w)."""
        return np.ascontiguousarray(self.source.images[self.rows[row]])

    @property
    def files(self) -> list[str]:
        """Name of the file of each image."""
        named = self.conditions.unique("image_row", keep="first").sort("image_row")
        return named["image_file"].to_list()

    @property
    def grey(self) -> int:
        """Grey level of the gaps: of the blank, else of the target's mean, else the mean of all images."""
        conditions = self.source.conditions
        blank = conditions.filter(pl.col("model_type") == "blank")["image_row"]
        if blank.len():
            return int(self.source.images[blank[0], 0, 0])
        target = conditions["target_grey"].drop_nulls()
        if target.len():
            return round(float(target[0]))
        return round(float(self.source.images.mean(dtype=np.float64)))


def session_of(
    source: ExportSource,
    minutes: float | None = None,
    min_repeats: int | None = None,
    leave_out: Sequence[str] = (),
) -> Session:
    """Return the session of a stimulus set; cut to a length, if it has to be, in a new blocked order.

    Parameters
    ----------
    source
        The set.
    minutes
        Length that there is; None: the session as it stands.
    min_repeats
        Repeats may go down to so many before units go; None: they stay.
    leave_out
        Units and image classes not to show, see `remaining`.

    Raises
    ------
    ConfigurationError
        If not even one unit's images fit, or what is to be left out is not there.
    DataError
        If the blocks of the set do not show the same images.
    """
    rows = np.unique(source.conditions["image_row"].to_numpy()).astype(np.int64)
    repeats, times = _blocks(source, rows)
    plan = plan_session(
        source.conditions,
        repeats=repeats,
        shown_s=source.shown_s,
        gap_s=source.gap_s,
        minutes=minutes,
        min_repeats=min_repeats,
        ranks=source.ranks,
        times=times,
        leave_out=leave_out,
    )
    place = pl.DataFrame({"image_row": plan.images, "_row": np.arange(len(plan.images))})
    wanted = remaining(source.conditions, leave_out)
    kept = wanted.join(place, on="image_row", how="inner", maintain_order="left")
    kept = kept.with_columns(image_row="_row").drop("_row")
    kept = kept.with_columns(image_file=_files(kept))
    trials = source.trials
    if plan.is_cut:
        trials = _cut_trials(source, plan, kept, times[np.isin(rows, plan.images)])
    return Session(source, plan, plan.images, kept, _timed(trials, kept, source))


def _blocks(source: ExportSource, rows: npt.NDArray[np.int64]) -> tuple[int, npt.NDArray[np.int64]]:
    """Return how many blocks there are and how often each block shows each image."""
    image = source.conditions["image_row"].gather(source.trials["condition_row"]).to_numpy()
    block = source.trials["block"].to_numpy()
    n = int(block.max()) + 1 if len(block) else 0
    shown = np.zeros((n, len(rows)), np.int64)
    np.add.at(shown, (block, np.searchsorted(rows, image)), 1)
    if n == 0 or (shown != shown[0]).any() or (shown[0] == 0).any():
        raise DataError(
            f"the blocks of {source} do not all show the same images; expected every image in every "
            "block, as the stimulus stage orders them; make the set again"
        )
    return n, shown[0]


def _cut_trials(
    source: ExportSource, plan: Plan, kept: pl.DataFrame, times: npt.NDArray[np.int64]
) -> pl.DataFrame:
    """Put the images that stay into a seeded, blocked order; one shown several times a block goes last."""
    often = np.flatnonzero(times > 1)
    if len(often) > 1:
        raise DataError(
            f"{source} shows {len(often)} images several times in each block; expected one at most, a blank; "
            "make the set again"
        )
    image = np.arange(len(times))
    if len(often):
        image[[often[0], -1]] = image[[-1, often[0]]]
    order = blocked_order(len(times), plan.cut.repeats, source.seed, last_times=int(times.max(initial=1)))
    first = kept["image_row"].arg_unique().to_numpy()
    first = first[np.argsort(kept["image_row"].to_numpy()[first])]
    row = first[image[order.image]].astype(np.int64)
    return pl.DataFrame(
        {
            "position": np.arange(len(row)),
            "block": order.block,
            "condition_row": row,
            "condition_hash": kept["condition_hash"].to_numpy()[row],
        }
    )


def _timed(trials: pl.DataFrame, conditions: pl.DataFrame, source: ExportSource) -> pl.DataFrame:
    trials = trials.sort("position")
    shown = conditions.select("image_row", "image_file")[trials["condition_row"].to_numpy()]
    onset = pl.col("position") * source.shown_s + (pl.col("position") + 1) * source.gap_s
    whose = _whose(conditions)[shown["image_row"].to_numpy()]
    return trials.select("position", "block", "condition_row", "condition_hash").with_columns(
        shown["image_row"],
        shown["image_file"],
        *whose.drop("image_row"),
        onset_s=onset.round(_DECIMALS),
        shown_s=pl.lit(source.shown_s),
        gap_s=pl.lit(source.gap_s),
    )


def _whose(conditions: pl.DataFrame) -> pl.DataFrame:
    """Say of each image, by row, what it is and which units it was made for; null: for none."""
    made = pl.col("source_unit_id").fill_null(-1) >= 0
    units = pl.struct(scan=scan_of("source_name"), unit="source_unit_id").filter(made)
    units = units.unique(maintain_order=True)
    scans = units.struct.field("scan")
    return (
        conditions.group_by("image_row")
        .agg(
            image_class=pl.col("image_class").unique(maintain_order=True).str.join(";"),
            scan=pl.when(scans.n_unique() == 1).then(scans.first()).otherwise(scans.str.join(";")),
            unit_id=units.struct.field("unit").cast(pl.String).str.join(";"),
        )
        .sort("image_row")
        .with_columns(pl.col("scan", "unit_id").replace("", None))
    )


def _files(conditions: pl.DataFrame) -> pl.Series:
    """Name a file for each image, after its row and the first condition that it is shown in."""
    first: dict[int, str] = {}
    for row, condition in conditions.select("image_row", "condition_hash").iter_rows():
        first.setdefault(row, f"{IMAGES}/{row:05d}_{_harmless(condition)}.png")
    return pl.Series([first[row] for row in conditions["image_row"]], dtype=pl.String)


def _harmless(condition: str) -> str:
    """Return a condition's hash; one that a stranger wrote may be any text, and is hashed if it is."""
    if _HARMLESS.fullmatch(condition):
        return condition
    return hashlib.sha256(condition.encode()).hexdigest()[:32]
