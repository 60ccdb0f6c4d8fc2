"""SQL over tables of artifacts and frames: DuckDB on one thread, so that a query repeats itself."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa
from fsspec.spec import AbstractFileSystem

from inception_loop.artifacts.kind import CATALOGUE, Table
from inception_loop.artifacts.reading import Located
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.store import ArtifactStore
from inception_loop.errors import ConfigurationError, DataError, InceptionLoopError

TableSource = pl.DataFrame | Sequence[tuple[ArtifactRef, str]]

# Nothing is downloaded, no Python variable is mistaken for a table, and what does not fit into memory
# spills where temporary files belong rather than into the working directory.
_CONFIG: dict[str, Any] = {
    "threads": 1,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
    "preserve_insertion_order": True,
    "temp_directory": str(Path(tempfile.gettempdir()) / f"inception-loop-duckdb-{os.getuid()}"),
}


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
        Vector columns are lists there, so that scans of different widths go together.
    parameters
        Values of the named parameters.
    store
        Where the artifacts stand; needed if there are any.

    Raises
    ------
    ConfigurationError
        If the statement, a parameter or a table's name is wrong, or artifacts are given without a store.
    DataError
        If the rows do not allow what the statement does with them.

    Examples
    --------
    >>> frame = pl.DataFrame({"a": [3, 1, 2]})
    >>> query("SELECT a FROM t WHERE a > $least ORDER BY a", {"t": frame}, {"least": 1})["a"].to_list()
    [2, 3]
    """
    files = _Payloads()
    with duckdb.connect(":memory:", config=_CONFIG) as connection:
        connection.register_filesystem(files)
        try:
            for name, source in tables.items():
                _register(connection, files, name, source, store)
            _lock(connection, files)
            result = connection.sql(sql, params=dict(parameters or {}))
            if result is None:
                raise ConfigurationError(
                    "a query returned no table; expected one SELECT statement; correct it"
                )
            return pl.DataFrame(pl.from_arrow(result.to_arrow_table()))
        except duckdb.Error as error:
            # DuckDB turns what a file system raises into text of its own: the real reason is kept aside.
            raise files.failure or _translated(error) from error


def matching_rows(conditions: str | Sequence[str], *frames: pl.DataFrame) -> pl.DataFrame:
    """Return which combinations of rows fulfil all conditions, in order; the product is never built.

    Parameters
    ----------
    conditions
        Boolean SQL expressions over the columns of all frames. Whoever wrote them, they reach nothing else:
        no file, no other statement.
    frames
        Columns of different names. Each row of each is combined with every row of the others.

    Returns
    -------
    One column a frame, ``row_0``, ``row_1``…: int64 row numbers in it; sorted by the first, then the second…

    Raises
    ------
    ConfigurationError
        If an expression is no condition over these columns.

    Examples
    --------
    >>> rows = matching_rows("a > b", pl.DataFrame({"a": [3, 1]}), pl.DataFrame({"b": [2, 0, 9]}))
    >>> rows.rows()
    [(0, 0), (0, 1), (1, 1)]
    """
    asked = [conditions] if isinstance(conditions, str) else list(conditions)
    if not frames:
        raise ConfigurationError("a condition is asked of no frame; expected at least one")
    if any(not condition.strip() for condition in asked):
        raise ConfigurationError("a condition is empty; write one, such as seed = 1009, or leave it out")
    found = _matched(asked, frames)
    if isinstance(found, _Wrong):
        raise ConfigurationError(
            f"the condition {found.condition!r} is wrong: {found.why.rstrip('!')}; correct it"
        )
    return pl.DataFrame(pl.from_arrow(found)).cast(pl.Int64)


class _Wrong(NamedTuple):
    condition: str
    why: str


def _matched(conditions: Sequence[str], frames: Sequence[pl.DataFrame]) -> pa.Table | _Wrong:
    # What is wrong leaves as text: an exception would keep DuckDB's objects alive in its frames, and at exit
    # it complains of each of them on standard error.
    # A connection for every call, and no access to files: an expression may hold sub-queries.
    closed = {**_CONFIG, "enable_external_access": False, "lock_configuration": True}
    numbers = [f"row_{place}" for place in range(len(frames))]
    condition = ""
    with duckdb.connect(":memory:", config=closed) as connection:
        try:
            tables = []
            for number, frame in zip(numbers, frames, strict=True):
                connection.register(f"frame_{number}", frame.with_row_index(number).to_arrow())
                tables.append(connection.table(f"frame_{number}"))
            relation = reduce(lambda one, other: one.cross(other), tables)
            for condition in conditions:  # the one that was last asked is said to be wrong
                relation = relation.filter(condition)
            columns = ", ".join(numbers)
            return relation.project(columns).order(columns).to_arrow_table()
        except duckdb.Error as error:
            return _Wrong(condition, str(error).splitlines()[0])


def sql_file(package: str, name: str) -> str:
    """Return the text of an SQL file that lies beside a package's modules."""
    return (resources.files(package) / name).read_text(encoding="utf-8")


def _lock(connection: duckdb.DuckDBPyConnection, files: _Payloads) -> None:
    """Leave a statement nothing but the payloads that it was given: no other file, network or setting."""
    connection.execute(f"SET allowed_paths = [{files.urls}]")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _register(
    connection: duckdb.DuckDBPyConnection,
    files: _Payloads,
    name: str,
    source: TableSource,
    store: ArtifactStore | None,
) -> None:
    if isinstance(source, pl.DataFrame):
        connection.register(name, _with_lists(source.to_arrow()))
        return
    if store is None or not source:
        raise ConfigurationError(
            f"the query's table '{name}' is {'a list of artifacts' if source else 'an empty list'}; "
            "expected a frame, or at least one artifact and the store that holds it"
        )
    located = [store.located(ref, payload, "table") for ref, payload in source]
    if any(_outdated(ref, payload, where) for (ref, payload), where in zip(source, located, strict=True)):
        parts = [_with_lists(store.arrow(ref, payload)) for ref, payload in source]
        connection.register(name, pa.concat_tables(parts))
        return
    for where in located:
        store.reader.check(where)
    urls = ", ".join(f"'{files.add(store, where)}'" for where in located)
    quoted = '"' + name.replace('"', '""') + '"'
    connection.execute(f"CREATE TEMP VIEW {quoted} AS SELECT * FROM read_parquet([{urls}])")


def _outdated(ref: ArtifactRef, name: str, located: Located) -> bool:
    kind = CATALOGUE.get(ref.kind)
    declared = kind.payloads.get(name) if kind is not None else None
    return isinstance(declared, Table) and declared.version != located.payload.schema_version


def _with_lists(table: pa.Table) -> pa.Table:
    """Return a table whose vectors are lists, as DuckDB reads them from Parquet."""
    fields = [
        pa.field(field.name, pa.list_(field.type.value_type), field.nullable)
        if pa.types.is_fixed_size_list(field.type)
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _translated(error: duckdb.Error) -> InceptionLoopError:
    first = str(error).splitlines()[0]
    if isinstance(error, (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException)):
        return ConfigurationError(
            f"a query is wrong: {first}; correct the statement, its tables or parameters"
        )
    if isinstance(error, duckdb.InvalidInputException):
        return ConfigurationError(f"a query got the wrong parameters: {first}; give each $name a value")
    return DataError(f"a query failed on its rows: {first}; correct the statement or the rows")


class _Payloads(AbstractFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """Payloads under numbered names: no key is ever globbed, split or escaped on its way through SQL."""

    protocol = "artifact"
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.failure: InceptionLoopError | None = None
        self._files: list[tuple[ArtifactStore, Located]] = []

    @property
    def urls(self) -> str:
        """Every payload, as a list of SQL literals: numbers of this object's own making."""
        return ", ".join(f"'{self.protocol}://{number}'" for number in range(len(self._files)))

    def add(self, store: ArtifactStore, located: Located) -> str:
        self._files.append((store, located))
        return f"{self.protocol}://{len(self._files) - 1}"

    def glob(self, path: str, **_: Any) -> list[str]:
        return [str(self._strip_protocol(path))]

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        _, located = self._of(path)
        return {"name": path, "size": located.payload.size, "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(0, UTC)  # payloads never change

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        store, located = self._of(path)
        return _Watched(self._noted(lambda: store.reader.open(located)), self._noted)

    def _of(self, path: str) -> tuple[ArtifactStore, Located]:
        return self._files[int(self._strip_protocol(path))]

    def _noted(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except InceptionLoopError as error:
            self.failure = error
            raise


class _Watched:
    """A file whose failures are noted before DuckDB sees them, with a position for each thread.

    DuckDB reads ahead with threads of its own, whatever its setting ``threads``: they share this object, and
    each does a seek and then a read.
    """

    def __init__(self, file: Any, noted: Callable[[Callable[[], Any]], Any]) -> None:
        self._file = file
        self._noted = noted
        self._lock = threading.Lock()
        self._here = threading.local()

    def seek(self, position: int, whence: int = 0) -> int:
        with self._lock:
            if whence == 1:
                position += self.tell()
            elif whence == 2:
                position = self._noted(lambda: self._file.seek(position, whence))
            self._here.position = position
        return position

    def tell(self) -> int:
        return int(getattr(self._here, "position", 0))

    def read(self, size: int = -1) -> bytes:
        def read_here() -> bytes:
            self._file.seek(self.tell())
            return bytes(self._file.read(size))

        with self._lock:
            data: bytes = self._noted(read_here)
            self._here.position = self.tell() + len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
