"""CorrectedHighUnitSelection: the units that get an image, and why the others do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl
import polars.selectors as cs
import pyarrow as pa
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.errors import DataError
from inception_loop.selection.config import HighUnitRules
from inception_loop.selection.families import Family
from inception_loop.selection.oracle import F64, I64, PACKAGE, TEXT, UNIT

SELECTED = ""
REASONS = {
    "no_oracle": "no oracle above 0",
    "low_oracle": "not among the best by oracle",
    "near_border": "near the border of its field",
    "no_score": "no test score of one of the ensembles",
    "low_cnn_fraction": "the CNN's fraction-oracle not above its percentile",
    "low_linear_fraction": "the linear network's fraction-oracle not above its percentile",
    "too_close": "near a unit selected before it",
    "beyond_max_rank": "rank too high",
}
"""Why a unit was not selected, in the order of the rules."""

SINCE_2 = {
    "cnn_threshold": Column(F64, "what cnn_fraction_oracle had to exceed in its member", nullable=True),
    "lin_threshold": Column(F64, "what lin_fraction_oracle had to exceed in its member", nullable=True),
    "nearest_um": Column(
        F64, "distance to the nearest unit selected before it, µm; null: none, or out before", nullable=True
    ),
    "nearest_unit_id": Column(I64, "that unit", nullable=True),
    "measured": Column(F64, "of a unit that fell out: what its rule looked at", nullable=True),
    "threshold": Column(F64, "what this was held against, in the same unit", nullable=True),
}
"""Columns that older artifacts lack: null when these are read."""


def _with_nulls(table: pa.Table) -> pa.Table:
    for name, column in SINCE_2.items():
        table = table.append_column(name, pa.nulls(len(table), column.type))
    return table


COLUMNS = {
    **UNIT,
    "brain_area": Column(TEXT, "brain area"),
    "layer": Column(TEXT, "cortical layer"),
    "um_x": Column(F64, "place in cortex, µm", nullable=True),
    "um_y": Column(F64, "place in cortex, µm", nullable=True),
    "um_z": Column(F64, "depth below the pia, µm", nullable=True),
    "border_um": Column(F64, "distance to the nearest border of its field, µm", nullable=True),
    "oracle_corr": Column(F64, "Pearson oracle", nullable=True),
    "top_ptile": Column(F64, "rank by oracle over the number of units"),
    "cnn_test_corr": Column(F64, "test correlation of the CNN ensemble", nullable=True),
    "lin_test_corr": Column(F64, "test correlation of the linear ensemble", nullable=True),
    "cnn_fraction_oracle": Column(F64, "cnn_test_corr / oracle_corr", nullable=True),
    "lin_fraction_oracle": Column(F64, "lin_test_corr / oracle_corr", nullable=True),
    "hu_rank": Column(I64, "rank among the selected, 0 first; null: not selected", nullable=True),
    "reason": Column(TEXT, f"why it is not selected: {', '.join(REASONS)}; empty if it is"),
    **SINCE_2,
}

CORRECTED_HIGH_UNIT_SELECTION = Kind(
    name="corrected_high_unit_selection",
    version=2,  # 2: by how much a unit fell out
    meaning="Units that get an image: reliable, predicted well by both networks, apart; best CNN gain first.",
    payloads={
        "corrected_high_unit_selection": Table(
            COLUMNS,
            version=2,
            upgrades={1: _with_nulls},
        )
    },
    partition=GROUP,
)

REFUSED_SELECTION = Kind(
    name="refused_selection",
    version=1,
    meaning="A selection of fewer units than asked: why each unit fell out. No step reads it.",
    payloads={"units": Table(COLUMNS)},
    partition=GROUP,
)


class CorrectedHighUnitSelectionConfig(Config):
    """Configuration of the selection."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    rules: HighUnitRules = Field(HighUnitRules(), description="Thresholds.")
    min_units: int = Field(15, ge=0, description="Fewer selected units are an error.")
    no_positions: Literal["refuse", "pass"] = Field(
        "refuse",
        description="Units without a place: refuse, or let them pass the rules of border and distance.",
    )


def select_units(
    ranked: pl.DataFrame, units: pl.DataFrame, scores: pl.DataFrame, rules: HighUnitRules
) -> pl.DataFrame:
    """Apply the rules of selection in their order, each member for itself.

    1. ``top_ptile`` below its limit (and an oracle above 0, without which there is no fraction);
    2. not near the border of the field;
    3. fraction-oracle (test correlation over oracle) of CNN and linear network strictly above the percentile
       of those left;
    4. ordered by the difference of the two, descending, ties by ``unit_id``;
    5. not near (3-D) a unit selected before;
    6. ``hu_rank``: position in the order, 0 first.

    Parameters
    ----------
    ranked
        ``name, neuron_id, unit_id, oracle_corr, top_ptile``.
    units
        ``name, unit_id, brain_area, layer, um_x, um_y, um_z, border_um``, µm; null or NaN: not known, the
        rule of it is passed.
    scores
        ``name, unit_id, family`` (cnn, linear), ``test_corr``: one row a model and unit; the mean over models
        counts.
    rules
        Thresholds.

    Returns
    -------
    Table as `CORRECTED_HIGH_UNIT_SELECTION` declares, one row a candidate.

    Raises
    ------
    DataError
        If a candidate is no unit of the dataset.

    Examples
    --------
    >>> key = {"name": "a", "unit_id": [5, 6, 7]}
    >>> oracle = {"oracle_corr": 0.5, "top_ptile": [0.0, 0.3, 0.6]}
    >>> ranked = pl.DataFrame({**key, "neuron_id": [0, 1, 2], **oracle})
    >>> place = {"um_x": [0.0, 8.0, 90.0], "um_y": 0.0, "um_z": 200.0, "border_um": 50.0}
    >>> units = pl.DataFrame({**key, "brain_area": "V1", "layer": "L2/3", **place})
    >>> scores = pl.concat(pl.DataFrame({**key, "family": family, "test_corr": [0.4, 0.35, 0.3]})
    ...                    for family in ("cnn", "linear"))
    >>> table = select_units(ranked, units, scores, HighUnitRules(top_ptile=0.5, percentile=0))
    >>> table.select("unit_id", "reason", "measured", "threshold").rows()
    [(5, '', None, None), (6, 'low_cnn_fraction', 0.7, 0.7), (7, 'low_oracle', 0.6, 0.5)]
    """
    lost = ranked.join(units, on=["name", "unit_id"], how="anti")
    if lost.height:
        first = lost.row(0, named=True)
        raise DataError(
            f"unit {first['unit_id']} of {first['name']} and {lost.height - 1} others are ranked, but not of "
            f"the dataset's {units.height} units; expected the ranking of this dataset"
        )
    tables = {"ranked": ranked, "units": units, "scores": scores}
    tables = {name: table.with_columns(cs.float().fill_nan(None)) for name, table in tables.items()}
    return query(sql_file(PACKAGE, "high_units.sql"), tables, rules.model_dump())


def count_reasons(selection: pl.DataFrame) -> dict[str, int]:
    """Count the units that each rule removed, in the order of the rules; rules that removed none left out."""
    counts = dict(selection["reason"].value_counts().rows())
    return {reason: counts[reason] for reason in REASONS if reason in counts}


def require_units(selection: pl.DataFrame, least: int) -> None:
    """Refuse a selection of too few units, naming what each rule removed.

    Raises
    ------
    DataError
        If fewer than ``least`` units are selected.
    """
    selected = selection.filter(reason=SELECTED).height
    if selected >= least:
        return
    lost = ", ".join(f"{n} {reason} ({REASONS[reason]})" for reason, n in count_reasons(selection).items())
    raise DataError(
        f"{selected} of {selection.height} units selected; expected at least {least}; "
        f"the rules removed {lost}; record more units, train longer, or relax the rule that removed most"
    )


def make_corrected_high_unit_selection(
    store: ArtifactStore,
    config: CorrectedHighUnitSelectionConfig,
    *,
    dataset: ArtifactRef,
    oracle_ranked_unit: ArtifactRef,
    cnn_scores: Sequence[ArtifactRef],
    linear_scores: Sequence[ArtifactRef],
) -> Outcome:
    """Make the selection.

    Parameters
    ----------
    dataset
        Where the units lie.
    oracle_ranked_unit
        The candidates.
    cnn_scores, linear_scores
        ``unit_test_scores`` of the models of each ensemble; their order does not matter.

    Raises
    ------
    DataError
        If too few units are selected: then a ``refused_selection``, which the error names, says of every unit
        why it fell out. Or if (by policy) a candidate has no place.
    """
    families: dict[Family, list[ArtifactRef]] = {
        "cnn": sorted(cnn_scores, key=lambda ref: ref.digest),
        "linear": sorted(linear_scores, key=lambda ref: ref.digest),
    }

    def build(attempt: Attempt) -> None:
        ranked = store.table(oracle_ranked_unit, "oracle_ranked_unit")
        units = store.table(dataset, "units")
        _check_places(ranked, units, config.no_positions)
        scores = pl.concat(
            store.table(ref, "unit_test_scores").select(
                "name", "unit_id", pl.lit(family).alias("family"), "test_corr"
            )
            for family, refs in families.items()
            for ref in refs
        )
        table = select_units(ranked, units, scores, config.rules)
        try:
            require_units(table, config.min_units)
        except DataError as error:
            raise _refused(store, config, inputs, table, error) from error
        attempt.write_table("corrected_high_unit_selection", table)
        attempt.report(
            n_candidates=table.height,
            n_selected=table.filter(reason=SELECTED).height,
            removed=count_reasons(table),
        )

    inputs = {
        "dataset": [dataset],
        "oracle_ranked_unit": [oracle_ranked_unit],
        "cnn_scores": families["cnn"],
        "linear_scores": families["linear"],
    }
    return store.make(CORRECTED_HIGH_UNIT_SELECTION, config, build, inputs=inputs)


def _refused(
    store: ArtifactStore,
    config: CorrectedHighUnitSelectionConfig,
    inputs: Mapping[str, Sequence[ArtifactRef]],
    table: pl.DataFrame,
    error: DataError,
) -> DataError:
    """Keep the table of a selection that is refused and return the error that says how to look at it."""

    def build(attempt: Attempt) -> None:
        attempt.write_table("units", table)
        attempt.report(
            n_candidates=table.height,
            n_selected=table.filter(reason=SELECTED).height,
            min_units=config.min_units,
            removed=count_reasons(table),
        )

    ref = store.make(REFUSED_SELECTION, config, build, inputs=inputs).ref
    return DataError(f"{error}; each unit with its reason: inception-loop store show {ref} --table units")


def _check_places(ranked: pl.DataFrame, units: pl.DataFrame, policy: str) -> None:
    places = ranked.select("name", "unit_id").join(units, on=["name", "unit_id"], how="left")
    lost = places.filter(pl.any_horizontal(pl.col("um_x", "um_y", "um_z", "border_um").is_null()))
    if lost.height and policy == "refuse":
        raise DataError(
            f"unit {lost['unit_id'][0]} of {lost['name'][0]} and {lost.height - 1} others have no place; "
            "expected µm and field; set no_positions to 'pass' to leave the rules of place out"
        )
