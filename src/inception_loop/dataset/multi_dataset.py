"""StaticMultiDataset: the scans of a group with the fate of every trial and the place of every unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from pydantic import Field

from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.input_response import CONDITION, TRIAL_IDX
from inception_loop.dataset.leakage import typical
from inception_loop.dataset.parts import PER_SCAN, by_member, member_name
from inception_loop.dataset.placement import place_units
from inception_loop.dataset.policies import Policies, applied_policies, applied_upstream
from inception_loop.dataset.scan_tables import BOOL, F64, FIELD, I64, TEXT, UNIT_ID
from inception_loop.dataset.statistics import NAME, MembersConfig, member_trials
from inception_loop.dataset.trials import NO_EYE, NO_RUNNING, has_values
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

LEAKAGE_WARNING = 0.1
NEURON_ID = Column(I64, "column of the unit's response and readout, 0 first")

STATIC_MULTI_DATASET = Kind(
    name="static_multi_dataset",
    version=1,
    meaning="A group of scans trained together: members, every trial's tier and use, every unit's place.",
    payloads={
        "members": Table(
            {
                "name": NAME,
                "animal_id": Column(I64, "number of the animal"),
                "session": Column(I64, "session of the animal"),
                "scan_idx": Column(I64, "scan of the session"),
                "n_trials": Column(I64, "trials shown"),
                "n_used": Column(I64, "trials used"),
                "n_train": Column(I64, "used trials of tier train"),
                "n_validation": Column(I64, "used trials of tier validation"),
                "n_test": Column(I64, "used trials of tier test"),
                "n_untracked": Column(I64, "trials dropped because eye or running was not tracked"),
                "n_imputed": Column(I64, "used trials whose eye or running is the mean instead"),
                "n_units": Column(I64, "units"),
                "has_eye": Column(BOOL, "whether there is pupil data"),
                "has_treadmill": Column(BOOL, "whether there is running data"),
                "lag1_leakage": Column(
                    F64, "median over units of the correlation of successive trials", nullable=True
                ),
            }
        ),
        "trials": Table(
            {
                "name": NAME,
                "trial_idx": TRIAL_IDX,
                "condition_hash": CONDITION,
                "tier": Column(TEXT, "train, validation, test or none"),
                "image_class": Column(TEXT, "class of the image"),
                "used": Column(BOOL, "whether the trial is part of the dataset"),
                "reason": Column(TEXT, "why it is not; empty if it is"),
                "imputed": Column(BOOL, "whether eye or running is the mean of the tier instead"),
                "frame_row": Column(I64, "row of its image in the member's frames"),
                "response_row": Column(I64, "row of its response in the member's responses", nullable=True),
            }
        ),
        "units": Table(
            {
                "name": NAME,
                "neuron_id": NEURON_ID,
                "unit_id": UNIT_ID,
                "brain_area": Column(TEXT, "brain area"),
                "layer": Column(TEXT, "cortical layer"),
                "field": FIELD,
                "um_x": Column(F64, "place in cortex, µm", nullable=True),
                "um_y": Column(F64, "place in cortex, µm", nullable=True),
                "um_z": Column(F64, "depth below the pia, µm", nullable=True),
                "border_um": Column(F64, "distance to the nearest border of its field, µm", nullable=True),
            }
        ),
    },
    partition=GROUP,
)


class StaticMultiDatasetConfig(MembersConfig):
    """Configuration of a group of scans."""

    description: str = Field("", description="What the group is for, in words.")


def make_static_multi_dataset(
    store: ArtifactStore,
    config: StaticMultiDatasetConfig,
    *,
    condition_tier: ArtifactRef,
    statistics: ArtifactRef,
    per_scan: Mapping[str, Sequence[ArtifactRef]],
) -> Outcome:
    """Make a group of scans.

    Findings: counts of members and trials, trials lost by reason, members whose responses leak into the next
    trial, and every policy that took effect (see `applied_policies`, `applied_upstream`).

    Parameters
    ----------
    condition_tier, statistics
        Those of the group.
    per_scan
        Each kind of `PER_SCAN` → one reference a scan, in the order of the config.
    """

    def build(attempt: Attempt) -> None:
        by_scan = dict(zip(config.scans, by_member(per_scan), strict=True))
        parts = [_member(store, refs, scan, condition_tier, config) for scan, refs in by_scan.items()]
        members = pl.DataFrame([member for member, _, _ in parts], infer_schema_length=None)
        trials = pl.concat([trials for _, trials, _ in parts])
        units = pl.concat([units for _, _, units in parts])
        attempt.write_table("members", members.with_columns(pl.col("lag1_leakage").cast(pl.Float64)))
        attempt.write_table("trials", trials)
        attempt.write_table("units", units)
        policies = applied_policies(config.missing, members, trials, units)
        named = dict(zip(members["name"], by_scan.values(), strict=True))
        policies |= _applied_upstream(store, condition_tier, named)
        lost = trials.filter(~pl.col("used")).select(pl.col("reason").str.split(":").list.first())
        slow = members.filter(pl.col("lag1_leakage") > LEAKAGE_WARNING)["name"].to_list()
        attempt.report(
            n_members=members.height,
            n_trials=trials.height,
            n_used=int(trials["used"].sum()),
            lost=dict(lost.group_by("reason").len().sort("reason").rows()),
            n_imputed=int(trials["imputed"].sum()),
            leaking_members=slow,
            policies=policies,
        )

    missing = [role for role in PER_SCAN if role not in per_scan]
    if missing:
        raise DataError(
            f"group {config.group_id} was given no {missing[0]}; expected one a scan of each kind"
        )
    inputs: dict[str, ArtifactRef | Sequence[ArtifactRef]] = {
        "condition_tier": condition_tier,
        "statistics": statistics,
        **{role: per_scan[role] for role in PER_SCAN},
    }
    return store.make(STATIC_MULTI_DATASET, config, build, inputs=inputs)


def _member(
    store: ArtifactStore,
    refs: Mapping[str, ArtifactRef],
    scan: ScanKey,
    tiers: ArtifactRef,
    config: StaticMultiDatasetConfig,
) -> tuple[dict[str, Any], pl.DataFrame, pl.DataFrame]:
    name = member_name(config.group_id, scan)
    trials = member_trials(store, refs, tiers, scan, config.group_id, config.missing)
    units = place_units(
        name,
        store.table(refs["static_scan"], "units"),
        store.table(refs["static_scan"], "fields"),
        store.table(refs["area_membership"], "area_membership"),
        store.table(refs["layer_membership"], "layer_membership"),
        config.missing,
    )
    used = trials.filter("used")
    leakage = store.table(refs["input_response"], "units")["lag1_leakage"].fill_null(np.nan).to_numpy()
    member = {
        "name": name,
        **scan.model_dump(),
        "n_trials": trials.height,
        "n_used": used.height,
        **{f"n_{tier}": used.filter(tier=tier).height for tier in ("train", "validation", "test")},
        "n_untracked": trials.filter(pl.col("reason").is_in([NO_EYE, NO_RUNNING])).height,
        "n_imputed": int(trials["imputed"].sum()),
        "n_units": units.height,
        "has_eye": has_values(store.table(refs["eye"], "eye")),
        "has_treadmill": has_values(store.table(refs["treadmill"], "treadmill")),
        "lag1_leakage": typical(leakage),
    }
    return member, trials, units


def _applied_upstream(
    store: ArtifactStore, tiers: ArtifactRef, members: Mapping[str, Mapping[str, ArtifactRef]]
) -> Policies:
    kinds = ("input_response", "area_membership", "layer_membership")
    findings = {
        name: {kind: store.manifest(refs[kind]).findings for kind in kinds} for name, refs in members.items()
    }
    no_repeats = store.manifest(tiers).config["tiers"]["no_repeats"]
    return applied_upstream(store.table(tiers, "condition_tier"), no_repeats, findings)
