"""Vectors read piece by piece: the same numbers as the whole table, less of everything else."""

from __future__ import annotations

import hashlib
import itertools
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_loop.artifacts import tables
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import VECTOR, Column, Kind, Table
from inception_loop.artifacts.passing import Passing
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.artifacts.vectors import read_vectors, select_vectors
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, DataError, StoreError
from inception_loop.settings import Settings

ROWS, WIDTH, GROUP = 60, 700, 10
VALUES = np.random.default_rng(0).normal(size=(ROWS, WIDTH)).astype(np.float32)

COLUMNS = {"trial_idx": Column(pa.int64(), "m"), "response": Column(VECTOR, "m")}
KIND = Kind("vectors_demo", 1, "Vectors.", {"responses": Table(COLUMNS)})


class Question(Config):
    """Nothing to ask."""


@pytest.fixture(autouse=True)
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROW_GROUP_BYTES", GROUP * (4 * WIDTH + 8))


def arrow() -> pa.Table:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VALUES.ravel()), WIDTH)
    return pa.table({"trial_idx": np.arange(ROWS), "response": vectors})


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "t.parquet"
    pq.write_table(arrow(), path, row_group_size=GROUP, compression="zstd")
    return path


def stored(store: ArtifactStore) -> ArtifactRef:
    frame = pl.DataFrame({"trial_idx": np.arange(ROWS), "response": VALUES})
    return store.make(KIND, Question(), lambda attempt: attempt.write_table("responses", frame)).ref


def again(store: ArtifactStore, **settings: Any) -> ArtifactStore:
    """The same store, opened by somebody who has checked nothing yet."""
    return open_store(store.uri, Settings(lease_ttl_s=300, **settings))


class Fetched:
    """Counts the bytes that a store's backend hands out."""

    def __init__(self, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ranges: list[tuple[int, int]] = []
        read = store.backend.read_range

        def counting(key: str, start: int, stop: int) -> bytes:
            self.ranges.append((start, stop))
            return read(key, start, stop)

        monkeypatch.setattr(store.backend, "read_range", counting)

    @property
    def total(self) -> int:
        return sum(stop - start for start, stop in self.ranges)


positions = st.none() | st.lists(st.integers(0, ROWS - 1), max_size=80)


@given(rows=positions, entries=positions)
def test_any_rows_and_entries_are_those_of_the_whole(
    parquet: Path, rows: list[int] | None, entries: list[int] | None
) -> None:
    chosen = [None if p is None else np.array(p, np.int64) for p in (rows, entries)]
    slow = VALUES[slice(None) if rows is None else rows][:, slice(None) if entries is None else entries]
    for got in (
        read_vectors(parquet, "t", "response", *chosen),
        select_vectors(arrow(), "t", "response", *chosen),
    ):
        assert got.dtype == np.float32
        assert got.flags.writeable
        np.testing.assert_array_equal(got, slow)


def test_pieces_that_do_not_divide_a_row_group(parquet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inception_loop.artifacts.vectors.PIECE_BYTES", 3 * 4 * WIDTH)
    np.testing.assert_array_equal(read_vectors(parquet, "t", "response"), VALUES)


@pytest.mark.parametrize(
    ("column", "rows", "entries", "error", "message"),
    [
        ("nothing", None, None, ArtifactNotFoundError, "t has no column 'nothing'; it has .*response"),
        ("trial_idx", None, None, DataError, "'trial_idx' of t is int64; expected vectors of float32"),
        ("response", [60], None, DataError, "row of t: 60 was asked for; expected 0 to 59"),
        (
            "response",
            None,
            [0, -1],
            DataError,
            "entry of 'response' of t: -1 was asked for; expected 0 to 699",
        ),
    ],
)
def test_what_is_not_there_is_named(
    parquet: Path, column: str, rows: Any, entries: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        read_vectors(parquet, "t", column, rows, entries)


def test_no_more_is_held_than_what_is_wanted_and_a_few_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inception_loop.artifacts.vectors.PIECE_BYTES", 2**16)
    values = np.random.default_rng(0).random((4000, 500), np.float32)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 500)
    pq.write_table(pa.table({"response": vectors}), tmp_path / "t.parquet", row_group_size=1000)
    rows, entries = np.arange(0, 4000, 2), np.arange(100)
    tracemalloc.start()
    got = read_vectors(tmp_path / "t.parquet", "t", "response", rows, entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(got, values[np.ix_(rows, entries)])
    assert peak < got.nbytes + 4 * 2**16


def test_a_table_without_rows_has_no_vectors(tmp_path: Path) -> None:
    pq.write_table(arrow().slice(0, 0), tmp_path / "t.parquet")
    assert read_vectors(tmp_path / "t.parquet", "t", "response").shape == (0, WIDTH)


def test_what_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(ArtifactCorruptError, match="t is not readable as Parquet; verify the store"):
        read_vectors(tmp_path / "t.parquet", "t", "response")


@pytest.mark.parametrize("place", ["disk_store", "memory_store"])
@pytest.mark.parametrize("verify", [True, False])
def test_a_store_hands_out_the_same_vectors(request: Any, place: str, verify: bool) -> None:
    store = request.getfixturevalue(place)
    ref = stored(store)
    reader = again(store, verify_hashes=verify)
    rows, entries = np.array([55, 3, 4]), np.array([1, 699])
    for _ in range(2):
        np.testing.assert_array_equal(reader.vectors(ref, "responses", "response"), VALUES)
        part = reader.vectors(ref, "responses", "response", rows, entries)
        np.testing.assert_array_equal(part, VALUES[np.ix_(rows, entries)])


@pytest.mark.parametrize("verify", [True, False])
def test_s3_hands_out_the_same_vectors(s3_uri: str, verify: bool) -> None:
    ref = stored(open_store(s3_uri, Settings(lease_ttl_s=300)))
    reader = open_store(s3_uri, Settings(verify_hashes=verify))
    for rows in (None, np.array([55, 3, 4]), None):
        got = reader.vectors(ref, "responses", "response", rows)
        np.testing.assert_array_equal(got, VALUES if rows is None else VALUES[rows])


def test_ranges_away_from_a_disk_are_those_of_the_wanted_row_groups(
    memory_store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = stored(memory_store)
    store = again(memory_store, verify_hashes=False)
    size = store.manifest(ref).payloads["responses"].size
    fetched = Fetched(store, monkeypatch)
    store.vectors(ref, "responses", "response", np.arange(20, 25))
    assert fetched.total < size / 6 + 2**16 + 1000  # one row group and the directory at the end


def test_bytes_not_yet_checked_pass_by_once_and_are_ranges_from_then_on(
    memory_store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inception_loop.artifacts.passing.TAIL_BYTES", 2**12)
    monkeypatch.setattr("inception_loop.artifacts.backend.CHUNK", 2**14)
    ref = stored(memory_store)
    store = again(memory_store)
    size = store.manifest(ref).payloads["responses"].size
    fetched = Fetched(store, monkeypatch)
    np.testing.assert_array_equal(store.vectors(ref, "responses", "response", np.array([25])), VALUES[[25]])
    assert size < fetched.total < size + 2**16 + 2**12
    fetched.ranges.clear()
    store.vectors(ref, "responses", "response", np.array([25]))
    assert fetched.total < size / 6 + 2**16 + 2**12


@pytest.mark.parametrize("place", ["disk_store", "memory_store"])
def test_a_flipped_bit_is_found_wherever_it_lies(request: Any, place: str) -> None:
    store = request.getfixturevalue(place)
    ref = stored(store)
    located = store.located(ref, "responses")
    data = bytearray(store.file(ref, "responses"))
    for at in (7, len(data) // 2, len(data) - 9):
        damaged = bytearray(data)
        damaged[at] ^= 1
        store.backend.replace(located.key, bytes(damaged))
        with pytest.raises(ArtifactCorruptError, match=r"SHA-256|not readable as Parquet"):
            again(store).vectors(ref, "responses", "response", np.array([0]))


def test_a_store_that_fails_meanwhile_says_so_itself(
    memory_store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = stored(memory_store)
    store = again(memory_store, verify_hashes=False)

    def gone(key: str, start: int, stop: int) -> bytes:
        raise StoreError("the server is gone")

    monkeypatch.setattr(store.backend, "read_range", gone)
    with pytest.raises(StoreError, match="the server is gone"):
        store.vectors(ref, "responses", "response")


def test_vectors_of_an_older_schema_are_lifted_first(memory_store: ArtifactStore) -> None:
    ref = stored(memory_store)

    def doubled(table: pa.Table) -> pa.Table:
        values = pa.FixedSizeListArray.from_arrays(pa.array(2 * VALUES.ravel()), WIDTH)
        return table.set_column(1, "response", values)

    try:
        Kind("vectors_demo", 1, "Vectors.", {"responses": Table(COLUMNS, 2, {1: doubled})})
        got = memory_store.vectors(ref, "responses", "response", np.array([4, 2]))
    finally:
        Kind("vectors_demo", 1, "Vectors.", {"responses": Table(COLUMNS)})
    np.testing.assert_array_equal(got, 2 * VALUES[[4, 2]])


@given(st.binary(max_size=300), st.integers(1, 40), st.integers(0, 60), st.data())
def test_rising_ranges_of_a_passing_payload(data: bytes, chunk: int, tail: int, draw: Any) -> None:
    seen = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(data), chunk):
            seen.update(data[start : start + chunk])
            yield data[start : start + chunk]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inception_loop.artifacts.passing.TAIL_BYTES", tail)
        passing = Passing(pieces(), lambda start, stop: data[start:stop], len(data))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    for start, stop in itertools.pairwise(cuts):
        assert passing.read(start, stop) == data[start:stop]
    assert passing.read(0, len(data)) == data  # behind what has passed: fetched by itself
    passing.finish()
    assert seen.digest() == hashlib.sha256(data).digest()
