"""The connection of a run to a cluster: its own, started with its first step, or one that others keep."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster, Security
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect_dask.client import PrefectDaskClient

from flows.cluster.forwarding import ToRun
from flows.cluster.workers import refuse_unlike
from inception_loop.errors import ConfigurationError
from inception_loop.settings import LOCAL_CLUSTER, Settings

ANSWER_S = 20.0
LAST_WORDS_S = 10.0


class OwnCluster:
    """Worker processes of this process, which end with the outermost run that uses them, or with it.

    Each is a process of this machine with one step at a time; they are spoken to over loopback with
    certificates that only they have, for whoever speaks to a scheduler may run code on its workers.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs = 0
        self._cluster: LocalCluster | None = None

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep what is started while the context is open."""
        with self._lock:
            self._runs += 1
        try:
            yield
        finally:
            with self._lock:
                self._runs -= 1
                if not self._runs and self._cluster is not None:
                    _end(self._cluster)
                    self._cluster = None

    def started(self, processes: int) -> LocalCluster:
        """Return the cluster, started where it was not."""
        with self._lock:
            if self._cluster is None:
                self._cluster = _start(processes)
            return self._cluster


own = OwnCluster()


def _start(processes: int) -> LocalCluster:
    config: dict[str, Any] = {
        "distributed.scheduler.worker-ttl": None,  # they are children; how long a step is silent says nothing
        "distributed.scheduler.http.routes": [],  # nothing is told to who has no certificate
        "distributed.worker.http.routes": [],
        "distributed.nanny.pre-spawn-environ": {},  # it would be set in this process; steps limit threads
    }
    with dask.config.set(config), _interrupts_held():
        return LocalCluster(
            n_workers=processes,
            threads_per_worker=1,
            host="127.0.0.1",
            scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
            memory_limit=0,  # a step that needs much is not ended for it
            security=Security.temporary(),
            silence_logs=logging.ERROR,
        )


def _end(cluster: LocalCluster) -> None:
    """End the workers, once Prefect's server knows what they have done."""
    with contextlib.suppress(OSError), Client(cluster, set_as_default=False) as client:
        client.run(_last_words)
    cluster.close()


async def _last_words() -> None:
    for service in (EventsWorker, APILogWorker):
        left: Any = service.drain_all(timeout=LAST_WORDS_S, at_exit=False)  # awaitable where a loop runs
        await left


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what Dask logs of a worker's end off the terminal while the context is open: events say it."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back; processes that are started meanwhile never see it: this one ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def connected(where: str) -> Iterator[PrefectDaskClient]:
    """Provide a client of the cluster that a setting names, whose workers are ready for steps.

    Raises
    ------
    ConfigurationError
        If no scheduler answers, or its workers cannot do what this process does.
    """
    store = Settings().store
    if store.startswith("memory://"):
        raise ConfigurationError(
            f"the store {store} exists in one process only, and setting 'cluster' is '{where}'; expected a "
            "store that every worker sees; set INCEPTION_LOOP_STORE to file:///… or s3://…"
        )
    is_own = where.startswith(LOCAL_CLUSTER)
    to = own.started(int(where.removeprefix(LOCAL_CLUSTER))) if is_own else where
    try:
        client = PrefectDaskClient(to, set_as_default=False, timeout=ANSWER_S)
    except OSError as error:
        raise ConfigurationError(
            f"setting 'cluster' is '{where}': no scheduler answered there in {ANSWER_S:.0f} s; expected a "
            "running one; start it (dask scheduler) or correct INCEPTION_LOOP_CLUSTER"
        ) from error
    with client:
        if not is_own:
            refuse_unlike(client, where)
        client.register_plugin(ToRun())
        yield client
