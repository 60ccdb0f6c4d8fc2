"""SQL over tables of artifacts and frames: DuckDB on one thread, so that the same query gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

import duckdb
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, DataError

TableSource = pl.DataFrame | Sequence[tuple[ArtifactRef, str]]


def query(
    sql: str,
    tables: Mapping[str, TableSource],
    parameters: Mapping[str, object] | None = None,
    store: ArtifactStore | None = None,
) -> pl.DataFrame:
    """Run one SQL statement.

    Parameters
    ----------
    sql
        One statement that ends in a total ``ORDER BY``; named parameters are written ``$name``.
    tables
        Table name in the statement → a frame, or tables of artifacts that are read one below the other.
    parameters
        Values of the named parameters.
    store
        Where the artifacts stand; needed if there are any.

    Raises
    ------
    ConfigurationError
        If artifacts are given without a store.
    DataError
        If the statement fails; with DuckDB's first line.

    Examples
    --------
    >>> query("SELECT a FROM t WHERE a > $least ORDER BY a", {"t": pl.DataFrame({"a": [3, 1, 2]})}, {"least": 1})["a"].to_list()
    [2, 3]
    """
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        for name, source in tables.items():
            connection.register(name, _arrow(name, source, store))
        try:
            return pl.DataFrame(
                pl.from_arrow(connection.sql(sql, params=dict(parameters or {})).to_arrow_table())
            )
        except duckdb.Error as error:
            raise DataError(
                f"a query failed: {str(error).splitlines()[0]}; correct the statement or its tables"
            ) from error


def _arrow(name: str, source: TableSource, store: ArtifactStore | None) -> pa.Table:
    if isinstance(source, pl.DataFrame):
        return source.to_arrow()
    if store is None:
        raise ConfigurationError(
            f"the query's table '{name}' is a list of artifacts; expected a store to read them from"
        )
    return pa.concat_tables([store.arrow(ref, payload) for ref, payload in source])


def sql_file(package: str, name: str) -> str:
    """Return the text of an SQL file that lies beside a package's modules."""
    return (resources.files(package) / name).read_text(encoding="utf-8")
