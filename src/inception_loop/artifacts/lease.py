"""Reservation: who computes an artifact now. It saves work; correctness rests on create-only manifests alone.

A lease is a folder of numbered generations. Generation ``n`` is one create-only object that names its owner,
a heartbeat that the owner replaces, and a mark once the owner is done. Nobody compares wall clocks: a waiter
takes over when, on its own monotonic clock, it has seen no new heartbeat for a whole time to live.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from inception_loop.artifacts.backend import Backend
from inception_loop.artifacts.provenance import Process, is_gone, this_process
from inception_loop.errors import ArtifactExistsError, ReservedError, StoreError
from inception_loop.settings import HEARTBEATS_PER_TTL

log = logging.getLogger(__name__)
OWNER, BEAT, DONE = "owner", "beat", "done"
SHORTEST_PAUSE_S = 0.02
_unmarked: set[str] = set()
"""Tokens of this process's claims that are over although nothing in the store says so: it did not answer."""


class Owner(BaseModel):
    """Who holds a generation. The token tells two claims of one process apart."""

    model_config = ConfigDict(frozen=True)

    token: str
    process: Process


class Generation(NamedTuple):
    """What the folder of a lease shows of its newest generation."""

    number: int
    done: bool


class Clock(NamedTuple):
    """The clocks of a process; tests give their own.

    Parameters
    ----------
    monotonic
        Seconds that only ever go forward, to judge how long an owner has been silent.
    sleep
        Waits some seconds.
    wall
        Seconds since 1970, for the record only: hosts disagree about it.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    wall: Callable[[], float] = time.time


class Lease:
    """A generation that this process owns; a thread renews it until the ``with`` block ends."""

    def __init__(
        self, backend: Backend, folder: str, number: int, ttl_s: float, token: str | None = None
    ) -> None:
        self.number = number
        self._token = token
        self._backend = backend
        self._stem = _stem(folder, number)
        self._period = ttl_s / HEARTBEATS_PER_TTL
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease {folder}", daemon=True)

    def __enter__(self) -> Lease:
        """Start the heartbeat."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the heartbeat and mark the generation as done."""
        self._stop.set()
        self._thread.join()
        try:
            self._backend.create(f"{self._stem}.{DONE}", b"", durable=False)
        except ArtifactExistsError:
            return
        except StoreError:
            # The artifact stands, or its error is on the way up: a mark that is not set only makes others
            # wait. This process knows better, and may try again.
            if self._token is not None:
                _unmarked.add(self._token)

    def _beat(self) -> None:
        count = 0
        while not self._stop.wait(self._period):
            count += 1
            try:
                self._backend.replace(f"{self._stem}.{BEAT}", str(count).encode())
            except StoreError as error:
                log.warning("a heartbeat got lost: %s", error)


def reserve(
    backend: Backend,
    folder: str,
    ttl_s: float,
    clock: Clock,
    settled: Callable[[], bool],
    *,
    wait: bool = True,
) -> Lease | None:
    """Return a lease on a folder's artifact, or None once somebody else has settled it.

    Parameters
    ----------
    backend
        The store's place.
    folder
        The lease's folder, relative to the root.
    ttl_s
        Seconds without a new heartbeat after which a waiter takes over.
    clock
        The waiter's clocks.
    settled
        Tells whether the artifact stands; then there is nothing left to reserve.
    wait
        Wait while another holds the lease. Otherwise only what is free, or certainly dead, is claimed: nobody
        can judge a silence without waiting for its end.

    Raises
    ------
    ReservedError
        If another holds the lease, or was faster to claim it, and nobody is to wait.
    """
    seen: tuple[int, bytes | None] | None = None
    seen_at, pause = clock.monotonic(), SHORTEST_PAUSE_S
    while not settled():
        newest = newest_generation(backend, folder)
        if newest is None or newest.done:
            lease = _claim(backend, folder, newest, ttl_s)
        else:
            mark = (newest.number, backend.read(f"{_stem(folder, newest.number)}.{BEAT}"))
            if mark != seen:
                seen, seen_at = mark, clock.monotonic()
            silent = clock.monotonic() - seen_at > ttl_s
            lease = (
                _claim(backend, folder, newest, ttl_s) if silent or _dead(backend, folder, newest) else None
            )
        if lease is not None:
            return lease
        if not wait:
            raise _reserved(backend, folder)
        clock.sleep(pause)
        pause = min(2 * pause, ttl_s / HEARTBEATS_PER_TTL, 1.0)
    return None


def newest_generation(backend: Backend, folder: str) -> Generation | None:
    """Return the newest generation of a lease, None if nobody ever held it."""
    names = [entry.key.rpartition("/")[2].partition(".") for entry in backend.walk(folder)]
    owners = [int(number) for number, _, what in names if what == OWNER]
    if not owners:
        return None
    newest = max(owners)
    return Generation(newest, (f"{newest:08d}", ".", DONE) in names)


def is_held(backend: Backend, folder: str) -> bool:
    """Tell whether a lease may be alive: its newest generation is neither done nor certainly dead."""
    newest = newest_generation(backend, folder)
    return newest is not None and not newest.done and not _dead(backend, folder, newest)


def forget_before(backend: Backend, folder: str, number: int, before: float) -> None:
    """Remove what generations older than ``number`` left before a time by the store's clock.

    For leases that are taken again and again: nobody asks for any generation but the newest.
    """
    entries = [entry for entry in backend.walk(folder) if entry.modified < before]
    backend.remove([entry.key for entry in entries if _number(entry.key) < number])


def _number(key: str) -> int:
    return int(key.rpartition("/")[2].partition(".")[0])


def _stem(folder: str, number: int) -> str:
    return f"{folder}/{number:08d}"


def _claim(backend: Backend, folder: str, newest: Generation | None, ttl_s: float) -> Lease | None:
    number = newest.number + 1 if newest else 1
    owner = Owner(token=uuid.uuid4().hex, process=this_process())
    key = f"{_stem(folder, number)}.{OWNER}"
    try:
        claimed = _create(backend, key, owner)
    except StoreError:
        _unmarked.add(owner.token)  # it may have been written: nobody works under it
        raise
    if not claimed:
        return None
    if newest is not None and not newest.done:
        log.info("took over the lease %s: generation %d gave no sign of life", folder, newest.number)
    return Lease(backend, folder, number, ttl_s, owner.token)


def _create(backend: Backend, key: str, owner: Owner) -> bool:
    try:
        backend.create(key, owner.model_dump_json().encode(), durable=False)
    except ArtifactExistsError:
        # A put whose answer got lost is repeated by the client and then meets itself.
        return _owner(backend, key) == owner
    return True


def _reserved(backend: Backend, folder: str) -> ReservedError:
    newest = newest_generation(backend, folder)
    owner = _owner(backend, f"{_stem(folder, newest.number)}.{OWNER}") if newest is not None else None
    who = "another worker" if owner is None else f"process {owner.process.pid} on {owner.process.host}"
    return ReservedError(
        f"the artifact of {backend.url(folder)} is reserved by {who}; expected nobody else at work on it; "
        "ask again later, or wait for it"
    )


def _dead(backend: Backend, folder: str, newest: Generation) -> bool:
    owner = _owner(backend, f"{_stem(folder, newest.number)}.{OWNER}")
    return owner is not None and (owner.token in _unmarked or is_gone(owner.process))


def _owner(backend: Backend, key: str) -> Owner | None:
    data = backend.read(key)
    if data is None:
        return None
    try:
        return Owner.model_validate_json(data)
    except ValidationError:
        return None  # damaged: only silence can then show that it is dead
