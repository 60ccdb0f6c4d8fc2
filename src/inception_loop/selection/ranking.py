"""OracleRankedUnit: units of a member by their oracle."""

from __future__ import annotations

import polars as pl
from pydantic import Field

from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import GROUP, Column, Kind, Table
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome
from inception_loop.selection.oracle import F64, I64, PACKAGE, UNIT

ORACLE_RANKED_UNIT = Kind(
    name="oracle_ranked_unit",
    version=1,
    meaning="Units of every member ranked by their oracle, best first.",
    payloads={
        "oracle_ranked_unit": Table(
            {
                **UNIT,
                "oracle_corr": Column(F64, "Pearson oracle; null: none, ranked last", nullable=True),
                "rank": Column(I64, "rank in the member, 0 the best; ties by unit_id"),
                "top_ptile": Column(F64, "rank over the number of the member's units, 0 ≤ top_ptile < 1"),
            }
        )
    },
    partition=GROUP,
)


class OracleRankedUnitConfig(Config):
    """Configuration of the ranking."""

    group_id: int = Field(ge=0, description="Number of the group of scans.")


def rank_units(oracle: pl.DataFrame) -> pl.DataFrame:
    """Rank units by oracle within their member, descending; ties by ``unit_id``, units without one last.

    Parameters
    ----------
    oracle
        Table ``name, neuron_id, unit_id, oracle_pearson``.

    Returns
    -------
    Table ``name, neuron_id, unit_id, oracle_corr, rank, top_ptile``.

    Examples
    --------
    >>> columns = {"name": "a", "neuron_id": [0, 1], "unit_id": [5, 6], "oracle_pearson": [0.1, 0.3]}
    >>> table = pl.DataFrame(columns)
    >>> rank_units(table).select("unit_id", "rank", "top_ptile").rows()
    [(6, 0, 0.0), (5, 1, 0.5)]
    """
    return query(sql_file(PACKAGE, "oracle_rank.sql"), {"oracle": oracle})


def make_oracle_ranked_unit(
    store: ArtifactStore, config: OracleRankedUnitConfig, *, oracle: ArtifactRef
) -> Outcome:
    """Make the ranking of all units that have a row in the oracle."""

    def build(attempt: Attempt) -> None:
        attempt.write_table("oracle_ranked_unit", rank_units(store.table(oracle, "oracle")))

    return store.make(ORACLE_RANKED_UNIT, config, build, inputs={"oracle": oracle})
