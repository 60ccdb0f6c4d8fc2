"""Brain area and layer of every soma, as artifacts."""

from __future__ import annotations

from typing import Any

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import AreaRules, LayerRules
from inception_loop.dataset.membership import area_membership, holds, layer_membership
from inception_loop.dataset.scan_tables import TEXT, UNIT_ID, scan_units
from inception_loop.recordings.archive import load_recording
from inception_loop.recordings.recording import ScanKey

DECIDED_BY = Column(
    TEXT, "recording, polygon, depth, or otherwise (what the rules put where nothing is known)"
)

AREA_MEMBERSHIP = Kind(
    name="area_membership",
    version=1,
    meaning="The brain area of every soma.",
    payloads={
        "area_membership": Table(
            {
                "unit_id": UNIT_ID,
                "brain_area": Column(TEXT, "V1, LM, AL, RL, …, unknown"),
                "decided_by": DECIDED_BY,
            }
        )
    },
    partition=SCAN,
)

LAYER_MEMBERSHIP = Kind(
    name="layer_membership",
    version=1,
    meaning="The cortical layer of every soma.",
    payloads={
        "layer_membership": Table(
            {
                "unit_id": UNIT_ID,
                "layer": Column(TEXT, "L1, L2/3, L4, L5, L6, unset"),
                "decided_by": DECIDED_BY,
            }
        )
    },
    partition=SCAN,
)


class AreaMembershipConfig(Config):
    """Configuration of a scan's brain areas."""

    scan: ScanKey = Field(description="The scan.")
    rules: AreaRules = Field(AreaRules(), description="Rules of the brain areas.")


class LayerMembershipConfig(Config):
    """Configuration of a scan's layers."""

    scan: ScanKey = Field(description="The scan.")
    rules: LayerRules = Field(LayerRules(), description="Rules of the layers.")


def make_area_membership(
    store: ArtifactStore, config: AreaMembershipConfig, *, recording: ArtifactRef
) -> Outcome:
    """Make the table of brain areas; see `area_membership`.

    Findings: units per area and per way of deciding, and how many lie in several polygons (where the first
    of them counts).
    """

    def build(attempt: Attempt) -> None:
        units = scan_units(load_recording(store, recording))
        table = area_membership(units, config.rules)
        several = int((holds(units, config.rules.polygons).sum(axis=0) > 1).sum())
        attempt.write_table("area_membership", table)
        attempt.report(**_counts(table, "brain_area"), n_in_several_polygons=several)

    return store.make(AREA_MEMBERSHIP, config, build, inputs={"recording": recording})


def make_layer_membership(
    store: ArtifactStore, config: LayerMembershipConfig, *, recording: ArtifactRef
) -> Outcome:
    """Make the table of layers; see `layer_membership`."""

    def build(attempt: Attempt) -> None:
        table = layer_membership(scan_units(load_recording(store, recording)), config.rules)
        attempt.write_table("layer_membership", table)
        attempt.report(**_counts(table, "layer"))

    return store.make(LAYER_MEMBERSHIP, config, build, inputs={"recording": recording})


def _counts(table: pl.DataFrame, name: str) -> dict[str, Any]:
    return {
        "n_units": dict(table.group_by(name).len().sort(name).rows()),
        "decided_by": dict(table.group_by("decided_by").len().sort("decided_by").rows()),
    }
