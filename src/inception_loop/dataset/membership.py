"""Brain area and layer of every unit, from the recording or by rule."""

from __future__ import annotations

import polars as pl

from inception_loop.dataset.config import AreaRules, LayerRules
from inception_loop.errors import DataError

BY_RECORDING, BY_DEPTH, OTHERWISE = "recording", "depth", "otherwise"


def area_membership(units: pl.DataFrame, rules: AreaRules) -> pl.DataFrame:
    """Brain area of every unit.

    Parameters
    ----------
    units
        Unit rows with ``unit_id`` and optionally ``brain_area`` (null: not known).
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
    return _decided(
        units, "brain_area", [(BY_RECORDING, known), (OTHERWISE, pl.lit(rules.otherwise, pl.String))]
    )


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
    return _decided(units, "layer", [(BY_RECORDING, known), (BY_DEPTH, depth), (OTHERWISE, fallback)])


def _decided(units: pl.DataFrame, name: str, sources: list[tuple[str, pl.Expr]]) -> pl.DataFrame:
    by = pl.coalesce(*(pl.when(value.is_not_null()).then(pl.lit(source)) for source, value in sources))
    table = units.select(
        "unit_id", pl.coalesce(*(value for _, value in sources)).alias(name), by.alias("decided_by")
    )
    lost = table.filter(pl.col(name).is_null())
    if lost.height:
        raise DataError(
            f"unit {lost['unit_id'][0]} and {lost.height - 1} others have no {name}; "
            f"expected one each; give it in the recording or set otherwise='unknown' in the rules"
        )
    return table
