"""The images that an artifact of any image kind holds for the units of a batch."""

from __future__ import annotations

import polars as pl
import torch
from torch import Tensor

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import DataError
from inception_loop.images.target import TargetConfig


def rows_of(table: pl.DataFrame, config: TargetConfig, of: ArtifactRef) -> list[int]:
    """Return the row of each unit of a batch in a table with `TARGET_COLUMNS`; the first, where several.

    Raises
    ------
    DataError
        If a unit has none.

    Examples
    --------
    >>> table = pl.DataFrame({"name": "a", "neuron_id": [4, 2], "unit_id": [40, 20]})
    >>> batch = TargetConfig(group_id=0, name="a", units=[{"neuron_id": 2, "unit_id": 20}])
    >>> rows_of(table, batch, ArtifactRef(kind="mei", digest="0" * 64, uri="memory://x/mei"))
    [1]
    """
    keys = list(table.select("name", "neuron_id", "unit_id").iter_rows())
    wanted = [(config.name, unit.neuron_id, unit.unit_id) for unit in config.units]
    lacking = [key for key in wanted if key not in keys]
    if lacking:
        name, _, unit_id = lacking[0]
        raise DataError(
            f"{of} has no image of {name}/{unit_id} ({len(lacking)} of {len(wanted)} units); expected one of "
            "every unit of the batch; make those first or ask for fewer units"
        )
    return [keys.index(key) for key in wanted]


def images_of(store: ArtifactStore, ref: ArtifactRef, config: TargetConfig) -> Tensor:
    """Return the (U, H, W) float32 images, grey levels, of a batch's units, on the store's device.

    Raises
    ------
    DataError
        If the artifact has none for a unit.
    """
    rows = rows_of(store.table(ref, ref.kind), config, ref)
    return torch.tensor(store.arrays(ref, "images")["images"][rows], device=store.settings.device)
