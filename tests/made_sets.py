"""Stimulus sets of known content in a store, made by hand: what an export is tested with."""

from __future__ import annotations

import numpy as np
import polars as pl

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.recordings.condition import condition_hash
from inception_loop.selection.high_units import (
    CORRECTED_HIGH_UNIT_SELECTION,
    CorrectedHighUnitSelectionConfig,
)
from inception_loop.stimuli.config import StimulusConfig
from inception_loop.stimuli.order import blocked_order
from inception_loop.stimuli.stimulus_set import STIMULUS_SET, StimulusSetConfig

NAME = "group000-1-1-1"
CLASSES = {"multi_cnn_mei": "cnn", "multi_lin_rf": "linear"}
_EMPTY = {"string": "", "int64": 0, "double": 0.0}


def completed(frame: pl.DataFrame, columns) -> pl.DataFrame:
    """Add declared columns that nobody here cares for: null, or nothing of their type."""
    more = {
        name: pl.lit(None if column.nullable else _EMPTY[str(column.type)])
        for name, column in columns.items()
        if name not in frame.columns
    }
    return frame.with_columns(**more).select(list(columns))


def conditions_of(images, units, shifts, oracle, blank, shown_s) -> pl.DataFrame:
    """One row an image: both classes of all units at all shifts, oracle images, a blank."""
    rows = [
        {"image_class": c, "model_type": m, "source_name": NAME, "source_unit_id": u, "source_neuron_id": n}
        | {"shift_x": x, "shift_y": y}
        for c, m in CLASSES.items()
        for x, y in shifts
        for n, u in enumerate(units)
    ]
    still = {"shift_x": 0, "shift_y": 0}
    rows += [{"image_class": "natural", "model_type": "oracle", **still} for _ in range(oracle)]
    rows += [{"image_class": "blank", "model_type": "blank", **still}] if blank else []
    schema = {"source_name": pl.String, "source_unit_id": pl.Int64, "source_neuron_id": pl.Int64}
    return pl.DataFrame(rows, schema_overrides=schema).with_columns(
        condition_hash=pl.Series([condition_hash(image, shown_s) for image in images]),
        image_id=pl.int_range(pl.len()).over("image_class"),
        image_row=pl.int_range(pl.len()),
        source_id=pl.format("{}-{}", "image_class", pl.int_range(pl.len())),
    )


def make_set(
    store: ArtifactStore,
    *,
    units=(30, 11, 7, 5),
    shifts=((0, 0), (1, 0)),
    oracle=3,
    blanks=1,
    repeats=3,
    seed=5,
    size=(36, 64),
    inputs=None,
    images=None,
) -> ArtifactRef:
    """Make a stimulus set whose units stand in the order of their rank; images are noise."""
    config = StimulusConfig(repeats=repeats, seed=seed, blanks=blanks)
    n = len(CLASSES) * len(units) * len(shifts) + oracle
    if images is None:
        images = np.random.default_rng(seed).integers(60, 160, (n, *size), dtype=np.uint8)
        images = np.concatenate([images, np.full((1 if blanks else 0, *size), 110, np.uint8)])
    conditions = conditions_of(images, units, shifts, oracle, blanks, config.shown_s)
    order = blocked_order(len(images), repeats, seed, last_times=max(blanks, 1))
    trials = pl.DataFrame({"position": np.arange(len(order.image)), "block": order.block})
    trials = trials.with_columns(condition_row=pl.Series(order.image))
    trials = trials.with_columns(condition_hash=conditions["condition_hash"].gather(order.image))

    def build(attempt):
        attempt.write_arrays("images", {"images": images})
        declared = STIMULUS_SET.payloads["conditions"].columns
        attempt.write_table("conditions", completed(conditions, declared))
        attempt.write_table("trials", trials)

    whole = StimulusSetConfig(loop_group=0, session=config)
    return store.make(STIMULUS_SET, whole, build, inputs=inputs or {}).ref


def make_selection(store: ArtifactStore, ranks: dict[int, int | None]) -> ArtifactRef:
    """Make a selection: unit → hu_rank."""
    rows = pl.DataFrame(
        {"name": NAME, "unit_id": list(ranks), "hu_rank": list(ranks.values())},
        schema_overrides={"hu_rank": pl.Int64},
    )
    table = CORRECTED_HIGH_UNIT_SELECTION.name
    columns = CORRECTED_HIGH_UNIT_SELECTION.payloads[table].columns
    return store.make(
        CORRECTED_HIGH_UNIT_SELECTION,
        CorrectedHighUnitSelectionConfig(group_id=0),
        lambda attempt: attempt.write_table(table, completed(rows, columns)),
    ).ref
