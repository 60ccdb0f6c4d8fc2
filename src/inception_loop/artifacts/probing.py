"""Trying out what a store's place must be able to do."""

from __future__ import annotations

import contextlib
import time
import uuid

from inception_loop.artifacts.backend import Backend
from inception_loop.errors import ArtifactExistsError, StoreError

PROBES = "_probe"


def probe(backend: Backend) -> dict[str, str]:
    """Write, read and try to overwrite an object, and return what was found, by name.

    Raises
    ------
    StoreError
        If the place cannot be written or read, or does not honour create-only.
    """
    key, began = f"{PROBES}/{uuid.uuid4().hex}", time.perf_counter()
    backend.create(key, b"first")
    written = time.perf_counter()
    try:
        if backend.read(key) != b"first":
            raise StoreError(f"{backend.uri} returns other bytes than were written; use another store")
        read = time.perf_counter()
        with contextlib.suppress(ArtifactExistsError):
            backend.create(key, b"second")
            raise StoreError(
                f"{backend.uri} overwrites where it was told to create only, so that two workers could undo "
                "each other's results; use a server that honours If-None-Match"
            )
    finally:
        backend.remove([key])
    return {
        "writes": f"in {1000 * (written - began):.0f} ms",
        "reads": f"in {1000 * (read - written):.0f} ms",
        "create-only": "honoured",
        "clock": f"differs from this machine's by {backend.now() - time.time():+.0f} s",
    }
