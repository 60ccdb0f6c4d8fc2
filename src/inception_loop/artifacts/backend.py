"""What the store needs from a place that keeps bytes: create-only writes, streams, lazy walks, a clock."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from inception_loop.errors import ArtifactNotFoundError, ConfigurationError

CHUNK = 8 * 2**20


def inside(key: str) -> str:
    """Return a key as it is, if it stays below the root.

    Raises
    ------
    ConfigurationError
        If a file system would read it as a way out: whoever made up a reference, a manifest or a listing.

    Examples
    --------
    >>> inside("frame/name=a..b/manifest.json")
    'frame/name=a..b/manifest.json'
    """
    if key.startswith("/") or "\0" in key or not {".", ".."}.isdisjoint(key.split("/")):
        raise ConfigurationError(
            f"{key!r} is no key of a store: it leads out of the root; expected names divided by "
            "slashes; correct the reference"
        )
    return key


class Sink(Protocol):
    """Where a payload is written to, front to back."""

    def write(self, data: bytes | memoryview, /) -> int:
        """Take some bytes."""
        ...


class Entry(NamedTuple):
    """One object: its key under the root, its bytes, when it was written (s, by the store's clock)."""

    key: str
    size: int
    modified: float


class Backend(ABC):
    """One root on one file system. Keys are relative to the root and divided by ``/``.

    Parameters
    ----------
    uri
        The root without a trailing slash.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri

    def url(self, key: str) -> str:
        """Return the full address of a key."""
        return f"{self.uri}/{key}" if key else self.uri

    @property
    @abstractmethod
    def fs(self) -> Any:  # fsspec ships no types
        """The fsspec file system of this process."""

    @abstractmethod
    def check(self) -> None:
        """Raise if the root cannot be reached; changes nothing."""

    @abstractmethod
    def create(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object that must not exist; of several racers exactly one succeeds.

        Raises
        ------
        ArtifactExistsError
            If something stands there already.
        """

    @abstractmethod
    def replace(self, key: str, data: bytes) -> None:
        """Write an object whether or not it exists, atomically. For heartbeats and events only."""

    @abstractmethod
    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none."""

    @abstractmethod
    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return the bytes ``start`` to ``stop`` (exclusive) of an object."""

    @abstractmethod
    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if there is none."""

    @abstractmethod
    def writer(self, key: str) -> AbstractContextManager[Sink]:
        """Open a new object for streaming; it is durable when the block ends without an error."""

    @abstractmethod
    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; an absent one is no error."""

    @abstractmethod
    def walk(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        """Yield, lazily and in the order of their UTF-8 keys, the objects below a prefix.

        Parameters
        ----------
        prefix
            A folder without a trailing slash, or nothing for the whole store.
        after
            Only keys greater than this one.
        """

    @abstractmethod
    def now(self) -> float:
        """Return the time in s since 1970 by the clock that stamps the objects."""

    def local_path(self, key: str) -> Path | None:
        """Return where an object lies on this machine's disk, if it does."""
        return None

    def link(self, key: str, content_type: str, seconds: float, endpoint: str = "") -> str | None:
        """Return an address that opens an object in any browser for a while, if there is such a thing.

        Whoever has it may read this one object, and nothing else. ``endpoint`` is the server's address as
        browsers reach it, where it differs from the one that this process uses.
        """
        return None

    def tidy(self, before: float) -> int:
        """Drop what writers that died before a time left outside every object; return how many."""
        return 0

    def chunks(self, key: str) -> Iterator[bytes]:
        """Yield an object front to back in pieces of at most 8 MiB."""
        size = self.size(key)
        if size is None:
            raise ArtifactNotFoundError(f"nothing stands at {self.url(key)}; list the store to see what does")
        for start in range(0, size, CHUNK):
            yield self.read_range(key, start, min(size, start + CHUNK))


class RangeFile(io.RawIOBase):
    """A seekable, read-only file over ranges of bytes.

    Parameters
    ----------
    read
        ``read(start, stop)`` returns these bytes.
    size
        Bytes in all.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer as far as bytes are left."""
        stop = min(self._size, self._position + len(buffer))
        if stop <= self._position:
            return 0
        data = self._read(self._position, stop)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
