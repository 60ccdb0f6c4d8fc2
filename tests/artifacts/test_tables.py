"""Tables: what is declared is what is stored, the same rows are the same bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from inception_loop.artifacts.kind import VECTOR, Column, Table
from inception_loop.artifacts.tables import conform, read_table, write_table
from inception_loop.errors import ArtifactCorruptError, DataError

ONE = Table({"a": Column(pa.int64(), "m")})
TEXT = Table({"t": Column(pa.string(), "m", nullable=True)})
VECTORS = Table({"trial_idx": Column(pa.int64(), "m"), "response": Column(VECTOR, "m")})


def stored(table: pa.Table) -> bytes:
    out = io.BytesIO()
    write_table(out, table)
    return out.getvalue()


def back(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(read_table(pa.BufferReader(stored(table)), "x")))


class TestConform:
    def test_columns_are_put_into_the_declared_order(self) -> None:
        declared = Table({"b": Column(pa.int64(), "m"), "a": Column(pa.string(), "m")})
        assert conform(declared, pl.DataFrame({"a": ["x"], "b": [1]}), "x").column_names == ["b", "a"]

    @pytest.mark.parametrize(
        "frame", [pl.DataFrame({"b": [1]}), pl.DataFrame({"a": [1], "b": [1]}), pl.DataFrame()]
    )
    def test_missing_and_surplus_columns_are_named(self, frame: pl.DataFrame) -> None:
        with pytest.raises(
            DataError, match=r"t lacks the columns .* undeclared columns .*; expected exactly \['a'\]"
        ):
            conform(ONE, frame, "t")

    @pytest.mark.parametrize(
        "dtype", [pl.Int8, pl.UInt32, pl.Int64, pl.Float64, pl.Decimal(38, 0), pl.Boolean]
    )
    def test_types_are_cast_where_no_value_changes(self, dtype: Any) -> None:
        table = conform(ONE, pl.DataFrame({"a": [0, 1]}).cast(dtype), "t")
        assert table.schema.field("a").type == pa.int64()
        assert table["a"].to_pylist() == [0, 1]

    @pytest.mark.parametrize("values", [[1.5], ["x"], [[1]], [2**70]])
    def test_what_cannot_be_cast_is_named(self, values: list[Any]) -> None:
        frame = pa.table({"a": pa.array(values, pa.decimal128(38, 0)) if values == [2**70] else values})
        with pytest.raises(
            DataError, match=r"column 'a' of t is .*; expected int64, and not every value can be cast"
        ):
            conform(ONE, frame, "t")

    def test_nulls_need_a_declaration(self) -> None:
        with pytest.raises(
            DataError, match="column 'a' of t holds 1 nulls; expected none; drop or impute them"
        ):
            conform(ONE, pl.DataFrame({"a": [1, None]}), "t")
        assert conform(TEXT, pl.DataFrame({"t": ["x", None]}), "t")["t"].null_count == 1

    def test_nan_is_a_value_and_no_null(self) -> None:
        declared = Table({"a": Column(pa.float64(), "m")})
        assert np.isnan(conform(declared, pl.DataFrame({"a": [float("nan")]}), "t")["a"][0].as_py())

    def test_categories_become_text(self) -> None:
        frame = pl.DataFrame({"t": ["x", "y", "x"]}).cast(pl.Categorical)
        assert conform(TEXT, frame, "t")["t"].to_pylist() == ["x", "y", "x"]

    @pytest.mark.parametrize("dtype", [pl.Array(pl.Float32, 2), pl.List(pl.Float64), pl.Array(pl.Int64, 2)])
    def test_vectors_have_one_width(self, dtype: Any) -> None:
        frame = pl.DataFrame({"trial_idx": [0, 1], "response": [[1, 2], [3, 4]]}).cast({"response": dtype})
        table = conform(VECTORS, frame, "t")
        assert table.schema.field("response").type == pa.list_(pa.float32(), 2)
        assert table["response"].to_pylist() == [[1, 2], [3, 4]]

    @pytest.mark.parametrize(
        ("response", "reason"),
        [
            ([[1.0], [1.0, 2.0]], r"holds vectors of \[1, 2\] values; expected one width"),
            (pl.Series([[], []], dtype=pl.List(pl.Float32)), r"holds vectors of \[0\] values"),
            ([[1.0], None], "holds 1 nulls"),
            ([[1.0], [None]], "holds 1 nulls inside its vectors"),
            ([[1e39], [1.0]], "beyond the range of float32"),
            ([1.0, 2.0], "expected a list of numbers a row"),
            ([["x"], ["y"]], "expected a list of numbers a row"),
        ],
    )
    def test_vectors_that_cannot_be_stored_are_named(self, response: list[Any], reason: str) -> None:
        frame = pl.DataFrame({"trial_idx": [0, 1], "response": response}, strict=False)
        with pytest.raises(
            DataError, match=f"column 'response' of t {reason}|column 'response' of t .*{reason}"
        ):
            conform(VECTORS, frame, "t")

    def test_infinite_responses_stay_infinite(self) -> None:
        frame = pl.DataFrame({"trial_idx": [0], "response": [[float("inf")]]})
        assert conform(VECTORS, frame, "t")["response"].to_pylist() == [[float("inf")]]

    def test_a_slice_of_a_table_is_only_that_slice(self) -> None:
        frame = pl.DataFrame({"trial_idx": np.arange(6), "response": np.arange(12.0).reshape(6, 2)})
        for part in (frame[2:4], frame.to_arrow().slice(2, 2)):
            table = conform(VECTORS, part, "t")
            assert table["response"].to_pylist() == [[4, 5], [6, 7]]

    @pytest.mark.parametrize("dtype", [pl.Array(pl.Float32, 4), pl.List(pl.Float32), pl.Null])
    def test_an_empty_table_of_vectors(self, dtype: Any) -> None:
        frame = pl.DataFrame(schema={"trial_idx": pl.Int64, "response": dtype})
        assert back(conform(VECTORS, frame, "t")).height == 0


class TestParquet:
    @given(
        hnp.arrays(
            np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.floats(width=32)
        ),
    )
    def test_vectors_come_back_bit_by_bit(self, response: Any) -> None:
        frame = pl.DataFrame({"trial_idx": np.arange(len(response)), "response": response})
        table = back(conform(VECTORS, frame, "t"))
        assert table["response"].to_numpy().tobytes() == response.tobytes()
        assert table["trial_idx"].to_list() == list(range(len(response)))

    @given(st.lists(st.none() | st.text()))
    def test_texts_come_back(self, texts: list[str | None]) -> None:
        frame = pl.DataFrame({"t": texts}, schema={"t": pl.String})
        assert back(conform(TEXT, frame, "t"))["t"].to_list() == texts

    def test_the_same_rows_are_the_same_bytes_however_they_lie_in_memory(self) -> None:
        whole = pl.DataFrame({"trial_idx": np.arange(100), "response": np.arange(300.0).reshape(100, 3)})
        pieces = pl.concat([whole[:7], whole[7:50], whole[50:]], rechunk=False)
        assert stored(conform(VECTORS, whole, "t")) == stored(conform(VECTORS, pieces, "t"))

    def test_row_groups_hold_about_16_mib_and_vectors_no_dictionary(self) -> None:
        rows, width = 5000, 2000  # 40 MB
        response = np.zeros((rows, width), np.float32)
        frame = pl.DataFrame({"trial_idx": np.arange(rows), "response": response})
        metadata = pq.read_metadata(io.BytesIO(stored(conform(VECTORS, frame, "t"))))
        assert metadata.num_row_groups == 3
        per_group = metadata.row_group(0).num_rows * (4 * width + 8)
        assert 0.9 * 2**24 < per_group <= 1.01 * 2**24
        encodings = metadata.row_group(0).column(1).encodings
        assert not any("DICTIONARY" in encoding for encoding in encodings)

    def test_vectors_are_stored_as_they_are_and_everything_else_is_compressed(self) -> None:
        response = np.random.default_rng(0).random((300, 50), dtype=np.float32)
        frame = pl.DataFrame({"trial_idx": np.arange(300), "response": response})
        data = stored(conform(VECTORS, frame, "t"))
        number, vector = (pq.read_metadata(io.BytesIO(data)).row_group(0).column(i) for i in range(2))
        assert (number.compression, vector.compression) == ("ZSTD", "UNCOMPRESSED")
        assert (number.is_stats_set, vector.is_stats_set) == (True, False)
        assert response.tobytes() in data

    def test_an_array_of_vectors_is_not_copied_before_it_is_written(self) -> None:
        response = np.random.default_rng(0).random((30, 5), dtype=np.float32)
        frame = pl.DataFrame({"trial_idx": np.arange(30), "response": response})
        column = conform(VECTORS, frame, "t").column("response").chunk(0)
        assert column.flatten().buffers()[1].address == response.ctypes.data

    def test_several_row_groups_come_back_as_one_table(self) -> None:
        response = np.arange(5000 * 2000, dtype=np.float32).reshape(5000, 2000)
        frame = pl.DataFrame({"trial_idx": np.arange(5000), "response": response})
        table = back(conform(VECTORS, frame, "t"))
        assert table["trial_idx"].to_list() == list(range(5000))
        np.testing.assert_array_equal(table["response"].to_numpy(), response)

    def test_no_time_and_no_place_is_stored(self) -> None:
        metadata = pq.read_metadata(io.BytesIO(stored(conform(ONE, pl.DataFrame({"a": [1]}), "t"))))
        assert set(metadata.metadata) == {b"ARROW:schema", b"inception_loop.schema_version"}

    @pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all", b"PAR1" + bytes(100) + b"PAR1"])
    def test_what_is_no_parquet_is_named(self, data: bytes) -> None:
        with pytest.raises(ArtifactCorruptError, match="x is not readable as Parquet; verify the store"):
            read_table(pa.BufferReader(data), "x")
