"""The units of a gallery in their order, and their images beside the MEI."""

from __future__ import annotations

import polars as pl

from inception_loop.report.gallery.kinds import MEI

UNIT = ["name", "unit_id"]
JUDGES = {"reference": "the comparing networks", "validator": "networks that had no part in any image"}
_KNOWN = {
    "hu_rank": pl.Int64,
    "brain_area": pl.String,
    "layer": pl.String,
    "oracle_corr": pl.Float64,
    "cnn_fraction_oracle": pl.Float64,
    "lin_fraction_oracle": pl.Float64,
}


def with_shares(images: pl.DataFrame) -> pl.DataFrame:
    """Add ``reference_share`` and ``validator_share``: activation over that of the unit's (first) MEI.

    Null where the MEI's is not above 0, and where there is none.

    Examples
    --------
    >>> images = pl.DataFrame({"name": "a", "unit_id": 1, "what": ["mei", "best_gabor"], "number": 0,
    ...                        "reference_activation": [4.0, 1.0], "validator_activation": [-1.0, 1.0]})
    >>> with_shares(images).select("reference_share", "validator_share").rows()
    [(1.0, None), (0.25, None)]
    """
    meis = images.filter(what=MEI, number=0).select(
        *UNIT, *(pl.col(f"{judge}_activation").alias(f"mei_{judge}") for judge in JUDGES)
    )
    joined = images.join(meis, on=UNIT, how="left", maintain_order="left")
    return joined.with_columns(
        pl.when(pl.col(f"mei_{judge}") > 0)
        .then(pl.col(f"{judge}_activation") / pl.col(f"mei_{judge}"))
        .alias(f"{judge}_share")
        for judge in JUDGES
    ).drop(f"mei_{judge}" for judge in JUDGES)


def order_units(
    images: pl.DataFrame, masks: pl.DataFrame, selection: pl.DataFrame, panel: pl.DataFrame | None = None
) -> pl.DataFrame:
    """List every unit that has an image: the selected ones by rank, then the panel's, then the others.

    Parameters
    ----------
    images, masks
        Whose ``name, neuron_id, unit_id`` are listed.
    selection
        Rows of a ``corrected_high_unit_selection``.
    panel
        Rows of a ``truth_panel``.

    Returns
    -------
    The table ``units`` of a gallery, without ``verdict``.
    """
    columns = ["name", "neuron_id", "unit_id"]
    units = pl.concat([images.select(columns), masks.select(columns)]).unique(UNIT, maintain_order=True)
    counts = images.group_by(UNIT).agg(n_images=pl.len().cast(pl.Int64))
    known = selection.select(*UNIT, *(pl.col(name).cast(kind) for name, kind in _KNOWN.items()))
    schema = dict(
        zip([*UNIT, "panel", "panel_rank"], (pl.String, pl.Int64, pl.String, pl.Int64), strict=True)
    )
    if panel is None:
        listed = pl.DataFrame(schema=schema)
    else:
        listed = panel.select(*UNIT, pl.col("kind").alias("panel"), "panel_rank")
    joined = units
    for table in (known, listed, counts):
        joined = joined.join(table, on=UNIT, how="left", maintain_order="left")
    ordered = joined.sort("hu_rank", "panel", "panel_rank", "name", "unit_id", nulls_last=True)
    return ordered.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("place"),
        *columns,
        "hu_rank",
        "panel",
        *(name for name in _KNOWN if name != "hu_rank"),
        pl.col("n_images").fill_null(0),
    )


def verdicts(units: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
    """Add ``verdict``: the worst severity among a unit's findings; without any, or mere notes: ok."""
    graver = findings.filter(pl.col("severity") != "note")
    worst = graver.group_by(UNIT).agg(bad=(pl.col("severity") == "bad").any())
    joined = units.join(worst, on=UNIT, how="left", maintain_order="left")
    said = pl.when(pl.col("bad")).then(pl.lit("bad")).otherwise(pl.lit("warn"))
    return joined.with_columns(
        verdict=pl.when(pl.col("bad").is_null()).then(pl.lit("ok")).otherwise(said)
    ).drop("bad")
