"""What a fill would add to the stimuli, what it leaves out, and what it refuses and why."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from inception_loop.errors import DataError
from inception_loop.images.wanted import wanted_units, without
from inception_loop.stimuli.fills import FillRules

ADDED, LEFT_OUT, REFUSED = "added", "left out", "refused"

REASONS = {
    "few_units": "fewer selected units than asked",
    "mixed_targets": "images processed in several ways",
    "no_target": "images without a target",
    "missing": "no such image",
    "twice": "several such images",
    "mean": "mean off target",
    "contrast": "contrast off target",
}
"""Why an image, or the fill as a whole, is refused, in the order in which they are looked for."""

KEY = ["image_class", "name", "unit_id", "shift_x", "shift_y"]
CANDIDATE = {
    "image_class": pl.String,
    "model_type": pl.String,
    "name": pl.String,
    "neuron_id": pl.Int64,
    "unit_id": pl.Int64,
    "shift_x": pl.Int64,
    "shift_y": pl.Int64,
    "source_id": pl.String,
    "target": pl.String,
    "target_mean": pl.Float64,
    "target_contrast": pl.Float64,
    "target_grey": pl.Float64,
    "mean": pl.Float64,
    "contrast": pl.Float64,
    "luminance_mean": pl.Float64,
    "luminance_contrast": pl.Float64,
    "mean_miss": pl.Float64,
    "contrast_miss": pl.Float64,
    "activation": pl.Float64,
    "reference_activation": pl.Float64,
    "validator_activation": pl.Float64,
    "artifact": pl.Int64,
    "image_row": pl.Int64,
    "processing": pl.String,
}
"""Columns of the images that a fill may take: see `plan_fill`."""


def filled_units(
    selection: pl.DataFrame, panel: pl.DataFrame | None, max_rank: int, leave_out: Sequence[str] = ()
) -> pl.DataFrame:
    """List the units that a fill is for: those selected with a rank below the limit, and the panel's.

    Parameters
    ----------
    selection, panel
        As in `wanted_units`.
    max_rank
        The limit of ``hu_rank``.
    leave_out
        Units that are not, ``name/unit_id``.

    Returns
    -------
    Table ``name, neuron_id, unit_id, hu_rank`` (null: of the panel only), in the order of `wanted_units`.

    Examples
    --------
    >>> units = pl.DataFrame({"name": "a", "neuron_id": [0, 1, 2], "unit_id": [5, 6, 7]})
    >>> filled_units(units.with_columns(hu_rank=pl.Series([1, 2, 0])), None, 2).rows()
    [('a', 2, 7, 0), ('a', 0, 5, 1)]
    """
    chosen = selection.filter(pl.col("hu_rank") < max_rank)
    if chosen.height == 0 and (panel is None or panel.height == 0):
        return chosen.select("name", "neuron_id", "unit_id", "hu_rank")
    ranks = chosen.select("name", "unit_id", "hu_rank")
    wanted = without(wanted_units(chosen, panel), leave_out)
    return wanted.join(ranks, on=["name", "unit_id"], how="left", maintain_order="left")


def plan_fill(fill: FillRules, units: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    """Say of every image whether a fill adds it, leaves it out or refuses it; nothing is written.

    Parameters
    ----------
    fill
        What it takes.
    units
        For whom, see `filled_units`.
    images
        Columns of `CANDIDATE`, a row an image as processed: whose it is, at which displacement, statistics
        (``mean``, ``contrast`` grey levels; ``luminance_*`` cd/m², null where the target is grey), the target
        and the relative misses of it, where it lies (``artifact``, ``image_row``) and, in words, how it was
        processed (``processing``). In any order.

    Returns
    -------
    Table ``state`` (added, left out, refused), ``reason`` (of `REASONS`; empty if added), ``words``,
    ``hu_rank``, and the columns of the images. Faults of the fill as a whole come first and have no unit;
    then the images by class, unit and displacement; what is left out comes last.
    """
    wanted = _wanted(fill, units)
    found = wanted.join(images, on=KEY, how="left")
    judged = found.with_columns(n=pl.len().over(KEY)).with_columns(reason=_reason(fill.tolerance))
    refused = judged.with_columns(
        state=pl.when(pl.col("reason") == "").then(pl.lit(ADDED)).otherwise(pl.lit(REFUSED)),
        words=_words(),
    ).sort("place", "artifact", "image_row")
    spare = _left_out(fill, units, images.join(wanted, on=KEY, how="anti"))
    columns = ["state", "reason", "words", "hu_rank", *CANDIDATE]
    parts = [_faults(fill, units, images), refused, spare]
    return pl.concat([part.select(c for c in columns if c in part.columns) for part in parts], how="diagonal")


def refuse(plan: pl.DataFrame, fill: FillRules) -> None:
    """Refuse a fill of which not every image can be added: all or nothing.

    Raises
    ------
    DataError
        One line that counts what is wrong and shows the first.
    """
    wrong = plan.filter(state=REFUSED)
    if wrong.height == 0:
        return
    whole, images = wrong.filter(pl.col("unit_id").is_null()), wrong.filter(pl.col("unit_id").is_not_null())
    lines = whole["words"].to_list()
    if images.height:
        n = plan.filter(pl.col("unit_id").is_not_null(), pl.col("state") != LEFT_OUT).height
        counts = dict(images["reason"].value_counts().rows())
        listed = ", ".join(f"{counts[r]} {text}" for r, text in REASONS.items() if r in counts)
        first = images.row(0, named=True)
        lines.append(
            f"{images.height} of {n} images refused ({listed}), first {_called(first)}: {first['words']}"
        )
    raise DataError(f"{fill.name} adds nothing: {'; '.join(lines)}")


def _wanted(fill: FillRules, units: pl.DataFrame) -> pl.DataFrame:
    """Every image that the fill needs, in its order: by class, unit and displacement."""
    classes = pl.DataFrame(
        {"image_class": [t.image_class for t in fill.takes], "model_type": [t.model_type for t in fill.takes]}
    )
    shifts = sorted(fill.shifts, key=lambda shift: (shift[1], shift[0]))
    moved = pl.DataFrame(shifts, schema={"shift_x": pl.Int64, "shift_y": pl.Int64}, orient="row")
    return classes.join(units, how="cross").join(moved, how="cross").with_row_index("place")


def _reason(tolerance: float) -> pl.Expr:
    def off(column: str) -> pl.Expr:
        return pl.col("target_mean").is_not_null() & (
            pl.col(column).fill_null(float("inf")).abs() > tolerance
        )

    return (
        pl.when(pl.col("image_row").is_null())
        .then(pl.lit("missing"))
        .when(pl.col("n") > 1)
        .then(pl.lit("twice"))
        .when(off("mean_miss"))
        .then(pl.lit("mean"))
        .when(off("contrast_miss"))
        .then(pl.lit("contrast"))
        .otherwise(pl.lit(""))
    )


def _words() -> pl.Expr:
    def missed(what: str) -> pl.Expr:
        light = pl.col("target") == "luminance"
        got = pl.when(light).then(f"luminance_{what}").otherwise(what).round(3)
        percent = (100 * pl.col(f"{what}_miss")).round(1)
        return pl.format(
            f"{what} {{}} instead of {{}}, {{}} % off; process it for a target that it can be shown at",
            got, pl.col(f"target_{what}"), percent,
        )  # fmt: skip

    lacking = pl.lit("the unit has none; expected one; make it for all units and process it")
    several = pl.format("the unit has {}; expected one; give one of them", "n")
    return (
        pl.when(pl.col("reason") == "missing").then(lacking)
        .when(pl.col("reason") == "twice").then(several)
        .when(pl.col("reason") == "mean").then(missed("mean"))
        .when(pl.col("reason") == "contrast").then(missed("contrast"))
        .otherwise(pl.lit(""))
    )  # fmt: skip


def _left_out(fill: FillRules, units: pl.DataFrame, spare: pl.DataFrame) -> pl.DataFrame:
    known = units.select("name", "unit_id", known=pl.lit(True))
    rows = spare.join(known, on=["name", "unit_id"], how="left")
    why = pl.when("known").then(pl.lit("displacement not taken")).otherwise(
        pl.lit(f"unit neither selected with hu_rank < {fill.max_rank} nor in the panel")
    )  # fmt: skip
    out = rows.with_columns(state=pl.lit(LEFT_OUT), reason=pl.lit("not_wanted"), words=why)
    return out.sort(*KEY, "artifact", "image_row")


def _faults(fill: FillRules, units: pl.DataFrame, images: pl.DataFrame) -> pl.DataFrame:
    rows = []
    selected = units.filter(pl.col("hu_rank").is_not_null()).height
    if selected < fill.min_units or units.height == 0:
        rows.append(("few_units", f"{selected} selected units have hu_rank < {fill.max_rank}; expected at "
                     f"least {max(fill.min_units, 1)}; select more units or ask for fewer"))  # fmt: skip
    ways = sorted(images["processing"].unique())
    if len(ways) > 1:
        rows.append(("mixed_targets", f"its images were processed in {len(ways)} ways: {' and '.join(ways)}; "
                     "expected one; process all of them alike"))  # fmt: skip
    if images["target_mean"].null_count():
        rows.append(("no_target", "images were left as they were made; expected one mean and contrast for "
                     "all that are compared; process them for a target"))  # fmt: skip
    schema = {"reason": pl.String, "words": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(state=pl.lit(REFUSED))


def _called(row: dict[str, object]) -> str:
    where = f"({row['shift_x']}, {row['shift_y']})"
    return f"{row['image_class']} of unit {row['unit_id']} of {row['name']} at {where}"
