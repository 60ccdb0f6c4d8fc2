"""The choices that let a recording through the dataset stage, each by its name, none behind one's back.

Each is asked of the rule of the stage itself (an eye that no trial can be read from is no eye), so that what
`fitting_config` returns goes through.
"""

from __future__ import annotations

from typing import Any

import polars as pl

from inception_loop.dataset.behavior import eye_samples, treadmill_samples
from inception_loop.dataset.config import (
    SYNTHESISED,
    AreaRules,
    DatasetConfig,
    FrameSize,
    LayerRules,
    ResponseWindow,
    Tiers,
)
from inception_loop.dataset.membership import area_membership, layer_membership
from inception_loop.dataset.placement import place_units
from inception_loop.dataset.scan_tables import field_table, scan_units
from inception_loop.dataset.tiers import assign_tiers, is_closed_loop, shown_conditions
from inception_loop.dataset.trial_status import SHOWN_TOLERANCE, shown_s
from inception_loop.dataset.trials import has_values
from inception_loop.errors import DataError
from inception_loop.recordings.recording import Recorded

FEW_REPEATED = 0.02
REPEATED_BY_CHANCE = 3
"""A smaller share of the images, none shown more often than that, was hardly meant as a test set: a picture
got in twice. The published design (100 of 5,000 images, ten times each) was."""

UNKNOWN_AREA, NO_LAYER = "unknown", "unset"


def fitting_config(recording: Recorded, group_id: int = 0) -> DatasetConfig:
    """Return the configuration, nearest to the published one, that a recording goes through with.

    A person should read it before using it: every field that differs from `DatasetConfig` is a decision.

    Parameters
    ----------
    recording
        In memory or in the store.
    group_id
        Number of the group.

    Raises
    ------
    DataError
        If no configuration makes a training set of it: it showed synthesised images, or too few.
    """
    choices: dict[str, Any] = {"group_id": group_id}
    window: dict[str, Any] = {}
    shown = shown_s(recording.trials)
    if shown is not None and abs(shown - ResponseWindow().duration) > SHOWN_TOLERANCE:
        window = {"duration": round(shown, 3)}
    parts = {
        "window": window,
        "frame": _frame(*recording.images.shape[1:]),
        "tiers": _tiers(recording),
        "missing": _behavior(recording, ResponseWindow(**window)),
        "raw_fluorescence": {"policy": "oasis"} if recording.trace_kind == "dff" else {},
    }
    for name, choice in (parts | _places(recording)).items():
        if choice:
            choices[name] = {**choices.get(name, {}), **choice}
    return DatasetConfig.model_validate(choices)


def _behavior(recording: Recorded, window: ResponseWindow) -> dict[str, str]:
    eye, running = eye_samples(recording, window)[0], treadmill_samples(recording, window)[0]
    found = {"no_eye": has_values(eye), "no_treadmill": has_values(running)}
    missing = {name: "omit" for name, known in found.items() if not known}
    return missing | _positions(recording)


def _positions(recording: Recorded) -> dict[str, str]:
    units = scan_units(recording)
    none = units.select("unit_id", brain_area=pl.lit(""), layer=pl.lit(""))
    keep = DatasetConfig(group_id=0, missing={"no_positions": "keep"}).missing
    placed = place_units("", units, field_table(recording.fields), none, none, keep)
    places = placed.select("um_x", "um_y", "um_z", "border_um")
    return {"no_positions": "keep"} if sum(places.null_count().row(0)) else {}


def _places(recording: Recorded) -> dict[str, dict[str, str]]:
    """Name an area and a layer for units of which neither the recording nor a depth says one."""
    units = scan_units(recording)
    areas = area_membership(units, AreaRules(otherwise=UNKNOWN_AREA))
    layers = layer_membership(units, LayerRules(otherwise=NO_LAYER))
    unknown = {"areas": (areas, UNKNOWN_AREA), "layers": (layers, NO_LAYER)}
    return {
        part: {"otherwise": name}
        for part, (table, name) in unknown.items()
        if (table["decided_by"] == "otherwise").any()
    }


def _tiers(recording: Recorded) -> dict[str, Any]:
    """Name the images to learn from; a few pictures that got in twice are no test tier."""
    choices: dict[str, Any] = {}
    classes = sorted(recording.conditions["image_class"].unique())
    made = [name for name in classes if name.startswith(SYNTHESISED)]
    if made:
        raise DataError(
            f"scan {recording.scan} showed synthesised images ({', '.join(made)}): it is a later day of a "
            "loop, which is compared with its source and never trained on; use it in stage closed-loop"
        )
    if is_closed_loop(classes, Tiers()):
        choices["natural_classes"] = tuple(name for name in classes if name not in Tiers().neutral_classes)
    counts = recording.trials["condition_hash"].value_counts()["count"].to_numpy()
    repeated = int((counts > 1).sum())
    by_chance = repeated < FEW_REPEATED * len(counts) and counts.max() <= REPEATED_BY_CHANCE
    if repeated and by_chance and "tier" not in recording.conditions.columns:
        choices["least_repeated"] = repeated + 1
    shown = [shown_conditions(recording.trials, recording.conditions)]
    try:
        assign_tiers(shown, Tiers(**choices))
    except DataError:
        choices["given_incomplete"] = "draw"
        assign_tiers(shown, Tiers(**choices))  # or nothing helps, and it says what is missing
    return choices


def _frame(height: int, width: int) -> dict[str, Any]:
    """Return a size of the frames that keeps the aspect ratio, or a letterbox where no whole one does."""
    size = FrameSize()
    if height * size.col == width * size.row:
        return {}
    col = width * size.row / height
    if col == int(col) and col <= 4 * size.col:
        return {"col": int(col)}
    return {"aspect": "letterbox"}
