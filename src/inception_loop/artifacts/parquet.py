"""What a Parquet file claims to hold is looked at before its values are: no file fills a memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from inception_loop.artifacts.parquet_pages import Readable, pages_of

SMALL_BYTES = 2**26
HIGHEST_COMPRESSION = 200
"""Of pictures, activity and tables; a file made to fill a memory has 1000 and more."""
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}
_EXTENSION = b"ARROW:extension:name"


class OutOfProportionError(ValueError):
    """A file claims more bytes than could be meant."""


class ExtensionError(ValueError):
    """A file describes types of its own, which are never made."""


def check_proportion(claimed: int, size: int) -> None:
    """Refuse what is out of all proportion to its file.

    Raises
    ------
    OutOfProportionError
        In one line, to stand after a name.

    Examples
    --------
    >>> check_proportion(2**26, 1)
    """
    if claimed > max(SMALL_BYTES, HIGHEST_COMPRESSION * size):
        raise OutOfProportionError(
            f"claims to hold {claimed} bytes in a file of {size}; expected at most {HIGHEST_COMPRESSION} "
            f"times the file, or {SMALL_BYTES >> 20} MiB; write it uncompressed"
        )


def check_claims(file: pq.ParquetFile, size: int, pages: Readable | None = None) -> None:
    """Refuse a file that speaks of more than could be meant. Nothing of it is unpacked.

    Parameters
    ----------
    file
        Opened.
    size : bytes
        Of the whole file.
    pages
        The file itself: the headers of its pages are read too, since a footer may say less than they hold.
        Without it the footer is believed.

    Raises
    ------
    OutOfProportionError
        If so.
    ValueError
        If the header of a page is damaged.
    """
    widths = [_width(file.schema.column(place)) for place in range(file.metadata.num_columns)]
    claimed = 0
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        for place, width in enumerate(widths):
            chunk = group.column(place)
            values, unpacked = max(chunk.num_values, group.num_rows), chunk.total_uncompressed_size
            if pages is not None:
                offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
                start = min((at for at in offsets if at), default=0)  # without values there are no pages
                found = pages_of(pages, start, start + chunk.total_compressed_size)
                values, unpacked = max(values, found.values), max(unpacked, found.unpacked)
            claimed += max(values * width, unpacked)
    check_proportion(claimed, size)


def read(source: Any) -> pa.Table:
    """Read a file, one row group after the other: at once, vectors take four times their size on the way.

    A text that thousands of rows share stands in the file once. It is looked at there before it is written
    out a thousand times.

    Parameters
    ----------
    source
        A path or an Arrow buffer.

    Raises
    ------
    OutOfProportionError
        If it claims more than could be meant.
    ExtensionError
        If it brings types of its own along.
    ValueError, pyarrow.ArrowException, OSError
        If it is no Parquet file.
    """
    size = source.stat().st_size if isinstance(source, Path) else source.size()
    with pq.ParquetFile(source) as file, _bytes(source) as pages:
        check_claims(file, size, pages)
        metadata, schema = file.metadata, file.schema_arrow
        _check_plain(schema)
        texts = [one.path for one in map(file.schema.column, range(metadata.num_columns)) if _is_text(one)]
    with pq.ParquetFile(source, metadata=metadata, read_dictionary=texts) as file:
        return pa.concat_tables([schema.empty_table(), *_groups(file, schema, size)])


@contextmanager
def _bytes(source: Any) -> Iterator[Readable]:
    if isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        yield source


def _check_plain(fields: Iterable[pa.Field]) -> None:
    """Refuse types that bring a description of themselves along: Polars panics on those it does not know."""
    for field in fields:
        if isinstance(field.type, pa.BaseExtensionType) or _EXTENSION in (field.metadata or {}):
            raise ExtensionError(
                f"has a column {field.name!r} of an extension type; expected numbers or text"
            )
        _check_plain(field.type.field(place) for place in range(field.type.num_fields))


def _groups(file: pq.ParquetFile, schema: pa.Schema, size: int) -> Iterator[pa.Table]:
    written_out = 0
    for number in range(file.num_row_groups):
        group = file.read_row_group(number, use_threads=False)
        written_out += sum(map(_bytes_of_text, group.columns))
        check_proportion(written_out, size)
        yield group.cast(schema)


def _bytes_of_text(column: pa.ChunkedArray) -> int:
    if not pa.types.is_dictionary(column.type):
        return 0
    lengths = (pc.take(pc.binary_length(chunk.dictionary), chunk.indices) for chunk in column.chunks)
    return sum(pc.sum(pc.cast(chunk, pa.int64())).as_py() or 0 for chunk in lengths)


def _is_text(column: Any) -> bool:
    return bool(column.physical_type == "BYTE_ARRAY" and column.path == column.name)


def _width(column: Any) -> int:
    return _WIDTHS.get(column.physical_type) or max(1, int(column.length))
