"""The store on a POSIX file system, local or shared."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.implementations.local import LocalFileSystem

from inception_loop.artifacts.backend import Backend, Entry, Sink, inside
from inception_loop.artifacts.faults import GuardedSink, faults
from inception_loop.errors import StoreError

TEMPORARY = ".writing-"


class DiskBackend(Backend):
    """A root folder. Its parents are made by the first write, never by looking."""

    def __init__(self, root: Path) -> None:
        super().__init__("file://" + str(root))
        self._root = root
        self._fs = LocalFileSystem()

    @property
    def fs(self) -> Any:
        """The local file system."""
        return self._fs

    def local_path(self, key: str) -> Path:
        """Return where an object lies."""
        return self._root / inside(key)

    def check(self) -> None:
        """Raise if the root, or the nearest folder above it that exists, is no folder one may enter."""
        with faults("open the store", self.uri):
            nearest = next(folder for folder in (self._root, *self._root.parents) if _exists(folder))
            if not nearest.is_dir():
                raise StoreError(
                    f"cannot open the store {self.uri}: {nearest} is a file; expected a folder; "
                    "choose another URI"
                )

    def create(self, key: str, data: bytes, *, durable: bool = True) -> None:
        """Write an object that must not exist: a temporary file beside it, then a hard link to its name.

        The link is the one step that the file system makes atomic and exclusive with the content in place.
        """
        path = self.local_path(key)
        with faults("write", self.url(key)), self._temporary(path, data, durable) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                # Over NFS a link that was made may be reported as failed when the answer got lost.
                if temporary.stat().st_nlink != 2:
                    raise
            if durable:
                _sync_folder(path.parent)

    def replace(self, key: str, data: bytes) -> None:
        """Write an object whether or not it exists, by renaming a temporary file over it."""
        path = self.local_path(key)
        with faults("write", self.url(key)), self._temporary(path, data, durable=False) as temporary:
            temporary.replace(path)

    @contextmanager
    def _temporary(self, path: Path, data: bytes, durable: bool) -> Iterator[Path]:
        temporary = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        try:
            with _open_new(temporary, durable) as file:
                file.write(data)
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink()

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none."""
        with faults("read", self.url(key)):
            try:
                return self.local_path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return a part of an object."""
        with faults("read", self.url(key)), self.local_path(key).open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes, None if there is none."""
        with faults("read", self.url(key)):
            try:
                return self.local_path(key).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    @contextmanager
    def writer(self, key: str) -> Iterator[Sink]:
        """Open a new file for streaming; it and its folder are on the disk when the block ends."""
        path, where = self.local_path(key), self.url(key)
        with faults("write", where):
            file = _open_new(path, durable=True)
        try:
            yield GuardedSink(file.write, where)
            with faults("write", where):
                file.flush()
                os.fsync(file.fileno())
                _sync_folder(path.parent)
        finally:
            with suppress(OSError):  # what could not be flushed has been reported by the write or the flush
                file.close()

    def remove(self, keys: Iterable[str]) -> None:
        """Remove files and the folders that this empties."""
        for key in keys:
            path = self.local_path(key)
            with faults("remove", self.url(key)):
                path.unlink(missing_ok=True)
            for folder in path.parents:
                if folder == self._root or not _remove_empty(folder):
                    break

    def walk(self, prefix: str = "", after: str = "") -> Iterator[Entry]:
        """Yield the files below a prefix in the order of their keys, opening a folder only in its turn."""
        with faults("list", self.url(prefix)):
            yield from self._walk(self.local_path(prefix), prefix + "/" if prefix else "", after.encode())

    def _walk(self, folder: Path, base: str, after: bytes) -> Iterator[Entry]:
        try:
            with os.scandir(folder) as scan:
                found = [
                    (base + entry.name + ("/" if entry.is_dir(follow_symlinks=False) else ""), entry)
                    for entry in scan
                ]
        except (FileNotFoundError, NotADirectoryError):
            return  # removed meanwhile, or never made
        for key, entry in sorted(found, key=lambda pair: pair[0].encode()):
            if key.endswith("/"):
                if key.encode() > after or after.startswith(key.encode()):
                    yield from self._walk(Path(entry.path), key, after)
            elif key.encode() > after:
                with suppress(FileNotFoundError):
                    stat = entry.stat()
                    yield Entry(key, stat.st_size, stat.st_mtime)

    def now(self) -> float:
        """Return the time that the file system stamps on a file made now (its server's, if it has one)."""
        with faults("write into", self.uri):
            self._root.mkdir(parents=True, exist_ok=True)
            probe = self._root / f"{TEMPORARY}{uuid.uuid4().hex}"
            try:
                probe.touch(exist_ok=False)
                return probe.stat().st_mtime
            finally:
                probe.unlink(missing_ok=True)


def _open_new(path: Path, durable: bool) -> BinaryIO:
    for _ in range(100):
        with suppress(FileNotFoundError):  # another worker has removed the folder, which was empty
            _make_folder(path.parent, durable)
            return path.open("xb")
    return path.open("xb")


def _make_folder(folder: Path, durable: bool) -> None:
    """Make a folder and those above it; a durable one is still there after the power failed."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, durable)
    folder.mkdir(exist_ok=True)
    if durable:
        _sync_folder(folder.parent)


def _exists(folder: Path) -> bool:
    try:
        folder.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _remove_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
