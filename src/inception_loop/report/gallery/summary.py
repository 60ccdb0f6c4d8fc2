"""The numbers of an experiment's images: how far each kind reaches beside the MEI, by whom, of how many."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import polars as pl

from inception_loop.report.gallery.findings import beats
from inception_loop.report.gallery.kinds import MEI, excites, in_order, rivals_of, title_of
from inception_loop.report.gallery.units import JUDGES, UNIT

Row = dict[str, Any]
_SCHEMA = {"key": pl.String, "what": pl.String, "judge": pl.String, "value": pl.Float64}
_SCHEMA |= {"n": pl.Int64, "meaning": pl.String}


def summarize(units: pl.DataFrame, images: pl.DataFrame, curves: pl.DataFrame, margin: float) -> pl.DataFrame:
    """Return the table ``summary``: a row a number, each with its n and what it is.

    Parameters
    ----------
    units, images, curves
        Tables of a gallery; of several images of a kind the first of each unit counts.
    margin
        By which share a control must exceed an MEI to beat it.
    """
    first = images.filter(number=0)
    rows = [
        *_counted(units),
        *_beside_mei(first),
        *_wins(first, margin),
        *_robust(first, curves),
        *_climbed(first),
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def _row(key: str, value: float, n: int, meaning: str, what: str = "", judge: str = "") -> Row:
    return {"key": key, "what": what, "judge": judge, "value": float(value), "n": n, "meaning": meaning}


def _counted(units: pl.DataFrame) -> Iterator[Row]:
    meanings = {"ok": "nothing speaks against", "warn": "to look at", "bad": "to leave out"}
    for verdict, meaning in meanings.items():
        n = units.filter(verdict=verdict).height
        yield _row(f"units_{verdict}", n, units.height, f"units {meaning}")


def _beside_mei(first: pl.DataFrame) -> Iterator[Row]:
    for what in in_order(first["what"]):
        rows = first.filter(what=what)
        for judge, who in JUDGES.items():
            shares = rows[f"{judge}_share"].drop_nulls()
            if shares.len() and what != MEI:
                text = f"median activation by the {title_of(what)} over that by the MEI, for {who}"
                yield _row("share_of_mei", _median(shares), shares.len(), text, what, judge)
        both = rows.filter(pl.col("reference_activation") > 0).drop_nulls("validator_activation")
        if both.height:
            shares = both["validator_activation"] / both["reference_activation"]
            text = f"median activation of the validator over that of the reference, {title_of(what)}"
            yield _row("validator_over_reference", _median(shares), both.height, text, what)


def _wins(first: pl.DataFrame, margin: float) -> Iterator[Row]:
    """Yield shares of units whose MEI is not beaten by a control, one by one and by any of them."""
    rivals = rivals_of(first["what"])
    for judge, who in JUDGES.items():
        column = f"{judge}_activation"
        best: dict[tuple[str, int], bool] = {}
        for what, own in rivals.items():
            of = first.filter(what=own).select(*UNIT, pl.col(column).alias("own"))
            both = first.filter(what=what).join(of, on=UNIT).drop_nulls([column, "own"])
            wins = [not beats(rival, mine, margin) for rival, mine in both.select(column, "own").iter_rows()]
            for unit, wins_here in zip(both.select(UNIT).iter_rows(), wins, strict=True):
                best[unit] = best.get(unit, True) and wins_here
            if wins:
                text = f"units whose {title_of(own)} is not beaten by their {title_of(what)}, for {who}"
                yield _row("mei_wins", _share(wins), len(wins), text, what, judge)
        if best:
            text = f"units whose MEI is beaten by none of their controls, for {who}"
            yield _row("mei_wins_all", _share(best.values()), len(best), text, "", judge)


def _robust(first: pl.DataFrame, curves: pl.DataFrame) -> Iterator[Row]:
    for what in filter(excites, in_order(first["what"])):
        rows = first.filter(what=what)
        known = rows["monotonic"].drop_nulls()
        if known.len():
            text = f"units whose activation by the {title_of(what)} never falls as its contrast grows"
            yield _row("monotonic", float(known.to_numpy().mean()), known.len(), text, what)
        moved = rows.filter(pl.col("reference_activation") > 0).drop_nulls("shift_mean_activation")
        if moved.height:
            shares = moved["shift_mean_activation"] / moved["reference_activation"]
            text = f"median share of its activation that a displaced {title_of(what)} keeps"
            yield _row("kept_when_displaced", _median(shares), moved.height, text, what)
    lowest = curves.filter(pl.col("what") == MEI, pl.col("number") == 0, against="contrast").sort("x")
    grey = lowest.group_by(UNIT, maintain_order=True).agg(pl.col("activation").first())
    meis = first.filter(pl.col("what") == MEI, pl.col("reference_activation") > 0)
    both = grey.join(meis.select(*UNIT, "reference_activation"), on=UNIT)
    if both.height:
        shares = both["activation"] / both["reference_activation"]
        text = (
            "median activation by almost uniform grey (the MEI at its lowest contrast) over that by the MEI"
        )
        yield _row("grey_share", _median(shares), both.height, text, MEI, "reference")


def _climbed(first: pl.DataFrame) -> Iterator[Row]:
    for what in in_order(first["what"]):
        rows = first.filter(what=what)
        steps, reasons = rows["iterations"].drop_nulls(), rows["stop_reason"].drop_nulls()
        if steps.len():
            text = f"median steps of the ascent, {title_of(what)}"
            yield _row("iterations", _median(steps), steps.len(), text, what)
        for reason in sorted(reasons.unique()):
            n = int((reasons == reason).sum())
            yield _row(f"stopped_{reason}", n, reasons.len(), f"ascents ended by {reason}", what)


def _share(values: Collection[bool]) -> float:
    return sum(values) / len(values)


def _median(values: pl.Series) -> float:
    return float(np.median(values.to_numpy()))
