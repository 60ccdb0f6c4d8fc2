"""AssignedCellMatch: each cell of a later day given to at most one source cell, with how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.candidate_pairs import CandidatePairs, Ints, candidate_pairs
from inception_loop.closed_loop.images import shown_images
from inception_loop.closed_loop.match_probability import (
    Likeness,
    MatchModel,
    MatchProbability,
    match_probability,
    one_to_one,
)
from inception_loop.closed_loop.matching import SOURCE_UNIT
from inception_loop.closed_loop.scans import BOOL, F64, I64, TEXT
from inception_loop.closed_loop.tuning_similarity import ScanResponses, likeness
from inception_loop.errors import DataError
from inception_loop.recordings.recording import ScanKey

COLUMNS = {
    "source_unit_id": SOURCE_UNIT,
    "unit_id": Column(I64, "number of the assigned unit in the later scan; null: none", nullable=True),
    "match_freq": Column(I64, "stacks that both units are registered in; 0 without a unit"),
    "total_stacks": Column(I64, "stacks of both scans that the source unit is registered in"),
    "mean_distance": Column(
        F64, "mean distance over the stacks that both are registered in, µm", nullable=True
    ),
    "double_match": Column(BOOL, "whether another source unit was likelier that unit than none"),
    "correlation": Column(
        F64, "of repeat-averaged responses to shared images; null: not known", nullable=True
    ),
    "probability": Column(F64, "that this unit is the cell; 0 without a unit"),
    "missing_probability": Column(F64, "that no soma of the later scan is the cell"),
    "kept": Column(BOOL, "whether the confusion tables use it"),
    "reason": Column(
        TEXT,
        "empty if kept; unlikely: below the least probability; no_candidate: no soma is likelier "
        "than none, or another cell has it; not_registered: in no stack of both scans",
    ),
}

ASSIGNED_CELL_MATCH = Kind(
    name="assigned_cell_match",
    version=1,
    meaning="For each source unit the unit of a later scan that a one-to-one assignment by distance and "
    "tuning gives it, with the probability that this is right; a row also where there is none.",
    payloads={"assigned_cell_match": Table(COLUMNS)},
    partition=SCAN,
)


class AssignedCellMatchConfig(Config):
    """Assignment of one later scan's units to the cells of its loop's source scan."""

    scan: ScanKey = Field(description="The later scan.")
    source_scan: ScanKey = Field(description="The source scan of the loop.")
    loop_group: int = Field(ge=0, description="Number of the loop.")
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )
    units: Literal["imaged", "all"] = Field(
        "imaged",
        description="Source units with a row: those with an image in the stimulus set, or every soma. "
        "All somata take part in the assignment either way.",
    )
    radius_um: float = Field(30.0, gt=0, description="Somata further apart than this are never one cell, µm.")
    least_probability: float = Field(
        0.5, ge=0, le=1, description="Assignments less probable than this are flagged and not used."
    )
    tuning: bool = Field(True, description="Whether responses to shared images count beside the place.")
    more_than_repeats: int = Field(
        4, ge=1, description="Shared images need more repeats than this on both days."
    )


@dataclass(frozen=True)
class Assignment:
    """The assignment of one later scan.

    Attributes
    ----------
    table : rows of `ASSIGNED_CELL_MATCH`, one a source unit
    model : what was estimated
    n_images : shared images that counted; 0: places alone decided
    """

    table: pl.DataFrame
    model: MatchModel
    n_images: int


def assigned_cell_match(
    source_units: pl.DataFrame,
    source_coordinates: pl.DataFrame,
    later_somata: pl.DataFrame,
    later_coordinates: pl.DataFrame,
    *,
    source_responses: ScanResponses | None = None,
    later_responses: ScanResponses | None = None,
    radius_um: float = 30.0,
    least_probability: float = 0.5,
    more_than_repeats: int = 4,
    store: ArtifactStore | None = None,
) -> Assignment:
    """Assign later units to source units one to one, by distance and tuning, or to nobody.

    Parameters
    ----------
    source_units, later_somata
        Tables with ``unit_id``: all somata of both scans. The more, the better the estimates.
    source_coordinates, later_coordinates
        Tables ``stack_session, stack_idx, unit_id`` and ``stack_x, stack_y, stack_z`` in µm.
    source_responses, later_responses
        Responses of both scans; without both, or with too few shared images, places alone decide.
    radius_um, least_probability, more_than_repeats
        See `AssignedCellMatchConfig`.
    store
        Where responses stand, if they are artifacts.

    Examples
    --------
    >>> place = {"stack_session": 1, "stack_idx": 1, "stack_y": 0.0, "stack_z": 0.0}
    >>> source = pl.DataFrame([{"unit_id": u, "stack_x": x, **place} for u, x in ((1, 0.0), (2, 50.0))])
    >>> later = pl.DataFrame([{"unit_id": u, "stack_x": x, **place} for u, x in ((7, 3.0), (8, 190.0))])
    >>> assigned_cell_match(source, source, later, later).table["unit_id"].to_list()
    [7, None]
    """
    ids, later_ids = _ids(source_units), _ids(later_somata)
    pairs = candidate_pairs(ids, source_coordinates, later_ids, later_coordinates, radius_um=radius_um)
    alike = (
        likeness(
            source_responses,
            later_responses,
            ids,
            later_ids,
            pairs,
            more_than_repeats=more_than_repeats,
            store=store,
        )
        if source_responses is not None and later_responses is not None
        else None
    )
    found = match_probability(pairs, alike)
    table = _table(ids, later_ids, pairs, alike, found, least_probability)
    return Assignment(table, found.model, alike.n_images if alike else 0)


def _ids(units: pl.DataFrame) -> Ints:
    return units["unit_id"].cast(pl.Int64).unique().sort().to_numpy()


def _table(
    ids: Ints,
    later_ids: Ints,
    pairs: CandidatePairs,
    alike: Likeness | None,
    found: MatchProbability,
    least_probability: float,
) -> pl.DataFrame:
    chosen = one_to_one(found.log_odds, pairs)
    claims = np.bincount(pairs.later[found.log_odds > 0], minlength=len(later_ids))
    missing = np.clip(1 - np.bincount(pairs.source, found.probability, len(ids)), 0, 1)
    correlation = np.full(len(chosen), np.nan) if alike is None else alike.correlation
    matches = pl.DataFrame(
        {
            "source_unit_id": ids[pairs.source[chosen]],
            "unit_id": later_ids[pairs.later[chosen]],
            "match_freq": pairs.n_stacks[chosen],
            "mean_distance": pairs.distance_um[chosen],
            "double_match": claims[pairs.later[chosen]] > 1,
            "correlation": correlation[chosen],
            "probability": found.probability[chosen],
        }
    ).with_columns(pl.col("correlation").fill_nan(None))
    units = pl.DataFrame(
        {"source_unit_id": ids, "total_stacks": pairs.source_stacks, "missing_probability": missing}
    )
    kept = pl.col("unit_id").is_not_null() & (pl.col("probability") >= least_probability)
    reason = (
        pl.when("kept").then(pl.lit(""))
        .when(pl.col("unit_id").is_not_null()).then(pl.lit("unlikely"))
        .when(pl.col("total_stacks") > 0).then(pl.lit("no_candidate"))
        .otherwise(pl.lit("not_registered"))
    )  # fmt: skip
    return (
        units.join(matches, on="source_unit_id", how="left")
        .with_columns(
            pl.col("match_freq", "probability").fill_null(0), pl.col("double_match").fill_null(False)
        )
        .with_columns(kept.alias("kept"))
        .with_columns(reason.alias("reason"))
        .select(list(COLUMNS))
        .sort("source_unit_id")
    )


def make_assigned_cell_match(
    store: ArtifactStore,
    config: AssignedCellMatchConfig,
    *,
    source_static_scan: ArtifactRef,
    source_stack_coordinates: ArtifactRef,
    source_input_response: ArtifactRef,
    source_excluded_trial: ArtifactRef,
    stimulus_set: ArtifactRef,
    static_scan: ArtifactRef,
    stack_coordinates: ArtifactRef,
    input_response: ArtifactRef,
    excluded_trial: ArtifactRef,
) -> Outcome:
    """Make the assignment of a later scan; refuses scans that share no stack.

    Findings: source units by what became of them, what the model estimated, how many shared images counted
    (0: places alone decided), and how many of the kept rows are expected to be wrong.
    """

    def build(attempt: Attempt) -> None:
        made = assigned_cell_match(
            store.table(source_static_scan, "units"),
            store.table(source_stack_coordinates, "stack_coordinates"),
            store.table(static_scan, "units"),
            store.table(stack_coordinates, "stack_coordinates"),
            source_responses=_responses(store, source_input_response, source_excluded_trial, config),
            later_responses=_responses(store, input_response, excluded_trial, config),
            radius_um=config.radius_um,
            least_probability=config.least_probability,
            more_than_repeats=config.more_than_repeats,
            store=store,
        )
        if not made.table["total_stacks"].sum():
            raise DataError(
                f"scan {config.scan} shares no structural stack with the source scan {config.source_scan}; "
                "expected both registered in at least one; register them, or leave the scan out of the loop"
            )
        rows = made.table
        if config.units == "imaged":
            images = shown_images(store.table(stimulus_set, "conditions"), config.source_name)
            imaged = images["image_unit_id"].unique().to_list()
            rows = rows.filter(pl.col("source_unit_id").is_in(imaged))
        attempt.write_table("assigned_cell_match", rows)
        attempt.report(**_findings(made, rows))

    inputs = {
        "source_static_scan": source_static_scan,
        "source_stack_coordinates": source_stack_coordinates,
        "source_input_response": source_input_response,
        "source_excluded_trial": source_excluded_trial,
        "stimulus_set": stimulus_set,
        "static_scan": static_scan,
        "stack_coordinates": stack_coordinates,
        "input_response": input_response,
        "excluded_trial": excluded_trial,
    }
    return store.make(ASSIGNED_CELL_MATCH, config, build, inputs=inputs)


def _responses(
    store: ArtifactStore, responses: ArtifactRef, excluded: ArtifactRef, config: AssignedCellMatchConfig
) -> ScanResponses | None:
    if not config.tuning:
        return None
    columns = store.table(responses, "units")
    return ScanResponses([(responses, "responses")], columns, [(excluded, "excluded_trial")])


def _findings(made: Assignment, rows: pl.DataFrame) -> dict[str, object]:
    model, kept = made.model, rows.filter("kept")
    counts = {
        reason: int((rows["reason"] == reason).sum())
        for reason in ("unlikely", "no_candidate", "not_registered")
    }
    return {
        "n_source_units": rows.height,
        "n_kept": kept.height,
        "n_left_out": counts,
        "n_kept_expected_wrong": float((1 - kept["probability"]).sum()),
        "n_shared_images": made.n_images,
        "offset_um": [round(float(value), 6) for value in model.offset_um],
        "lateral_sd_um": model.lateral_sd_um,
        "axial_sd_um": model.axial_sd_um,
        "presence": model.presence,
        "new_share": model.new,
        "rounds": model.rounds,
        "converged": model.converged,
    }
