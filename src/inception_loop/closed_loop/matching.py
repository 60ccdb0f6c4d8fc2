"""Which cell of a later day is which cell of the source day: nearest soma per stack, then a vote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.images import shown_images
from inception_loop.closed_loop.scans import BOOL, F64, I64
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

CUBE_UM = 40.0
"""Side of the cubes in which somata are looked for first, µm: only the speed depends on it."""

SOURCE_UNIT = Column(I64, "number of the unit in the source scan")
MATCHED_UNIT = Column(I64, "number of the matched unit in the later scan")

PROXIMITY_CELL_MATCH = Kind(
    name="proximity_cell_match",
    version=1,
    meaning="For each source unit and stack the nearest soma of a later scan.",
    payloads={
        "proximity_cell_match": Table(
            {
                "stack_session": Column(I64, "session in which the stack was taken"),
                "stack_idx": Column(I64, "number of the stack in that session"),
                "source_unit_id": SOURCE_UNIT,
                "unit_id": MATCHED_UNIT,
                "match_distance": Column(F64, "Euclidean distance in the stack, µm"),
            }
        )
    },
    partition=SCAN,
)

BEST_PROXIMITY_CELL_MATCH = Kind(
    name="best_proximity_cell_match",
    version=1,
    meaning="For each source unit the unit of a later scan that it was matched to in most stacks.",
    payloads={
        "best_proximity_cell_match": Table(
            {
                "source_unit_id": SOURCE_UNIT,
                "unit_id": MATCHED_UNIT,
                "match_freq": Column(I64, "stacks that voted for this unit"),
                "total_stacks": Column(I64, "stacks in which the source unit was matched at all"),
                "mean_distance": Column(F64, "mean match distance over the stacks that voted for it, µm"),
                "double_match": Column(BOOL, "whether another source unit was matched to the same unit"),
            }
        )
    },
    partition=SCAN,
)


class ProximityCellMatchConfig(Config):
    """Matching of one later scan to the source scan of its loop."""

    scan: ScanKey = Field(description="The later scan.")
    source_scan: ScanKey = Field(description="The source scan of the loop.")
    loop_group: int = Field(ge=0, description="Number of the loop.")
    units: Literal["imaged", "all"] = Field(
        "imaged", description="Source units to match: those with an image in the stimulus set, or every soma."
    )
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )


class BestProximityCellMatchConfig(Config):
    """The vote over stacks."""

    scan: ScanKey = Field(description="The later scan.")
    loop_group: int = Field(ge=0, description="Number of the loop.")


def proximity_cell_match(
    source_units: TableSource,
    source_coordinates: TableSource,
    later_somata: TableSource,
    later_coordinates: TableSource,
    store: ArtifactStore | None = None,
) -> pl.DataFrame:
    """Return the nearest soma per source unit and stack that both scans are registered in.

    The published rule (Walker et al. 2019): no cut-off by distance, not mutual.

    Parameters
    ----------
    source_units, later_somata
        Tables with ``unit_id``: the source units to match, the somata of the later scan.
    source_coordinates, later_coordinates
        Tables ``stack_session, stack_idx, unit_id`` and ``stack_x, stack_y, stack_z`` in µm.
    store
        Where the tables stand, if they are artifacts.

    Returns
    -------
    Table ``stack_session, stack_idx, source_unit_id, unit_id, match_distance`` (µm), by the first three.
    Among equally near somata the one with the smaller id.

    Examples
    --------
    >>> place = {"stack_session": 1, "stack_idx": 1, "stack_y": 0.0, "stack_z": 0.0}
    >>> source = pl.DataFrame([{"unit_id": u, "stack_x": x, **place} for u, x in ((1, 0.0), (2, 50.0))])
    >>> later = pl.DataFrame([{"unit_id": u, "stack_x": x, **place} for u, x in ((7, 3.0), (8, 46.0))])
    >>> proximity_cell_match(source, source, later, later)["unit_id"].to_list()
    [7, 8]
    """
    tables = {
        "source_unit": source_units,
        "source_coordinates": source_coordinates,
        "later_soma": later_somata,
        "later_coordinates": later_coordinates,
    }
    return query(sql_file(__package__, "proximity_cell_match.sql"), tables, {"cube": CUBE_UM}, store)


def best_proximity_cell_match(matches: TableSource, store: ArtifactStore | None = None) -> pl.DataFrame:
    """Return per source unit the unit matched in most stacks (Walker et al. 2019).

    Parameters
    ----------
    matches
        Rows of `proximity_cell_match`.
    store
        Where they stand, if they are artifacts.

    Returns
    -------
    Table ``source_unit_id, unit_id, match_freq, total_stacks, mean_distance`` (µm), ``double_match``, by
    source unit. Ties go to the smaller mean distance, then to the smaller id. Two source units matched to one
    cell are both kept and flagged as ``double_match``.
    """
    tables = {"proximity_cell_match": matches}
    return query(sql_file(__package__, "best_proximity_cell_match.sql"), tables, {}, store)


def kept_matches(store: ArtifactStore, ref: ArtifactRef) -> pl.DataFrame:
    """Return the matches of one later scan that count, whichever rule made them.

    Parameters
    ----------
    store
        Where the artifact stands.
    ref
        ``best_proximity_cell_match``, all of whose rows count, or ``assigned_cell_match``, which also lists
        what it leaves out.
    """
    rows = store.table(ref, ref.kind)
    return rows.filter("kept") if "kept" in rows.columns else rows


@dataclass(frozen=True)
class MatchAccuracy:
    """How many matches are right, where the animal's truth is known.

    Attributes
    ----------
    accuracy : right matches over source units present on the later day; None if none is present
    n_present : source units that are present on the later day (and were to be matched)
    n_right : of these, those matched to themselves
    n_missing : source units that are not present on the later day
    n_missing_matched : of these, those that were matched to some cell nevertheless
    """

    accuracy: float | None
    n_present: int
    n_right: int
    n_missing: int
    n_missing_matched: int


def judged_matches(
    source_units: pl.DataFrame, matches: pl.DataFrame, source_truth: pl.DataFrame, later_truth: pl.DataFrame
) -> pl.DataFrame:
    """Return each source unit with its match and whether that is right.

    Parameters
    ----------
    source_units
        Column ``unit_id``: the units that were to be matched.
    matches
        Rows of `best_proximity_cell_match`.
    source_truth, later_truth
        Columns ``unit_id``, ``cell_id``: the same cell has the same ``cell_id`` on all days, −1 is no cell.

    Returns
    -------
    Table ``source_unit_id``, ``unit_id`` (null: unmatched), ``present`` bool, ``right`` bool.
    """
    cells = source_truth.select(pl.col("unit_id").alias("source_unit_id"), "cell_id")
    later = later_truth.filter(pl.col("cell_id") >= 0).select(
        pl.col("unit_id").alias("true_unit_id"), "cell_id"
    )
    return (
        source_units.select(pl.col("unit_id").alias("source_unit_id"))
        .join(cells, on="source_unit_id", how="left")
        .join(later, on="cell_id", how="left")
        .join(matches.select("source_unit_id", "unit_id"), on="source_unit_id", how="left")
        .select(
            "source_unit_id",
            "unit_id",
            pl.col("true_unit_id").is_not_null().alias("present"),
            (pl.col("unit_id") == pl.col("true_unit_id")).fill_null(False).alias("right"),
        )
        .sort("source_unit_id")
    )


def match_accuracy(judged: pl.DataFrame) -> MatchAccuracy:
    """Count the right matches among rows of `judged_matches`.

    Examples
    --------
    >>> rows = {"source_unit_id": [1, 2], "unit_id": [5, 6], "present": [True, False], "right": [True, False]}
    >>> match_accuracy(pl.DataFrame(rows)).accuracy
    1.0
    """
    present = judged.filter("present")
    missing = judged.filter(~pl.col("present"))
    n_right = int(present["right"].sum())
    return MatchAccuracy(
        accuracy=n_right / present.height if present.height else None,
        n_present=present.height,
        n_right=n_right,
        n_missing=missing.height,
        n_missing_matched=missing["unit_id"].count(),
    )


def make_proximity_cell_match(
    store: ArtifactStore,
    config: ProximityCellMatchConfig,
    *,
    source_static_scan: ArtifactRef,
    source_stack_coordinates: ArtifactRef,
    stimulus_set: ArtifactRef,
    static_scan: ArtifactRef,
    stack_coordinates: ArtifactRef,
) -> Outcome:
    """Make the nearest somata of a later scan; refuses scans that share no stack."""

    def build(attempt: Attempt) -> None:
        units = store.table(source_static_scan, "units").select("unit_id")
        if config.units == "imaged":
            conditions = store.table(stimulus_set, "conditions")
            imaged = shown_images(conditions, config.source_name)["image_unit_id"].unique()
            units = units.filter(pl.col("unit_id").is_in(imaged.to_list()))
        rows = proximity_cell_match(
            units,
            [(source_stack_coordinates, "stack_coordinates")],
            [(static_scan, "units")],
            [(stack_coordinates, "stack_coordinates")],
            store,
        )
        if rows.height == 0:
            raise DataError(
                f"scan {config.scan} shares no structural stack with the source scan {config.source_scan}; "
                "expected both registered in at least one; register them, or leave the scan out of the loop"
            )
        attempt.write_table("proximity_cell_match", rows)
        attempt.report(
            n_source_units=units.height,
            n_unmatched=units.height - rows["source_unit_id"].n_unique(),
            n_stacks=rows.select("stack_session", "stack_idx").n_unique(),
        )

    inputs = {
        "source_static_scan": source_static_scan,
        "source_stack_coordinates": source_stack_coordinates,
        "stimulus_set": stimulus_set,
        "static_scan": static_scan,
        "stack_coordinates": stack_coordinates,
    }
    return store.make(PROXIMITY_CELL_MATCH, config, build, inputs=inputs)


def make_best_proximity_cell_match(
    store: ArtifactStore, config: BestProximityCellMatchConfig, *, proximity_cell_match: ArtifactRef
) -> Outcome:
    """Make the vote over stacks."""

    def build(attempt: Attempt) -> None:
        rows = best_proximity_cell_match([(proximity_cell_match, "proximity_cell_match")], store)
        attempt.write_table("best_proximity_cell_match", rows)
        attempt.report(n_matched=rows.height, n_double_match=int(rows["double_match"].sum()))

    inputs = {"proximity_cell_match": proximity_cell_match}
    return store.make(BEST_PROXIMITY_CELL_MATCH, config, build, inputs=inputs)
