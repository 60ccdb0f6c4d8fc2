"""Vector columns of tables: the wanted rows and entries, read piece by piece into one array."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from inception_loop.artifacts.parquet import OutOfProportionError, check_claims
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, DataError, InceptionLoopError

PIECE_BYTES = 2 * 2**20  # stays in the processor's cache between being decoded and being put into place
READ_BYTES = 2**20

Singles = npt.NDArray[np.float32]
Positions = npt.NDArray[np.int64]


def read_vectors(
    source: Any,
    where: str,
    column: str,
    rows: Positions | None = None,
    entries: Positions | None = None,
) -> Singles:
    """Read a vector column of a Parquet table into an array of its own.

    Row groups without a wanted row are not read. Beside the array, memory holds a few MiB of a file on disk,
    or one row group of what is read by ranges from elsewhere, because each range is a request.

    Parameters
    ----------
    source
        A path, or a seekable binary file.
    where
        What the table is called in an error.
    column
        A column of vectors of one width.
    rows : (T,) int64
        Wanted rows in any order; by default all.
    entries : (M,) int64
        Wanted positions in each vector, in any order; by default all.

    Returns
    -------
    (T, M) float32

    Raises
    ------
    ArtifactCorruptError
        If it is no Parquet file.
    ArtifactNotFoundError
        If it has no such column.
    DataError
        If the column holds no vectors of one width, or a row or entry lies outside.
    """
    buffer = READ_BYTES if isinstance(source, Path) else 0
    try:
        with pq.ParquetFile(source, pre_buffer=False, buffer_size=buffer) as file:
            check_claims(file, _size(source))
            wanted = _Wanted(file.schema_arrow, file.metadata.num_rows, where, column, rows, entries)
            return wanted.gathered(_decoded(file, column, wanted))
    except InceptionLoopError:  # what is read from has raised it
        raise
    except OutOfProportionError as error:
        raise ArtifactCorruptError(f"{where} {error}; verify the store, then repair the artifact") from error
    except (pa.ArrowException, OSError) as error:
        raise ArtifactCorruptError(
            f"{where} is not readable as Parquet; verify the store, then repair the artifact"
        ) from error


def _size(source: Any) -> int:
    return source.stat().st_size if isinstance(source, Path) else int(source.seek(0, io.SEEK_END))


def select_vectors(
    table: pa.Table,
    where: str,
    column: str,
    rows: Positions | None = None,
    entries: Positions | None = None,
) -> Singles:
    """Take a vector column of a table in memory apart like `read_vectors`."""
    wanted = _Wanted(table.schema, table.num_rows, where, column, rows, entries)
    chunks = table.column(column).chunks
    firsts = np.cumsum([0, *map(len, chunks)]).tolist()
    return wanted.gathered(zip(firsts, chunks, strict=False))


class _Wanted:
    """Rows and entries of a column, and where they go."""

    def __init__(
        self,
        schema: pa.Schema,
        n_rows: int,
        where: str,
        column: str,
        rows: Positions | None,
        entries: Positions | None,
    ) -> None:
        self.width = _width(schema, column, where)
        self.rows = _within(rows, n_rows, f"row of {where}")
        self.entries = _within(entries, self.width, f"entry of '{column}' of {where}")

    def at(self, first: int, stop: int) -> Positions:
        """Places in the result of the wanted rows of a stretch."""
        return np.flatnonzero((self.rows >= first) & (self.rows < stop))

    def gathered(self, pieces: Iterable[tuple[int, pa.FixedSizeListArray]]) -> Singles:
        """Return the array made from pieces that start at given rows."""
        every = np.array_equal(self.entries, np.arange(self.width))
        out = np.empty((len(self.rows), len(self.entries)), np.float32)
        for first, vectors in pieces:
            flat = np.from_dlpack(vectors.flatten())  # Arrow's own way to NumPy imports pandas: a second
            values = flat.reshape(len(vectors), self.width)
            at = self.at(first, first + len(vectors))
            picked = values[self.rows[at] - first]
            out[at] = picked if every else picked.take(self.entries, axis=1)
        return out


def _decoded(
    file: pq.ParquetFile, column: str, wanted: _Wanted
) -> Iterator[tuple[int, pa.FixedSizeListArray]]:
    """Yield pieces of the row groups that hold wanted rows, each with its first row."""
    most = max(1, PIECE_BYTES // max(4, 4 * wanted.width))
    first = 0
    for group in range(file.num_row_groups):
        stop = first + file.metadata.row_group(group).num_rows
        if wanted.at(first, stop).size:
            for batch in file.iter_batches(most, row_groups=[group], columns=[column], use_threads=False):
                yield first, batch.column(0)
                first += len(batch)
        first = stop


def _width(schema: pa.Schema, column: str, where: str) -> int:
    if column not in schema.names:
        raise ArtifactNotFoundError(f"{where} has no column '{column}'; it has {schema.names}")
    kind = schema.field(column).type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise DataError(f"column '{column}' of {where} is {kind}; expected vectors of float32 of one width")
    return int(kind.list_size)


def _within(positions: Positions | None, size: int, what: str) -> Positions:
    if positions is None:
        return np.arange(size)
    wanted = np.asarray(positions, np.int64)
    outside = wanted[(wanted < 0) | (wanted >= size)]
    if outside.size:
        raise DataError(f"{what}: {outside[0]} was asked for; expected 0 to {size - 1}")
    return wanted
