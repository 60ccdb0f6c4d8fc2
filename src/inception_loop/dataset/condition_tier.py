"""The tiers of a group as an artifact: a new set of scans makes a new one, which says what it moved."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import Tiers
from inception_loop.dataset.scan_tables import BOOL, I64, TEXT
from inception_loop.dataset.tiers import NO_TIER, assign_tiers, is_closed_loop, shown_conditions
from inception_loop.errors import DataError
from inception_loop.recordings.archive import load_recording

CONDITION_TIER = Kind(
    name="condition_tier",
    version=1,
    meaning="Tier of every image of a group of scans, the same in all of them.",
    payloads={
        "condition_tier": Table(
            {
                "condition_hash": Column(TEXT, "content hash of the image and its presentation"),
                "image_class": Column(TEXT, "class of the image"),
                "image_id": Column(I64, "number of the image in its class"),
                "source_id": Column(TEXT, "photograph that it was cut from; empty: its own source"),
                "tier": Column(TEXT, "train, validation, test, or none (never in training)"),
                "reason": Column(TEXT, "which rule decided"),
            }
        ),
        "scans": Table(
            {
                "animal_id": Column(I64, "number of the animal"),
                "session": Column(I64, "session of the animal"),
                "scan_idx": Column(I64, "scan of the session"),
                "closed_loop": Column(BOOL, "whether it showed a synthesised image: never in training"),
            }
        ),
    },
    partition=GROUP,
)


class ConditionTierConfig(Config):
    """Configuration of the tiers of a group."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    tiers: Tiers = Field(Tiers(), description="Rules of the tiers.")


def make_condition_tier(
    store: ArtifactStore, config: ConditionTierConfig, *, recordings: Sequence[ArtifactRef]
) -> Outcome:
    """Make the tiers of the set of scans; the order of ``recordings`` does not matter.

    Findings: images per tier, and how many images have another tier than their scan alone would give them.

    Raises
    ------
    DataError
        If a scan comes twice, or see `assign_tiers`.
    """
    refs = sorted(set(recordings), key=lambda ref: ref.digest)

    def build(attempt: Attempt) -> None:
        shown, scans = [], []
        for ref in refs:
            recording = load_recording(store, ref)
            shown.append(shown_conditions(recording.trials, recording.conditions))
            closed = is_closed_loop(shown[-1]["image_class"].to_list(), config.tiers)
            scans.append({**recording.scan.model_dump(), "closed_loop": closed})
        table = assign_tiers(shown, config.tiers)
        keys = pl.DataFrame(scans).sort("animal_id", "session", "scan_idx")
        if keys.select("animal_id", "session", "scan_idx").is_duplicated().any():
            raise DataError(f"group {config.group_id} has a scan twice; expected each scan's recording once")
        attempt.write_table("condition_tier", table)
        attempt.write_table("scans", keys)
        counts = table.group_by("tier").len().sort("tier").rows()
        attempt.report(images_per_tier=dict(counts), images_moved=moved(shown, table, config.tiers))

    return store.make(CONDITION_TIER, config, build, inputs={"recordings": refs})


def moved(scans: Sequence[pl.DataFrame], table: pl.DataFrame, config: Tiers) -> int:
    """Count the images whose tier in the group is another than one of their scans alone would give."""
    if len(scans) == 1:
        return 0
    other: set[str] = set()
    for scan in scans:
        try:
            alone = assign_tiers([scan], config)
        except DataError:  # a closed-loop scan, or one that could not stand alone
            continue
        both = alone.filter(pl.col("tier") != NO_TIER).join(table, on="condition_hash", suffix="_group")
        other |= set(both.filter(pl.col("tier") != pl.col("tier_group"))["condition_hash"])
    return len(other)
