"""What the data of a group are normalised by: the statistics of every member over one tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.dataset.config import MissingData, Statistic
from inception_loop.dataset.parts import by_member, member_name
from inception_loop.dataset.scan_statistics import (
    STATISTIC_COLUMNS,
    ScanStatisticsConfig,
    make_scan_statistics,
    trials_digest,
)
from inception_loop.dataset.scan_tables import TEXT
from inception_loop.dataset.trials import join_trials
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

NAME = Column(TEXT, "member of the group: its readout key")
STATISTICS = Kind(
    name="statistics",
    version=1,
    meaning="Statistics of images, responses, behaviour and pupil centre of every member over one tier.",
    payloads={"statistics": Table({"name": NAME, **STATISTIC_COLUMNS})},
    partition=GROUP,
)


class MembersConfig(Config):
    """Configuration of tables that span a group's members, in the order of their scans."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")
    scans: tuple[ScanKey, ...] = Field(min_length=1, description="The members, in ascending order.")
    missing: MissingData = Field(MissingData(), description="Policies for what is missing.")


class StatisticsConfig(MembersConfig):
    """Configuration of a group's statistics."""

    statistic: Statistic = Field(Statistic(), description="What the statistics are taken over.")


def member_trials(
    store: ArtifactStore,
    refs: Mapping[str, ArtifactRef],
    tiers: ArtifactRef,
    scan: ScanKey,
    group_id: int,
    missing: MissingData,
) -> pl.DataFrame:
    """Read what `join_trials` needs of one member and join it."""
    closed = store.table(tiers, "scans").filter(**scan.model_dump())["closed_loop"]
    if closed.len() != 1:
        raise DataError(f"the tiers of group {group_id} do not cover scan {scan}; make them of all its scans")
    return join_trials(
        member_name(group_id, scan),
        store.table(refs["input_response"], "trials"),
        store.table(refs["frame"], "conditions"),
        store.table(tiers, "condition_tier"),
        store.table(refs["eye"], "eye"),
        store.table(refs["treadmill"], "treadmill"),
        missing,
        closed.item(),
    )


def make_statistics(
    store: ArtifactStore,
    config: StatisticsConfig,
    *,
    condition_tier: ArtifactRef,
    frames: Sequence[ArtifactRef],
    input_responses: Sequence[ArtifactRef],
    eyes: Sequence[ArtifactRef],
    treadmills: Sequence[ArtifactRef],
) -> Outcome:
    """Make the statistics of a group; every sequence has one reference a scan, in the order of the config.

    Those of each member are an artifact of its scan (kind ``scan_statistics``, its digest is among the
    findings), so that a group with one scan more takes over what stands: only a scan of which the new tiers
    moved a trial is read again.
    """
    inputs = {"frame": frames, "input_response": input_responses, "eye": eyes, "treadmill": treadmills}

    def build(attempt: Attempt) -> None:
        tables, digests = [], {}
        for done, (scan, refs) in enumerate(zip(config.scans, by_member(inputs), strict=True)):
            name = member_name(config.group_id, scan)
            trials = member_trials(store, refs, condition_tier, scan, config.group_id, config.missing)
            taken = trials.filter(used=True, tier=config.statistic.norm_tier)
            of_scan = ScanStatisticsConfig(scan=scan, statistic=config.statistic, trials=trials_digest(taken))
            made = make_scan_statistics(store, of_scan, trials=taken, **refs).ref
            tables.append(store.table(made, "statistics").select(pl.lit(name).alias("name"), pl.all()))
            digests[name] = made.digest
            attempt.progress(done + 1, len(config.scans), name)
        attempt.write_table("statistics", pl.concat(tables))
        attempt.report(scan_statistics=digests)

    return store.make(STATISTICS, config, build, inputs={"condition_tier": condition_tier, **inputs})
