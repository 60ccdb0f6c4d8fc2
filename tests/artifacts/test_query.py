"""Queries: the right rows, the same rows, one clear line when there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest

from inception_loop.artifacts.attempt import Attempt
from inception_loop.artifacts.query import query, sql_file
from inception_loop.artifacts.store import ArtifactStore, open_store
from inception_loop.errors import (
    ArtifactCorruptError,
    ArtifactNotFoundError,
    ConfigurationError,
    DataError,
    TransientStoreError,
)
from inception_loop.settings import Settings

FRAME = pl.DataFrame({"a": [1, 2, 3], "x": [0.1, 0.2, 0.3]})


def units(store: ArtifactStore, demo: Any, name: str, width: int) -> Any:
    """Make an artifact whose vectors have this width."""

    def build(attempt: Attempt) -> None:
        response = np.arange(2.0 * width).reshape(2, width)
        attempt.write_table(
            "units", pl.DataFrame({"unit_id": [0, 1], "label": [name, None], "response": response})
        )
        attempt.write_arrays("images", {"frames": demo.frames()})
        attempt.write_file("note", b"")

    return store.make(demo.kind, demo.config(name=name), build).ref


class TestTables:
    @pytest.fixture(params=["memory", "disk", "minio"])
    def store(self, request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> ArtifactStore:
        if request.param == "memory":
            return request.getfixturevalue("memory_store")
        uri = (
            str(tmp_path / "a [b] 'c' *")
            if request.param == "disk"
            else request.getfixturevalue("s3_uri") + "/a 'b'"
        )
        return open_store(uri, settings)

    def test_tables_of_artifacts_are_read_one_below_the_other_whatever_their_width(
        self, store: ArtifactStore, demo: Any
    ) -> None:
        refs = [units(store, demo, name, width) for name, width in (("one [x] 'y'", 2), ("two", 3))]
        sql = "SELECT label, unit_id, len(response) AS n, list_sum(response) FROM units ORDER BY n, unit_id"
        rows = query(sql, {"units": [(ref, "units") for ref in refs]}, store=store).rows()
        assert rows == [("one [x] 'y'", 0, 2, 1.0), (None, 1, 2, 5.0), ("two", 0, 3, 3.0), (None, 1, 3, 12.0)]

    def test_a_damaged_table_is_named(self, store: ArtifactStore, demo: Any) -> None:
        ref = units(store, demo, "a", 2)
        located = store.located(ref, "units")
        data = store.backend.read(located.key) or b""
        store.backend.replace(located.key, data[:-20] + bytes(20))
        with pytest.raises(ArtifactCorruptError, match="SHA-256"):
            query("SELECT * FROM units", {"units": [(ref, "units")]}, store=store)


def test_frames_are_tables_and_their_vectors_lists() -> None:
    frame = pl.DataFrame({"v": np.arange(6, dtype=np.float32).reshape(2, 3)})
    rows = query("SELECT unnest(v) AS x FROM f ORDER BY x DESC", {"f": frame})
    assert rows["x"].to_list() == [5, 4, 3, 2, 1, 0]
    assert query("SELECT * FROM f ORDER BY v", {"f": frame}).schema == {"v": pl.List(pl.Float32)}


def test_parameters_have_names() -> None:
    rows = query(
        "SELECT a FROM t WHERE x < $high AND a > $low ORDER BY a", {"t": FRAME}, {"low": 1, "high": 0.25}
    )
    assert rows["a"].to_list() == [2]


def test_sums_are_the_same_every_time() -> None:
    values = np.random.default_rng(0).normal(size=200_000) * 10.0 ** np.random.default_rng(1).integers(
        -8, 8, 200_000
    )
    frame = pl.DataFrame({"group": np.arange(200_000) % 7, "x": values})
    sql = 'SELECT "group", sum(x) AS total, var_samp(x) AS spread FROM f GROUP BY "group" ORDER BY "group"'
    first = query(sql, {"f": frame})
    assert all(query(sql, {"f": frame}).equals(first) for _ in range(5))


@pytest.mark.parametrize(
    ("sql", "kind", "text"),
    [
        ("SELECT * FROM nowhere", ConfigurationError, "Table with name nowhere does not exist"),
        ("SELECT b FROM t", ConfigurationError, 'column "b" not found'),
        ("SELEKT", ConfigurationError, "syntax error"),
        ("SELECT $missing FROM t", ConfigurationError, "missing"),
        ("SELECT 1 WHERE a = $low", ConfigurationError, "a query"),
        ("", ConfigurationError, "returned no table; expected one SELECT"),
        ("SELECT 'x'::INTEGER FROM t", DataError, "Could not convert string 'x'"),
        ("SELECT * FROM FRAME", ConfigurationError, "does not exist"),  # no Python variable is a table
    ],
)
def test_what_is_wrong_is_said_in_one_line(sql: str, kind: type[Exception], text: str) -> None:
    with pytest.raises(kind) as caught:
        query(sql, {"t": FRAME}, {"low": 1} if "$" in sql else {})
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_artifacts_need_a_store_and_a_table_at_least_one(memory_store: ArtifactStore, demo: Any) -> None:
    ref = units(memory_store, demo, "a", 2)
    with pytest.raises(
        ConfigurationError, match=r"'t' is a list of artifacts; expected a frame, or at least one"
    ):
        query("SELECT 1", {"t": [(ref, "units")]})
    with pytest.raises(ConfigurationError, match="'t' is an empty list"):
        query("SELECT 1", {"t": []}, store=memory_store)
    with pytest.raises(ArtifactNotFoundError, match="has no table 'images'"):
        query("SELECT 1", {"t": [(ref, "images")]}, store=memory_store)


def test_a_store_that_vanishes_in_the_middle_is_named(
    memory_store: ArtifactStore, demo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = units(memory_store, demo, "a", 2)
    memory_store.reader.check(memory_store.located(ref, "units"))

    def vanish(key: str, start: int, stop: int) -> bytes:
        raise TransientStoreError("the store does not answer")

    monkeypatch.setattr(memory_store.backend, "read_range", vanish)
    with pytest.raises(TransientStoreError, match=r"^the store does not answer$"):
        query("SELECT * FROM t", {"t": [(ref, "units")]}, store=memory_store)


def test_no_extension_is_ever_fetched() -> None:
    with pytest.raises((ConfigurationError, DataError)):
        query("SELECT * FROM read_parquet('s3://bucket/x.parquet')", {})
    with duckdb.connect() as connection:
        loaded = connection.execute(
            "SELECT extension_name FROM duckdb_extensions() WHERE installed"
        ).fetchall()
    assert ("httpfs",) not in loaded


def test_a_failed_query_leaves_no_noise_at_exit() -> None:
    code = (
        "from inception_loop.artifacts.query import query\n"
        "try: query('SELECT * FROM nowhere', {})\n"
        "except ValueError as error: print(type(error).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ConfigurationError"
    assert done.stderr == ""


def test_sql_lies_beside_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "shelf"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "pick.sql").write_text("SELECT 'größe'", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert sql_file("shelf", "pick.sql") == "SELECT 'größe'"


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('{file}')",
        "SELECT content FROM read_text('{file}')",
        "SELECT * FROM glob('{folder}/*')",
        "COPY t TO '{folder}/leak.csv'",
        "SELECT 1; COPY t TO '{folder}/leak.csv'",
        "ATTACH '{folder}/other.db'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET allowed_paths = ['{file}']",
        "SELECT * FROM read_parquet('artifact://1')",
    ],
)
def test_a_statement_reaches_nothing_but_its_tables(
    statement: str, memory_store: ArtifactStore, demo: Any, tmp_path: Path
) -> None:
    (tmp_path / "private.csv").write_text("a\n1\n")
    tables = {"t": FRAME, "u": [(units(memory_store, demo, "a", 2), "units")]}
    assert query("SELECT count(*) AS n FROM u, t", tables, store=memory_store)["n"].item() == 6
    sql = statement.format(file=tmp_path / "private.csv", folder=tmp_path)
    with pytest.raises((ConfigurationError, DataError)) as caught:
        query(sql, tables, store=memory_store)
    assert "disabled by configuration" in str(caught.value) or "has been locked" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["private.csv"]
