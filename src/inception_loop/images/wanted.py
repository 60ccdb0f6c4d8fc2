"""Which units want images, and at which statistics their control images are shown."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from inception_loop.errors import DataError
from inception_loop.images.ascent.procedure import AnyProcedure, Fast, PublishedContrast


def wanted_units(selection: pl.DataFrame, panel: pl.DataFrame | None = None) -> pl.DataFrame:
    """List the units that want images: the selected ones by rank, then those of the truth panel.

    Parameters
    ----------
    selection
        Rows of a ``corrected_high_unit_selection``; those without ``hu_rank`` are not selected.
    panel
        Rows of a ``truth_panel``.

    Returns
    -------
    Table ``name, neuron_id, unit_id``, each unit once.

    Raises
    ------
    DataError
        If no unit is wanted.

    Examples
    --------
    >>> units = pl.DataFrame({"name": "a", "neuron_id": [0, 1, 2], "unit_id": [5, 6, 7]})
    >>> panel = units.head(2).with_columns(kind=pl.lit("simple"), panel_rank=pl.int_range(2))
    >>> wanted_units(units.with_columns(hu_rank=pl.Series([1, None, 0])), panel)["unit_id"].to_list()
    [7, 5, 6]
    """
    columns = ["name", "neuron_id", "unit_id"]
    parts = [selection.filter(pl.col("hu_rank").is_not_null()).sort("name", "hu_rank").select(columns)]
    if panel is not None:
        parts.append(panel.sort("name", "kind", "panel_rank").select(columns))
    wanted = pl.concat(parts).unique(["name", "unit_id"], keep="first", maintain_order=True)
    if wanted.height == 0:
        raise DataError(
            "no unit is selected and there is no truth panel; expected at least one unit to image"
        )
    return wanted


def of_scan(units: pl.DataFrame, name: str | None) -> pl.DataFrame:
    """Return the rows of one scan's units; of all if ``name``, its readout key, is None.

    Raises
    ------
    DataError
        If there is no such scan among them.

    Examples
    --------
    >>> of_scan(pl.DataFrame({"name": ["a", "b"], "unit_id": 5}), "b").rows()
    [('b', 5)]
    """
    if name is None:
        return units
    names = units["name"].unique().sort().to_list()
    if name not in names:
        raise DataError(
            f"units are wanted of {name}; expected one of {', '.join(names)}; name a scan of the dataset"
        )
    return units.filter(name=name)


def without(units: pl.DataFrame, leave_out: Sequence[str]) -> pl.DataFrame:
    """Return units save some, which are called ``name/unit_id`` as errors call them.

    Raises
    ------
    DataError
        If one of those is no such unit.

    Examples
    --------
    >>> units = pl.DataFrame({"name": "a", "unit_id": [5, 6]})
    >>> without(units, ["a/5"])["unit_id"].to_list()
    [6]
    """
    called = units.select(pl.format("{}/{}", "name", "unit_id")).to_series()
    unknown = sorted(set(leave_out) - set(called))
    if unknown:
        raise DataError(
            f"unit {unknown[0]!r} is to be left out but is none of the {units.height} wanted, such as "
            f"{called[0]!r}; expected scan/unit_id of a selected unit or one of the panel"
        )
    return units.filter(~called.is_in(list(leave_out)))


def statistics_of(procedure: AnyProcedure) -> tuple[float | None, float]:
    """Return mean (None: that of the training pixels) and RMS contrast, grey levels, for control images.

    The published variants fix neither; their controls get the contrast limit of variant 2.

    Examples
    --------
    >>> statistics_of(Fast(contrast=7.0))
    (None, 7.0)
    """
    if isinstance(procedure, Fast):
        return procedure.mean, procedure.contrast
    return None, getattr(procedure, "max_contrast", PublishedContrast().max_contrast)
