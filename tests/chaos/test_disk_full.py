"""A disk that fills up at any moment: one line, nothing half-written, and the rerun goes on from there."""

from __future__ import annotations

import errno
import random
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import pytest

from inception_loop.artifacts import disk
from inception_loop.artifacts.store import open_store

pytestmark = pytest.mark.timeout(3600)
MOMENTS = {"short": 3, "long": 20}
FILES_OF_A_RUN = 600
"""Files that an undisturbed loop writes, leases included; about, and not too many."""


class SmallDisk:
    """Takes so many new files, and of the next one so many bytes; then it is full, for whoever writes.

    A fault put between the store and the real file system: it needs no mount and no root, and hits the byte
    that a seed chooses.
    """

    def __init__(self) -> None:
        self._open = disk._open_new
        self._lock = threading.Lock()
        self.opened = 0
        self.refused = 0
        self.make_space(sys.maxsize)

    def make_space(self, files: int, tail: int = 0) -> None:
        """Take ``files`` more files and ``tail`` bytes."""
        self._files, self._tail = files, tail

    def open_new(self, path: Path, durable: bool) -> BinaryIO:
        """Open a file as the store does."""
        with self._lock:
            self.opened += 1
            self._files -= 1
            if self._files < 0 and not self._tail:
                self.refuse(path)
        return Metered(self, self._open(path, durable), path)

    def granted(self, size: int) -> int:
        """Return how many of some bytes still fit."""
        with self._lock:
            if self._files >= 0:
                return size
            fit = min(size, self._tail)
            self._tail -= fit
            return fit

    def refuse(self, path: Path) -> None:
        """Say what a full disk says."""
        self.refused += 1
        raise OSError(errno.ENOSPC, "No space left on device", str(path))


class Metered:
    """A file on it: of a write that does not fit the beginning is written."""

    def __init__(self, small: SmallDisk, file: BinaryIO, path: Path) -> None:
        self._small, self._file, self._path = small, file, path

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        fit = self._small.granted(len(view))
        self._file.write(view[:fit])
        if fit < len(view):
            self._small.refuse(self._path)
        return len(view)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Metered:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> SmallDisk:
    small = SmallDisk()
    monkeypatch.setattr(disk, "_open_new", small.open_new)
    return small


def test_a_disk_that_is_full_at_random_moments_costs_a_line_and_a_rerun(
    request,
    tmp_path: Path,
    tiny: ModuleType,
    tiny_run: tuple[str, Any],
    small_disk: SmallDisk,
    run_loop: Callable[[str], str],
    books: ModuleType,
    told: Callable[[str], None],
) -> None:
    moments = MOMENTS[request.config.getoption("--campaign")]
    rng = random.Random(moments)
    expected, uri, began, full_at = (
        tiny.contents(tiny_run[0]),
        f"file://{tmp_path}/store",
        time.monotonic(),
        [],
    )
    book = books.Books(uri)
    after = sorted(rng.sample(range(10, FILES_OF_A_RUN), moments))
    for before, files in pairwise([0, *after]):
        small_disk.make_space(files - before, rng.choice([0, rng.randrange(1, 4000)]))
        error = run_loop(uri)
        assert error, f"it came to its end before the disk was full at file {files}: {full_at}"
        assert "no space is left there; free some or use another store, then run again" in error
        assert books.strays(open_store(uri)) == set()  # while the disk is still full
        full_at.append(book.disturbed())
        assert small_disk.refused >= len(full_at)
    small_disk.make_space(sys.maxsize)
    assert run_loop(uri) == ""
    told(
        f"full at {full_at} of {len(expected)} artifacts, {small_disk.opened} files, "
        f"begun again: {sum(book.closed().values())}, {time.monotonic() - began:.0f} s"
    )
    assert tiny.contents(uri) == expected
