"""Tables: Parquet with a declared, versioned schema; the same table is the same bytes."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inception_loop.artifacts import parquet
from inception_loop.artifacts.backend import Sink
from inception_loop.artifacts.kind import VECTOR, Column, Table
from inception_loop.errors import ArtifactCorruptError, DataError

ROW_GROUP_BYTES = 16 * 2**20
SCHEMA_VERSION = b"inception_loop.schema_version"


def conform(declared: Table, frame: pl.DataFrame | pa.Table, where: str) -> pa.Table:
    """Return the frame as the declared Arrow table: its columns, their order, types and nulls.

    Parameters
    ----------
    declared
        The declaration.
    frame
        Rows; a type that differs is cast where no value changes its meaning.
    where
        What the table is called in an error.

    Raises
    ------
    DataError
        If a column is missing, undeclared, cannot be cast or holds nulls that it must not.
    """
    table = frame.to_arrow() if isinstance(frame, pl.DataFrame) else frame
    missing = [name for name in declared.columns if name not in table.column_names]
    surplus = [name for name in table.column_names if name not in declared.columns]
    if missing or surplus:
        raise DataError(
            f"{where} lacks the columns {missing} and has the undeclared columns {surplus}; "
            f"expected exactly {list(declared.columns)}; change the table or its declaration"
        )
    columns = [
        _cast(table.column(name), column, f"column '{name}' of {where}")
        for name, column in declared.columns.items()
    ]
    fields = [
        pa.field(name, array.type, nullable=column.nullable)
        for (name, column), array in zip(declared.columns.items(), columns, strict=True)
    ]
    schema = pa.schema(fields, metadata={SCHEMA_VERSION: str(declared.version).encode()})
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(values: pa.ChunkedArray, column: Column, where: str) -> pa.Array:
    whole = _whole(values)
    if whole.null_count and not (column.nullable and column.type != VECTOR):
        raise DataError(
            f"{where} holds {whole.null_count} nulls; expected none; drop or impute them by a named policy, "
            "or declare the column nullable"
        )
    if column.type == VECTOR:
        return _vectors(whole, where)
    try:
        return whole if whole.type == column.type else whole.cast(column.type, safe=True)
    except pa.ArrowException as error:
        raise DataError(
            f"{where} is {whole.type}; expected {column.type}, and not every value can be cast; "
            "convert it before it is written"
        ) from error


def _whole(values: pa.ChunkedArray) -> pa.Array:
    if values.num_chunks == 1:
        return values.chunk(0)  # joining would copy it
    return pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)


def _vectors(values: pa.Array, where: str) -> pa.Array:
    if not len(values):
        width = values.type.list_size if pa.types.is_fixed_size_list(values.type) else 0
        return pa.array([], pa.list_(pa.float32(), width))
    flat = values.flatten() if pa.types.is_nested(values.type) else values
    if not (pa.types.is_floating(flat.type) or pa.types.is_integer(flat.type)) or flat is values:
        raise DataError(f"{where} is {values.type}; expected a list of numbers a row, one a unit")
    if flat.null_count:
        raise DataError(f"{where} holds {flat.null_count} nulls inside its vectors; expected numbers or NaN")
    single = flat.cast(pa.float32(), safe=False)
    if _overflows(flat, single):
        raise DataError(
            f"{where} holds values beyond the range of float32; expected |value| < 3.4e38; rescale"
        )
    return pa.FixedSizeListArray.from_arrays(single, _width(values, where))


def _width(values: pa.Array, where: str) -> int:
    if pa.types.is_fixed_size_list(values.type):
        widths = [values.type.list_size]
    else:
        widths = sorted(pc.unique(pc.list_value_length(values)).to_pylist())
    if len(widths) > 1 or widths[0] == 0:
        raise DataError(
            f"{where} holds vectors of {widths[:5]} values; expected one width above 0 in all rows; "
            "give every row one value a unit"
        )
    return int(widths[0])


def _overflows(before: pa.Array, after: pa.Array) -> bool:
    if not pa.types.is_float64(before.type):
        return False
    infinite = np.isinf(after.to_numpy(zero_copy_only=False))
    return bool(infinite.any() and np.isfinite(before.to_numpy(zero_copy_only=False)[infinite]).any())


def write_table(sink: Sink, table: pa.Table) -> None:
    """Write a table as Parquet: row groups of about 16 MiB, dictionaries for text only, no times, no host.

    Vectors of numbers are noise to a compressor (a tenth smaller for two to four times the time) and are
    stored as they are; so that none of them is looked at twice, they have no statistics either.
    """
    text = [
        field.name
        for field in table.schema
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    ]
    plain = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    rows = max(1, int(ROW_GROUP_BYTES * table.num_rows // max(1, table.nbytes)))
    with pq.ParquetWriter(
        pa.PythonFile(_Arrowable(sink), mode="w"),
        table.schema,
        use_dictionary=text or False,
        compression=dict.fromkeys(plain, "zstd"),
        compression_level=dict.fromkeys(plain, 1),
        write_statistics=plain or False,
    ) as writer:
        writer.write_table(table, row_group_size=rows)


def read_table(source: Any, where: str) -> pa.Table:
    """Read a Parquet file, as it was written.

    Parameters
    ----------
    source
        A path or an Arrow buffer.
    where
        What the table is called in an error.

    Raises
    ------
    ArtifactCorruptError
        If it is no Parquet file, claims values out of all proportion to its size, or brings types along.
    """
    try:
        return parquet.read(source)
    except (parquet.OutOfProportionError, parquet.ExtensionError) as error:
        raise ArtifactCorruptError(f"{where} {error}; verify the store, then repair the artifact") from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ArtifactCorruptError(
            f"{where} is not readable as Parquet; verify the store, then repair the artifact"
        ) from error


class _Arrowable:
    """The few methods that Arrow asks of a Python file that it writes to."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._written = 0

    def write(self, data: Any) -> int:  # bytes or an Arrow buffer
        view = memoryview(data)
        self._sink.write(view)
        self._written += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self._written

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
