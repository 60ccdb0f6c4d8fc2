"""CellMatchOracleCorrelation: how alike matched cells answer the images that both days share."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import SCAN, Column, Kind, Table
from inception_loop.artifacts.query import TableSource, query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.closed_loop.confusion import cut
from inception_loop.closed_loop.matching import MATCHED_UNIT, SOURCE_UNIT, kept_matches
from inception_loop.closed_loop.scans import BOOL, F64, I64
from inception_loop.recordings.recording import ScanKey

CELL_MATCH_ORACLE_CORRELATION = Kind(
    name="cell_match_oracle_correlation",
    # 2: sums about the median response; 3: the match of either rule is called cell_match
    version=3,
    meaning="Correlation of repeat-averaged z-scored responses to shared images, source × matched units.",
    payloads={
        "cell_match_oracle_correlation": Table(
            {
                "source_unit_id": SOURCE_UNIT,
                "unit_id": MATCHED_UNIT,
                "matched": Column(BOOL, "whether these two are a match"),
                "n_images": Column(I64, "shared images with enough repeats on both days"),
                "correlation": Column(F64, "Pearson over these images; null if one is flat", nullable=True),
            }
        )
    },
    partition=SCAN,
)


class CellMatchOracleCorrelationConfig(Config):
    """Comparison of one later scan with the source scan."""

    scan: ScanKey = Field(description="The later scan.")
    source_scan: ScanKey = Field(description="The source scan of the loop.")
    loop_group: int = Field(ge=0, description="Number of the loop.")
    more_than_repeats: int = Field(4, ge=1, description="Images need more repeats than this on both days.")


def cell_match_oracle_correlation(
    source_responses: TableSource,
    source_columns: pl.DataFrame,
    later_responses: TableSource,
    later_columns: pl.DataFrame,
    matches: pl.DataFrame,
    *,
    more_than_repeats: int = 4,
    source_excluded: TableSource | None = None,
    later_excluded: TableSource | None = None,
    store: ArtifactStore | None = None,
) -> pl.DataFrame:
    """Return how alike the tuning of every source unit and every matched unit is.

    Parameters
    ----------
    source_responses, later_responses
        Tables ``trial_idx``, ``condition_hash``, ``response`` (one vector a row).
    source_columns, later_columns
        Tables ``neuron_column``, ``unit_id``: what the vectors hold.
    matches
        Table ``source_unit_id``, ``unit_id``.
    more_than_repeats
        Only images with more repeats than this in both scans count.
    source_excluded, later_excluded
        Tables with ``trial_idx`` of trials to leave out.
    store
        Where the tables stand, if they are artifacts.

    Returns
    -------
    Table ``source_unit_id, unit_id, matched, n_images, correlation``, all source units × all matched units;
    empty if the scans share no such image.
    """
    source = cut(source_columns, matches["source_unit_id"])
    later = cut(later_columns, matches["unit_id"])
    nothing = pl.DataFrame(schema={"trial_idx": pl.Int64})
    tables: dict[str, TableSource] = {
        "source_response": source_responses,
        "later_response": later_responses,
        "cell_match": matches.select("source_unit_id", "unit_id"),
        "source_excluded_trial": nothing if source_excluded is None else source_excluded,
        "later_excluded_trial": nothing if later_excluded is None else later_excluded,
    }
    parameters = {
        "source_columns": source.columns,
        "source_unit_ids": source.unit_ids,
        "later_columns": later.columns,
        "later_unit_ids": later.unit_ids,
        "more_than": more_than_repeats,
    }
    return query(sql_file(__package__, "cell_match_oracle_correlation.sql"), tables, parameters, store)


def make_cell_match_oracle_correlation(
    store: ArtifactStore,
    config: CellMatchOracleCorrelationConfig,
    *,
    cell_match: ArtifactRef,
    source_input_response: ArtifactRef,
    source_excluded_trial: ArtifactRef,
    input_response: ArtifactRef,
    excluded_trial: ArtifactRef,
) -> Outcome:
    """Make the table of tuning correlations; a loop without shared images gets an empty one, and says so."""

    def build(attempt: Attempt) -> None:
        rows = cell_match_oracle_correlation(
            [(source_input_response, "responses")],
            store.table(source_input_response, "units"),
            [(input_response, "responses")],
            store.table(input_response, "units"),
            kept_matches(store, cell_match),
            more_than_repeats=config.more_than_repeats,
            source_excluded=[(source_excluded_trial, "excluded_trial")],
            later_excluded=[(excluded_trial, "excluded_trial")],
            store=store,
        )
        attempt.write_table("cell_match_oracle_correlation", rows)
        attempt.report(
            n_images=int(rows["n_images"].max() or 0),  # type: ignore[arg-type]
            mean_correlation_matched=rows.filter("matched")["correlation"].mean(),
            mean_correlation_others=rows.filter(~pl.col("matched"))["correlation"].mean(),
        )

    inputs = {
        "cell_match": cell_match,
        "source_input_response": source_input_response,
        "source_excluded_trial": source_excluded_trial,
        "input_response": input_response,
        "excluded_trial": excluded_trial,
    }
    return store.make(CELL_MATCH_ORACLE_CORRELATION, config, build, inputs=inputs)
