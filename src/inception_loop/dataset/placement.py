"""Where every unit of a member lies, and how far from the border of its field."""

from __future__ import annotations

import polars as pl

from inception_loop.dataset.config import MissingData
from inception_loop.errors import DataError


def place_units(
    name: str,
    units: pl.DataFrame,
    fields: pl.DataFrame,
    areas: pl.DataFrame,
    layers: pl.DataFrame,
    missing: MissingData,
) -> pl.DataFrame:
    """Give the units of a member their numbers and their distance to the border of their field.

    Parameters
    ----------
    name
        Name of the member.
    units, fields
        Tables of a `STATIC_SCAN`.
    areas, layers
        ``unit_id, brain_area`` and ``unit_id, layer``.
    missing
        Whether units without a place are refused.

    Returns
    -------
    Table ``name, neuron_id, unit_id, brain_area, layer, field, um_x, um_y, um_z, border_um``, by ``unit_id``.

    Raises
    ------
    DataError
        If a unit has no area, no layer, or (by policy) no place.
    """
    border = pl.min_horizontal(
        _to_border("px_x", "px_width") * pl.col("um_width") / pl.col("px_width"),
        _to_border("px_y", "px_height") * pl.col("um_height") / pl.col("px_height"),
    )
    needed = ("px_x", "px_y", "px_width", "px_height", "um_width", "um_height")
    known = pl.all_horizontal(pl.col(needed).is_not_null())
    table = (
        units.join(fields.drop("x", "y", "z"), on="field", how="left")
        .join(areas.select("unit_id", "brain_area"), on="unit_id", how="left")
        .join(layers.select("unit_id", "layer"), on="unit_id", how="left")
        .sort("unit_id")
        .select(
            pl.lit(name).alias("name"),
            pl.int_range(pl.len()).alias("neuron_id"),
            "unit_id",
            "brain_area",
            "layer",
            "field",
            "um_x",
            "um_y",
            "um_z",
            border_um=pl.when(known).then(border),
        )
    )
    _check_places(name, table, missing)
    return table


def _check_places(name: str, table: pl.DataFrame, missing: MissingData) -> None:
    lost = table.filter(pl.any_horizontal(pl.col("um_x", "um_y", "um_z", "border_um").is_null()))
    if lost.height and missing.no_positions == "refuse":
        row = lost.row(0, named=True)
        absent = [column for column in ("um_x", "um_y", "um_z") if row[column] is None]
        if row["border_um"] is None:
            absent.append("distance to the border (px_x, px_y and its field's size in px and µm)")
        raise DataError(
            f"{name}: unit {row['unit_id']} and {lost.height - 1} others have no {', '.join(absent)}; "
            "expected a place of every unit; set missing.no_positions to 'keep' to go on without"
        )
    homeless = table.filter(pl.col("brain_area").is_null() | pl.col("layer").is_null())
    if homeless.height:
        raise DataError(f"{name}: unit {homeless['unit_id'][0]} has no area or layer; expected one of each")


def _to_border(at: str, size: str) -> pl.Expr:
    """Return the distance, px, from a pixel coordinate to the nearer edge of its field.

    Coordinate 0 is the centre of the first pixel, half a pixel from the edge.
    """
    return pl.min_horizontal(at, pl.col(size) - 1 - pl.col(at)) + 0.5
