"""Processes that the tests start, kill and deprive: ``python children.py COMMAND ARGUMENT…``."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from inception_loop.artifacts import disk
from inception_loop.artifacts.address import MANIFEST
from inception_loop.artifacts.identity import Config
from inception_loop.artifacts.kind import Array, Arrays, File, Kind
from inception_loop.artifacts.npz import Blocks
from inception_loop.artifacts.store import ArtifactStore, Attempt, Outcome, open_store
from inception_loop.errors import InceptionLoopError

MEGABYTE = 2**20
KIND = Kind(
    name="killed",
    version=1,
    meaning="Something that takes a while to write.",
    payloads={
        "numbers": Arrays({"x": Array("float32", ("row", "column"), "Numbers.")}),
        "note": File(".txt", "Who wrote it."),
    },
)


class KilledConfig(Config):
    """How many rows of 1 MiB."""

    rows: int = 20


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def rows(number: int, deadly: bool = False) -> Iterator[Any]:
    for row in range(number):
        if deadly and row == number - 2:
            die()
        yield np.full((1, MEGABYTE // 4), row, np.float32)


def make(store: ArtifactStore, number: int = 20, where: str = "") -> Outcome:
    """Make the artifact; die at a certain point of it."""

    def build(attempt: Attempt) -> None:
        blocks = Blocks((number, MEGABYTE // 4), "float32", rows(number, where == "in the payload"))
        attempt.write_arrays("numbers", {"x": blocks})
        attempt.write_file("note", b"done")
        if where == "before the manifest":
            die()

    return store.make(KIND, KilledConfig(rows=number), build)


def killed(uri: str, where: str) -> None:
    """Begin the artifact and die."""
    store = open_store(uri)
    prepare_to_die(store, where)
    make(store, where=where)


def prepare_to_die(store: Any, where: str) -> None:
    if where == "between open and write":  # of the manifest: a temporary file stands there, empty
        open_new = disk._open_new

        def open_and_die(path: Path, durable: bool) -> Any:
            file = open_new(path, durable)
            if path.name.startswith(disk.TEMPORARY) and "_leases" not in path.parts:
                die()
            return file

        disk._open_new = open_and_die
    if where == "before the link":  # the temporary file is whole
        link = os.link
        os.link = lambda *a: link(*a) if "_leases" in Path(a[1]).parts else die()
    if where == "at the manifest":
        create = store.backend.create
        store.backend.create = lambda key, *a, **k: die() if key.endswith(MANIFEST) else create(key, *a, **k)


def peak() -> int:
    """Return the highest resident memory since the last call, bytes, and begin anew."""
    status = Path("/proc/self/status").read_text()
    high = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return 1024 * high


def big(uri: str) -> None:
    """Write 200 MB from blocks, read them in three ways, print how far memory grew above what it was."""
    store = open_store(uri)
    small = make(store, 2).ref
    store.arrays(small, "numbers")
    peak()
    base = peak()
    growth = {}
    ref = make(store, 200).ref
    growth["write"] = peak() - base
    part = store.rows(ref, "numbers", "x", 150, 152)
    assert part.shape == (2, MEGABYTE // 4)
    assert part[1, 0] == 151
    growth["rows"] = peak() - base
    x = store.arrays(ref, "numbers")["x"]
    growth["read"] = peak() - base
    assert x.shape == (200, MEGABYTE // 4)
    assert all(x[row, -1] == row for row in range(200))
    sys.stdout.write(json.dumps(growth))


def limited(uri: str) -> None:
    """Make the artifact where no file may grow beyond 5 MiB: the write fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (5 * MEGABYTE, 5 * MEGABYTE))
    make(open_store(uri))


def unprivileged(uri: str) -> None:
    """Make the artifact as somebody who may not write there."""
    store = open_store(uri)
    store.exists(store.ref(KIND, KilledConfig()))  # imports what it needs while it may
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    make(store)


def main(command: str, *arguments: str) -> int:
    try:
        globals()[command](*(int(one) if one.isdigit() else one for one in arguments))
    except InceptionLoopError as error:
        sys.stdout.write(json.dumps({"error": type(error).__name__, "message": str(error)}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
