"""Brain area and layer of every unit, from the recording or by rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from inception_loop.dataset.config import AreaPolygon, AreaRules, LayerRules
from inception_loop.dataset.polygons import within
from inception_loop.errors import DataError

BY_RECORDING, BY_POLYGON, BY_DEPTH, OTHERWISE = "recording", "polygon", "depth", "otherwise"


def area_membership(units: pl.DataFrame, rules: AreaRules) -> pl.DataFrame:
    """Brain area of every unit: as recorded, else of the polygon it lies in, else what the rules say.

    Parameters
    ----------
    units
        Unit rows with ``unit_id``, optionally ``brain_area`` (null: not known) and, for polygons, ``um_x``
        and ``um_y`` in µm (null or NaN: no place, in no polygon).
    rules
        What stands in where the recording has none.

    Returns
    -------
    Table ``unit_id, brain_area, decided_by``, in the order of ``units``.

    Raises
    ------
    DataError
        If a unit has no area.

    Examples
    --------
    >>> units = pl.DataFrame({"unit_id": [1, 2], "brain_area": ["V1", None]})
    >>> area_membership(units, AreaRules(otherwise="unknown"))["brain_area"].to_list()
    ['V1', 'unknown']
    """
    known = pl.col("brain_area").cast(pl.String) if "brain_area" in units.columns else pl.lit(None, pl.String)
    polygon = pl.coalesce(
        pl.lit(None, pl.String),
        *(
            pl.when(pl.lit(pl.Series(held))).then(pl.lit(polygon.brain_area))
            for polygon, held in zip(rules.polygons, holds(units, rules.polygons), strict=True)
        ),
    )
    fallback = pl.lit(rules.otherwise, pl.String)
    sources = [(BY_RECORDING, known), (BY_POLYGON, polygon), (OTHERWISE, fallback)]
    return _decided(units, "brain_area", sources, ("um_x", "um_y") if rules.polygons else ())


def holds(units: pl.DataFrame, polygons: Sequence[AreaPolygon]) -> npt.NDArray[np.bool_]:
    """Which polygons hold which units: (polygons, units) bool."""
    if not polygons:
        return np.zeros((0, units.height), np.bool_)
    at = units.select(pl.col("um_x", "um_y").cast(pl.Float64).fill_null(np.nan)).to_numpy()
    return np.stack([within(at, polygon.corners) for polygon in polygons])


def layer_membership(units: pl.DataFrame, rules: LayerRules) -> pl.DataFrame:
    """Layer of every unit: as recorded, else by its depth ``um_z``, else what the rules say.

    Returns
    -------
    Table ``unit_id, layer, decided_by``, in the order of ``units``.

    Raises
    ------
    DataError
        If a unit has no layer.

    Examples
    --------
    >>> units = pl.DataFrame({"unit_id": [1, 2], "um_z": [99.0, 100.0]})
    >>> layer_membership(units, LayerRules())["layer"].to_list()
    ['L1', 'L2/3']
    """
    known = pl.col("layer").cast(pl.String) if "layer" in units.columns else pl.lit(None, pl.String)
    depth = pl.coalesce(
        pl.lit(None, pl.String),
        *(
            pl.when((pl.col("um_z") >= rule.top) & (pl.col("um_z") < rule.bottom)).then(pl.lit(rule.layer))
            for rule in rules.depths
        ),
    )
    fallback = pl.lit(rules.otherwise, pl.String)
    sources = [(BY_RECORDING, known), (BY_DEPTH, depth), (OTHERWISE, fallback)]
    return _decided(units, "layer", sources, ("um_z",) if rules.depths else ())


def _decided(
    units: pl.DataFrame, name: str, sources: list[tuple[str, pl.Expr]], needed: tuple[str, ...]
) -> pl.DataFrame:
    """Take each unit's first known value; ``needed`` are the places that the rules go by."""
    by = pl.coalesce(*(pl.when(value.is_not_null()).then(pl.lit(source)) for source, value in sources))
    table = units.select(
        "unit_id", pl.coalesce(*(value for _, value in sources)).alias(name), by.alias("decided_by")
    )
    lost = units.filter(table[name].is_null())
    if lost.height:
        first = lost.row(0, named=True)
        placeless = [column for column in needed if first[column] is None or np.isnan(first[column])]
        why = f" (its {' and '.join(placeless)} is not known)" if placeless else ""
        raise DataError(
            f"unit {first['unit_id']} and {lost.height - 1} others have no {name}{why}; "
            f"expected one each; give it in the recording or set otherwise='unknown' in the rules"
        )
    return table
