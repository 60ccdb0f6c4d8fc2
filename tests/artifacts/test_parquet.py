"""Parquet files of strangers: what they hold is found out before any memory is taken for it."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_loop.artifacts.parquet import OutOfProportionError, read
from inception_loop.artifacts.parquet_pages import pages_of
from inception_loop.artifacts.tables import read_table
from inception_loop.artifacts.vectors import read_vectors
from inception_loop.errors import ArtifactCorruptError

MANY = 100_000_000


def written(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd", write_statistics=False, **options)
    return out.getvalue()


def shared_text(rows: int = 2000, length: int = 2**20) -> pa.Table:
    """Return rows that share one long text, which a file holds once."""
    indices = pa.array(np.zeros(rows, np.int32))
    return pa.table({"tier": pa.DictionaryArray.from_arrays(indices, pa.array(["x" * length]))})


def one_row(values: int = MANY) -> pa.Table:
    """Return one row with a list of so many zeros."""
    zeros = pa.array(np.zeros(values, np.int8))
    return pa.table({"a": pa.ListArray.from_arrays(pa.array([0, values], pa.int32()), zeros)})


def number(value: int, length: int = 1) -> bytes:
    """Return a whole number as a footer holds it, in at least so many bytes."""
    left, out = value << 1, bytearray()
    while left > 127 or len(out) + 1 < length:
        out.append(left & 127 | 128)
        left >>= 7
    return bytes([*out, left])


def lying(data: bytes, true: int, said: int) -> bytes:
    """Return a file whose footer says another number than a true one, which its pages still hold."""
    begin = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    before, after = number(true), number(said, len(number(true)))
    assert before in data[begin:]
    return data[:begin] + data[begin:].replace(before, after)


def unpacked(data: bytes) -> int:
    return pq.read_metadata(io.BytesIO(data)).row_group(0).column(0).total_uncompressed_size


ONE_ROW = written(one_row(), data_page_size=2**30)
LONG_TEXT = written(pa.table({"a": ["y" * MANY]}), use_dictionary=False)
BOMBS = {
    "rows": written(pa.table({"a": np.zeros(2**25, np.int8)})),
    "text that many rows share": written(shared_text(), store_schema=False),
    "the same as categories": written(shared_text()),
    "a long list": ONE_ROW,
    "one long text": LONG_TEXT,
    "wide bytes": written(pa.table({"a": pa.array([bytes(MANY)], pa.binary(MANY))}), use_dictionary=False),
    "a list, with a footer that lies": lying(ONE_ROW, MANY, 3),
    "a text, with a footer that lies": lying(LONG_TEXT, unpacked(LONG_TEXT), 300),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_file_out_of_all_proportion_is_refused_before_it_is_unpacked(data: bytes, tmp_path: Path) -> None:
    assert len(data) < 200_000
    with pytest.raises(OutOfProportionError, match=r"^claims to hold \d+ bytes in a file of \d+; expected"):
        read(pa.BufferReader(data))
    (tmp_path / "a.parquet").write_bytes(data)
    with pytest.raises(ArtifactCorruptError, match=r"x claims to hold .*; verify the store") as caught:
        read_table(tmp_path / "a.parquet", "x")
    assert "\n" not in str(caught.value)


def test_a_table_is_what_it_was(tmp_path: Path) -> None:
    texts = pa.chunked_array([["a", None, "ä" * 300], ["a", "", "b"]])
    table = pa.table(
        {
            "text": texts,
            "large": texts.cast(pa.large_string()),
            "bytes": texts.cast(pa.binary()),
            "category": texts.dictionary_encode(),
            "texts": pa.array([["a", "b"], [], None, ["a"], ["c"], [None]]),
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12, dtype=np.float32)), 2),
            "part": pa.StructArray.from_arrays([pa.array(range(6)), texts.combine_chunks()], ["n", "t"]),
        }
    )
    for rows in (2, 100):
        path = tmp_path / f"{rows}.parquet"
        pq.write_table(table, path, row_group_size=rows)
        assert read(path).equals(table)
        assert read(pa.BufferReader(path.read_bytes())).equals(table)
    pq.write_table(table[:0], tmp_path / "empty.parquet")
    assert read(tmp_path / "empty.parquet").equals(table[:0])


@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}, {"use_dictionary": False}])
def test_pages_say_what_the_footer_says(options: Any) -> None:
    values = 100_000
    table = pa.table({"a": np.arange(values) % 1000, "t": [str(n % 70) for n in range(values)]})
    data = io.BytesIO()
    pq.write_table(table, data, data_page_size=2000, row_group_size=30_000, **options)
    metadata = pq.read_metadata(data)
    for group in range(metadata.num_row_groups):
        for place in range(2):
            chunk = metadata.row_group(group).column(place)
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            found = pages_of(data, start, start + chunk.total_compressed_size)
            assert found.values == chunk.num_values
            assert 0 < chunk.total_uncompressed_size - found.unpacked < chunk.total_uncompressed_size / 2


def test_a_vector_column_that_claims_too_much_is_refused_before_its_array_is_made() -> None:
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(2**25, np.float32)), 2**20)
    data = written(pa.table({"v": zeros}), use_dictionary=True)
    with pytest.raises(ArtifactCorruptError, match="x claims to hold"):
        read_vectors(io.BytesIO(data), "x", "v")


@pytest.mark.parametrize("deep", [False, True], ids=["column", "inside a column"])
def test_types_that_a_file_brings_along_are_refused(deep: bool) -> None:
    told = {"ARROW:extension:name": "of.a.stranger", "ARROW:extension:metadata": "anything"}
    field = pa.field("a", pa.int64(), metadata=told)
    column = pa.field("b", pa.struct([field])) if deep else field
    data = written(pa.table([pa.nulls(2, column.type)], schema=pa.schema([column])))
    with pytest.raises(ArtifactCorruptError, match=r"x has a column 'a' of an extension type; expected"):
        read_table(pa.BufferReader(data), "x")


SMALL = written(pa.table({"a": np.arange(50), "t": [str(n % 7) for n in range(50)]}), data_page_size=100)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(4, len(SMALL) - 9), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_damage_and_nothing_else(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SMALL)
    for place, value in changes:
        data[place] = value
    with contextlib.suppress(ArtifactCorruptError):
        read_table(pa.BufferReader(bytes(data)), "x")


@given(st.binary(max_size=200))
def test_a_header_of_any_bytes_ends(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        pages_of(io.BytesIO(data), 0, len(data))
