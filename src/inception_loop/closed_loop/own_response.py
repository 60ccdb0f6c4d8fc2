"""OwnResponse: trial by trial, what each matched cell answers to the images made for its own unit."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.confusion import MODEL_TYPE, confusion_tables
from inception_loop.closed_loop.images import shown_images
from inception_loop.closed_loop.matching import MATCHED_UNIT, SOURCE_UNIT, kept_matches
from inception_loop.closed_loop.scans import F64, I64, SCAN_COLUMNS, TEXT
from inception_loop.recordings.recording import ScanKey

OWN_RESPONSE = Kind(
    name="own_response",
    version=2,  # 2: the match of either rule is called cell_match
    meaning="Responses of matched cells to their own unit's unshifted images, trial by trial.",
    payloads={
        "own_response": Table(
            {
                **SCAN_COLUMNS,
                "model_type": MODEL_TYPE,
                "source_unit_id": SOURCE_UNIT,
                "unit_id": MATCHED_UNIT,
                "condition_hash": Column(TEXT, "condition shown: the unit's own image"),
                "trial_idx": Column(I64, "number of the trial"),
                "response": Column(F64, "response of the cell, in the unit of the traces"),
                "z_response": Column(F64, "the same, z-score over the scan, as in z_score_confusion"),
            }
        )
    },
    partition=SCAN,
)


class OwnResponseConfig(Config):
    """Responses to own images in one later scan."""

    scan: ScanKey = Field(description="The later scan.")
    loop_group: int = Field(ge=0, description="Number of the loop.")
    source_name: str | None = Field(
        None, description="Member of the group that is the source scan; None: the group has one member."
    )


def own_response(
    responses: TableSource,
    columns: pl.DataFrame,
    matches: pl.DataFrame,
    images: pl.DataFrame,
    *,
    scan: ScanKey,
    excluded_trials: TableSource | None = None,
    store: ArtifactStore | None = None,
) -> pl.DataFrame:
    """Return every trial in which a matched cell of one scan was shown an image of its own unit.

    The mean over the trials of a unit and a model type is the diagonal of `confusion` in z-scores. Two source
    units matched to one cell have both their rows. A cell whose responses do not vary has none.

    Parameters
    ----------
    responses, columns, matches, images, scan, excluded_trials, store
        As for `confusion`.

    Returns
    -------
    Table ``animal_id, session, scan_idx, model_type, source_unit_id, unit_id, condition_hash, trial_idx,
    response`` (in the unit of the traces), ``z_response``, by model type, source unit and trial.
    """
    tables, wanted = confusion_tables(responses, columns, matches, images, excluded_trials)
    parameters = {"columns": wanted.columns, "unit_ids": wanted.unit_ids, **scan.model_dump()}
    statement = sql_file(__package__, "scan_statistics.sql") + sql_file(__package__, "own_response.sql")
    return query(statement, tables, parameters, store)


def make_own_response(
    store: ArtifactStore,
    config: OwnResponseConfig,
    *,
    cell_match: ArtifactRef,
    stimulus_set: ArtifactRef,
    input_response: ArtifactRef,
    excluded_trial: ArtifactRef,
) -> Outcome:
    """Make the responses to own images of one scan; the confusion tables check what the scan showed."""

    def build(attempt: Attempt) -> None:
        rows = own_response(
            [(input_response, "responses")],
            store.table(input_response, "units"),
            kept_matches(store, cell_match),
            shown_images(store.table(stimulus_set, "conditions"), config.source_name),
            scan=config.scan,
            excluded_trials=[(excluded_trial, "excluded_trial")],
            store=store,
        )
        attempt.write_table("own_response", rows)
        attempt.report(n_units=rows["source_unit_id"].n_unique(), n_trials=rows["trial_idx"].n_unique())

    inputs = {
        "cell_match": cell_match,
        "stimulus_set": stimulus_set,
        "input_response": input_response,
        "excluded_trial": excluded_trial,
    }
    return store.make(OWN_RESPONSE, config, build, inputs=inputs)
