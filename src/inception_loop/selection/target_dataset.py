"""TargetDataset: a group and a data configuration, with the units that its networks read out."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import EVERY, CorrectedAreaLayer
from inception_loop.dataset.member import member_names
from inception_loop.errors import DataError
from inception_loop.selection.oracle import PACKAGE, TEXT, UNIT

TARGET_DATASET = Kind(
    name="target_dataset",
    version=1,
    meaning="The units of a group that networks of one data configuration read out.",
    payloads={
        "target_dataset": Table(
            {
                "readout_key": UNIT["name"],
                "neuron_id": UNIT["neuron_id"],
                "unit_id": UNIT["unit_id"],
                "brain_area": Column(TEXT, "brain area"),
                "layer": Column(TEXT, "cortical layer"),
            }
        )
    },
    partition=GROUP,
)


class TargetDatasetConfig(Config):
    """A group and how its data are read."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    data: CorrectedAreaLayer = Field(CorrectedAreaLayer(), description="Which units the networks read out.")


def target_units(units: pl.DataFrame, data: CorrectedAreaLayer) -> pl.DataFrame:
    """Return the units that a data configuration reads out, numbered as in the networks' readouts.

    Parameters
    ----------
    units
        ``name, neuron_id, unit_id, brain_area, layer`` of a dataset's members.
    data
        Areas and layer.

    Returns
    -------
    Table as `TARGET_DATASET` declares.

    Raises
    ------
    DataError
        If a member has no such unit.

    Examples
    --------
    >>> units = pl.DataFrame({"name": "a", "neuron_id": [0, 1, 2], "unit_id": [5, 6, 9], "brain_area": "V1",
    ...                       "layer": ["L4", "L2/3", "L2/3"]})
    >>> target_units(units, CorrectedAreaLayer(layer="L2/3")).select("neuron_id", "unit_id").rows()
    [(0, 6), (1, 9)]
    """
    areas = [data.brain_area] if isinstance(data.brain_area, str) else list(data.brain_area)
    parameters = {
        "areas": [] if EVERY in areas else areas,
        "layer": None if data.layer == EVERY else data.layer,
    }
    table = query(sql_file(PACKAGE, "target_dataset.sql"), {"units": units}, parameters)
    empty = sorted(set(units["name"]) - set(table["readout_key"]))
    if empty:
        raise DataError(
            f"{empty[0]} has no unit in layer {data.layer!r} of area {', '.join(areas)!r} among "
            f"{units.filter(name=empty[0]).height}; choose another layer or area, or 'all'"
        )
    return table


def make_target_dataset(
    store: ArtifactStore, config: TargetDatasetConfig, *, dataset: ArtifactRef
) -> Outcome:
    """Make the list of units of a ``static_multi_dataset`` that networks of a data configuration read out."""

    def build(attempt: Attempt) -> None:
        member_names(store, dataset)  # of nothing else
        table = target_units(store.table(dataset, "units"), config.data)
        attempt.write_table("target_dataset", table)
        attempt.report(n_units=dict(table.group_by("readout_key").len().sort("readout_key").rows()))

    return store.make(TARGET_DATASET, config, build, inputs={"dataset": dataset})
