"""One look at a watched folder at a time, from however many hosts: the others wait for its end."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inception_loop.artifacts.address import LEASES
from inception_loop.artifacts.lease import Clock, forget_before, is_held, reserve
from inception_loop.artifacts.store import ArtifactStore

KEPT_S = 86_400.0
"""Traces of looks are removed after a day: every look leaves some."""


@contextmanager
def alone(
    store: ArtifactStore, folder: str, waiting: Callable[[], None], clock: Clock | None = None
) -> Iterator[None]:
    """Look at a folder while nobody else does.

    Without it, two looks would forget what the other has found out. A look that is killed holds up nobody
    of its machine, and others for the setting ``lease_ttl_s``.

    Parameters
    ----------
    store
        Where looks are remembered.
    folder
        Address of the watched folder.
    waiting
        Called once if another look goes on.
    clock
        This process's clocks.
    """
    key = f"{LEASES}/arrivals/{hashlib.sha256(folder.encode()).hexdigest()}"
    if is_held(store.backend, key):
        waiting()
    lease = reserve(store.backend, key, store.settings.lease_ttl_s, clock or Clock(), lambda: False)
    assert lease is not None  # nothing settles a look but a look
    with lease:
        forget_before(store.backend, key, lease.number, store.backend.now() - KEPT_S)
        yield
