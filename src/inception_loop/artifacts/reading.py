"""Reading payloads: their size is always checked, their hash by setting."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from inception_loop.artifacts import npz, tables
from inception_loop.artifacts.backend import Backend, RangeFile
from inception_loop.artifacts.kind import Bundle
from inception_loop.artifacts.manifest import Payload
from inception_loop.artifacts.passing import Passing
from inception_loop.artifacts.vectors import Positions, Singles, read_vectors
from inception_loop.errors import ArtifactCorruptError, ArtifactNotFoundError, DataError

BUFFER = 2**20


_SOUND_FILES: set[tuple[str, int, int]] = set()
"""Files (path, time of change in ns, inode) whose SHA-256 this process found to be the manifest's."""


class Located(NamedTuple):
    """A payload as its manifest describes it, and where it lies."""

    key: str
    payload: Payload


class StoredRows:
    """One array of a bundle, of which slices of rows are read when they are asked for, and nothing else.

    Parameters
    ----------
    read
        ``read(start, stop)`` returns these bytes of the payload.
    member
        Where the array lies in it.
    """

    def __init__(self, read: Callable[[int, int], bytes], member: npz.Member) -> None:
        self._read = read
        self._member = member

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""
        return self._member.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""
        return self._member.dtype

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        """Read some rows, in order and without a step."""
        start, stop, step = rows.indices(self.shape[0])
        if step != 1:
            raise DataError(f"rows {rows} were asked for; expected a slice without a step")
        return npz.read_rows(self._read, self._member, start, stop)


class Reader:
    """Reads the payloads of one store.

    Parameters
    ----------
    backend
        The store's place.
    verify_hashes
        Whether the SHA-256 of what is read is compared with the manifest's.
    """

    def __init__(self, backend: Backend, *, verify_hashes: bool) -> None:
        self._backend = backend
        self._verify = verify_hashes
        # What was found sound. Payloads are immutable: once is enough for the same object, and for the same
        # file once in a process, whose steps open the store anew each.
        self._sound: set[tuple[str, int, int]] = set()

    def table(self, located: Located) -> pa.Table:
        """Return a table, as it was written."""
        path = self._backend.local_path(located.key)
        if path is not None:
            self.check(located)
            return tables.read_table(path, self._url(located))
        return tables.read_table(pa.BufferReader(self._gathered(located)), self._url(located))

    def vectors(
        self, located: Located, column: str, rows: Positions | None, entries: Positions | None
    ) -> Singles:
        """Return a part of a table's vector column, see `read_vectors`.

        What is not on a local disk is read by ranges once it was found sound, or if hashes are not to be
        checked; until then all of it passes by once.
        """
        path = self._backend.local_path(located.key)
        if path is not None:
            self.check(located)
            return read_vectors(path, self._url(located), column, rows, entries)
        self.check_size(located)
        mark, fetch, size = self._mark(located.key), self._range(located), located.payload.size
        if not self._verify or mark in self._sound:
            return read_vectors(RangeFile(fetch, size), self._url(located), column, rows, entries)
        passing = Passing(self.hashed(located), fetch, size)
        values = read_vectors(RangeFile(passing.read, size), self._url(located), column, rows, entries)
        passing.finish()
        self._sound.add(mark)
        return values

    def arrays(self, located: Located) -> Bundle:
        """Return the arrays of a bundle: mapped on a local disk, else streamed once into place."""
        path = self._backend.local_path(located.key)
        if path is not None:
            self.check(located)
            return npz.map_arrays(path, self._members(located))
        self.check_size(located)
        return npz.stream_arrays(self._checked(located), self._members(located))

    def rows(self, located: Located, member: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return some rows of one member, reading no others; hashes cannot be checked then."""
        self.check_size(located)
        return npz.read_rows(self._range(located), self._member_of(located, member), start, stop)

    def block(self, located: Located, member: str) -> StoredRows:
        """Return one member to be read by rows; on a local disk checked as by `check`."""
        if self._backend.local_path(located.key) is not None:
            self.check(located)
        self.check_size(located)
        return StoredRows(self._range(located), self._member_of(located, member))

    def data(self, located: Located) -> bytes:
        """Return a payload's bytes."""
        self.check_size(located)
        return b"".join(self._checked(located))

    def open(self, located: Located) -> BinaryIO:
        """Return a seekable file over a payload, which `check` should have found sound.

        It holds nothing open between two reads, so that nobody has to close it.
        """
        return io.BufferedReader(RangeFile(self._range(located), located.payload.size), BUFFER)

    def check(self, located: Located) -> None:
        """Check a payload's size and, by setting, its hash; once is enough for the same file.

        Raises
        ------
        ArtifactCorruptError
            If it is absent or not what the manifest names.
        """
        self.check_size(located)
        mark = self._mark(located.key)
        sound = self._sound if self._backend.local_path(located.key) is None else _SOUND_FILES
        if self._verify and mark not in sound:
            self.check_hash(located)
            sound.add(mark)

    def check_size(self, located: Located) -> None:
        """Check that a payload stands and has the size that the manifest names."""
        size = self._backend.size(located.key)
        if size != located.payload.size:
            raise ArtifactCorruptError(
                f"{self._url(located)} {'is missing' if size is None else f'has {size} bytes'}; "
                f"expected {located.payload.size} bytes; repair the artifact"
            )

    def check_hash(self, located: Located) -> None:
        """Read a payload and compare its SHA-256 with the manifest's, whatever the setting."""
        for _ in self.hashed(located):
            pass

    def _gathered(self, located: Located) -> bytearray:
        """Return a payload's bytes, which are never in memory twice."""
        self.check_size(located)
        data, position = bytearray(located.payload.size), 0
        for piece in self._checked(located):
            data[position : position + len(piece)] = piece
            position += len(piece)
        return data

    def _checked(self, located: Located) -> Iterator[bytes]:
        return self.hashed(located) if self._verify else self._backend.chunks(located.key)

    def hashed(self, located: Located) -> Iterator[bytes]:
        """Yield a payload in pieces; after the last one, raise if its SHA-256 is not the manifest's."""
        check = hashlib.sha256()
        for piece in self._backend.chunks(located.key):
            check.update(piece)
            yield piece
        if check.hexdigest() != located.payload.sha256:
            raise ArtifactCorruptError(
                f"{self._url(located)} has the SHA-256 {check.hexdigest()[:12]}…; "
                f"expected {located.payload.sha256[:12]}…; repair the artifact"
            )

    def _members(self, located: Located) -> dict[str, npz.Member]:
        return npz.members(self._range(located), located.payload.size, self._url(located))

    def _member_of(self, located: Located, name: str) -> npz.Member:
        found = self._members(located)
        if name not in found:
            raise ArtifactNotFoundError(
                f"{self._url(located)} has no member '{name}'; it has {sorted(found)}"
            )
        return found[name]

    def _range(self, located: Located) -> Any:
        return lambda start, stop: self._backend.read_range(located.key, start, stop)

    def _mark(self, key: str) -> tuple[str, int, int]:
        path = self._backend.local_path(key)
        if path is None:
            return key, 0, 0
        stat = path.stat()
        return str(path), stat.st_mtime_ns, stat.st_ino

    def _url(self, located: Located) -> str:
        return self._backend.url(located.key)
