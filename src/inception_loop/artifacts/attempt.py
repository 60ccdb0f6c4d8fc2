"""One try at computing an artifact: payloads in a folder of their own, which a manifest may name later."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from inception_loop.artifacts.backend import Backend, Sink
from inception_loop.artifacts.checkpoints import StoredCheckpoints
from inception_loop.artifacts.kind import Arrays, File, Kind, Table
from inception_loop.artifacts.manifest import Payload
from inception_loop.artifacts.npz import Blocks, check_arrays, write_npz
from inception_loop.artifacts.ref import ArtifactRef
from inception_loop.artifacts.tables import conform, write_table
from inception_loop.errors import DataError, StoreError

D = TypeVar("D", Table, Arrays, File)
Progress = Callable[[int, int, str], None]
Findings = Mapping[str, Any]


class Attempt:
    """What a step writes its payloads through.

    Parameters
    ----------
    backend
        The store's place.
    folder
        The artifact's folder, relative to the root.
    kind
        The declaration that the payloads must satisfy.
    ref
        The artifact in the making.
    on_progress
        Receives ``(done, total, text)``.
    """

    def __init__(
        self, backend: Backend, folder: str, kind: Kind, ref: ArtifactRef, on_progress: Progress | None = None
    ) -> None:
        self.name = uuid.uuid4().hex[:16]
        self.ref = ref
        self.payloads: dict[str, Payload] = {}
        self.findings: dict[str, Any] = {}
        self._backend = backend
        self._folder = f"{folder}/{self.name}"
        self._kind = kind
        self._on_progress = on_progress
        self._begun: list[str] = []
        self._checkpoints: list[StoredCheckpoints] = []

    def write_table(self, name: str, frame: pl.DataFrame | pa.Table) -> None:
        """Write a table.

        Raises
        ------
        DataError
            If it does not satisfy its declaration; see `conform`.
        """
        declared = self._declared(name, Table)
        table = conform(declared, frame, self._where(name, "table"))
        with self._payload(name, ".parquet") as sink:
            write_table(sink, table)
        self.payloads[name] = sink.payload(
            "table",
            declared.version,
            rows=table.num_rows,
            columns={field.name: str(field.type) for field in table.schema},
        )

    def write_arrays(self, name: str, arrays: Mapping[str, npt.NDArray[Any] | Blocks]) -> None:
        """Write a bundle of arrays; `Blocks` stand for one that is never whole in memory.

        Raises
        ------
        DataError
            If a member is missing, undeclared, of another dtype or rank, or holds Python objects.
        """
        declared = self._declared(name, Arrays)
        arrays = {
            key: array if isinstance(array, Blocks) else np.asarray(array) for key, array in arrays.items()
        }
        check_arrays(declared, arrays, self._where(name, "bundle"))
        with self._payload(name, ".npz") as sink:
            write_npz(sink, arrays)
        self.payloads[name] = sink.payload(
            "arrays",
            declared.version,
            shapes={key: list(array.shape) for key, array in arrays.items()},
            dtypes={key: str(np.dtype(array.dtype)) for key, array in arrays.items()},
        )

    def write_file(self, name: str, data: bytes) -> None:
        """Write any other payload as it is."""
        declared = self._declared(name, File)
        with self._payload(name, declared.suffix) as sink:
            sink.write(data)
        self.payloads[name] = sink.payload("file", 1)

    def report(self, **findings: Any) -> None:  # any plain JSON
        """Record small numbers and texts in the manifest: counts of named policies, warnings.

        Raises
        ------
        DataError
            If one is not plain JSON, or not finite.
        """
        self.findings.update({name: _plain(value, name) for name, value in findings.items()})

    def progress(self, done: int, total: int, text: str = "") -> None:
        """Tell how far the step is."""
        if self._on_progress is not None:
            self._on_progress(done, total, text)

    def checkpoints(self, written_by: str) -> StoredCheckpoints:
        """Return where this step's states are kept, so that another attempt goes on from there.

        Parameters
        ----------
        written_by
            What must be the same for that; see `StoredCheckpoints`.
        """
        kept = StoredCheckpoints(self._backend, self.ref, written_by)
        self._checkpoints.append(kept)
        return kept

    def forget_checkpoints(self) -> None:
        """Remove them: the artifact stands."""
        for kept in self._checkpoints:
            kept.drop()

    def check_complete(self) -> None:
        """Refuse an attempt that left out a declared payload."""
        missing = [name for name in self._kind.payloads if name not in self.payloads]
        if missing:
            raise DataError(
                f"the step of kind '{self._kind.name}' ended without the payloads {missing}; "
                f"expected {list(self._kind.payloads)}; write each of them"
            )

    def check_standing(self) -> None:
        """Refuse an attempt of which something was removed meanwhile.

        Raises
        ------
        StoreError
            If a payload is not there as it was written: a sweep took the attempt for a dead one.
        """
        for payload in self.payloads.values():
            key = f"{self._folder}/{payload.object}"
            if self._backend.size(key) != payload.size:
                raise StoreError(
                    f"{self._backend.url(key)} was removed before its attempt ended; expected it to stay; "
                    "sweep less often than a step takes, then run again"
                )

    def discard(self) -> None:
        """Remove what this attempt has written."""
        self._backend.remove([f"{self._folder}/{object_name}" for object_name in self._begun])

    def _where(self, name: str, form: str) -> str:
        return f"the {form} '{name}' of kind '{self._kind.name}'"

    def _declared(self, name: str, form: type[D]) -> D:
        declared = self._kind.payloads.get(name)
        if not isinstance(declared, form):
            raise DataError(
                f"kind '{self._kind.name}' declares no {form.__name__} '{name}'; "
                f"expected one of {list(self._kind.payloads)}"
            )
        if name in self.payloads:
            raise DataError(f"payload '{name}' of kind '{self._kind.name}' was written twice; write it once")
        return declared

    @contextmanager
    def _payload(self, name: str, suffix: str) -> Iterator[_HashingSink]:
        object_name = name + suffix
        self._begun.append(object_name)
        with self._backend.writer(f"{self._folder}/{object_name}") as sink:
            hashing = _HashingSink(sink, object_name)
            yield hashing


class _HashingSink:
    """Computes size and SHA-256 of what passes through."""

    def __init__(self, sink: Sink, object_name: str) -> None:
        self._sink = sink
        self._object = object_name
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes | memoryview, /) -> int:
        self._hash.update(data)
        self._sink.write(data)
        size = memoryview(data).nbytes
        self._size += size
        return size

    def payload(self, form: Any, schema_version: int, **details: Any) -> Payload:
        return Payload(
            object=self._object,
            form=form,
            schema_version=schema_version,
            size=self._size,
            sha256=self._hash.hexdigest(),
            **details,
        )


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item, name) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, name) for item in value]
    raise DataError(
        f"finding '{name}' holds {value!r:.80}; expected finite numbers, text, None, lists or mappings"
    )
