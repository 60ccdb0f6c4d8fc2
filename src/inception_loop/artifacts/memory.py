"""The store in this process's memory: for unit tests and notebooks."""

from __future__ import annotations

import io
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fsspec.implementations.memory import MemoryFileSystem

from inception_loop.artifacts.backend import Backend, Entry, Sink, inside
from inception_loop.errors import ArtifactExistsError

# One lock for all memory stores: fsspec keeps them all in one process-wide dictionary.
_LOCK = threading.RLock()


class MemoryBackend(Backend):
    """A root inside fsspec's process-wide memory file system."""

    def __init__(self, uri: str) -> None:
        super().__init__(uri)
        self._root = "/" + uri.removeprefix("memory://").strip("/")
        self._fs = MemoryFileSystem()

    @property
    def fs(self) -> Any:
        """The memory file system."""
        return self._fs

    def _path(self, key: str) -> str:
        return f"{self._root}/{inside(key)}"

    def check(self) -> None:
        """Do nothing: memory is always there."""

    def create(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object that must not exist, under the process-wide lock."""
        with _LOCK:
            if self._path(key) in self._fs.store:
                raise ArtifactExistsError(
                    f"cannot write {self.url(key)}: something stands there already; "
                    "nothing is ever overwritten"
                )
            self._fs.pipe_file(self._path(key), data)

    def replace(self, key: str, data: bytes) -> None:
        """Write an object whether or not it exists."""
        with _LOCK:
            self._fs.pipe_file(self._path(key), data)

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none."""
        # Not cat_file: all open files of a path share one cursor, so threads would disturb each other.
        with _LOCK:
            file = self._fs.store.get(self._path(key))
            return None if file is None else file.getvalue()

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a part of an object."""
        with _LOCK:
            file = self._fs.store.get(self._path(key))
            if file is None:
                raise FileNotFoundError(self.url(key))
            return bytes(file.getbuffer()[start:stop])

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if there is none."""
        with _LOCK:
            file = self._fs.store.get(self._path(key))
            return None if file is None else len(file.getbuffer())

    @contextmanager
    def writer(self, key: str) -> Iterator[Sink]:
        """Collect the bytes and put them down when the block ends."""
        buffer = io.BytesIO()
        yield buffer
        self.create(key, buffer.getvalue())

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; an absent one is no error."""
        with _LOCK:
            for key in keys:
                self._fs.store.pop(self._path(key), None)

    def walk(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        """Yield the objects below a prefix in the order of their keys."""
        base = self._path(prefix + "/" if prefix else "")
        with _LOCK:
            found = [
                Entry(path.removeprefix(self._root + "/"), file.size, file.modified.timestamp())
                for path, file in self._fs.store.items()
                if path.startswith(base)
            ]
        yield from sorted(entry for entry in found if entry.key.encode() > after.encode())

    def now(self) -> float:
        """Return this process's time."""
        return time.time()


class MemoryAbove(MemoryBackend):
    """A store whose new bytes lie in memory until they are dropped: what is tried there is seen nowhere else.

    Walks see the new bytes only.

    Parameters
    ----------
    beneath
        The store that is read; nothing is written to it.

    Examples
    --------
    >>> beneath = MemoryBackend("memory://doc-beneath")
    >>> above = MemoryAbove(beneath)
    >>> above.create("a", b"tried")
    >>> above.read("a"), beneath.read("a")
    (b'tried', None)
    >>> above.drop()
    """

    def __init__(self, beneath: Backend) -> None:
        super().__init__(beneath.uri)
        self._root, self._beneath = f"/above-{uuid.uuid4().hex}", beneath

    def drop(self) -> None:
        """Forget what was written."""
        self.remove([entry.key for entry in self.walk()])

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none."""
        found = super().read(key)
        return self._beneath.read(key) if found is None else found

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a part of an object."""
        if super().size(key) is None:
            return self._beneath.read_range(key, start, stop)
        return super().read_range(key, start, stop)

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if there is none."""
        found = super().size(key)
        return self._beneath.size(key) if found is None else found

    def local_path(self, key: str) -> Path | None:
        """Return where an object of the store beneath lies on this machine's disk."""
        return self._beneath.local_path(key) if super().size(key) is None else None
